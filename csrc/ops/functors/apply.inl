// Functors of apply_coefficients and pin_image_clicks: coefficients at the image's resolution. A part of ops.inl.

#include <cstddef>

#include "../../math/bilinear.h"
#include "../../math/guided.h"
#include "../ops.h"
#include "access.h"
#include "clicks.inl"
#include "run.h"

namespace pyiseg {
namespace {

// Alpha of one pixel, from its coefficients.
PYISEG_HD float alpha_at(LearnedGuide guide, std::size_t pixel, const float (&value)[2]) {
    return guided_alpha(value[0], value[1], guide.values[pixel]);
}

PYISEG_HD float alpha_at(ColorGuide guide, std::size_t pixel, const float (&value)[4]) {
    const std::uint8_t* rgb = guide.rgb + 3 * pixel;
    return color_alpha(value[0], value[1], value[2], value[3], static_cast<float>(rgb[0]), static_cast<float>(rgb[1]),
                       static_cast<float>(rgb[2]));
}

#ifdef __CUDA_ARCH__
// The guide at n pixels of a row, read in words as wide as the address allows.
template <class Guide, int n>
struct GuideRun;

template <int n>
struct GuideRun<LearnedGuide, n> {
    float values[n];

    __device__ GuideRun(LearnedGuide guide, std::size_t pixel) { load_run(guide.values + pixel, values); }
    __device__ float alpha(int k, const float (&value)[2]) const { return guided_alpha(value[0], value[1], values[k]); }
};

template <int n>
struct GuideRun<ColorGuide, n> {
    std::uint8_t rgb[3 * n];

    __device__ GuideRun(ColorGuide guide, std::size_t pixel) { load_run(guide.rgb + 3 * pixel, rgb); }
    __device__ float alpha(int k, const float (&value)[4]) const {
        return color_alpha(value[0], value[1], value[2], value[3], static_cast<float>(rgb[3 * k]),
                           static_cast<float>(rgb[3 * k + 1]), static_cast<float>(rgb[3 * k + 2]));
    }
};
#else
// Alpha of n pixels of a row, from their coefficients, in loops that compilers turn into vectors.
template <int n, class T>
void alpha_run(LearnedGuide guide, std::size_t pixel, const float (&values)[2][n], T* __restrict out) {
    const float* __restrict from = guide.values + pixel;
    for (int k = 0; k < n; ++k) store_alpha(guided_alpha(values[0][k], values[1][k], from[k]), out[k]);
}

template <int n, class T>
void alpha_run(ColorGuide guide, std::size_t pixel, const float (&values)[4][n], T* __restrict out) {
    const std::uint8_t* __restrict from = guide.rgb + 3 * pixel;
    float rgb[3 * n];  // bytes in a row become vectors, and so do floats three apart, but bytes three apart do not
    for (int k = 0; k < 3 * n; ++k) rgb[k] = static_cast<float>(from[k]);
    float alpha[n];
    for (int k = 0; k < n; ++k) {
        alpha[k] = color_alpha(values[0][k], values[1][k], values[2][k], values[3][k], rgb[3 * k], rgb[3 * k + 1],
                               rgb[3 * k + 2]);
    }
    for (int k = 0; k < n; ++k) store_alpha(alpha[k], out[k]);
}
#endif

// Coefficients along a row of the image, between two grid columns: the left end, and what the right one adds.
template <int kPlanes>
struct Span {
    float left[kPlanes], step[kPlanes];
};

// Coefficients (kPlanes, grid), looked up bilinearly along one row of the image.
template <int kPlanes>
struct CoefficientRow {
    const float* __restrict upper;
    const float* __restrict lower;
    std::size_t plane;
    int columns;
    float t;

    PYISEG_HD CoefficientRow(const float* coefficients, Size grid, Size image, int y) {
        const Cell cell = locate(y, grid.h, image.h);
        upper = coefficients + static_cast<std::size_t>(clamp_index(cell.cell, grid.h)) * grid.w;
        lower = coefficients + static_cast<std::size_t>(clamp_index(cell.cell + 1, grid.h)) * grid.w;
        plane = static_cast<std::size_t>(grid.h) * grid.w;
        columns = grid.w;
        t = static_cast<float>(cell.remainder) / static_cast<float>(2 * image.h);
    }

