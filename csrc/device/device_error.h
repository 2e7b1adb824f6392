// Failures of a device, of whatever kind.
#pragma once

#include <stdexcept>

namespace pyiseg {

struct DeviceRuntimeError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

struct DeviceMemoryError : DeviceRuntimeError {
    using DeviceRuntimeError::DeviceRuntimeError;
};

}  // namespace pyiseg
