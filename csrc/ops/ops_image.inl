// The body of every op of ops_image.h. Included by ops_cpu.cpp and ops_cuda.cu, after they have said what for_each
// means.

#include "functors/image.inl"
#include "functors/noise.inl"
#include "functors/planes.inl"
#include "ops_image.h"

namespace pyiseg {

template <class Device>
void hwc_to_chw(const Device& device, const std::uint8_t* rgb, std::int64_t pixels, std::int64_t first, int length,
                float* out) {
    constexpr int run = Device::kRun;
    device.for_each(flat_rows(length), kFlatRow / run, RgbPlanes<run>{rgb + 3 * first, pixels - first, length, out});
}

template <class Device>
void reduce_rgb(const Device& device, const std::uint8_t* rgb, Size size, int fx, int fy, std::uint8_t* out) {
    const int w = runs(size.w, fx);
    device.for_each(runs(size.h, fy), w, ReduceRgb{rgb, size, fx, fy, w, out});
}

template <class Device>
void resample_rgb_x(const Device& device, const std::uint8_t* rgb, Size size, const FixedWindows& windows,
                    std::uint8_t* out) {
    device.for_each(runs(size.h, kSharedRows), windows.size, ResampleRgbX{rgb, size, windows, out});
}

template <class Device>
void resample_rgb_y(const Device& device, const std::uint8_t* rgb, Size size, const FixedWindows& windows,
                    std::uint8_t* out) {
    constexpr int run = Device::kRun;
    device.for_each(windows.size, row_runs<Device>(3 * size.w), ResampleRgbY<run>{rgb, 3 * size.w, windows, out});
}

template <class Device>
void rgb_on_grid(const Device& device, const std::uint8_t* rgb, Size size, const FloatWindows& rows,
                 const FloatWindows& columns, float* out) {
    device.for_each(rows.size, columns.size, RgbOnGrid{rgb, size, rows, columns, out});
}

template <class Device>
void resample_x(const Device& device, const float* values, int rows, int w, const FloatWindows& windows, float* out) {
    device.for_each(runs(rows, kSharedRows), windows.size, ResampleX{values, rows, w, windows, out});
}

template <class Device>
void resample_y(const Device& device, const float* values, int planes, Size size, const FloatWindows& windows,
                float* out) {
    constexpr int run = Device::kRun;
    device.for_each(planes * windows.size, row_runs<Device>(size.w), ResampleY<run>{values, size, windows, out});
}

template <class Device>
void resample_strip(const Device& device, const float* values, int planes, Size size, const FloatWindows& windows,
                    std::int64_t first, int length, float* out) {
    constexpr int run = Device::kRun;
    const int rows = flat_rows(length);
    device.for_each(planes * rows, kFlatRow / run, ResampleStrip<run>{values, size, windows, first, length, rows, out});
}

template <class Device>
void copy_strip(const Device& device, const float* values, int planes, std::int64_t count, std::int64_t first,
                int length, float* out) {
    constexpr int run = Device::kRun;
    const int rows = flat_rows(length);
    device.for_each(planes * rows, kFlatRow / run, CopyStrip<run>{values, count, first, length, rows, out});
}

template <class Device>
void noise_samples(const Device& device, const std::uint8_t* rgb, Size size, Size lattice, std::int32_t* out) {
    device.for_each(lattice.h, lattice.w, NoiseSamples{rgb, size, lattice, out});
}

template <class Device>
void reduce_noise(const Device& device, const std::uint8_t* rgb, Size size, float limit, std::uint8_t* out) {
    constexpr int run = Device::kRun;
    device.for_each(size.h, row_runs<Device>(size.w), ReduceNoise<run>{rgb, 1.0f / limit, size, out});
}

template <class Device>
void mean(const Device& device, const float* values, std::int64_t count, double* scratch, float* out) {
    using Sum = SumLanes<Device::kLanes>;
    double* folds = scratch + kMeanLanes;
    device.for_each(32, Sum::kColumns, Sum{values, count, scratch});
    device.for_each(1, kMeanFolds, FoldLanes{scratch, folds});
    device.for_each(1, 1, DivideFolds{folds, count, out});
}

template <class Device>
void subtract(const Device& device, const float* mean, std::int64_t count, float* values) {
    constexpr int run = Device::kRun;
    device.for_each(flat_rows(count), kFlatRow / run, Subtract<run>{mean, count, values});
}

}  // namespace pyiseg

#define PYISEG_INSTANTIATE_IMAGE_OPS(Device)                                                                      \
    namespace pyiseg {                                                                                            \
    template void hwc_to_chw(const Device&, const std::uint8_t*, std::int64_t, std::int64_t, int, float*);        \
    template void reduce_rgb(const Device&, const std::uint8_t*, Size, int, int, std::uint8_t*);                  \
    template void resample_rgb_x(const Device&, const std::uint8_t*, Size, const FixedWindows&, std::uint8_t*);   \
    template void resample_rgb_y(const Device&, const std::uint8_t*, Size, const FixedWindows&, std::uint8_t*);   \
    template void rgb_on_grid(const Device&, const std::uint8_t*, Size, const FloatWindows&, const FloatWindows&, \
                              float*);                                                                            \
    template void resample_x(const Device&, const float*, int, int, const FloatWindows&, float*);                 \
    template void resample_y(const Device&, const float*, int, Size, const FloatWindows&, float*);                \
    template void resample_strip(const Device&, const float*, int, Size, const FloatWindows&, std::int64_t, int,  \
                                 float*);                                                                         \
    template void copy_strip(const Device&, const float*, int, std::int64_t, std::int64_t, int, float*);          \
    template void noise_samples(const Device&, const std::uint8_t*, Size, Size, std::int32_t*);                   \
    template void reduce_noise(const Device&, const std::uint8_t*, Size, float, std::uint8_t*);                   \
    template void mean(const Device&, const float*, std::int64_t, double*, float*);                               \
    template void subtract(const Device&, const float*, std::int64_t, float*);                                    \
    }
