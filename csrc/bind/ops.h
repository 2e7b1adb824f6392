// The ops as Python sees them, once for all devices: functions of _core on numpy arrays, methods of a stream on its
// own.
#pragma once

#include <pybind11/stl.h>

#include "array.h"
#include "checks.h"

namespace pyiseg::bind {

template <class Device>
void click_maps_(const Device& device, const ArrayRef& clicks, const std::vector<double>& sigmas, const ArrayRef& out) {
    const bool half = out.dtype == DType::float16;
    if (half) {
        check_array<Half>(out, "out", 3);
    } else {
        check_array<float>(out, "out", 3);
    }
    const Sigmas s = check_sigmas(sigmas);
    check_planes(out, "out", 2 * s.count);
    const Size size = size_of(out, "out");
    const Clicks c = check_clicks(clicks, size);
    check_apart(clicks, "clicks", out, "out");
    if (half) {
        click_maps(device, c, s, size, output<Half>(out, "out"));
    } else {
        click_maps(device, c, s, size, output<float>(out, "out"));
    }
}

template <class Device>
void force_clicks_(const Device& device, const ArrayRef& clicks, const ArrayRef& alpha) {
    check_array<float>(alpha, "alpha", 2);
    const Size size = size_of(alpha, "alpha");
    const Clicks c = check_clicks(clicks, size);
    auto* a = output<float>(alpha, "alpha");
    check_apart(clicks, "clicks", alpha, "alpha");
    force_clicks(device, c, size, a);
}

template <class Device>
void pin_clicks_(const Device& device, const ArrayRef& guide, const ArrayRef& clicks, const ArrayRef& lines) {
    check_array<float>(guide, "guide", 2);
    check_array<float>(lines, "lines", 3);
    check_planes(lines, "lines", 2);
    const Size size = size_of(guide, "guide");
    check_same_size(size_of(lines, "lines"), size, "lines", "guide");
    const Clicks c = check_clicks(clicks, size);
    auto* l = output<float>(lines, "lines");
    check_apart(guide, "guide", lines, "lines");
    check_apart(clicks, "clicks", lines, "lines");
    pin_clicks(device, input<float>(guide), c, size, l);
}

template <class Device>
void keep_clicked_regions_(const Device& device, const ArrayRef& alpha, const ArrayRef& clicks, std::int64_t margin,
                           const ArrayRef& labels, const ArrayRef& out) {
    check_array<float>(alpha, "alpha", 2);
    check_array<std::int32_t>(labels, "labels", 2);
    const bool half = out.dtype == DType::float16;
    if (half) {
        check_array<Half>(out, "out", 2);
    } else {
        check_array<float>(out, "out", 2);
    }
    const Size size = size_of(alpha, "alpha");
    check_same_size(size_of(labels, "labels"), size, "labels", "alpha");
    check_same_size(size_of(out, "out"), size, "out", "alpha");
    const Clicks c = check_clicks(clicks, size);
    const int m = check_margin(margin, size);
    if (half && m > 0) fail("margin is " + std::to_string(margin) + "; it must be 0 where out is float16");
    auto* l = output<std::int32_t>(labels, "labels");
    check_apart(alpha, "alpha", out, "out");
    check_apart(alpha, "alpha", labels, "labels");
    check_apart(out, "out", labels, "labels");
    check_apart(clicks, "clicks", out, "out");
    check_apart(clicks, "clicks", labels, "labels");
    if (half) {
        keep_clicked_regions(device, input<float>(alpha), c, m, size, l, output<Half>(out, "out"));
    } else {
        keep_clicked_regions(device, input<float>(alpha), c, m, size, l, output<float>(out, "out"));
    }
}

template <class Device>
void drop_lines_(const Device& device, const ArrayRef& alpha, const ArrayRef& kept, const ArrayRef& lines) {
    check_array<float>(alpha, "alpha", 2);
    check_array<float>(kept, "kept", 2);
    check_array<float>(lines, "lines", 3);
    check_planes(lines, "lines", 2);
    const Size size = size_of(alpha, "alpha");
    check_same_size(size_of(kept, "kept"), size, "kept", "alpha");
    check_same_size(size_of(lines, "lines"), size, "lines", "alpha");
    auto* l = output<float>(lines, "lines");
    check_apart(alpha, "alpha", lines, "lines");
    check_apart(kept, "kept", lines, "lines");
    drop_lines(device, input<float>(alpha), input<float>(kept), size, l);
}

template <class Device>
void guided_filter_lines_(const Device& device, const ArrayRef& guide, const ArrayRef& p, int radius, double eps,
                          const ArrayRef& scratch, const ArrayRef& lines) {
    check_array<float>(guide, "guide", 2);
    check_array<float>(p, "p", 2);
    check_array<float>(scratch, "scratch", 3);
    check_array<float>(lines, "lines", 3);
    check_planes(scratch, "scratch", 2);
    check_planes(lines, "lines", 2);
    const Size size = size_of(guide, "guide");
    check_same_size(size_of(p, "p"), size, "p", "guide");
    check_same_size(size_of(scratch, "scratch"), size, "scratch", "guide");
    check_same_size(size_of(lines, "lines"), size, "lines", "guide");
    const int r = check_radius(radius);
    const float e = check_eps(eps);
    auto* s = output<float>(scratch, "scratch");
    auto* l = output<float>(lines, "lines");
    check_apart(guide, "guide", scratch, "scratch");
    check_apart(p, "p", scratch, "scratch");
    check_apart(scratch, "scratch", lines, "lines");
    check_apart(guide, "guide", lines, "lines");
    check_apart(p, "p", lines, "lines");
    guided_filter_lines(device, input<float>(guide), input<float>(p), r, e, size, s, l);
}

template <class T, class Device>
void apply_lines_to(const Device& device, const ArrayRef& lines, const ArrayRef& guide, const ArrayRef& out) {
    check_array<T>(out, "out", 2);
    const Size grid = size_of(lines, "lines");
    const Size image = size_of(guide, "guide");
    check_same_size(size_of(out, "out"), image, "out", "guide");
    auto* o = output<T>(out, "out");
    check_apart(lines, "lines", out, "out");
    check_apart(guide, "guide", out, "out");
    apply_lines(device, input<float>(lines), grid, input<float>(guide), image, o);
}

template <class Device>
void apply_lines_(const Device& device, const ArrayRef& lines, const ArrayRef& guide, const ArrayRef& out) {
    check_array<float>(lines, "lines", 3);
    check_array<float>(guide, "guide", 2);
    check_planes(lines, "lines", 2);
    switch (out.dtype) {
        case DType::uint8:
            return apply_lines_to<unsigned char>(device, lines, guide, out);
        case DType::float32:
            return apply_lines_to<float>(device, lines, guide, out);
        default:
            fail("out has dtype " + out.type_name + "; it must be float32 or uint8");
    }
}

inline void check_space(const ArrayRef& array, Space wanted) {
    if (array.space == wanted) return;
    fail(std::string("an argument is ") + name_of(array.space) + " of shape " + text(array.shape) + "; it must be " +
         name_of(wanted));
}
template <class T>
void check_space(const T&, Space) {}

// An op as a function of numpy arrays.
struct OnNumpy {
    template <class... Args>
    auto operator()(void (*op)(const Cpu&, Args...)) const {
        return [op](Args... args) {
            (check_space(args, Space::numpy), ...);
            op(Cpu{}, args...);
        };
    }
};

// An op as a method of a stream.
template <class Stream>
struct OnStream {
    template <class... Args>
    auto operator()(void (*op)(const typename Stream::Device&, Args...)) const {
        return [op](Stream& stream, Args... args) {
            (check_space(args, Stream::kSpace), ...);
            const auto guard = stream.guard();
            op(stream.device(), args...);
        };
    }
};

template <class Device, class Scope, class Bind>
void add_ops(Scope& scope, const Bind& bind) {
    using py::arg;
    const auto free_gil = py::call_guard<py::gil_scoped_release>();
    scope.def("click_maps", bind(&click_maps_<Device>), arg("clicks"), arg("sigmas"), arg("out"), free_gil);
    scope.def("force_clicks", bind(&force_clicks_<Device>), arg("clicks"), arg("alpha"), free_gil);
    scope.def("pin_clicks", bind(&pin_clicks_<Device>), arg("guide"), arg("clicks"), arg("lines"), free_gil);
    scope.def("keep_clicked_regions", bind(&keep_clicked_regions_<Device>), arg("alpha"), arg("clicks"), arg("margin"),
              arg("labels"), arg("out"), free_gil);
    scope.def("drop_lines", bind(&drop_lines_<Device>), arg("alpha"), arg("kept"), arg("lines"), free_gil);
    scope.def("guided_filter_lines", bind(&guided_filter_lines_<Device>), arg("guide"), arg("p"), arg("radius"),
              arg("eps"), arg("scratch"), arg("lines"), free_gil);
    scope.def("apply_lines", bind(&apply_lines_<Device>), arg("lines"), arg("guide"), arg("out"), free_gil);
}

}  // namespace pyiseg::bind
