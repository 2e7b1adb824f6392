// Device memory that frees itself.
#pragma once

#include <cstddef>

#include "check.h"

namespace pyiseg {

class DeviceBuffer {
  public:
    explicit DeviceBuffer(std::size_t bytes) : bytes_(bytes) { PYISEG_CUDA_CHECK(cudaMalloc(&data_, bytes)); }
    ~DeviceBuffer() { cudaFree(data_); }  // a destructor has no one to tell about a failure
    DeviceBuffer(const DeviceBuffer&) = delete;
    DeviceBuffer& operator=(const DeviceBuffer&) = delete;

    void* data() const { return data_; }
    std::size_t bytes() const { return bytes_; }

    // Both copies are done when they return.
    void upload(const void* host, std::size_t bytes, cudaStream_t stream) {
        PYISEG_CUDA_CHECK(cudaMemcpyAsync(data_, host, bytes, cudaMemcpyHostToDevice, stream));
        PYISEG_CUDA_CHECK(cudaStreamSynchronize(stream));
    }
    void download(void* host, std::size_t bytes, cudaStream_t stream) const {
        PYISEG_CUDA_CHECK(cudaMemcpyAsync(host, data_, bytes, cudaMemcpyDeviceToHost, stream));
        PYISEG_CUDA_CHECK(cudaStreamSynchronize(stream));
    }

  private:
    void* data_ = nullptr;
    std::size_t bytes_;
};

}  // namespace pyiseg
