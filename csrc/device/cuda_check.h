// CUDA failures as exceptions that carry the expression and where it stands.
#pragma once

#include <cuda_runtime_api.h>

#include <string>

#include "device_error.h"

namespace pyiseg {

inline void cuda_check(cudaError_t status, const char* expression, const char* file, int line) {
    if (status == cudaSuccess) return;
    cudaGetLastError();  // reported here; the next launch must not find it again
    const std::string message = std::string(file) + ":" + std::to_string(line) + ": " + expression + ": " +
                                cudaGetErrorString(status) + " (" + cudaGetErrorName(status) + ")";
    if (status == cudaErrorMemoryAllocation) throw DeviceMemoryError(message);
    throw DeviceRuntimeError(message);
}

// For destructors, which have no one to tell: the next launch must not find the failure and call it its own.
inline void cuda_forget(cudaError_t status) noexcept {
    if (status != cudaSuccess) cudaGetLastError();
}

}  // namespace pyiseg

#define PYISEG_CUDA_CHECK(expression) ::pyiseg::cuda_check((expression), #expression, __FILE__, __LINE__)
