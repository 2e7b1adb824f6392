// Functors of guided_filter_coefficients and color_guided_filter_coefficients. A part of ops.inl.

#include <cstddef>

#include "../../math/guided.h"
#include "../ops.h"
#include "access.h"
#include "run.h"

namespace pyiseg {
namespace {

// The window of a pixel of row y: its first and last row, cut off at the border, and how many pixels it has. left and
// right are the offsets of its ends, as for_run gives them.
struct Window {
    int top, bottom;
    float count;
};

PYISEG_HD Window window_of(int y, int left, int right, int radius, Size size) {
    const int top = y < radius ? 0 : y - radius;
    const int bottom = size.h - 1 - y < radius ? size.h - 1 : y + radius;
    return {top, bottom, static_cast<float>((bottom - top + 1) * (right - left + 1))};
}

// The radius that part<n> may hold windows in registers with, and the columns of a window; see RowWindow.
template <int kRun, int kRadius, int n>
struct WindowColumns {
    static constexpr int kHeld = n == kRun ? kRadius : 0;
    int first, last;

    PYISEG_HD WindowColumns(int left, int right) : first(kHeld ? -kHeld : left), last(kHeld ? kHeld : right) {}
};

// Step 1 of 2: a and b of each window. Means first, then sums of centered products, so that nothing cancels in FP32
// even where the guide is flat to 1e-4 and eps is 1e-8. A mean is the pixel in the middle plus the mean difference from
// it: then rounding scales with what varies in the window, and a constant comes out exactly. Windows are walked
// directly: radius is small (2 in the paper), and running sums over the image would bring the cancellation back.
template <int kRun, int kRadius>
struct FitCoefficients {
    const float* __restrict guide;
    const float* __restrict p;
    int radius;
    float eps;
    Size size;
    float* __restrict ab;

    PYISEG_HD void operator()(int y, int column) const { for_run<kRun>(*this, y, column, size.w, radius); }

    template <int n>
    PYISEG_HD void part(int y, int x, int left, int right) const {
        const auto [top, bottom, count] = window_of(y, left, right, radius, size);
        using Columns = WindowColumns<kRun, kRadius, n>;
        using Values = RowWindow<n, Columns::kHeld>;
        const Columns columns(left, right);
        const std::size_t own = static_cast<std::size_t>(y) * size.w + x;
        const Values i0(guide + own, x, size.w), p0(p + own, x, size.w);
        float mean_i[n] = {}, mean_p[n] = {}, var[n] = {}, cov[n] = {};
        for (int row = top; row <= bottom; ++row) {
            const std::size_t at = static_cast<std::size_t>(row) * size.w + x;
            const Values i(guide + at, x, size.w), q(p + at, x, size.w);
            for (int dx = columns.first; dx <= columns.last; ++dx) {
                for (int k = 0; k < n; ++k) mean_i[k] += i[dx + k] - i0[k];
                for (int k = 0; k < n; ++k) mean_p[k] += q[dx + k] - p0[k];
            }
        }
        for (int k = 0; k < n; ++k) mean_i[k] = i0[k] + mean_i[k] / count;
        for (int k = 0; k < n; ++k) mean_p[k] = p0[k] + mean_p[k] / count;
        for (int row = top; row <= bottom; ++row) {
            const std::size_t at = static_cast<std::size_t>(row) * size.w + x;
            const Values i(guide + at, x, size.w), q(p + at, x, size.w);
            for (int dx = columns.first; dx <= columns.last; ++dx) {
                for (int k = 0; k < n; ++k) {
                    const float d = i[dx + k] - mean_i[k];
                    var[k] += d * d;
                    cov[k] += d * (q[dx + k] - mean_p[k]);
                }
            }
        }
        float a[n], b[n];
        for (int k = 0; k < n; ++k) {
            const Coefficients fit = fit_coefficients(mean_i[k], mean_p[k], var[k] / count, cov[k] / count, eps);
            a[k] = fit.a;
            b[k] = fit.b;
        }
        store_run(a, ab + own);
        store_run(b, ab + static_cast<std::size_t>(size.h) * size.w + own);
    }
};

// Step 2 of 2, averaged form: a and b averaged over all windows that cover a pixel (eq. 7). Rows h..2h-1 are b.
template <int kRun, int kRadius>
struct BoxMean {
    const float* __restrict in;
    int radius;
    Size size;
    float* __restrict out;

