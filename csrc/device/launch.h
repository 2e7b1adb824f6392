// The launch of a kernel; reports no error but this launch's. Tests compile kernels as C++ and have launched them
// otherwise before this is included, see tests/standin.
#pragma once

#ifndef PYISEG_LAUNCH
#include <cuda_runtime.h>

namespace pyiseg {

#define PYISEG_LAUNCH ::pyiseg::launch

// Not kernel<<<...>>>: what went wrong there only cudaGetLastError says, which also finds what another library left.
template <class... Parameters>
cudaError_t launch(void (*kernel)(Parameters...), dim3 grid, dim3 block, cudaStream_t stream,
                   const Parameters&... arguments) {
    cudaLaunchConfig_t config = {};
    config.gridDim = grid;
    config.blockDim = block;
    config.stream = stream;
    return cudaLaunchKernelEx(&config, kernel, arguments...);
}

}  // namespace pyiseg
#endif
