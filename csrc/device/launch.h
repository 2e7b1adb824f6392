// The launch of a kernel. Tests compile kernels as C++ and have launched them otherwise before this is included, see
// tests/standin.
#pragma once

#ifndef PYISEG_LAUNCH
#define PYISEG_LAUNCH(kernel, grid, block, stream, ...) kernel<<<grid, block, 0, stream>>>(__VA_ARGS__)
#endif
