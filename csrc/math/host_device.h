// Marks a function for the CPU and for CUDA, so that one text serves both.
#pragma once

#ifdef __CUDACC__
#define PYISEG_HD __host__ __device__ inline
#else
#define PYISEG_HD inline
#endif
