// Rounding of resized bytes, as Pillow rounds (its Resample.c and Reduce.c describe it).
#pragma once

#include <cstdint>

#include "host_device.h"

namespace pyiseg {

constexpr int kWeightBits = 22;  // a weight of 1 is 2^22; 8 bits of value and one of overshoot fit above it

// A sum of weights times bytes, rounded half up and clipped. sum starts at kHalfWeight.
constexpr std::int32_t kHalfWeight = 1 << (kWeightBits - 1);

PYISEG_HD std::uint8_t byte_of_sum(std::int32_t sum) {
    const std::int32_t value = sum >> kWeightBits;
    return static_cast<std::uint8_t>(value < 0 ? 0 : (value > 255 ? 255 : value));
}

// The mean of `count` bytes, count <= 2^16: (sum + count / 2) / count by multiplication with the reciprocal in units of
// 2^-24. That reciprocal is cut off from an FP32 quotient, so that a mean may round down where it should not; the
// same one as Pillow's, since the same image must give the same answer on every device.
PYISEG_HD std::uint32_t reciprocal_of(int count) {
    return static_cast<std::uint32_t>(4294967296.0f / static_cast<float>(256 * count));
}

PYISEG_HD std::uint8_t byte_of_mean(std::uint32_t sum, int count, std::uint32_t reciprocal) {
    return static_cast<std::uint8_t>(((sum + static_cast<std::uint32_t>(count / 2)) * reciprocal) >> 24);
}

}  // namespace pyiseg
