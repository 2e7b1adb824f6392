// Functors that measure and reduce the noise of images. A part of ops_image.inl.

#include <cstddef>

#include "../../math/noise.h"
#include "../ops_image.h"
#include "access.h"
#include "run.h"

namespace pyiseg {
namespace {

// One place of the lattice, for all channels. Rows of it are shifted against each other, so that no period of the
// image, such as JPEG's blocks of 8 pixels, hides what lies between.
struct NoiseSamples {
    const std::uint8_t* __restrict rgb;
    Size size, lattice;
    std::int32_t* __restrict out;

    PYISEG_HD void operator()(int i, int j) const {
        const int inner_h = size.h - 2, inner_w = size.w - 2;
        const auto at = [](int index, int side, int count) {
            return static_cast<int>(static_cast<std::int64_t>(index) * side / count);
        };
        const int y = 1 + at(i, inner_h, lattice.h);
        const int x = 1 + static_cast<int>((at(j, inner_w, lattice.w) + static_cast<std::int64_t>(3) * i) % inner_w);
        const std::size_t pitch = 3 * static_cast<std::size_t>(size.w);
        const std::uint8_t* __restrict above = rgb + (y - 1) * pitch + 3 * static_cast<std::size_t>(x - 1);
        const std::uint8_t* __restrict row = above + pitch;
        const std::uint8_t* __restrict below = row + pitch;
        std::int32_t* __restrict o = out + 3 * (static_cast<std::size_t>(i) * lattice.w + j);
        for (int c = 0; c < 3; ++c) {
            const int middle = row[3 + c];
            const int corners = above[c] + above[6 + c] + below[c] + below[6 + c];
            const int sides = above[3 + c] + below[3 + c] + row[c] + row[6 + c];
            const int found = noise_laplacian(corners, sides, middle);
            o[c] = middle == 0 || middle == 255 ? -1 : (found < 0 ? -found : found);
        }
    }
};

// A run of means over 3 x 3 pixels, of which each counts as much as it is like the one in the middle.
template <int kRun>
struct ReduceNoise {
    const std::uint8_t* __restrict rgb;
    float scale;
    Size size;
    std::uint8_t* __restrict out;

    PYISEG_HD void operator()(int y, int column) const { for_run<kRun>(*this, y, column, size.w, 1); }

    template <int n>
    PYISEG_HD void part(int y, int x, int left, int right) const {
        const std::size_t pitch = 3 * static_cast<std::size_t>(size.w),
                          own = y * pitch + 3 * static_cast<std::size_t>(x);
        const int top = y > 0 ? y - 1 : 0, bottom = y + 1 < size.h ? y + 1 : y;
        float middle[3][n], sum[3][n] = {}, weight[n] = {};
        for (int k = 0; k < n; ++k) {
            for (int c = 0; c < 3; ++c) middle[c][k] = static_cast<float>(rgb[own + 3 * k + c]);
        }
        const auto add = [&](int k, float r, float g, float b) {
            const float t = likeness(r - middle[0][k], g - middle[1][k], b - middle[2][k], scale);
            sum[0][k] += t * r;
            sum[1][k] += t * g;
            sum[2][k] += t * b;
            weight[k] += t;
        };
        for (int row = top; row <= bottom; ++row) {
            const std::uint8_t* __restrict from = rgb + row * pitch + 3 * static_cast<std::size_t>(x);
            if constexpr (n == 1) {
                for (int i = 3 * left; i <= 3 * right; i += 3) {
                    add(0, static_cast<float>(from[i]), static_cast<float>(from[i + 1]),
                        static_cast<float>(from[i + 2]));
                }
            } else {
                float values[3 * (n + 2)], planes[3][n + 2];  // bytes in a row become vectors, bytes three apart do not
                for (int i = 0; i < 3 * (n + 2); ++i) values[i] = static_cast<float>(from[i - 3]);
                for (int k = 0; k < n + 2; ++k) {
                    for (int c = 0; c < 3; ++c) planes[c][k] = values[3 * k + c];
                }
                for (int dx = 0; dx < 3; ++dx) {
                    for (int k = 0; k < n; ++k) add(k, planes[0][k + dx], planes[1][k + dx], planes[2][k + dx]);
                }
            }
        }
        std::uint8_t bytes[3 * n];
        for (int k = 0; k < n; ++k) {
            for (int c = 0; c < 3; ++c) bytes[3 * k + c] = byte_of_ratio(sum[c][k], weight[k]);
        }
        store_run(bytes, out + own);
    }
};

}  // namespace
}  // namespace pyiseg
