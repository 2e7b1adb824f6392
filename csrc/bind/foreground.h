// The op of ops/foreground.h as Python sees it; see ops.h.
#pragma once

#include "../ops/foreground.h"
#include "ops.h"

namespace pyiseg::bind {

inline void estimate_foreground_(const Cpu& device, const ArrayRef& rgb, const ArrayRef& alpha, const ArrayRef& scratch,
                                 const ArrayRef& out) {
    const Size size = check_rgb(rgb, "rgb");
    check_array<unsigned char>(alpha, "alpha", 2);
    check_same_size(size_of(alpha, "alpha"), size, "alpha", "rgb");
    check_array<unsigned char>(scratch, "scratch", 1);
    if (scratch.shape[0] < foreground_scratch(size)) {
        fail("scratch has shape " + text(scratch.shape) + "; it must be at least (" +
             std::to_string(foreground_scratch(size)) + ",), what foreground_scratch returns for this image");
    }
    check_same_size(check_rgb(out, "out"), size, "out", "rgb");
    auto* s = output<std::uint8_t>(scratch, "scratch");
    auto* o = output<std::uint8_t>(out, "out");
    for (const auto& [array, name] : Inputs{{&rgb, "rgb"}, {&alpha, "alpha"}}) {
        check_apart(*array, name, scratch, "scratch");
        check_apart(*array, name, out, "out");
    }
    check_apart(scratch, "scratch", out, "out");
    estimate_foreground(device, input<std::uint8_t>(rgb), input<std::uint8_t>(alpha), size, s, o);
}

inline void add_foreground(py::module_& m) {
    using py::arg;
    m.def("estimate_foreground", OnNumpy{}(&estimate_foreground_), arg("rgb"), arg("alpha"), arg("scratch"), arg("out"),
          py::call_guard<py::gil_scoped_release>());
    m.def(
        "foreground_scratch",
        [](std::int64_t height, std::int64_t width) { return foreground_scratch(check_size(height, width, "image")); },
        arg("height"), arg("width"));
}

}  // namespace pyiseg::bind
