// The ops that a click on the CPU needs, as WebAssembly: csrc/ops on one thread, behind plain C functions.
//
// The same headers as for Python, so the same formulas and the same bits; only for_each is another. Whoever calls
// checks the arguments (pyiseg.mjs does): nothing here checks them. Addresses are those of the module's own memory.
#include "../../csrc/ops/ops.h"

#include <cstdint>
#include <cstdlib>

namespace pyiseg {

template <class F>
void Cpu::for_each(int rows, int columns, const F& f) const {
    const F local = f;  // a copy nobody else can see lets the compiler keep its members in registers
    for (int row = 0; row < rows; ++row) {
        for (int column = 0; column < columns; ++column) local(row, column);
    }
}

}  // namespace pyiseg

#include "../../csrc/ops/ops.inl"
#include "../../csrc/ops/ops_image.inl"

using namespace pyiseg;

// A function of a name in JavaScript; in C++ an op has that name already.
#define EXPORT(name) extern "C" __attribute__((export_name(#name))) void wasm_##name
using Bytes = std::uint8_t*;
using InBytes = const std::uint8_t*;
using InFloats = const float*;

extern "C" __attribute__((export_name("allocate"))) void* wasm_allocate(std::size_t bytes) {
    return std::malloc(bytes);
}

EXPORT(release)(void* address) {
    std::free(address);
}

EXPORT(reduce_rgb)(InBytes rgb, int h, int w, int fx, int fy, Bytes out) {
    reduce_rgb(Cpu{}, rgb, Size{h, w}, fx, fy, out);
}

EXPORT(resample_rgb_x)
(InBytes rgb, int h, int w, const std::int32_t* starts, const std::int32_t* weights, int taps, int size, Bytes out) {
    resample_rgb_x(Cpu{}, rgb, Size{h, w}, FixedWindows{starts, weights, taps, size}, out);
}

EXPORT(resample_rgb_y)
(InBytes rgb, int h, int w, const std::int32_t* starts, const std::int32_t* weights, int taps, int size, Bytes out) {
    resample_rgb_y(Cpu{}, rgb, Size{h, w}, FixedWindows{starts, weights, taps, size}, out);
}

EXPORT(hwc_to_chw)(InBytes rgb, int pixels, float* out) {
    hwc_to_chw(Cpu{}, rgb, pixels, 0, pixels, out);
}

EXPORT(rgb_on_grid)
(InBytes rgb, int h, int w, const std::int32_t* row_starts, const double* row_weights, int row_taps, int rows,
 const std::int32_t* column_starts, const double* column_weights, int column_taps, int columns, float* out) {
    rgb_on_grid(Cpu{}, rgb, Size{h, w}, FloatWindows{row_starts, row_weights, row_taps, rows},
                FloatWindows{column_starts, column_weights, column_taps, columns}, out);
}

EXPORT(noise_samples)(InBytes rgb, int h, int w, int lattice_h, int lattice_w, std::int32_t* out) {
    noise_samples(Cpu{}, rgb, Size{h, w}, Size{lattice_h, lattice_w}, out);
}

EXPORT(reduce_noise)(InBytes rgb, int h, int w, float limit, Bytes out) {
    reduce_noise(Cpu{}, rgb, Size{h, w}, limit, out);
}

EXPORT(color_guide_statistics)(InFloats image, int h, int w, int radius, float eps, float* statistics) {
    color_guide_statistics(Cpu{}, image, radius, eps, Size{h, w}, statistics);
}

EXPORT(color_guided_filter_coefficients)
(InFloats image, InFloats statistics, InFloats p, int h, int w, int radius, float* scratch, float* coefficients) {
    color_guided_filter_coefficients(Cpu{}, image, statistics, p, radius, Size{h, w}, scratch, coefficients);
}

EXPORT(pin_image_clicks)
(InBytes rgb, int image_h, int image_w, const Click* image_clicks, const Click* clicks, int count, int h, int w,
 float* flags, float* coefficients) {
    pin_image_clicks(Cpu{}, ColorGuide{rgb}, Size{image_h, image_w}, Clicks{image_clicks, count}, Clicks{clicks, count},
                     Size{h, w}, flags, coefficients);
}

EXPORT(apply_coefficients)(InFloats coefficients, int h, int w, InBytes rgb, int image_h, int image_w, Bytes out) {
    apply_coefficients(Cpu{}, coefficients, Size{h, w}, ColorGuide{rgb}, Size{image_h, image_w}, out);
}

// exponents: -1 / (2 sigma^2) of each sigma, at most kMaxSigmas.
EXPORT(click_maps)(const Click* clicks, int count, InFloats exponents, int sigmas, int h, int w, float* out) {
    Sigmas given{sigmas, {}};
    for (int i = 0; i < sigmas; ++i) given.exponent[i] = exponents[i];
    click_maps(Cpu{}, Clicks{clicks, count}, given, Size{h, w}, out);
}

EXPORT(force_clicks)(const Click* clicks, int count, int h, int w, float* alpha) {
    force_clicks(Cpu{}, Clicks{clicks, count}, Size{h, w}, alpha);
}

EXPORT(keep_clicked_components)
(InFloats alpha, const Click* clicks, int count, int margin, int h, int w, std::int32_t* labels, float* out) {
    keep_clicked_components(Cpu{}, alpha, Clicks{clicks, count}, margin, Size{h, w}, labels, out);
}
