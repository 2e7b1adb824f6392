// What a kernel sees of CUDA, so that ops_cuda.cu compiles as C++ with its __CUDA_ARCH__ branches taken. Included
// before it by a compiler flag.
#pragma once

#include <cuda_runtime_api.h>  // NVIDIA's own: uint4 with its alignment, dim3, cudaStream_t

#include <cstdint>
#include <functional>

#undef __host__
#undef __device__
#undef __global__
#undef __grid_constant__
#define __host__
#define __device__ __attribute__((always_inline))
#define __global__
#define __grid_constant__
#define __CUDACC__ 1
#define __CUDA_ARCH__ 900
#ifndef PYISEG_STANDIN
#define PYISEG_STANDIN
#endif

namespace pyiseg::standin {

struct Place {
    uint3 block, thread;
    dim3 block_size, grid_size;
};
extern thread_local Place place;

// Now and then lets another thread run, in the midst of a functor.
void maybe_yield();

void enqueue_kernel(cudaStream_t stream, dim3 grid, dim3 block, std::size_t argument_bytes,
                    std::function<void()> one_thread);

template <class... Parameters, class... Arguments>
void launch(void (*kernel)(Parameters...), dim3 grid, dim3 block, cudaStream_t stream, const Arguments&... arguments) {
    // The arguments are copied, as CUDA copies them when it launches.
    enqueue_kernel(stream, grid, block, (sizeof(Arguments) + ... + 0), [=] { kernel(arguments...); });
}

}  // namespace pyiseg::standin

#define PYISEG_LAUNCH(kernel, grid, block, stream, ...) \
    ::pyiseg::standin::launch(kernel, grid, block, stream, __VA_ARGS__)
#define PYISEG_LABEL_ACCESS() ::pyiseg::standin::maybe_yield()

#define blockIdx (::pyiseg::standin::place.block)
#define threadIdx (::pyiseg::standin::place.thread)
#define blockDim (::pyiseg::standin::place.block_size)
#define gridDim (::pyiseg::standin::place.grid_size)

template <class Word>
__attribute__((always_inline)) inline void __stwb(Word* place, Word value) {
    *place = value;
}
