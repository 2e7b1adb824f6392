// The ops of pyiseg, for any device. Each has one body, in ops.inl.
//
// Buffers belong to the caller, are C-contiguous, must not overlap, and live where the device reads (host memory for
// Cpu, device memory for Cuda). Arguments are checked in bind/; nothing here checks them again, and nothing allocates.
#pragma once

#include <cstdint>

#include "../math/half.h"

namespace pyiseg {

// CPU threads. for_each(rows, columns, f) calls f(row, column) for every pair and returns when all are done.
struct Cpu {
    // Pixels of a row that one call of a functor treats. Shorter loops GCC unrolls before it can vectorize them.
    static constexpr int kRun = 32;
    static constexpr int kLanes = kRun;  // of a mean, see kMeanLanes, that one call sums
    static constexpr bool kAlignedRuns = false, kWindowsInRegisters = false;  // caches and vectors take any address
    template <class F>
    void for_each(int rows, int columns, const F& f) const;
    // The same for an f whose calls are long, so that few of them are worth dealing out too.
    template <class F>
    void for_each_tile(int rows, int columns, const F& f) const;
};

int num_threads();
void set_num_threads(int n);

// A CUDA stream. for_each launches and returns; the launch is checked.
struct Cuda {
    static constexpr int kRun = 4;  // 16 bytes of a float row per thread
    static constexpr int kLanes = 1;
    static constexpr bool kAlignedRuns = true, kWindowsInRegisters = true;
    void* stream;
    template <class F>
    void for_each(int rows, int columns, const F& f) const;
};

struct Size {
    int h, w;
};

// A click on the grid. A label below 0 ends the list, so that a captured graph can run with a buffer of fixed length.
struct Click {
    std::int32_t x, y, label;
};

struct Clicks {
    const Click* data;
    int count;
};

// What guides the guided filter at the image's resolution: one plane of floats, or the image's own bytes.
struct LearnedGuide {
    static constexpr int kSlopes = 1;
    const float* values;  // (h, w)
};

struct ColorGuide {
    static constexpr int kSlopes = 3;
    const std::uint8_t* rgb;  // (h, w, 3)
};

constexpr int kMaxSigmas = 8;

struct Sigmas {
    int count;
    float exponent[kMaxSigmas];  // -1 / (2 sigma^2)
};

// out (2S, h, w): exp(-d^2 / (2 sigma^2)) for background s1..sS, then foreground; d to the nearest click of that label.
// T: float, Half. Moves 2 S sizeof(T) bytes a pixel.
template <class Device, class T>
void click_maps(const Device& device, Clicks clicks, const Sigmas& sigmas, Size size, T* out);

// alpha (h, w) in place: 1 at foreground clicks, 0 at background clicks; of two on one pixel the later wins.
template <class Device>
void force_clicks(const Device& device, Clicks clicks, Size size, float* alpha);

// out = alpha in the 8-connected regions of alpha > 0.5 that hold a foreground click, and where alpha <= 0.5 within
// Chebyshev distance margin of such a region; 0 elsewhere. labels (h, w) is scratch. T: float, Half with margin 0.
// Moves 28 + sizeof(T) bytes a pixel, 24 more with a margin.
template <class Device, class T>
void keep_clicked_components(const Device& device, const float* alpha, Clicks clicks, int margin, Size size,
                             std::int32_t* labels, T* out);

// coefficients (2, h, w) become a = 0, b = 0, in place, where alpha > 0 and kept, which came of it, is 0.
// Moves 24 bytes a pixel.
template <class Device>
void zero_coefficients(const Device& device, const float* alpha, const float* kept, Size size, float* coefficients);

// Where the alpha of coefficients (2, h, w) at a click's own pixel is not on the click's side, those of that pixel and
// its eight neighbors become a = 0, b = label, in place. A neighbor that another click is nearer to stays as it is.
template <class Device>
void pin_clicks(const Device& device, const float* guide, Clicks clicks, Size size, float* coefficients);

// The same for alpha at the image's resolution, at the clicked pixels of the image: image_clicks are there what clicks
// are on the grid, in the same order. Of clicks on one grid pixel the last decides, and those of its label are obeyed.
// coefficients (kSlopes + 1, grid); flags (grid) is scratch.
template <class Device, class Guide>
void pin_image_clicks(const Device& device, Guide guide, Size image, Clicks image_clicks, Clicks clicks, Size grid,
                      float* flags, float* coefficients);

// coefficients (2, h, w): the guided filter's a and b. Averaged form: box means of both; residual form: a box mean of
// a, and b = p - a guide. scratch (2, h, w). Moves 32 bytes a pixel; the windows overlap in cache.
template <class Device>
void guided_filter_coefficients(const Device& device, const float* guide, const float* p, int radius, float eps,
                                bool residual, Size size, float* scratch, float* coefficients);

// statistics (6, h, w) of image (3, h, w): the inverse of each window's covariances + eps U, as rr, rg, rb, gg, gb, bb.
// Moves 36 bytes a pixel.
template <class Device>
void color_guide_statistics(const Device& device, const float* image, int radius, float eps, Size size,
                            float* statistics);

// coefficients (4, h, w): the color guided filter in residual form: box means of the slopes a of R, G and B, and
// b = p - a . image. scratch (3, h, w). Moves 96 bytes a pixel.
template <class Device>
void color_guided_filter_coefficients(const Device& device, const float* image, const float* statistics, const float* p,
                                      int radius, Size size, float* scratch, float* coefficients);

// out (image): clip(a guide + b, 0, 1) with a, b looked up bilinearly in coefficients (kSlopes + 1, grid). T: float,
// unsigned char. Moves 4 (learned) or 3 (color) + sizeof(T) bytes an image pixel and 4 (kSlopes + 1) a grid pixel.
template <class Device, class Guide, class T>
void apply_coefficients(const Device& device, const float* coefficients, Size grid, Guide guide, Size image, T* out);

// out (window): what apply_coefficients writes into the window of the image that begins at row top and column left, bit
// for bit. On the CPU only: a GPU has written the whole matte by then, and memory is copied from it.
template <class Device, class Guide>
void apply_coefficients_in(const Device& device, const float* coefficients, Size grid, Guide guide, Size image, int top,
                           int left, Size window, unsigned char* out);

}  // namespace pyiseg
