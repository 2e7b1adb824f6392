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
void pin_clicks_(const Device& device, const ArrayRef& guide, const ArrayRef& clicks, const ArrayRef& coefficients) {
    check_array<float>(guide, "guide", 2);
    check_array<float>(coefficients, "coefficients", 3);
    check_planes(coefficients, "coefficients", 2);
    const Size size = size_of(guide, "guide");
    check_same_size(size_of(coefficients, "coefficients"), size, "coefficients", "guide");
    const Clicks c = check_clicks(clicks, size);
    auto* out = output<float>(coefficients, "coefficients");
    check_apart(guide, "guide", coefficients, "coefficients");
    check_apart(clicks, "clicks", coefficients, "coefficients");
    pin_clicks(device, input<float>(guide), c, size, out);
}

template <class Device>
void keep_clicked_components_(const Device& device, const ArrayRef& alpha, const ArrayRef& clicks, std::int64_t margin,
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
        keep_clicked_components(device, input<float>(alpha), c, m, size, l, output<Half>(out, "out"));
    } else {
        keep_clicked_components(device, input<float>(alpha), c, m, size, l, output<float>(out, "out"));
    }
}

template <class Device>
void zero_coefficients_(const Device& device, const ArrayRef& alpha, const ArrayRef& kept,
                        const ArrayRef& coefficients) {
    check_array<float>(alpha, "alpha", 2);
    check_array<float>(kept, "kept", 2);
    check_array<float>(coefficients, "coefficients", 3);
    check_planes(coefficients, "coefficients", 2);
    const Size size = size_of(alpha, "alpha");
    check_same_size(size_of(kept, "kept"), size, "kept", "alpha");
    check_same_size(size_of(coefficients, "coefficients"), size, "coefficients", "alpha");
    auto* out = output<float>(coefficients, "coefficients");
    check_apart(alpha, "alpha", coefficients, "coefficients");
    check_apart(kept, "kept", coefficients, "coefficients");
    zero_coefficients(device, input<float>(alpha), input<float>(kept), size, out);
}

template <class Device>
void guided_filter_coefficients_(const Device& device, const ArrayRef& guide, const ArrayRef& p, int radius, double eps,
                                 bool residual, const ArrayRef& scratch, const ArrayRef& coefficients) {
    check_array<float>(guide, "guide", 2);
    check_array<float>(p, "p", 2);
    const Size size = size_of(guide, "guide");
    check_same_size(size_of(p, "p"), size, "p", "guide");
    const int r = check_radius(radius);
    const float e = check_eps(eps);
    auto* s = check_output_planes(scratch, "scratch", 2, size, "guide", {{&guide, "guide"}, {&p, "p"}});
    auto* out = check_output_planes(coefficients, "coefficients", 2, size, "guide",
                                    {{&scratch, "scratch"}, {&guide, "guide"}, {&p, "p"}});
    guided_filter_coefficients(device, input<float>(guide), input<float>(p), r, e, residual, size, s, out);
}

template <class Device>
void color_guide_statistics_(const Device& device, const ArrayRef& image, int radius, double eps,
                             const ArrayRef& statistics) {
    check_array<float>(image, "image", 3);
    check_planes(image, "image", 3);
    const Size size = size_of(image, "image");
    const int r = check_radius(radius);
    const float e = check_color_eps(eps);
    auto* out = check_output_planes(statistics, "statistics", 6, size, "image", {{&image, "image"}});
    color_guide_statistics(device, input<float>(image), r, e, size, out);
}

template <class Device>
void color_guided_filter_coefficients_(const Device& device, const ArrayRef& image, const ArrayRef& statistics,
                                       const ArrayRef& p, int radius, const ArrayRef& scratch,
                                       const ArrayRef& coefficients) {
    check_array<float>(image, "image", 3);
    check_planes(image, "image", 3);
    check_array<float>(statistics, "statistics", 3);
    check_planes(statistics, "statistics", 6);
    check_array<float>(p, "p", 2);
    const Size size = size_of(image, "image");
    check_same_size(size_of(statistics, "statistics"), size, "statistics", "image");
    check_same_size(size_of(p, "p"), size, "p", "image");
    const int r = check_radius(radius);
    auto* s = check_output_planes(scratch, "scratch", 3, size, "image",
                                  {{&image, "image"}, {&statistics, "statistics"}, {&p, "p"}});
    auto* out = check_output_planes(coefficients, "coefficients", 4, size, "image",
                                    {{&image, "image"}, {&statistics, "statistics"}, {&p, "p"}, {&scratch, "scratch"}});
    color_guided_filter_coefficients(device, input<float>(image), input<float>(statistics), input<float>(p), r, size, s,
                                     out);
}

// Calls work(guide, its image's size) with what the guide's dtype says it is: bytes of RGB, or one plane of floats.
template <class Work>
void with_guide(const ArrayRef& guide, const Work& work) {
    if (guide.dtype == DType::uint8) {
        const Size image = check_rgb(guide, "guide");
        return work(ColorGuide{input<std::uint8_t>(guide)}, image);
    }
    if (guide.dtype != DType::float32) {
        fail("guide has dtype " + guide.type_name + "; it must be float32, or uint8 for RGB");
    }
    check_array<float>(guide, "guide", 2);
    work(LearnedGuide{input<float>(guide)}, size_of(guide, "guide"));
}

