// Guided filter (He, Sun, Tang: Guided Image Filtering, PAMI 2013).
#pragma once

#include "host_device.h"

namespace pyiseg {

struct Line {
    float a, b;
};

// The line p ~ a*I + b that fits one window best (eq. 5-6).
// In: window means of I and p, and the window's means of (I - mean_i)^2 and (I - mean_i)(p - mean_p); eps > 0.
// Trap: FP32 always, since eps may be 1e-8, below FP16's resolution. var >= 0 because it is a sum of squares.
PYISEG_HD Line fit_line(float mean_i, float mean_p, float var, float cov, float eps) {
    const float a = cov / (var + eps);
    return {a, mean_p - a * mean_i};
}

// q = a*I + b (eq. 8), clipped to 0..1. NaN becomes 0.
PYISEG_HD float line_alpha(float a, float b, float guide) {
    const float q = a * guide + b;
    const float low = q > 0.0f ? q : 0.0f;
    return low < 1.0f ? low : 1.0f;
}

// Whether alpha says what a click said, and not barely: drawing blends in the neighbours. Opposite clicks right beside
// it can still outweigh it.
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
