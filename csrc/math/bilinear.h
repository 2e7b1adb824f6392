// Where a pixel of a large axis lies on a small one.
#pragma once

#include <cstdint>

#include "host_device.h"

namespace pyiseg {

// Pixel X of an axis of `large` pixels lies at (X + 0.5) * small / large - 0.5 of an axis of `small` pixels
// (pixel centers are integers). That is a fraction with denominator 2 * large; it is kept as integers:
// position = cell + remainder / (2 * large), 0 <= remainder < 2 * large, and one pixel further adds 2 * small to it.
// cell is -1 before the first center; callers clamp the two grid indices, which clamps the position.
// Exact for sides up to 2^22, so equal sides give remainder 0 everywhere.
struct Cell {
    int cell, remainder;
};

PYISEG_HD Cell locate(int x, int small, int large) {
    const int denominator = 2 * large;
    const std::int64_t numerator = (2 * static_cast<std::int64_t>(x) + 1) * small - large;
    // A float quotient is at most one off, and two comparisons cost less than a 64-bit division.
    int cell = static_cast<int>(static_cast<float>(numerator) / static_cast<float>(denominator));
    int remainder = static_cast<int>(numerator - static_cast<std::int64_t>(cell) * denominator);
    if (remainder < 0) {
        remainder += denominator;
        --cell;
    } else if (remainder >= denominator) {
        remainder -= denominator;
        ++cell;
    }
    return {cell, remainder};
}

PYISEG_HD int clamp_index(int i, int size) {
    return i < 0 ? 0 : (i < size ? i : size - 1);
}

// Equals v0 exactly at t = 0.
PYISEG_HD float lerp(float v0, float v1, float t) {
    return v0 + (v1 - v0) * t;
}

}  // namespace pyiseg
