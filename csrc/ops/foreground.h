// The colors of a cut-out. On the CPU only: cut-outs are made there on every device.
#pragma once

#include <cstdint>

#include "ops.h"

namespace pyiseg {

// Bytes of scratch that estimate_foreground needs for an image.
std::int64_t foreground_scratch(Size size);

// out (h, w, 3) = rgb (h, w, 3) where alpha (h, w) is 0 or 255, elsewhere the color of what alpha selects, without what
// is behind it. scratch (foreground_scratch). Moves 8 bytes a pixel, and 10 a pixel of each smaller level.
template <class Device>
void estimate_foreground(const Device& device, const std::uint8_t* rgb, const std::uint8_t* alpha, Size size,
                         std::uint8_t* scratch, std::uint8_t* out);

}  // namespace pyiseg
