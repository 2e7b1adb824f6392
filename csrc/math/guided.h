// Guided filter (He, Sun, Tang: Guided Image Filtering, PAMI 2013).
#pragma once

#include "host_device.h"

namespace pyiseg {

struct Coefficients {
    float a, b;
};

// The line p ~ a*I + b that fits one window best (eq. 5-6).
// In: window means of I and p, and the window's means of (I - mean_i)^2 and (I - mean_i)(p - mean_p); eps > 0.
// Trap: FP32 always, since eps may be 1e-8, below FP16's resolution. var >= 0 because it is a sum of squares.
PYISEG_HD Coefficients fit_coefficients(float mean_i, float mean_p, float var, float cov, float eps) {
    const float a = cov / (var + eps);
    return {a, mean_p - a * mean_i};
}

// To 0..1. NaN becomes 0.
PYISEG_HD float clip(float q) {
    const float low = q > 0.0f ? q : 0.0f;
    return low < 1.0f ? low : 1.0f;
}

// q = a*I + b (eq. 8), clipped.
PYISEG_HD float guided_alpha(float a, float b, float guide) {
    return clip(a * guide + b);
}

// (cov + eps U)^-1 of a window's covariances of R, G and B (He et al. 2013, eq. 19), symmetric: rr, rg, rb, gg, gb, bb.
// FP64: where the colors go together, as in gray images, the cofactors are differences of nearly equal products.
PYISEG_HD void invert_covariance(const float (&cov)[6], float eps, float (&inverse)[6]) {
    const double e = static_cast<double>(eps);
    const double rr = static_cast<double>(cov[0]) + e, rg = static_cast<double>(cov[1]);
    const double rb = static_cast<double>(cov[2]), gg = static_cast<double>(cov[3]) + e;
    const double gb = static_cast<double>(cov[4]), bb = static_cast<double>(cov[5]) + e;
    const double c_rr = gg * bb - gb * gb, c_rg = rb * gb - rg * bb, c_rb = rg * gb - rb * gg;
    const double determinant = rr * c_rr + rg * c_rg + rb * c_rb;
    inverse[0] = static_cast<float>(c_rr / determinant);
    inverse[1] = static_cast<float>(c_rg / determinant);
    inverse[2] = static_cast<float>(c_rb / determinant);
    inverse[3] = static_cast<float>((rr * bb - rb * rb) / determinant);
    inverse[4] = static_cast<float>((rb * rg - rr * gb) / determinant);
    inverse[5] = static_cast<float>((rr * gg - rg * rg) / determinant);
}

// The slopes a of R, G and B that fit one window best (eq. 19), from the window's means of (I_c - mean_c)(p - mean_p).
PYISEG_HD void color_slopes(const float (&inverse)[6], const float (&cov)[3], float (&a)[3]) {
    a[0] = inverse[0] * cov[0] + inverse[1] * cov[1] + inverse[2] * cov[2];
    a[1] = inverse[1] * cov[0] + inverse[3] * cov[1] + inverse[4] * cov[2];
    a[2] = inverse[2] * cov[0] + inverse[4] * cov[1] + inverse[5] * cov[2];
}

// q = a . RGB / 255 + b (eq. 21), clipped.
PYISEG_HD float color_alpha(float a_r, float a_g, float a_b, float b, float red, float green, float blue) {
    return clip((a_r * red + a_g * green + a_b * blue) * (1.0f / 255.0f) + b);
}

// Whether alpha says what a click said, and not barely: rendering blends in the neighbors. Opposite clicks right
// beside it can still outweigh it.
PYISEG_HD bool on_clicks_side(float alpha, int label) {
    return label ? alpha >= 0.6f : alpha <= 0.4f;
}

// alpha in 0..1 as it is stored. Bytes round half up.
PYISEG_HD void store_alpha(float alpha, float& out) {
    out = alpha;
}
PYISEG_HD void store_alpha(float alpha, unsigned char& out) {
    out = static_cast<unsigned char>(static_cast<int>(alpha * 255.0f + 0.5f));
}

}  // namespace pyiseg
