// pyiseg._core.host: the face of a CUDA device over host memory, to try without a GPU what runs on one.
#include "../device/host_stream.h"
#include "device.h"

namespace pyiseg::bind {

void add_host(py::module_& core) {
    py::module_ m = core.def_submodule("host", "A device that is the host; see pyiseg._core.cuda.");
    add_device<HostStream>(m)
        .def(py::init<std::size_t>(), py::arg("limit") = std::numeric_limits<std::size_t>::max() / 2)
        .def(
            "call",
            [](HostStream& stream, py::function work) {
                // The tape may be run, and thrown away, where Python's lock is not held.
                const std::shared_ptr<py::function> held(new py::function(std::move(work)), [](py::function* f) {
                    py::gil_scoped_acquire acquire;
                    delete f;
                });
                const auto call = [held] {
                    py::gil_scoped_acquire acquire;
                    (*held)();
                };
                stream.submit(call);
            },
            py::arg("work"));
    m.def("allocated", [] { return HostStream::allocated().load(); });
}

}  // namespace pyiseg::bind
