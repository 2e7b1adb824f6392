// pyiseg._core.cuda: the same ops on device memory. Pointers and streams are integers, so that any owner of device
// memory will do; what they point at cannot be checked here, so the clicks in it must lie inside the grid.
#include <pybind11/stl.h>

#include <array>

#include "../cuda/buffer.h"
#include "checks.h"

namespace pyiseg::bind {
namespace {

using Address = std::uintptr_t;
using Shape = std::array<std::int64_t, 2>;  // (h, w)

template <class T>
T* pointer(Address address, const char* name) {
    if (address == 0 || address % alignof(T) != 0) {
        fail(std::string(name) + " is " + std::to_string(address) + "; it must be the address of device memory");
    }
    return reinterpret_cast<T*>(address);
}

Clicks device_clicks(Address clicks, std::int64_t count) {
    if (count < 0 || count > 65536) fail("count is " + std::to_string(count) + "; it must lie in 0..65536");
    return {count ? pointer<const Click>(clicks, "clicks") : nullptr, static_cast<int>(count)};
}

Cuda on(Address stream) {
    return {reinterpret_cast<void*>(stream)};
}

void click_maps_(Address clicks, std::int64_t count, const std::vector<double>& sigmas, Address out, Shape shape,
                 Address stream) {
    const Size size = check_size(shape[0], shape[1], "shape");
    click_maps(on(stream), device_clicks(clicks, count), check_sigmas(sigmas), size, pointer<float>(out, "out"));
}

void force_clicks_(Address clicks, std::int64_t count, Address alpha, Shape shape, Address stream) {
    const Size size = check_size(shape[0], shape[1], "shape");
    force_clicks(on(stream), device_clicks(clicks, count), size, pointer<float>(alpha, "alpha"));
}

void pin_clicks_(Address guide, Address clicks, std::int64_t count, Address lines, Shape shape, Address stream) {
    const Size size = check_size(shape[0], shape[1], "shape");
    pin_clicks(on(stream), pointer<const float>(guide, "guide"), device_clicks(clicks, count), size,
               pointer<float>(lines, "lines"));
}

void keep_clicked_regions_(Address alpha, Address clicks, std::int64_t count, std::int64_t margin, Address labels,
                           Address out, Shape shape, Address stream) {
    const Size size = check_size(shape[0], shape[1], "shape");
    if (alpha == out) fail("alpha and out are both " + std::to_string(out) + "; they must be apart");
    keep_clicked_regions(on(stream), pointer<const float>(alpha, "alpha"), device_clicks(clicks, count),
                         check_margin(margin, size), size, pointer<std::int32_t>(labels, "labels"),
                         pointer<float>(out, "out"));
}

void guided_filter_lines_(Address guide, Address p, int radius, double eps, Address scratch, Address lines, Shape shape,
                          Address stream) {
    const Size size = check_size(shape[0], shape[1], "shape");
    guided_filter_lines(on(stream), pointer<const float>(guide, "guide"), pointer<const float>(p, "p"),
                        check_radius(radius), check_eps(eps), size, pointer<float>(scratch, "scratch"),
                        pointer<float>(lines, "lines"));
}

template <class T>
void apply_lines_(Address lines, Shape grid_shape, Address guide, Address out, Shape shape, Address stream) {
    const Size grid = check_size(grid_shape[0], grid_shape[1], "grid_shape");
    const Size image = check_size(shape[0], shape[1], "shape");
    apply_lines(on(stream), pointer<const float>(lines, "lines"), grid, pointer<const float>(guide, "guide"), image,
                pointer<T>(out, "out"));
}

std::size_t check_copy(const DeviceBuffer& buffer, const py::array& array) {
    if (!(array.flags() & py::array::c_style)) fail("array with shape " + shape_of(array) + " is not C-contiguous");
    if (static_cast<std::size_t>(array.nbytes()) > buffer.bytes()) {
        fail("array has " + std::to_string(array.nbytes()) + " bytes but the buffer only " +
             std::to_string(buffer.bytes()));
    }
    return static_cast<std::size_t>(array.nbytes());
}

void upload(DeviceBuffer& buffer, const py::array& array, Address stream) {
    const std::size_t bytes = check_copy(buffer, array);
    const void* host = array.data();
    py::gil_scoped_release release;
    buffer.upload(host, bytes, reinterpret_cast<cudaStream_t>(stream));
}

void download(const DeviceBuffer& buffer, py::array array, Address stream) {
    const std::size_t bytes = check_copy(buffer, array);
    void* host = output<char>(array, "array");
    py::gil_scoped_release release;
    buffer.download(host, bytes, reinterpret_cast<cudaStream_t>(stream));
}

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

}  // namespace

void add_cuda(py::module_& core) {
    using py::arg;
    const auto free_gil = py::call_guard<py::gil_scoped_release>();
    py::module_ m = core.def_submodule("cuda", "The ops on device memory, enqueued on a stream; 0 is the default one.");
    py::register_exception<CudaError>(m, "CudaError", PyExc_RuntimeError);

    m.def("device_count", device_count);
    py::class_<DeviceBuffer>(m, "Buffer")
        .def(py::init([](std::int64_t nbytes) {
                 if (nbytes < 1) fail("nbytes is " + std::to_string(nbytes) + "; it must be at least 1");
                 return std::make_unique<DeviceBuffer>(static_cast<std::size_t>(nbytes));
             }),
             arg("nbytes"))
        .def_property_readonly("ptr", [](const DeviceBuffer& b) { return reinterpret_cast<Address>(b.data()); })
        .def_property_readonly("nbytes", &DeviceBuffer::bytes)
        .def("upload", upload, arg("array"), arg("stream") = 0)
        .def("download", download, arg("array"), arg("stream") = 0);

    m.def("click_maps", click_maps_, arg("clicks"), arg("count"), arg("sigmas"), arg("out"), arg("shape"),
          arg("stream") = 0, free_gil);
    m.def("force_clicks", force_clicks_, arg("clicks"), arg("count"), arg("alpha"), arg("shape"), arg("stream") = 0,
          free_gil);
    m.def("pin_clicks", pin_clicks_, arg("guide"), arg("clicks"), arg("count"), arg("lines"), arg("shape"),
          arg("stream") = 0, free_gil);
    m.def("keep_clicked_regions", keep_clicked_regions_, arg("alpha"), arg("clicks"), arg("count"), arg("margin"),
          arg("labels"), arg("out"), arg("shape"), arg("stream") = 0, free_gil);
    m.def("guided_filter_lines", guided_filter_lines_, arg("guide"), arg("p"), arg("radius"), arg("eps"),
          arg("scratch"), arg("lines"), arg("shape"), arg("stream") = 0, free_gil);
    m.def("apply_lines", apply_lines_<float>, arg("lines"), arg("grid_shape"), arg("guide"), arg("out"), arg("shape"),
          arg("stream") = 0, free_gil);
    m.def("apply_lines_uint8", apply_lines_<unsigned char>, arg("lines"), arg("grid_shape"), arg("guide"), arg("out"),
          arg("shape"), arg("stream") = 0, free_gil);
}

}  // namespace pyiseg::bind
