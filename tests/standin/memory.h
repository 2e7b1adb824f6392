// Device and pinned memory.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>

namespace pyiseg::standin {

class Stream;

// While one lives an operation of the device is at work, which may reach its memory; see PYISEG_STANDIN_PROTECT.
class AtWork {
  public:
    AtWork();
    ~AtWork();
    AtWork(const AtWork&) = delete;
    AtWork& operator=(const AtWork&) = delete;
};

// Memory of the device. Ordered: by cudaMallocAsync, on a stream that may reuse what it has freed before the free has
// run, as the driver does.
cudaError_t allocate(void** out, std::size_t bytes, cudaStream_t stream, bool ordered);
cudaError_t release(void* memory, cudaStream_t stream, bool ordered);
void* allocate_pinned(std::size_t bytes);
void release_pinned(void* memory);

bool on_device(const void* memory, std::size_t bytes);
bool is_pinned(const void* memory, std::size_t bytes);

// Bytes of all allocations that live, as they were asked for.
std::size_t allocated();
std::size_t allocated_pinned();
// What the device has; of each allocation whole blocks of 512 bytes count.
std::size_t capacity();
std::size_t used();
// 0 for what PYISEG_STANDIN_MEMORY_MB says.
void set_capacity(std::size_t bytes);

}  // namespace pyiseg::standin
