// pyiseg._core.cuda: the ops on a CUDA device, enqueued on a stream.
#include "../device/cuda_stream.h"
#include "device.h"

namespace pyiseg::bind {
namespace {

// 0 where there is no driver or no device; other failures are raised.
int device_count() {
    int count = 0;
    const cudaError_t status = cudaGetDeviceCount(&count);
    if (status == cudaErrorNoDevice || status == cudaErrorInsufficientDriver) {
        cudaGetLastError();  // the failure is answered; leave none behind for the next check
        return 0;
    }
    PYISEG_CUDA_CHECK(status);
    return count;
}

// The driver's CUDA version, 0 without one.
int driver_version() {
    int version = 0;
    PYISEG_CUDA_CHECK(cudaDriverGetVersion(&version));
    return version;
}

int runtime_version() {
    int version = 0;
    PYISEG_CUDA_CHECK(cudaRuntimeGetVersion(&version));
    return version;
}

// Of the device that is current in this thread.
int device_index() {
    int index = 0;
    PYISEG_CUDA_CHECK(cudaGetDevice(&index));
    return index;
}

// Cheap, unlike all of its properties: asked for by every session.
std::pair<int, int> compute_capability() {
    int major = 0, minor = 0;
    const int index = device_index();
    PYISEG_CUDA_CHECK(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, index));
    PYISEG_CUDA_CHECK(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, index));
    return {major, minor};
}

py::dict device_info() {
    const int index = device_index();
    cudaDeviceProp properties;
    PYISEG_CUDA_CHECK(cudaGetDeviceProperties(&properties, index));
    return py::dict(py::arg("index") = index, py::arg("name") = std::string(properties.name),
                    py::arg("compute_capability") = py::make_tuple(properties.major, properties.minor),
                    py::arg("multiprocessors") = properties.multiProcessorCount,
                    py::arg("memory") = properties.totalGlobalMem, py::arg("driver") = driver_version());
}

// Free and whole memory of the current device, in bytes. What the pool keeps for the next session counts as used.
std::pair<std::size_t, std::size_t> memory() {
    std::size_t free = 0, total = 0;
    PYISEG_CUDA_CHECK(cudaMemGetInfo(&free, &total));
    return {free, total};
}

// Gives back to the driver what the memory pool keeps, after all work on the device: what is not freed yet cannot go.
void trim() {
    PYISEG_CUDA_CHECK(cudaDeviceSynchronize());
    cudaMemPool_t pool = nullptr;
    PYISEG_CUDA_CHECK(cudaDeviceGetDefaultMemPool(&pool, device_index()));
    PYISEG_CUDA_CHECK(cudaMemPoolTrimTo(pool, 0));
}

}  // namespace

void add_cuda(py::module_& core) {
    py::module_ m = core.def_submodule("cuda", "The ops on a CUDA device, enqueued on a stream.");
    add_device<CudaStream>(m)
        .def(py::init([] { return std::make_shared<CudaStream>(); }))
        .def_property_readonly("index", &CudaStream::index);
    const auto free_gil = py::call_guard<py::gil_scoped_release>();
    m.def("device_count", device_count, free_gil);
    m.def("driver_version", driver_version, free_gil);
    m.def("runtime_version", runtime_version, free_gil);
    m.def("device_index", device_index, free_gil);
    m.def("compute_capability", compute_capability, free_gil);
    m.def("device_info", device_info);
    m.def("memory", memory, free_gil);
    m.def("trim", trim, free_gil);
}

}  // namespace pyiseg::bind
