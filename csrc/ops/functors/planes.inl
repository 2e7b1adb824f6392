// Functors over FP32 planes: resampling, strips, the mean, halves. A part of ops_image.inl.

#include <cstddef>

#include "../ops_image.h"
#include "access.h"
#include "run.h"

namespace pyiseg {
namespace {

// One column of kSharedRows rows.
struct ResampleX {
    const float* __restrict in;
    int rows, w;
    FloatWindows windows;
    float* __restrict out;

    PYISEG_HD void operator()(int band, int x) const {
        const int row = band * kSharedRows;
        if (row + kSharedRows <= rows) {
            part<kSharedRows>(row, x);
        } else {
            for (int r = row; r < rows; ++r) part<1>(r, x);
        }
    }

    template <int n>
    PYISEG_HD void part(int row, int x) const {
        const std::size_t pitch = static_cast<std::size_t>(w);
        const float* __restrict from = in + row * pitch + windows.starts[x];
        const double* __restrict weight = windows.weights + x;
        double sums[n] = {};
        for (int k = 0; k < windows.taps; ++k, ++from, weight += windows.size) {
            for (int r = 0; r < n; ++r) sums[r] += *weight * static_cast<double>(from[r * pitch]);
        }
        for (int r = 0; r < n; ++r) {
            out[static_cast<std::size_t>(row + r) * windows.size + x] = static_cast<float>(sums[r]);
        }
    }
};

// values[j] = pixel (y, x + j) of a plane w wide, resampled along its columns.
template <int n>
PYISEG_HD void column_sums(const float* plane, int w, const FloatWindows& windows, int y, int x, float (&values)[n]) {
    const std::size_t pitch = static_cast<std::size_t>(w);
    const float* __restrict from = plane + windows.starts[y] * pitch + x;
    double sums[n] = {};
    for (int k = 0; k < windows.taps; ++k, from += pitch) {
        const double weight = windows.weights[static_cast<std::size_t>(k) * windows.size + y];
        load_run(from, values);
        for (int j = 0; j < n; ++j) sums[j] += weight * static_cast<double>(values[j]);
    }
    for (int j = 0; j < n; ++j) values[j] = static_cast<float>(sums[j]);
}

template <int kRun>
struct ResampleY {
    const float* __restrict in;
    Size size;
    FloatWindows windows;
    float* __restrict out;

    PYISEG_HD void operator()(int row, int column) const { for_run<kRun>(*this, row, column, size.w, 0); }

    template <int n>
    PYISEG_HD void part(int row, int x, int, int) const {
        const int plane = row / windows.size;
        const int y = row - plane * windows.size;
        float values[n];
        column_sums(in + static_cast<std::size_t>(plane) * size.h * size.w, size.w, windows, y, x, values);
        store_run(values, out + static_cast<std::size_t>(row) * size.w + x);
    }
};

// A run of a strip: kRun pixels of one row, or one by one where the row, the strip or the image ends among them.
template <int kRun>
struct ResampleStrip {
    const float* __restrict in;
    Size size;
    FloatWindows windows;
    std::int64_t first;
    int length, plane_rows;
    float* __restrict out;

    PYISEG_HD void operator()(int row, int column) const {
        const int plane = row / plane_rows;
        const std::int64_t start = static_cast<std::int64_t>(row - plane * plane_rows) * kFlatRow + column * kRun;
        const int count = length - start < kRun ? static_cast<int>(length - start) : kRun;
        if (count <= 0) return;
        const std::int64_t pixels = static_cast<std::int64_t>(windows.size) * size.w;
        const std::int64_t pixel = first + start;
        const float* __restrict from = in + static_cast<std::size_t>(plane) * size.h * size.w;
        float* __restrict o = out + static_cast<std::size_t>(plane) * length + start;
        std::uint32_t y = 0, x = 0;
        if (pixel < pixels) {  // an image has fewer than 2^31 pixels: a short division will do
            y = static_cast<std::uint32_t>(pixel) / static_cast<std::uint32_t>(size.w);
            x = static_cast<std::uint32_t>(pixel) - y * static_cast<std::uint32_t>(size.w);
        }
        if (count == kRun && pixel < pixels && x + kRun <= static_cast<std::uint32_t>(size.w)) {
            float values[kRun];
            column_sums(from, size.w, windows, static_cast<int>(y), static_cast<int>(x), values);
            store_run(values, o);
            return;
        }
        for (int k = 0; k < count; ++k) {
            float value[1] = {0.0f};
            if (pixel + k < pixels) {
                column_sums(from, size.w, windows, static_cast<int>(y), static_cast<int>(x), value);
                if (++x == static_cast<std::uint32_t>(size.w)) {
                    x = 0;
                    ++y;
                }
            }
            o[k] = value[0];
        }
    }
};

template <int kRun>
struct CopyStrip {
    const float* __restrict in;
    std::int64_t count, first;
    int length, plane_rows;
    float* __restrict out;