    PYISEG_HD Span<kPlanes> span(int cell) const {
        const int left = clamp_index(cell, columns), right = clamp_index(cell + 1, columns);
        Span<kPlanes> result;
        for (int i = 0; i < kPlanes; ++i) {
            const float* __restrict u = upper + i * plane;
            const float* __restrict l = lower + i * plane;
            result.left[i] = lerp(u[left], l[left], t);
            result.step[i] = lerp(u[right], l[right], t) - result.left[i];
        }
        return result;
    }
};

// Whether all coefficients from one grid column to another are 0: alpha is 0 there, whatever the guide is.
template <int kPlanes>
PYISEG_HD bool all_zero(const CoefficientRow<kPlanes>& row, int first, int last) {
    bool zero = true;
    for (int i = 0; i < kPlanes; ++i) {
        for (int x = first; x <= last; ++x) {
            zero &= (row.upper[i * row.plane + x] == 0.0f) & (row.lower[i * row.plane + x] == 0.0f);
        }
    }
    return zero;
}

// To the grid column that the remainder has reached; further than one only where the image is the smaller one.
PYISEG_HD void advance(Cell& at, int width) {
    while (at.remainder >= width) {
        at.remainder -= width;
        ++at.cell;
    }
}

#ifndef __CUDA_ARCH__
// Alpha of up to kRun pixels of a row of the image, the first one at a place between grid columns.
template <int kRun, int kPlanes, class Guide, class T>
void write_run(const CoefficientRow<kPlanes>& row, Cell at, Guide guide, int image_width, std::size_t pixel, int count,
               T* __restrict out) {
    const int step = 2 * row.columns, width = 2 * image_width;
    const float scale = 1.0f / static_cast<float>(width);
    float values[kPlanes][kRun];
    for (int k = 0; k < kRun;) {
        const Span<kPlanes> span = row.span(at.cell);
        const int crossing = (width - at.remainder + step - 1) / step;
        const int n = crossing < kRun - k ? crossing : kRun - k;
        for (int j = 0; j < n; ++j) {
            const float t = static_cast<float>(at.remainder + j * step) * scale;
            for (int i = 0; i < kPlanes; ++i) values[i][k + j] = span.left[i] + span.step[i] * t;
        }
        k += n;
        at.remainder += n * step;
        advance(at, width);
    }
    if (count == kRun) return alpha_run(guide, pixel, values, out);
    for (int k = 0; k < count; ++k) {
        float value[kPlanes];
        for (int i = 0; i < kPlanes; ++i) value[i] = values[i][k];
        store_alpha(alpha_at(guide, pixel + k, value), out[k]);
    }
}
#endif

// A run of alpha at full resolution. Along a run, coefficients are straight between two grid columns, so the grid is
// read once a grid column and not once a pixel. Moves 4 (learned) or 3 (color) + sizeof(T) bytes a pixel; the grid
// stays in cache.
template <int kRun, class T, class Guide>
struct ApplyCoefficients {
    static constexpr int kPlanes = Guide::kSlopes + 1;

    const float* __restrict coefficients;
    Size grid;
    Guide guide;
    Size image;
    T* __restrict out;

