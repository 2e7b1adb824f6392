// A value as its place holds it: FP32 as it is, FP16 rounded.
#pragma once

#include "half.h"
#include "host_device.h"

namespace pyiseg {

PYISEG_HD void store_value(float value, float& place) {
    place = value;
}
PYISEG_HD void store_value(float value, Half& place) {
    place = to_half(value);
}

}  // namespace pyiseg
