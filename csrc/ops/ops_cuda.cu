// The ops on a CUDA stream.
#include "../device/cuda_check.h"
#include "../device/launch.h"
#include "ops.h"

namespace pyiseg {
namespace {

// Grid-constant, so that threads read the functor where it is and keep no copy of it.
template <class F>
__global__ void each(int rows, int columns, const __grid_constant__ F f) {
    const int row = blockIdx.x * blockDim.y + threadIdx.y;
    const int column = blockIdx.y * blockDim.x + threadIdx.x;
    if (row < rows && column < columns) f(row, column);
}

}  // namespace

// A warp lies along a row, so that its accesses join. Rows go along the grid's x, which alone has room for 2^23 of
// them.
template <class F>
void Cuda::for_each(int rows, int columns, const F& f) const {
    if (rows == 0 || columns == 0) return;  // no clicks: CUDA refuses an empty grid
    const dim3 block(32, 8);
    const dim3 grid((rows + block.y - 1) / block.y, (columns + block.x - 1) / block.x);
    PYISEG_LAUNCH(each<F>, grid, block, static_cast<cudaStream_t>(stream), rows, columns, f);
    PYISEG_CUDA_CHECK(cudaGetLastError());
}

}  // namespace pyiseg

#include "ops.inl"
#include "ops_image.inl"

PYISEG_INSTANTIATE_OPS(Cuda)
PYISEG_INSTANTIATE_IMAGE_OPS(Cuda)
