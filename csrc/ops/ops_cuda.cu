// The ops on a CUDA stream.
#include "../device/cuda_check.h"
#include "../device/launch.h"
#include "ops.h"

namespace pyiseg {
namespace {

// Grid-constant, so that threads read the functor where it is and keep no copy of it.
template <class F>
__global__ void each(int rows, int columns, int first_column, const __grid_constant__ F f) {
    const int row = blockIdx.x * blockDim.y + threadIdx.y;
    const int column = first_column + blockIdx.y * blockDim.x + threadIdx.x;
    if (row < rows && column < columns) f(row, column);
}

constexpr unsigned kWarp = 32, kMostRows = 8;
constexpr unsigned kMostBlocksY = 65535;
constexpr unsigned kEnoughBlocks = 256;  // for each multiprocessor of a large GPU to have one

constexpr unsigned blocks(unsigned count, unsigned block) {
    return (count + block - 1) / block;
}

}  // namespace

// A warp lies along a row, so that its accesses join; a small launch is cut into small blocks, to occupy the whole GPU.
// Rows go along the grid's x, which has room for 2^31 blocks; columns along its y, in several launches if need
// be.
template <class F>
void Cuda::for_each(int rows, int columns, const F& f) const {
    const auto height = static_cast<unsigned>(rows);
    constexpr unsigned most = kMostBlocksY * kWarp;
    unsigned left = static_cast<unsigned>(columns);
    for (unsigned first = 0; rows > 0 && left > 0;) {  // no clicks: CUDA refuses an empty grid
        const unsigned now = left < most ? left : most;
        unsigned block_rows = kMostRows;
        while (block_rows > 1 && blocks(height, block_rows) * blocks(now, kWarp) < kEnoughBlocks) block_rows /= 2;
        const dim3 grid(blocks(height, block_rows), blocks(now, kWarp)), block(kWarp, block_rows);
        PYISEG_CUDA_CHECK(PYISEG_LAUNCH(each<F>, grid, block, static_cast<cudaStream_t>(stream), rows, columns,
                                        static_cast<int>(first), f));
        first += now;
        left -= now;
    }
}

}  // namespace pyiseg

#include "ops.inl"
#include "ops_image.inl"

PYISEG_INSTANTIATE_OPS(Cuda)
PYISEG_INSTANTIATE_IMAGE_OPS(Cuda)