    PYISEG_HD void operator()(int row, int column) const {
        const int plane = row / plane_rows;
        const std::int64_t start = static_cast<std::int64_t>(row - plane * plane_rows) * kFlatRow + column * kRun;
        const float* __restrict from = in + plane * count + first;
        float* __restrict o = out + static_cast<std::size_t>(plane) * length;
        if (start + kRun <= length && first + start + kRun <= count) {
            float values[kRun];
            load_run(from + start, values);
            store_run(values, o + start);
            return;
        }
        for (std::int64_t i = start; i < start + kRun && i < length; ++i) o[i] = first + i < count ? from[i] : 0.0f;
    }
};

// Step 1 of 3: lane j sums values j, j + kMeanLanes, ...; a run of lanes reads a run of values. FP64, since FP32 would
// lose digits that the guide's differences need.
template <int kRun>
struct SumLanes {
    const float* __restrict values;
    std::int64_t count;
    double* __restrict lanes;

    PYISEG_HD void operator()(int row, int column) const {
        const int lane = (row * kColumns + column) * kRun;
        double sums[kRun] = {};
        std::int64_t i = lane;
#ifdef __CUDA_ARCH__
#pragma unroll 8  // several reads under way at once: there are too few threads to wait for one by one
#endif
        for (; i + kRun <= count; i += kMeanLanes) {
            float run[kRun];
            load_run(values + i, run);
            for (int k = 0; k < kRun; ++k) sums[k] += static_cast<double>(run[k]);
        }
        for (int k = 0; k < kRun; ++k) {
            if (i + k < count) sums[k] += static_cast<double>(values[i + k]);
        }
        store_run(sums, lanes + lane);
    }

    static constexpr int kColumns = kMeanLanes / 32 / kRun;  // 32 rows of lanes, for CPU threads to share
};

// Step 2 of 3: lane j of the folds sums lanes j, j + kMeanFolds, ...
struct FoldLanes {
    const double* __restrict lanes;
    double* __restrict folds;

    PYISEG_HD void operator()(int, int j) const {
        double sum = 0.0;
        for (int i = j; i < kMeanLanes; i += kMeanFolds) sum += lanes[i];
        folds[j] = sum;
    }
};

// Step 3 of 3.
struct DivideFolds {
    const double* __restrict folds;
    std::int64_t count;
    float* __restrict out;

    PYISEG_HD void operator()(int, int) const {
        double sum = 0.0;
        for (int i = 0; i < kMeanFolds; ++i) sum += folds[i];
        out[0] = static_cast<float>(sum / static_cast<double>(count));
    }
};

template <int kRun>
struct Subtract {
    const float* __restrict mean;
    std::int64_t count;
    float* __restrict values;

    PYISEG_HD void operator()(int row, int column) const {
        const std::int64_t first = static_cast<std::int64_t>(row) * kFlatRow + column * kRun;
        const float m = mean[0];
        if (first + kRun <= count) {
            float run[kRun];
            load_run(values + first, run);
            for (int k = 0; k < kRun; ++k) run[k] -= m;
            store_run(run, values + first);
            return;
        }
        for (std::int64_t i = first; i < count; ++i) values[i] -= m;
    }
};

}  // namespace
}  // namespace pyiseg
