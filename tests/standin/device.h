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

// Before each access to a label, in the midst of a functor: counts it, and now and then lets another thread run.
void label_access();
// Reads and stores of whole words by this OS thread.
extern thread_local long wide_reads, wide_stores;

cudaError_t enqueue_kernel(cudaStream_t stream, dim3 grid, dim3 block, std::size_t argument_bytes,
                           std::function<void()> one_thread);

template <class... Parameters>
cudaError_t launch(void (*kernel)(Parameters...), dim3 grid, dim3 block, cudaStream_t stream,
                   const Parameters&... arguments) {
    // The arguments are copied, as CUDA copies them when it launches.
    return enqueue_kernel(stream, grid, block, (sizeof(Parameters) + ... + 0), [=] { kernel(arguments...); });
}

}  // namespace pyiseg::standin

#define PYISEG_LAUNCH ::pyiseg::standin::launch
#define PYISEG_WORD_READ() ++::pyiseg::standin::wide_reads
#define PYISEG_LABEL_ACCESS() ::pyiseg::standin::label_access()

#define blockIdx (::pyiseg::standin::place.block)
#define threadIdx (::pyiseg::standin::place.thread)
#define blockDim (::pyiseg::standin::place.block_size)
#define gridDim (::pyiseg::standin::place.grid_size)

template <class Word>
__attribute__((always_inline)) inline void __stwb(Word* place, Word value) {
    ++pyiseg::standin::wide_stores;
    *place = value;
}