    PYISEG_HD void operator()(int row, int column) const { for_run<kRun>(*this, row, column, size.w, radius); }

    template <int n>
    PYISEG_HD void part(int plane_row, int x, int left, int right) const {
        const int plane = plane_row >= size.h;
        const int y = plane ? plane_row - size.h : plane_row;
        const auto [top, bottom, count] = window_of(y, left, right, radius, size);
        using Columns = WindowColumns<kRun, kRadius, n>;
        using Values = RowWindow<n, Columns::kHeld>;
        const Columns columns(left, right);
        const float* values = in + static_cast<std::size_t>(plane) * size.h * size.w;
        const Values v0(values + static_cast<std::size_t>(y) * size.w + x, x, size.w);
        float sum[n] = {};
        for (int row = top; row <= bottom; ++row) {
            const Values v(values + static_cast<std::size_t>(row) * size.w + x, x, size.w);
            for (int dx = columns.first; dx <= columns.last; ++dx) {
                for (int k = 0; k < n; ++k) sum[k] += v[dx + k] - v0[k];
            }
        }
        for (int k = 0; k < n; ++k) sum[k] = v0[k] + sum[k] / count;
        store_run(sum, out + static_cast<std::size_t>(plane_row) * size.w + x);
    }
};

// Step 2 of 2, residual form: only the slopes are averaged, and b = p - a * guide, so that on the grid alpha is p
// itself and nothing of it is blurred. kSlopes planes of guide, in and out, for a guide of one channel or of three.
template <int kRun, int kSlopes, int kRadius>
struct ResidualCoefficients {
    const float* __restrict guide;
    const float* __restrict p;
    const float* __restrict in;
    int radius;
    Size size;
    float* __restrict out;

    PYISEG_HD void operator()(int y, int column) const { for_run<kRun>(*this, y, column, size.w, radius); }

    template <int n>
    PYISEG_HD void part(int y, int x, int left, int right) const {
        const std::size_t plane = static_cast<std::size_t>(size.h) * size.w;
        const std::size_t own = static_cast<std::size_t>(y) * size.w + x;
        const auto [top, bottom, count] = window_of(y, left, right, radius, size);
        using Columns = WindowColumns<kRun, kRadius, n>;
        using Values = RowWindow<n, Columns::kHeld>;
        const Columns columns(left, right);
        float explained[n] = {};
        for (int c = 0; c < kSlopes; ++c) {
            const float* slopes = in + c * plane;
            float sum[n] = {};
            for (int row = top; row <= bottom; ++row) {
                const Values v(slopes + static_cast<std::size_t>(row) * size.w + x, x, size.w);
                for (int dx = columns.first; dx <= columns.last; ++dx) {
                    for (int k = 0; k < n; ++k) sum[k] += v[dx + k];
                }
            }
            const Values g(guide + c * plane + own, x, size.w);
            for (int k = 0; k < n; ++k) {
                sum[k] = sum[k] / count;
                explained[k] += sum[k] * g[k];
            }
            store_run(sum, out + c * plane + own);
        }
        const Values p0(p + own, x, size.w);
        float b[n];
        for (int k = 0; k < n; ++k) b[k] = p0[k] - explained[k];
        store_run(b, out + kSlopes * plane + own);
    }
};

// What the color guide needs of its image, once: the inverse covariances of each window. A mean is the pixel in the
// middle plus the mean difference from it, and covariances are sums of centered products, as in FitCoefficients.
template <int kRun>
struct ColorStatistics {
    const float* __restrict image;
    int radius;
    float eps;
    Size size;
    float* __restrict statistics;

    PYISEG_HD void operator()(int y, int column) const { for_run<kRun>(*this, y, column, size.w, radius); }

