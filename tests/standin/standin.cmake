# The extension with the CUDA ops over the runtime in this folder.
set(PYISEG_ROOT "${CMAKE_CURRENT_SOURCE_DIR}")
include("${CMAKE_CURRENT_LIST_DIR}/sources.cmake")
target_sources(_core PRIVATE csrc/bind/cuda.cpp "${_standin}/bind.cpp" ${PYISEG_STANDIN_SOURCES})
target_compile_definitions(_core PRIVATE PYISEG_CUDA PYISEG_STANDIN)
target_include_directories(_core SYSTEM PRIVATE "${PYISEG_CUDA_HEADERS}")

unset(PYISEG_CUDA CACHE)  # said for this build only: a plain `pip install` in the same folder is a plain one again
