// pyiseg._core.standin: what tests may ask of the stand-in, and break.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <memory>
#include <optional>

#include "../../csrc/device/cuda_check.h"
#include "memory.h"
#include "settings.h"
#include "stream.h"

namespace py = pybind11;

namespace pyiseg::bind {
namespace {

// Enqueues a call of a Python function on a stream; captured, it is called at each launch of the graph.
void call(std::uintptr_t stream, py::function function) {
    // The last one to hold it may be a stream's thread, which does not hold Python's lock.
    const std::shared_ptr<py::function> held(new py::function(std::move(function)), [](py::function* f) {
        const py::gil_scoped_acquire acquire;
        delete f;
    });
    const auto work = [held] {
        const standin::AtWork now;
        const py::gil_scoped_acquire acquire;
        try {
            (*held)();
        } catch (py::error_already_set& error) {
            error.discard_as_unraisable("a call on a stream of the stand-in");
        }
    };
    PYISEG_CUDA_CHECK(standin::enter("cudaLaunchHostFunc"));
    PYISEG_CUDA_CHECK(standin::submit(reinterpret_cast<cudaStream_t>(stream), work, "cudaLaunchHostFunc"));
}

}  // namespace

void add_standin(py::module_& core) {
    py::module_ m = core.def_submodule("standin", "The device of this build: host threads, for tests.");
    const auto free_gil = py::call_guard<py::gil_scoped_release>();
    m.def("call", call, py::arg("stream"), py::arg("function"));
    m.def("allocated", standin::allocated);
    m.def(
        "set_room",  // how much more may be allocated; None for what the environment says
        [](std::optional<std::size_t> bytes) { standin::set_capacity(bytes ? standin::used() + *bytes : 0); },
        py::arg("bytes"));
    m.def(
        "fail",
        [](const std::string& name, long after, int error) {
            standin::fail(name, after, static_cast<cudaError_t>(error));
        },
        py::arg("call"), py::arg("after") = 0, py::arg("error") = static_cast<int>(cudaErrorLaunchFailure));
    m.def("lose_device", standin::lose_device);
    m.def("mend", standin::mend);
    m.def("calls", standin::calls, py::arg("call"));
    m.def(
        "most_label_accesses", [] { return standin::counters().most_label_accesses.exchange(0); },
        "The most accesses to labels that one thread of a kernel made since this was last asked.");
    m.def(
        "wide_reads", [] { return standin::counters().wide_reads.exchange(0); },
        "How many words of several values kernels have read since this was last asked.");
    m.def(
        "wide_stores", [] { return standin::counters().wide_stores.exchange(0); },
        "How many words of several values kernels have stored since this was last asked.");
    m.def(
        "leave_error", [] { standin::refuse(cudaErrorInvalidValue, "another library's call"); },
        "Leave an error with this thread, as another library does that has not asked for it yet.");
    m.def("spoil_captures", standin::spoils_any_capture);
    m.def("synchronize", standin::wait_for_all, free_gil);
    m.attr("OUT_OF_MEMORY") = static_cast<int>(cudaErrorMemoryAllocation);
    m.attr("LAUNCH_FAILURE") = static_cast<int>(cudaErrorLaunchFailure);
}

}  // namespace pyiseg::bind
