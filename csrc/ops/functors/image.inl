// Functors that bring images to a network's input: bytes to planes, reduction, resampling of bytes. A part of
// ops_image.inl.

#include <cstddef>

#include "../../math/resample.h"
#include "../ops_image.h"
#include "access.h"
#include "run.h"

namespace pyiseg {
namespace {

// 4 pixels are 12 bytes in and 16 bytes out to each plane.
template <int kRun>
struct RgbPlanes {
    const std::uint8_t* __restrict rgb;  // the strip's first pixel
    std::int64_t present;                // pixels that there are from it on
    int length;
    float* __restrict out;

    PYISEG_HD void operator()(int row, int column) const {
        const std::int64_t first = static_cast<std::int64_t>(row) * kFlatRow + column * kRun;
        const std::size_t plane = static_cast<std::size_t>(length);
        if (first + kRun <= length && first + kRun <= present) {
            std::uint8_t bytes[3 * kRun];
            load_run(rgb + 3 * first, bytes);
            for (int c = 0; c < 3; ++c) {
                float values[kRun];
                for (int k = 0; k < kRun; ++k) values[k] = value(bytes[3 * k + c]);
                store_run(values, out + c * plane + first);
            }
            return;
        }
        for (std::int64_t i = first; i < first + kRun && i < length; ++i) {
            for (int c = 0; c < 3; ++c) out[c * plane + i] = i < present ? value(rgb[3 * i + c]) : 0.0f;
        }
    }

    // A division and not a product with 1 / 255, which differs in the last bit for 126 of the 256 bytes.
    PYISEG_HD static float value(std::uint8_t byte) { return static_cast<float>(byte) / 255.0f; }
};

// One pixel of the result. Neighboring boxes lie side by side, so a warp reads whole lines, if byte by byte: every
// byte of the image once.
struct ReduceRgb {
    const std::uint8_t* __restrict rgb;
    Size size;
    int fx, fy, out_w;
    std::uint8_t* __restrict out;

    PYISEG_HD void operator()(int y, int x) const {
        const int top = y * fy, left = x * fx;
        const int rows = size.h - top < fy ? size.h - top : fy;
        const int columns = size.w - left < fx ? size.w - left : fx;
        std::uint32_t sums[3] = {};
        for (int row = top; row < top + rows; ++row) {
            const std::uint8_t* __restrict p = rgb + 3 * (static_cast<std::size_t>(row) * size.w + left);
            for (int i = 0; i < 3 * columns; i += 3) {
                for (int c = 0; c < 3; ++c) sums[c] += p[i + c];
            }
        }
        const std::uint32_t reciprocal = reciprocal_of(rows * columns);
        std::uint8_t* __restrict o = out + 3 * (static_cast<std::size_t>(y) * out_w + x);
        for (int c = 0; c < 3; ++c) o[c] = byte_of_mean(sums[c], rows * columns, reciprocal);
    }
};

// One column of kSharedRows rows. A warp's windows overlap or lie side by side.
struct ResampleRgbX {
    const std::uint8_t* __restrict rgb;
    Size size;
    FixedWindows windows;
    std::uint8_t* __restrict out;

    PYISEG_HD void operator()(int band, int x) const {
        const int y = band * kSharedRows;
        if (y + kSharedRows <= size.h) {
            part<kSharedRows>(y, x);
        } else {
            for (int row = y; row < size.h; ++row) part<1>(row, x);
        }
    }

    template <int n>
    PYISEG_HD void part(int y, int x) const {
        const std::size_t pitch = 3 * static_cast<std::size_t>(size.w);
        const std::uint8_t* __restrict from = rgb + y * pitch + 3 * static_cast<std::size_t>(windows.starts[x]);
        const std::int32_t* __restrict weight = windows.weights + x;
        std::int32_t sums[n][3];
        for (int r = 0; r < n; ++r) {
            for (int c = 0; c < 3; ++c) sums[r][c] = kHalfWeight;
        }
        for (int k = 0; k < windows.taps; ++k, from += 3, weight += windows.size) {
            for (int r = 0; r < n; ++r) {
                for (int c = 0; c < 3; ++c) sums[r][c] += *weight * from[r * pitch + c];
            }
        }
        for (int r = 0; r < n; ++r) {
            std::uint8_t* __restrict o = out + 3 * (static_cast<std::size_t>(y + r) * windows.size + x);
            for (int c = 0; c < 3; ++c) o[c] = byte_of_sum(sums[r][c]);
        }
    }
};

// A run of a row's bytes; which channel they belong to does not matter here.
template <int kRun>
struct ResampleRgbY {
    const std::uint8_t* __restrict rgb;
    int bytes;  // of a row
    FixedWindows windows;
    std::uint8_t* __restrict out;

