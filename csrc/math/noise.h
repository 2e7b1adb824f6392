// Noise of images of bytes: how much of it there is, and means that leave edges where they are.
#pragma once

#include "host_device.h"

namespace pyiseg {

// The Laplacian of a pixel, as the difference of two of them, so that straight edges and slopes give 0 (Immerkaer
// 1996). Of white noise of deviation s it has the deviation 6 s. corners, sides: sums of the four pixels there.
PYISEG_HD int noise_laplacian(int corners, int sides, int middle) {
    return corners - 2 * sides + 4 * middle;
}

// Tukey's biweight: how much a pixel counts in the mean of another one from which its colors differ by r, g, b. 1 where
// they are equal; 0 from a squared distance of 1 / scale on.
PYISEG_HD float likeness(float r, float g, float b, float scale) {
    const float t = 1.0f - (r * r + g * g + b * b) * scale;
    return t > 0.0f ? t * t : 0.0f;
}

// A mean of bytes, rounded half up.
PYISEG_HD unsigned char byte_of_ratio(float sum, float weight) {
    return static_cast<unsigned char>(static_cast<int>(sum / weight + 0.5f));
}

}  // namespace pyiseg
