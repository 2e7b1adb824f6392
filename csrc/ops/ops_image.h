// The ops that bring images, guides and maps from one size to another, and their small helpers. As ops.h says:
// buffers are the caller's, C-contiguous and apart, arguments are checked in bind/. Bodies in ops_image.inl.
//
// Resizing gives what Pillow's Image.reduce and Image.resize give, to the bit; pyiseg/runtime/resample.py makes the
// windows.
#pragma once

#include <cstdint>

#include "ops.h"

namespace pyiseg {

// What each pixel along an axis is the weighted sum of: pixel i of `size` is the sum over k < taps of
// weights[k][i] * in[starts[i] + k]. All windows are of one length and lie inside the input; weights may be 0.
template <class Weight>
struct Windows {
    const std::int32_t* starts;  // (size)
    const Weight* weights;       // (taps, size): neighboring pixels' weights lie side by side
    int taps, size;
};

using FixedWindows = Windows<std::int32_t>;  // weights in units of 2^-22, of which |255 sums| stay below 2^31
using FloatWindows = Windows<double>;

// out (3, length): pixels first, first + 1, ... of rgb (pixels, 3) as planes, value / 255 in FP32; 0 beyond the last.
// Moves 15 bytes a pixel.
template <class Device>
void hwc_to_chw(const Device& device, const std::uint8_t* rgb, std::int64_t pixels, std::int64_t first, int length,
                float* out);

// out (ceil(h / fy), ceil(w / fx), 3): means of boxes of fy x fx pixels of rgb (h, w, 3), rounded as Pillow does, of
// what there is of a box at the right and bottom edge. fx * fy <= 2^16. Moves 3 + 3 / (fx fy) bytes a pixel.
template <class Device>
void reduce_rgb(const Device& device, const std::uint8_t* rgb, Size size, int fx, int fy, std::uint8_t* out);

// out (h, windows.size, 3): rgb (h, w, 3) resampled along its rows, rounded and clipped. Moves 3 (w + windows.size)
// bytes a row; the windows stay in cache.
template <class Device>
void resample_rgb_x(const Device& device, const std::uint8_t* rgb, Size size, const FixedWindows& windows,
                    std::uint8_t* out);

// out (windows.size, w, 3): rgb (h, w, 3) resampled along its columns. Moves 3 (h + windows.size) bytes a column.
template <class Device>
void resample_rgb_y(const Device& device, const std::uint8_t* rgb, Size size, const FixedWindows& windows,
                    std::uint8_t* out);

// out (3, rows.size, columns.size): rgb (h, w, 3) brought to a grid, 255 as 1: what is in the windows of both axes,
// summed in FP32 along columns, in FP64 along rows. Moves 3 bytes an image pixel and 12 a grid pixel, where windows do
// not overlap.
template <class Device>
void rgb_on_grid(const Device& device, const std::uint8_t* rgb, Size size, const FloatWindows& rows,
                 const FloatWindows& columns, float* out);

// out (rows, windows.size): values (rows, w) resampled along rows, summed in FP64, rounded to FP32. Moves
// 4 (w + windows.size) bytes a row; the windows stay in cache.
template <class Device>
void resample_x(const Device& device, const float* values, int rows, int w, const FloatWindows& windows, float* out);

// out (planes, windows.size, w): values (planes, h, w) resampled along columns, in the same way. Moves
// 4 (h + windows.size) bytes a column.
template <class Device>
void resample_y(const Device& device, const float* values, int planes, Size size, const FloatWindows& windows,
                float* out);

// out (planes, length): pixels first, first + 1, ... of what resample_y would give, its rows joined end to end; 0
// beyond the last. Moves 4 bytes a pixel and plane, and the input once where it is the smaller one.
template <class Device>
void resample_strip(const Device& device, const float* values, int planes, Size size, const FloatWindows& windows,
                    std::int64_t first, int length, float* out);

// out (planes, length): values first, first + 1, ... of each of planes (planes, count); 0 beyond the last. Moves 8
// bytes a value.
template <class Device>
void copy_strip(const Device& device, const float* values, int planes, std::int64_t count, std::int64_t first,
                int length, float* out);

// out (lattice, 3): how far pixels of rgb (size, 3) on a lattice over all of it differ from what their neighbors say,
// as |Laplacian| of `noise_laplacian`; -1 where the pixel is 0 or 255, for what is clipped hides its noise. Both sides
// of size are at least 3, lattice is at most 2 pixels smaller. Reads 27 bytes and writes 12 a place.
template <class Device>
void noise_samples(const Device& device, const std::uint8_t* rgb, Size size, Size lattice, std::int32_t* out);

// out (h, w, 3): means of rgb (h, w, 3) over 3 x 3 pixels, cut off at the border, with weights of `likeness`: 0 for
// colors whose squared distance is `limit` or more. Moves 6 bytes a pixel; the windows overlap in cache.
template <class Device>
void reduce_noise(const Device& device, const std::uint8_t* rgb, Size size, float limit, std::uint8_t* out);

// Lanes in which a mean is summed, and the lanes into which those are: fixed, so that the sum has one order everywhere.
constexpr int kMeanLanes = 4096;
constexpr int kMeanFolds = 64;
constexpr int kMeanScratch = kMeanLanes + kMeanFolds;

// out (1): the mean of values (count), summed in FP64. scratch (kMeanScratch). Moves 4 bytes a value and 64 KB.
template <class Device>
void mean(const Device& device, const float* values, std::int64_t count, double* scratch, float* out);

// values (count) -= mean[0], in place. Moves 8 bytes a value.
template <class Device>
void subtract(const Device& device, const float* mean, std::int64_t count, float* values);

}  // namespace pyiseg