    PYISEG_HD void operator()(int y, int column) const { for_run<kRun>(*this, y, column, bytes, 0); }

    template <int n>
    PYISEG_HD void part(int y, int x, int, int) const {
        const std::size_t pitch = static_cast<std::size_t>(bytes);
        const std::uint8_t* __restrict from = rgb + windows.starts[y] * pitch + x;
        std::int32_t sums[n];
        for (int j = 0; j < n; ++j) sums[j] = kHalfWeight;
        for (int k = 0; k < windows.taps; ++k, from += pitch) {
            const std::int32_t weight = windows.weights[static_cast<std::size_t>(k) * windows.size + y];
            std::uint8_t values[n];
            load_run(from, values);
            for (int j = 0; j < n; ++j) sums[j] += weight * values[j];
        }
        std::uint8_t values[n];
        for (int j = 0; j < n; ++j) values[j] = byte_of_sum(sums[j]);
        store_run(values, out + y * pitch + x);
    }
};

// One pixel of the grid. Neighboring windows lie side by side, as in ReduceRgb. Each column of a window is summed in
// FP32, then the columns in FP64: on the CPU many columns at once, on CUDA one after the other, to the same bits.
struct RgbOnGrid {
    const std::uint8_t* __restrict rgb;
    Size size;
    FloatWindows rows, columns;
    float* __restrict out;

    static constexpr int kColumns = 32;

    PYISEG_HD void operator()(int y, int x) const {
        const std::size_t pitch = 3 * static_cast<std::size_t>(size.w);
        const std::uint8_t* __restrict from =
            rgb + rows.starts[y] * pitch + 3 * static_cast<std::size_t>(columns.starts[x]);
        double sums[3] = {};
#ifdef __CUDA_ARCH__
        for (int k = 0; k < columns.taps; ++k) {
            float column[3] = {};
            for (int i = 0; i < rows.taps; ++i) {
                const float weight = row_weight(i, y);
                for (int c = 0; c < 3; ++c) column[c] += weight * static_cast<float>(from[i * pitch + 3 * k + c]);
            }
            for (int c = 0; c < 3; ++c) sums[c] += column_weight(k, x) * static_cast<double>(column[c]);
        }
#else
        for (int k = 0; k < columns.taps; k += kColumns) {
            const int n = columns.taps - k < kColumns ? columns.taps - k : kColumns;
            float block[3 * kColumns] = {};
            for (int i = 0; i < rows.taps; ++i) {
                const float weight = row_weight(i, y);
                const std::uint8_t* __restrict row = from + i * pitch + 3 * k;
                for (int j = 0; j < 3 * n; ++j) block[j] += weight * static_cast<float>(row[j]);
            }
            for (int j = 0; j < n; ++j) {
                for (int c = 0; c < 3; ++c) {
                    sums[c] += column_weight(k + j, x) * static_cast<double>(block[3 * j + c]);
                }
            }
        }
#endif
        const std::size_t plane = static_cast<std::size_t>(rows.size) * columns.size;
        float* __restrict o = out + static_cast<std::size_t>(y) * columns.size + x;
        for (int c = 0; c < 3; ++c) o[c * plane] = static_cast<float>(sums[c] / 255.0);
    }

    PYISEG_HD float row_weight(int i, int y) const {
        return static_cast<float>(rows.weights[static_cast<std::size_t>(i) * rows.size + y]);
    }
    PYISEG_HD double column_weight(int k, int x) const {
        return columns.weights[static_cast<std::size_t>(k) * columns.size + x];
    }
};

}  // namespace
}  // namespace pyiseg
