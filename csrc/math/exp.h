// exp for arguments at or below zero, in plain FP32 arithmetic.
#pragma once

#include <cstdint>
#include <cstring>

#include "host_device.h"

namespace pyiseg {

// Below this, exp_nonpositive returns 0: e^-87 = 1.6e-38 is the last power above FP32's denormals.
constexpr float kExpCutoff = -87.0f;

// e^x for x <= 0, at most 2 ulp off; 0 below kExpCutoff; exactly 1 at 0.
// e^x = 2^n * e^r with n = round(x / ln 2), |r| <= ln(2) / 2, and e^r by its Taylor series to r^7 (remainder 5e-9).
// Written out instead of std::exp so that compilers vectorize it and the CPU and CUDA give the same bits.
// Trap: needs IEEE rounding of each operation; -ffast-math would fold the rounding constant away.
PYISEG_HD float exp_nonpositive(float x) {
    const float clamped = x < kExpCutoff ? kExpCutoff : x;
    const float round_to_integer = 12582912.0f;                      // 1.5 * 2^23: adding it leaves no fraction bits
    const float shifted = clamped * 1.44269504f + round_to_integer;  // n stands in the low bits
    const float n = shifted - round_to_integer;
    const float r = (clamped - n * 0.693145752f) - n * 1.42860677e-6f;  // ln 2 in two parts; the first product is exact
    float y = 1.0f / 5040.0f;
    y = y * r + 1.0f / 720.0f;
    y = y * r + 1.0f / 120.0f;
    y = y * r + 1.0f / 24.0f;
    y = y * r + 1.0f / 6.0f;
    y = y * r + 0.5f;
    y = y * r * r + r + 1.0f;
    std::uint32_t bits;
    std::memcpy(&bits, &shifted, sizeof bits);
    bits = (bits << 23) + 0x3F800000u;  // the exponent field of 2^n
    float scale;
    std::memcpy(&scale, &bits, sizeof scale);
    return x < kExpCutoff ? 0.0f : y * scale;
}

}  // namespace pyiseg