template <class Device>
void pin_image_clicks_(const Device& device, const ArrayRef& guide, const ArrayRef& image_clicks,
                       const ArrayRef& clicks, const ArrayRef& flags, const ArrayRef& coefficients) {
    with_guide(guide, [&](auto chosen, Size image) {
        const Clicks on_image = check_clicks(image_clicks, image, "image_clicks");
        check_array<float>(flags, "flags", 2);
        const Size grid = size_of(flags, "flags");
        const Clicks on_grid = check_clicks(clicks, grid);
        check_same_count(on_image, on_grid);
        auto* f = output<float>(flags, "flags");
        const Inputs inputs = {{&guide, "guide"}, {&image_clicks, "image_clicks"}, {&clicks, "clicks"}};
        for (const auto& [array, name] : inputs) check_apart(*array, name, flags, "flags");
        auto* out =
            check_output_planes(coefficients, "coefficients", decltype(chosen)::kSlopes + 1, grid, "flags", inputs);
        check_apart(flags, "flags", coefficients, "coefficients");
        pin_image_clicks(device, chosen, image, on_image, on_grid, grid, f, out);
    });
}

template <class Device>
void apply_coefficients_(const Device& device, const ArrayRef& coefficients, const ArrayRef& guide,
                         const ArrayRef& out) {
    check_array<float>(coefficients, "coefficients", 3);
    const Size grid = size_of(coefficients, "coefficients");
    with_guide(guide, [&](auto chosen, Size image) {
        check_planes(coefficients, "coefficients", decltype(chosen)::kSlopes + 1);
        const auto apply = [&](auto* typed) {
            check_same_size(size_of(out, "out"), image, "out", "guide");
            check_apart(coefficients, "coefficients", out, "out");
            check_apart(guide, "guide", out, "out");
            apply_coefficients(device, input<float>(coefficients), grid, chosen, image, typed);
        };
        if (out.dtype == DType::uint8) {
            check_array<unsigned char>(out, "out", 2);
            apply(output<unsigned char>(out, "out"));
        } else if (out.dtype == DType::float32) {
            check_array<float>(out, "out", 2);
            apply(output<float>(out, "out"));
        } else {
            fail("out has dtype " + out.type_name + "; it must be float32 or uint8");
        }
    });
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

inline void apply_coefficients_in_(const Cpu& device, const ArrayRef& coefficients, const ArrayRef& guide, int top,
                                   int left, const ArrayRef& out) {
    check_array<float>(coefficients, "coefficients", 3);
    check_array<unsigned char>(out, "out", 2);
    const Size grid = size_of(coefficients, "coefficients"), window = size_of(out, "out");
    with_guide(guide, [&](auto chosen, Size image) {
        check_planes(coefficients, "coefficients", decltype(chosen)::kSlopes + 1);
        if (top < 0 || left < 0 || window.h > image.h - top || window.w > image.w - left) {
            throw std::invalid_argument("out: the window of " + std::to_string(window.h) + " x " +
                                        std::to_string(window.w) + " pixels at row " + std::to_string(top) +
                                        ", column " + std::to_string(left) + " is not inside the guide");
        }
        check_apart(coefficients, "coefficients", out, "out");
        check_apart(guide, "guide", out, "out");
        apply_coefficients_in(device, input<float>(coefficients), grid, chosen, image, top, left, window,
                              output<unsigned char>(out, "out"));
    });
}

template <class Device, class Scope, class Bind>
void add_ops(Scope& scope, const Bind& bind) {
    using py::arg;
    const auto free_gil = py::call_guard<py::gil_scoped_release>();
    scope.def("click_maps", bind(&click_maps_<Device>), arg("clicks"), arg("sigmas"), arg("out"), free_gil);
    scope.def("force_clicks", bind(&force_clicks_<Device>), arg("clicks"), arg("alpha"), free_gil);
    scope.def("pin_clicks", bind(&pin_clicks_<Device>), arg("guide"), arg("clicks"), arg("coefficients"), free_gil);
    scope.def("keep_clicked_components", bind(&keep_clicked_components_<Device>), arg("alpha"), arg("clicks"),
              arg("margin"), arg("labels"), arg("out"), free_gil);
    scope.def("zero_coefficients", bind(&zero_coefficients_<Device>), arg("alpha"), arg("kept"), arg("coefficients"),
              free_gil);
    scope.def("guided_filter_coefficients", bind(&guided_filter_coefficients_<Device>), arg("guide"), arg("p"),
              arg("radius"), arg("eps"), arg("residual"), arg("scratch"), arg("coefficients"), free_gil);
    scope.def("color_guide_statistics", bind(&color_guide_statistics_<Device>), arg("image"), arg("radius"), arg("eps"),
              arg("statistics"), free_gil);
    scope.def("color_guided_filter_coefficients", bind(&color_guided_filter_coefficients_<Device>), arg("image"),
              arg("statistics"), arg("p"), arg("radius"), arg("scratch"), arg("coefficients"), free_gil);
    scope.def("pin_image_clicks", bind(&pin_image_clicks_<Device>), arg("guide"), arg("image_clicks"), arg("clicks"),
              arg("flags"), arg("coefficients"), free_gil);
    scope.def("apply_coefficients", bind(&apply_coefficients_<Device>), arg("coefficients"), arg("guide"), arg("out"),
              free_gil);
}

}  // namespace pyiseg::bind
