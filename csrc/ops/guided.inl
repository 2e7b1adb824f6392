// Functors of guided_filter_lines and apply_lines. A part of ops.inl.

#include <cstddef>

#include "../math/bilinear.h"
#include "../math/guided.h"
#include "../ops.h"
#include "access.h"
#include "run.h"

namespace pyiseg {
namespace {

// Step 1 of 3: a and b of each window. Means first, then sums of centred products, so that nothing cancels in FP32 even
// where the guide is flat to 1e-4 and eps is 1e-8. A mean is the pixel in the middle plus the mean difference from it:
// then rounding scales with what varies in the window, and a constant comes out exactly. Windows are walked directly:
// radius is small (2 in the paper), and running sums over the image would bring the cancellation back.
template <int kRun>
struct FitLines {
    const float* __restrict guide;
    const float* __restrict p;
    int radius;
    float eps;
    Size size;
    float* __restrict ab;

    PYISEG_HD void operator()(int y, int column) const { for_run<kRun>(*this, y, column * kRun, size.w, radius); }

    template <int n>
    PYISEG_HD void part(int y, int x, int left, int right) const {
        const int top = y < radius ? 0 : y - radius;
        const int bottom = size.h - 1 - y < radius ? size.h - 1 : y + radius;
        const float count = static_cast<float>((bottom - top + 1) * (right - left + 1));
        const float* __restrict i0 = guide + static_cast<std::size_t>(y) * size.w + x;
        const float* __restrict p0 = p + static_cast<std::size_t>(y) * size.w + x;
        float mean_i[n] = {}, mean_p[n] = {}, var[n] = {}, cov[n] = {};
        for (int row = top; row <= bottom; ++row) {
            const std::size_t at = static_cast<std::size_t>(row) * size.w + x;
            for (int dx = left; dx <= right; ++dx) {
                for (int k = 0; k < n; ++k) mean_i[k] += guide[at + dx + k] - i0[k];
                for (int k = 0; k < n; ++k) mean_p[k] += p[at + dx + k] - p0[k];
            }
        }
        for (int k = 0; k < n; ++k) mean_i[k] = i0[k] + mean_i[k] / count;
        for (int k = 0; k < n; ++k) mean_p[k] = p0[k] + mean_p[k] / count;
        for (int row = top; row <= bottom; ++row) {
            const std::size_t at = static_cast<std::size_t>(row) * size.w + x;
            for (int dx = left; dx <= right; ++dx) {
                for (int k = 0; k < n; ++k) {
                    const float i = guide[at + dx + k] - mean_i[k];
                    var[k] += i * i;
                    cov[k] += i * (p[at + dx + k] - mean_p[k]);
                }
            }
        }
        const std::size_t plane = static_cast<std::size_t>(size.h) * size.w;
        float* __restrict a = ab + static_cast<std::size_t>(y) * size.w + x;
        float* __restrict b = a + plane;
        for (int k = 0; k < n; ++k) {
            const Line line = fit_line(mean_i[k], mean_p[k], var[k] / count, cov[k] / count, eps);
            a[k] = line.a;
            b[k] = line.b;
        }
    }
};

// Step 2 of 3: a and b averaged over all windows that cover a pixel (eq. 7). Rows h..2h-1 are b.
template <int kRun>
struct BoxMean {
    const float* __restrict in;
    int radius;
    Size size;
    float* __restrict out;

    PYISEG_HD void operator()(int row, int column) const { for_run<kRun>(*this, row, column * kRun, size.w, radius); }

    template <int n>
    PYISEG_HD void part(int plane_row, int x, int left, int right) const {
        const int plane = plane_row >= size.h;
        const int y = plane ? plane_row - size.h : plane_row;
        const std::size_t offset = static_cast<std::size_t>(plane) * size.h * size.w;
        const int top = y < radius ? 0 : y - radius;
        const int bottom = size.h - 1 - y < radius ? size.h - 1 : y + radius;
        const float count = static_cast<float>((bottom - top + 1) * (right - left + 1));
        const float* __restrict v0 = in + offset + static_cast<std::size_t>(y) * size.w + x;
        float sum[n] = {};
        for (int row = top; row <= bottom; ++row) {
            const float* __restrict v = in + offset + static_cast<std::size_t>(row) * size.w + x;
            for (int dx = left; dx <= right; ++dx) {
                for (int k = 0; k < n; ++k) sum[k] += v[dx + k] - v0[k];
            }
        }
        float* __restrict o = out + offset + static_cast<std::size_t>(y) * size.w + x;
        for (int k = 0; k < n; ++k) o[k] = v0[k] + sum[k] / count;
    }
};

// Step 3 of 3: alpha at full resolution. Along a run, a and b are straight between two grid columns, so the grid is
// read once per grid column and not once per pixel. Moves 5 bytes a pixel with T = unsigned char, 8 with float; the
// grid stays in cache.
template <int kRun, class T>
struct ApplyLines {
    const float* __restrict lines;
    Size grid;
    const float* __restrict guide;
    Size image;
    T* __restrict out;

    PYISEG_HD void operator()(int y, int column) const {
        const Cell vertical = locate(y, grid.h, image.h);
        const float ty = static_cast<float>(vertical.remainder) / static_cast<float>(2 * image.h);
        const float* __restrict a0 = lines + static_cast<std::size_t>(clamp_index(vertical.cell, grid.h)) * grid.w;
        const float* __restrict a1 = lines + static_cast<std::size_t>(clamp_index(vertical.cell + 1, grid.h)) * grid.w;
        const std::size_t plane = static_cast<std::size_t>(grid.h) * grid.w;

        const int x0 = column * kRun;
        const int step = 2 * grid.w;
        const int width = 2 * image.w;
        const float scale = 1.0f / static_cast<float>(width);
        Cell at = locate(x0, grid.w, image.w);
        float a[kRun], b[kRun];
        for (int k = 0; k < kRun;) {
            const int left = clamp_index(at.cell, grid.w);
            const int right = clamp_index(at.cell + 1, grid.w);
            const float left_a = lerp(a0[left], a1[left], ty);
            const float left_b = lerp(a0[plane + left], a1[plane + left], ty);
            const float slope_a = lerp(a0[right], a1[right], ty) - left_a;
            const float slope_b = lerp(a0[plane + right], a1[plane + right], ty) - left_b;
            const int crossing = (width - at.remainder + step - 1) / step;
            const int n = crossing < kRun - k ? crossing : kRun - k;
            for (int j = 0; j < n; ++j) {
                const float t = static_cast<float>(at.remainder + j * step) * scale;
                a[k + j] = left_a + slope_a * t;
                b[k + j] = left_b + slope_b * t;
            }
            k += n;
            at.remainder += n * step;
            while (at.remainder >= width) {  // one grid column further; more only where the image is the smaller one
                at.remainder -= width;
                ++at.cell;
            }
        }

        const std::size_t pixel = static_cast<std::size_t>(y) * image.w + x0;
        const float* __restrict g = guide + pixel;
        T* __restrict o = out + pixel;
        if (x0 + kRun <= image.w) {
            map_run<kRun>(g, o, [&](int k, float i, T& alpha) { store_alpha(line_alpha(a[k], b[k], i), alpha); });
        } else {
            for (int k = 0; k < image.w - x0; ++k) store_alpha(line_alpha(a[k], b[k], g[k]), o[k]);
        }
    }
};

}  // namespace
}  // namespace pyiseg