    PYISEG_HD void operator()(int y, int column) const {
        const CoefficientRow<kPlanes> row(coefficients, grid, image, y);
        const int x0 = run_start<kRun>(y, column, image.w);
        const int begin = x0 < 0 ? 0 : x0, end = x0 + kRun < image.w ? x0 + kRun : image.w;
        if (begin >= end) return;
        const int count = end - begin;
        const std::size_t pixel = static_cast<std::size_t>(y) * image.w + begin;
        Cell at = locate(begin, grid.w, image.w);
        if (count == kRun) {  // where nothing is selected, which is most of most images, there is nothing to compute
            const int last = locate(end - 1, grid.w, image.w).cell + 1;
            if (all_zero(row, clamp_index(at.cell, grid.w), clamp_index(last, grid.w))) {
                const T nothing[kRun] = {};
                return store_run(nothing, out + pixel);
            }
        }
#ifdef __CUDA_ARCH__
        const int step = 2 * grid.w;
        const int width = 2 * image.w;
        const float scale = 1.0f / static_cast<float>(width);
        // Registers have no index: each pixel steps on by itself, so that the loop unrolls and nothing is spilled.
        Span<kPlanes> span = row.span(at.cell);
        const auto next = [&](float (&value)[kPlanes]) {
            const float t = static_cast<float>(at.remainder) * scale;
            for (int i = 0; i < kPlanes; ++i) value[i] = span.left[i] + span.step[i] * t;
            at.remainder += step;
            if (at.remainder >= width) {
                advance(at, width);
                span = row.span(at.cell);
            }
        };
        float value[kPlanes];
        if (count == kRun) {
            const GuideRun<Guide, kRun> colors(guide, pixel);
            T stored[kRun];
#pragma unroll
            for (int k = 0; k < kRun; ++k) {
                next(value);
                store_alpha(colors.alpha(k, value), stored[k]);
            }
            return store_run(stored, out + pixel);
        }
        for (int k = 0; k < count; ++k) {
            next(value);
            store_alpha(alpha_at(guide, pixel + k, value), out[pixel + k]);
        }
#else
        write_run<kRun>(row, at, guide, image.w, pixel, count, out + pixel);
#endif
    }
};

// Step 1 of 2: for the click that decides for a grid pixel, the last one there, whether alpha is on its side at its
// pixel of the image and at those of all clicks with its label there. Said in flags (grid), at that grid pixel: 1 where
// not.
template <class Guide>
struct FlagDisobeyedClicks {
    static constexpr int kPlanes = Guide::kSlopes + 1;

    Guide guide;
    Size image;
    Clicks image_clicks, clicks;
    Size grid;
    const float* __restrict coefficients;
    float* __restrict flags;

    PYISEG_HD void operator()(int, int i) const {
        if (ended(clicks, i)) return;
        const Click click = clicks.data[i];
        if (nearest_click(clicks, click.x, click.y) != i) return;
        bool obeyed = true;
        for (int j = 0; j <= i && obeyed; ++j) {
            const Click other = clicks.data[j];
            if (other.x != click.x || other.y != click.y || other.label != click.label) continue;
            obeyed = on_clicks_side(alpha_of(image_clicks.data[j]), click.label);
        }
        flags[static_cast<std::size_t>(click.y) * grid.w + click.x] = obeyed ? 0.0f : 1.0f;
    }

    PYISEG_HD float alpha_of(Click on_image) const {
        const Cell at = locate(on_image.x, grid.w, image.w);
        const Span<kPlanes> span = CoefficientRow<kPlanes>(coefficients, grid, image, on_image.y).span(at.cell);
        const float t = static_cast<float>(at.remainder) * (1.0f / static_cast<float>(2 * image.w));
        float value[kPlanes];
        for (int c = 0; c < kPlanes; ++c) value[c] = span.left[c] + span.step[c] * t;
        return alpha_at(guide, static_cast<std::size_t>(on_image.y) * image.w + on_image.x, value);
    }
};

// Step 2 of 2: around those, coefficients that say the label whatever the guide is.
struct PinFlaggedClicks {
    Clicks clicks;
    Size grid;
    int slopes;
    const float* __restrict flags;
    float* __restrict coefficients;

    PYISEG_HD void operator()(int, int i) const {
        if (ended(clicks, i)) return;
        const Click click = clicks.data[i];
        if (nearest_click(clicks, click.x, click.y) != i) return;
        if (flags[static_cast<std::size_t>(click.y) * grid.w + click.x] == 0.0f) return;
        pin_around(clicks, i, grid, slopes, coefficients);
    }
};

}  // namespace
}  // namespace pyiseg
