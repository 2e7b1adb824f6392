// IEEE half precision in plain integer and FP32 arithmetic, so that the CPU and CUDA give the same bits.
#pragma once

#include <cstdint>
#include <cstring>

#include "host_device.h"

namespace pyiseg {

// 1 sign bit, 5 exponent bits (bias 15), 10 fraction bits: CUDA's __half and numpy's float16.
struct Half {
    std::uint16_t bits;
};

// The nearest half; of two equally near the even one. From 65520 on it is infinity; NaN stays NaN.
// Trap: needs IEEE rounding; -ffast-math would fold the denormals' constant away.
PYISEG_HD Half to_half(float value) {
    std::uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    const std::uint32_t sign = (bits >> 16) & 0x8000u;
    const std::uint32_t magnitude = bits & 0x7FFFFFFFu;
    std::uint32_t rounded;
    if (magnitude >= 0x477FF000u) {  // 65520, half way from the largest half to 2^16
        rounded = magnitude > 0x7F800000u ? 0x7E00u | ((magnitude >> 13) & 0x1FFu) : 0x7C00u;
    } else if (magnitude < 0x38800000u) {  // below 2^-14, where halves are multiples of 2^-24
        float shifted;
        std::memcpy(&shifted, &magnitude, sizeof shifted);
        shifted += 0.5f;  // FP32's last bit stands for 2^-24 here, so that the addition does the rounding
        std::memcpy(&rounded, &shifted, sizeof rounded);
        rounded -= 0x3F000000u;
    } else {  // a carry out of the fraction raises the exponent, as it should
        const std::uint32_t odd = (magnitude >> 13) & 1u;
        rounded = (magnitude - 0x38000000u + 0xFFFu + odd) >> 13;
    }
    return {static_cast<std::uint16_t>(sign | rounded)};
}

}  // namespace pyiseg
