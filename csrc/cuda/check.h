// CUDA failures as exceptions that carry the expression and where it stands.
#pragma once

#include <cuda_runtime_api.h>

#include <stdexcept>
#include <string>

namespace pyiseg {

struct CudaError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

inline void cuda_check(cudaError_t status, const char* expression, const char* file, int line) {
    if (status == cudaSuccess) return;
    cudaGetLastError();  // reported here; the next launch must not find it again
    throw CudaError(std::string(file) + ":" + std::to_string(line) + ": " + expression + ": " +
                    cudaGetErrorString(status) + " (" + cudaGetErrorName(status) + ")");
}

}  // namespace pyiseg

#define PYISEG_CUDA_CHECK(expression) ::pyiseg::cuda_check((expression), #expression, __FILE__, __LINE__)