    template <int n>
    PYISEG_HD void part(int y, int x, int left, int right) const {
        const std::size_t plane = static_cast<std::size_t>(size.h) * size.w;
        const std::size_t own = static_cast<std::size_t>(y) * size.w + x;
        const auto [top, bottom, count] = window_of(y, left, right, radius, size);
        float mean[3][n] = {}, cov[6][n] = {};
        for (int c = 0; c < 3; ++c) {
            const float* __restrict channel = image + c * plane;
            for (int row = top; row <= bottom; ++row) {
                const float* __restrict v = channel + static_cast<std::size_t>(row) * size.w + x;
                for (int dx = left; dx <= right; ++dx) {
                    for (int k = 0; k < n; ++k) mean[c][k] += v[dx + k] - channel[own + k];
                }
            }
            for (int k = 0; k < n; ++k) mean[c][k] = channel[own + k] + mean[c][k] / count;
        }
        for (int row = top; row <= bottom; ++row) {
            const float* __restrict v = image + static_cast<std::size_t>(row) * size.w + x;
            for (int dx = left; dx <= right; ++dx) {
                for (int k = 0; k < n; ++k) {
                    const float r = v[dx + k] - mean[0][k];
                    const float g = v[plane + dx + k] - mean[1][k];
                    const float b = v[2 * plane + dx + k] - mean[2][k];
                    cov[0][k] += r * r;
                    cov[1][k] += r * g;
                    cov[2][k] += r * b;
                    cov[3][k] += g * g;
                    cov[4][k] += g * b;
                    cov[5][k] += b * b;
                }
            }
        }
        float* __restrict out = statistics + own;
        for (int k = 0; k < n; ++k) {
            float covariance[6], inverse[6];
            for (int i = 0; i < 6; ++i) covariance[i] = cov[i][k] / count;
            invert_covariance(covariance, eps, inverse);
            for (int i = 0; i < 6; ++i) out[i * plane + k] = inverse[i];
        }
    }
};

// Step 1 of 2 with the color guide: the slopes of each window; see FitCoefficients. The differences of p from its mean
// sum to 0, so that colors may be taken from any origin: from the pixel in the middle, where few digits are lost.
template <int kRun, int kRadius>
struct FitColorSlopes {
    const float* __restrict image;
    const float* __restrict statistics;
    const float* __restrict p;
    int radius;
    Size size;
    float* __restrict slopes;

    PYISEG_HD void operator()(int y, int column) const { for_run<kRun>(*this, y, column, size.w, radius); }

    template <int n>
    PYISEG_HD void part(int y, int x, int left, int right) const {
        const std::size_t plane = static_cast<std::size_t>(size.h) * size.w;
        const std::size_t own = static_cast<std::size_t>(y) * size.w + x;
        const auto [top, bottom, count] = window_of(y, left, right, radius, size);
        using Columns = WindowColumns<kRun, kRadius, n>;
        using Values = RowWindow<n, Columns::kHeld>;
        const Columns columns(left, right);
        const Values p0(p + own, x, size.w);
        float mean_p[n] = {}, cov[3][n] = {};
        for (int row = top; row <= bottom; ++row) {
            const Values v(p + static_cast<std::size_t>(row) * size.w + x, x, size.w);
            for (int dx = columns.first; dx <= columns.last; ++dx) {
                for (int k = 0; k < n; ++k) mean_p[k] += v[dx + k] - p0[k];
            }
        }
        for (int k = 0; k < n; ++k) mean_p[k] = p0[k] + mean_p[k] / count;
        const Values origin[3] = {
            {image + own, x, size.w}, {image + plane + own, x, size.w}, {image + 2 * plane + own, x, size.w}};
        for (int row = top; row <= bottom; ++row) {
            const std::size_t at = static_cast<std::size_t>(row) * size.w + x;
            const Values v(p + at, x, size.w);
            const Values color[3] = {
                {image + at, x, size.w}, {image + plane + at, x, size.w}, {image + 2 * plane + at, x, size.w}};
            for (int dx = columns.first; dx <= columns.last; ++dx) {
                for (int k = 0; k < n; ++k) {
                    const float d = v[dx + k] - mean_p[k];
                    for (int c = 0; c < 3; ++c) cov[c][k] += d * (color[c][dx + k] - origin[c][k]);
                }
            }
        }
        float inverses[6][n];
        for (int i = 0; i < 6; ++i) load_run(statistics + i * plane + own, inverses[i]);
        for (int k = 0; k < n; ++k) {
            float inverse[6], covariance[3], a[3];
            for (int i = 0; i < 6; ++i) inverse[i] = inverses[i][k];
            for (int c = 0; c < 3; ++c) covariance[c] = cov[c][k] / count;
            color_slopes(inverse, covariance, a);
            for (int c = 0; c < 3; ++c) cov[c][k] = a[c];
        }
        for (int c = 0; c < 3; ++c) store_run(cov[c], slopes + c * plane + own);
    }
};

}  // namespace
}  // namespace pyiseg
