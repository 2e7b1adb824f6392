// The pyramid of foreground.inl: an image and its alpha, halved until one pixel is left.
#pragma once

#include <cstddef>
#include <cstdint>

#include "../ops.h"

namespace pyiseg {
namespace {

constexpr int kHalveRun = 64;

// A smaller image of the pyramid: planes of R, G, B and alpha, and planes of the colors of foreground and background,
// which are defined in tiles that have a soft pixel.
struct ForegroundLevel {
    Size size;
    std::uint8_t *image, *colors;  // (4, h, w), (6, h, w)

    std::int64_t pixels() const { return static_cast<std::int64_t>(size.h) * size.w; }
};

// The mean of four; alpha is 0 or 255 only where all four are, so that what lies over a soft pixel is soft.
inline std::uint8_t mean_color(int sum) {
    return static_cast<std::uint8_t>((sum + 2) >> 2);
}
inline std::uint8_t mean_alpha(int sum) {
    const int mean = (sum + 2) >> 2;
    const int low = sum > 0 && mean < 1 ? 1 : mean;
    return static_cast<std::uint8_t>(sum < 4 * 255 && low > 254 ? 254 : low);
}

// Calls part<kHalveRun>(first pixel) or, where the image ends, part<1>.
template <class F>
void halve_run(const F& f, int row, int column, Size from, Size to) {
    const int x0 = column * kHalveRun;
    if (2 * (x0 + kHalveRun) <= from.w) return f.template part<kHalveRun>(row, x0);
    for (int x = x0; x < to.w && x < x0 + kHalveRun; ++x) f.template part<1>(row, x);
}

// How far the second row or column of a box of 2 is: at an odd image's end there is none, and the first counts twice.
inline std::ptrdiff_t second(int first, int length) {
    return first + 1 < length ? 1 : 0;
}

struct HalveImage {
    const std::uint8_t *rgb, *alpha;
    Size from;
    ForegroundLevel to;

    void operator()(int row, int column) const { halve_run(*this, row, column, from, to.size); }

    template <int n>
    void part(int y, int x) const {
        const std::ptrdiff_t width = from.w, down = second(2 * y, from.h) * width, right = second(2 * x, from.w);
        const std::ptrdiff_t first = 2 * y * width + 2 * x, at = static_cast<std::ptrdiff_t>(y) * to.size.w + x;
        const std::uint8_t* __restrict a = alpha + first;
        const std::uint8_t* __restrict p = rgb + 3 * first;
        std::uint8_t* __restrict o = to.image + at;
        const std::ptrdiff_t plane = to.pixels();
        std::uint16_t columns[6 * n];
        if (n > 1) {
            for (int i = 0; i < 6 * n; ++i) columns[i] = static_cast<std::uint16_t>(p[i] + p[3 * down + i]);
        } else {
            for (int i = 0; i < 3; ++i) {
                const std::ptrdiff_t r = i + 3 * right;
                columns[i] = static_cast<std::uint16_t>(p[i] + p[3 * down + i]);
                columns[3 + i] = static_cast<std::uint16_t>(p[r] + p[3 * down + r]);
            }
        }
        for (int c = 0; c < 3; ++c) {
            for (int i = 0; i < n; ++i) o[c * plane + i] = mean_color(columns[6 * i + c] + columns[6 * i + 3 + c]);
        }
        for (int i = 0; i < n; ++i) {
            const std::ptrdiff_t l = 2 * i, r = 2 * i + right;
            o[3 * plane + i] = mean_alpha(a[l] + a[r] + a[down + l] + a[down + r]);
        }
    }
};

struct HalveLevel {
    ForegroundLevel from, to;

    void operator()(int row, int column) const { halve_run(*this, row, column, from.size, to.size); }

    template <int n>
    void part(int y, int x) const {
        const std::ptrdiff_t width = from.size.w;
        const std::ptrdiff_t down = second(2 * y, from.size.h) * width, right = second(2 * x, from.size.w);
        for (int c = 0; c < 4; ++c) {
            const std::uint8_t* __restrict p = from.image + c * from.pixels() + 2 * y * width + 2 * x;
            std::uint8_t* __restrict o = to.image + c * to.pixels() + static_cast<std::ptrdiff_t>(y) * to.size.w + x;
            for (int i = 0; i < n; ++i) {
                const std::ptrdiff_t l = 2 * i, r = n > 1 ? 2 * i + 1 : right;
                const int sum = p[l] + p[r] + p[down + l] + p[down + r];
                o[i] = c < 3 ? mean_color(sum) : mean_alpha(sum);
            }
        }
    }
};

}  // namespace
}  // namespace pyiseg
