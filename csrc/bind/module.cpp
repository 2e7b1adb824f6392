// pyiseg._core: the ops on numpy arrays and, where it was built, the submodule cuda.
#include <cstdlib>

#include "../device/device_error.h"
#include "foreground.h"
#include "image_ops.h"
#include "ops.h"

namespace pyiseg::bind {

void add_array(py::module_& core);
void add_cuda(py::module_& core);
#ifdef PYISEG_STANDIN
void add_standin(py::module_& core);  // tests/standin
#endif

namespace {

void read_thread_count() {
    const char* value = std::getenv("PYISEG_NUM_THREADS");
    if (!value || !*value) return;
    char* end = nullptr;
    const long long n = std::strtoll(value, &end, 10);
    if (*end) fail(std::string("PYISEG_NUM_THREADS is '") + value + "'; it must be a whole number in 1..256");
    set_num_threads(check_threads(n, "PYISEG_NUM_THREADS"));
}

}  // namespace

PYBIND11_MODULE(_core, m, py::mod_gil_not_used()) {
    m.doc() = "The ops of pyiseg. Every op checks its arguments, releases the GIL and writes into the given arrays.";
    read_thread_count();
    const auto failure = py::register_exception<DeviceRuntimeError>(m, "DeviceRuntimeError", PyExc_RuntimeError);
    py::register_exception<DeviceMemoryError>(m, "DeviceMemoryError", failure);
    add_ops<Cpu>(m, OnNumpy{});
    add_image_ops<Cpu>(m, OnNumpy{});
    add_foreground(m);
    m.def("apply_coefficients_in", OnNumpy{}(&apply_coefficients_in_), py::arg("coefficients"), py::arg("guide"),
          py::arg("top"), py::arg("left"), py::arg("out"), py::call_guard<py::gil_scoped_release>());
    m.def("set_num_threads", [](long long n) { set_num_threads(check_threads(n, "n")); }, py::arg("n"));
    m.def("get_num_threads", num_threads);
    m.attr("mean_scratch") = kMeanScratch;
    add_array(m);

#ifdef PYISEG_CUDA
    m.attr("cuda_built") = true;
    add_cuda(m);
#ifdef PYISEG_STANDIN
    add_standin(m);
#endif
#else
    m.attr("cuda_built") = false;
#endif
}

}  // namespace pyiseg::bind
