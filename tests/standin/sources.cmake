# The runtime, the CUDA ops as C++, and where NVIDIA's headers are. It needs those, not its compiler.
execute_process(
  COMMAND "${Python_EXECUTABLE}" -c "import sysconfig; print(sysconfig.get_path('purelib'))"
  OUTPUT_VARIABLE _site_packages OUTPUT_STRIP_TRAILING_WHITESPACE)
find_path(PYISEG_CUDA_HEADERS cuda_runtime_api.h
          HINTS "${_site_packages}/nvidia/cu13/include" "${_site_packages}/nvidia/cuda_runtime/include"
                "$ENV{CUDA_HOME}/include" /usr/local/cuda/include)
if(NOT PYISEG_CUDA_HEADERS)
  message(FATAL_ERROR "PYISEG_CUDA=STANDIN needs the headers of CUDA: pip install nvidia-cuda-runtime, or name their "
                      "folder with -C cmake.define.PYISEG_CUDA_HEADERS=...")
endif()
message(STATUS "The CUDA ops are built for tests on host threads, with the headers in ${PYISEG_CUDA_HEADERS}")

set(_standin "${CMAKE_CURRENT_LIST_DIR}")
# Kernels read floats as wider words where the address allows it. C++ does not allow that (-fno-strict-aliasing), and when
# GCC 12 makes vectors of such a loop it reads as if every address were aligned (-fno-tree-vectorize).
set_source_files_properties(
  "${PYISEG_ROOT}/csrc/ops/ops_cuda.cu" PROPERTIES LANGUAGE CXX
  COMPILE_OPTIONS "-x;c++;-include;${_standin}/device.h;-fno-strict-aliasing;-fno-tree-vectorize;\
-Wno-unknown-pragmas;-Wno-attributes")
set(PYISEG_STANDIN_SOURCES
    "${PYISEG_ROOT}/csrc/ops/ops_cuda.cu" "${_standin}/settings.cpp" "${_standin}/memory.cpp" "${_standin}/stream.cpp"
    "${_standin}/kernel.cpp" "${_standin}/runtime.cpp")
