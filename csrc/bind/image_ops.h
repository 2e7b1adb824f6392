// The ops of ops_image.h as Python sees them, once for all devices; see ops.h.
#pragma once

#include <cstdlib>

#include "../math/resample.h"
#include "../ops/ops_image.h"
#include "array.h"
#include "checks.h"

namespace pyiseg::bind {

// A network's input (1, planes, h, w). Returns h * w.
inline int check_input(const ArrayRef& out, std::int64_t planes) {
    check_array<float>(out, "out", 4);
    if (out.shape[0] != 1 || out.shape[1] != planes) {
        fail("out has shape " + text(out.shape) + "; it must be (1, " + std::to_string(planes) + ", h, w)");
    }
    const Size size = size_of(out, "out");
    return size.h * size.w;
}

inline void check_axis(const ArrayRef& out, std::size_t axis, std::int64_t expected, const char* other) {
    if (out.shape[axis] == expected) return;
    fail("out has shape " + text(out.shape) + "; its axis " + std::to_string(axis) + " must be " +
         std::to_string(expected) + ", after " + other);
}

inline std::int64_t check_first(std::int64_t first, Size size) {
    const std::int64_t last = static_cast<std::int64_t>(size.h) * size.w - 1;
    if (first < 0 || first > last) {
        fail("first is " + std::to_string(first) + "; it must lie in 0.." + std::to_string(last));
    }
    return first;
}

inline int check_rows(std::int64_t rows, const ArrayRef& planes) {
    if (rows > std::numeric_limits<std::int32_t>::max()) {
        fail("planes has shape " + text(planes.shape) + "; all planes together may have 2147483647 rows");
    }
    return static_cast<int>(rows);
}

// So that a sum of weights times bytes, which begins at kHalfWeight, fits into 32 bits whatever the bytes are.
inline void check_fixed_weights(const std::int32_t* weights, std::int64_t taps, std::int64_t size) {
    constexpr std::int64_t most = (std::numeric_limits<std::int32_t>::max() - kHalfWeight) / 255;
    for (std::int64_t x = 0; x < size; ++x) {
        std::int64_t sum = 0;
        for (std::int64_t k = 0; k < taps; ++k) sum += std::abs(std::int64_t{weights[k * size + x]});
        if (sum > most) {
            fail("weights[:, " + std::to_string(x) + "] add up to " + std::to_string(sum) +
                 " without their signs; they may make " + std::to_string(most) + ", about twice a weight of 1");
        }
    }
}

// Windows of the pixels of an axis of `result`, `out` in number, over `in` pixels. What starts and weights hold is
// looked at in numpy arrays; those of a stream cannot be. A result over them would change them while they are read.
template <class Weight>
Windows<Weight> check_windows(const ArrayRef& starts, const ArrayRef& weights, std::int64_t in, std::int64_t out,
                              const ArrayRef& result) {
    check_array<std::int32_t>(starts, "starts", 1);
    check_array<Weight>(weights, "weights", 2);
    if (starts.shape[0] != out || weights.shape[1] != out) {
        fail("starts has shape " + text(starts.shape) + " and weights " + text(weights.shape) + "; for " +
             std::to_string(out) + " pixels they must be (" + std::to_string(out) + ",) and (taps, " +
             std::to_string(out) + ")");
    }
    const std::int64_t taps = weights.shape[0];
    if (taps < 1 || taps > in) {
        fail("weights has shape " + text(weights.shape) + "; its first axis, taps, must lie in 1.." +
             std::to_string(in));
    }
    check_apart(starts, "starts", result, "out");
    check_apart(weights, "weights", result, "out");
    const auto* first = input<std::int32_t>(starts);
    const auto* factors = input<Weight>(weights);
    if constexpr (std::is_same_v<Weight, std::int32_t>) {
        if (weights.space == Space::numpy) check_fixed_weights(factors, taps, out);
    }
    for (std::int64_t i = 0; i < out && starts.space == Space::numpy; ++i) {
        if (first[i] < 0 || first[i] > in - taps) {
            fail("starts[" + std::to_string(i) + "] is " + std::to_string(first[i]) + "; it must lie in 0.." +
                 std::to_string(in - taps));
        }
    }
    return {first, factors, static_cast<int>(taps), static_cast<int>(out)};
}

template <class Device>
void hwc_to_chw_(const Device& device, const ArrayRef& rgb, std::int64_t first, const ArrayRef& out) {
    const Size size = check_rgb(rgb, "rgb");
    const int length = check_input(out, 3);
    const std::int64_t from = check_first(first, size);
    auto* o = output<float>(out, "out");
    check_apart(rgb, "rgb", out, "out");
    hwc_to_chw(device, input<std::uint8_t>(rgb), static_cast<std::int64_t>(size.h) * size.w, from, length, o);
}

template <class Device>
void reduce_rgb_(const Device& device, const ArrayRef& rgb, std::int64_t fx, std::int64_t fy, const ArrayRef& out) {
    const Size size = check_rgb(rgb, "rgb");
    check_rgb(out, "out");
    if (fx < 1 || fy < 1 || fx > 65536 || fy > 65536 || fx * fy > 65536) {
        fail("(fx, fy) is (" + std::to_string(fx) + ", " + std::to_string(fy) +
             "); both must be at least 1 and their product at most 65536");
    }
    check_axis(out, 0, (size.h + fy - 1) / fy, "rgb and fy");
    check_axis(out, 1, (size.w + fx - 1) / fx, "rgb and fx");
    auto* o = output<std::uint8_t>(out, "out");
    check_apart(rgb, "rgb", out, "out");
    reduce_rgb(device, input<std::uint8_t>(rgb), size, static_cast<int>(fx), static_cast<int>(fy), o);
}

template <class Device>
void resample_rgb_x_(const Device& device, const ArrayRef& rgb, const ArrayRef& starts, const ArrayRef& weights,
                     const ArrayRef& out) {
    const Size size = check_rgb(rgb, "rgb");
    check_rgb(out, "out");
    check_axis(out, 0, size.h, "rgb");
    const FixedWindows windows = check_windows<std::int32_t>(starts, weights, size.w, out.shape[1], out);
    auto* o = output<std::uint8_t>(out, "out");
    check_apart(rgb, "rgb", out, "out");
    resample_rgb_x(device, input<std::uint8_t>(rgb), size, windows, o);
}

template <class Device>
void resample_rgb_y_(const Device& device, const ArrayRef& rgb, const ArrayRef& starts, const ArrayRef& weights,
                     const ArrayRef& out) {
    const Size size = check_rgb(rgb, "rgb");
    check_rgb(out, "out");
    check_axis(out, 1, size.w, "rgb");
    const FixedWindows windows = check_windows<std::int32_t>(starts, weights, size.h, out.shape[0], out);
    auto* o = output<std::uint8_t>(out, "out");
    check_apart(rgb, "rgb", out, "out");
    resample_rgb_y(device, input<std::uint8_t>(rgb), size, windows, o);
}

template <class Device>
void rgb_on_grid_(const Device& device, const ArrayRef& rgb, const ArrayRef& row_starts, const ArrayRef& row_weights,
                  const ArrayRef& column_starts, const ArrayRef& column_weights, const ArrayRef& out) {
    const Size size = check_rgb(rgb, "rgb");
    check_array<float>(out, "out", 3);
    check_planes(out, "out", 3);
    const Size grid = size_of(out, "out");
    const FloatWindows rows = check_windows<double>(row_starts, row_weights, size.h, grid.h, out);
    const FloatWindows columns = check_windows<double>(column_starts, column_weights, size.w, grid.w, out);
    auto* o = output<float>(out, "out");
    check_apart(rgb, "rgb", out, "out");
    rgb_on_grid(device, input<std::uint8_t>(rgb), size, rows, columns, o);
}

template <class Device>
void resample_x_(const Device& device, const ArrayRef& planes, const ArrayRef& starts, const ArrayRef& weights,
                 const ArrayRef& out) {
    check_array<float>(planes, "planes", 3);
    check_array<float>(out, "out", 3);
    const Size size = size_of(planes, "planes");
    size_of(out, "out");
    check_planes(out, "out", planes.shape[0]);
    check_axis(out, 1, size.h, "planes");
    const int rows = check_rows(planes.shape[0] * size.h, planes);
    const FloatWindows windows = check_windows<double>(starts, weights, size.w, out.shape[2], out);
    auto* o = output<float>(out, "out");
    check_apart(planes, "planes", out, "out");
    resample_x(device, input<float>(planes), rows, size.w, windows, o);
}

template <class Device>
void resample_y_(const Device& device, const ArrayRef& planes, const ArrayRef& starts, const ArrayRef& weights,
                 const ArrayRef& out) {
    check_array<float>(planes, "planes", 3);
    check_array<float>(out, "out", 3);
    const Size size = size_of(planes, "planes");
    size_of(out, "out");
    check_planes(out, "out", planes.shape[0]);
    check_axis(out, 2, size.w, "planes");
    check_rows(planes.shape[0] * out.shape[1], out);
    const FloatWindows windows = check_windows<double>(starts, weights, size.h, out.shape[1], out);
    auto* o = output<float>(out, "out");
    check_apart(planes, "planes", out, "out");
    resample_y(device, input<float>(planes), static_cast<int>(planes.shape[0]), size, windows, o);
}

template <class Device>
void resample_strip_(const Device& device, const ArrayRef& planes, const ArrayRef& starts, const ArrayRef& weights,
                     std::int64_t first, const ArrayRef& out) {
    check_array<float>(planes, "planes", 3);
    check_array<std::int32_t>(starts, "starts", 1);
    const Size size = size_of(planes, "planes");
    const int length = check_input(out, planes.shape[0]);
    const Size image = check_size(starts.shape[0], size.w, "the image that starts and planes make");
    const FloatWindows windows = check_windows<double>(starts, weights, size.h, image.h, out);
    const std::int64_t from = check_first(first, image);
    auto* o = output<float>(out, "out");
    check_apart(planes, "planes", out, "out");
    resample_strip(device, input<float>(planes), static_cast<int>(planes.shape[0]), size, windows, from, length, o);
}

template <class Device>
void copy_strip_(const Device& device, const ArrayRef& planes, std::int64_t first, const ArrayRef& out) {
    check_array<float>(planes, "planes", 3);
    const Size size = size_of(planes, "planes");
    const int length = check_input(out, planes.shape[0]);
    const std::int64_t from = check_first(first, size);
    auto* o = output<float>(out, "out");
    check_apart(planes, "planes", out, "out");
    copy_strip(device, input<float>(planes), static_cast<int>(planes.shape[0]),
               static_cast<std::int64_t>(size.h) * size.w, from, length, o);
}

template <class Device>
void noise_samples_(const Device& device, const ArrayRef& rgb, const ArrayRef& out) {
    const Size size = check_rgb(rgb, "rgb");
    check_array<std::int32_t>(out, "out", 3);
    if (size.h < 3 || size.w < 3) fail("rgb has shape " + text(rgb.shape) + "; both sides must be at least 3");
    const std::int64_t h = out.shape[0], w = out.shape[1];
    if (out.shape[2] != 3 || h < 1 || h > size.h - 2 || w < 1 || w > size.w - 2) {
        fail("out has shape " + text(out.shape) + "; it must be (m, n, 3), with m in 1.." + std::to_string(size.h - 2) +
             " and n in 1.." + std::to_string(size.w - 2));
    }
    auto* o = output<std::int32_t>(out, "out");
    check_apart(rgb, "rgb", out, "out");
    noise_samples(device, input<std::uint8_t>(rgb), size, Size{static_cast<int>(h), static_cast<int>(w)}, o);
}

template <class Device>
void reduce_noise_(const Device& device, const ArrayRef& rgb, double limit, const ArrayRef& out) {
    const Size size = check_rgb(rgb, "rgb");
    check_same_size(check_rgb(out, "out"), size, "out", "rgb");
    if (!(limit >= 1e-3 && limit <= 1e9)) fail("limit is " + text(limit) + "; it must lie in 1e-3..1e9");
    auto* o = output<std::uint8_t>(out, "out");
    check_apart(rgb, "rgb", out, "out");
    reduce_noise(device, input<std::uint8_t>(rgb), size, static_cast<float>(limit), o);
}

inline void check_scalar(const ArrayRef& array, const char* name) {
    check_array<float>(array, name, 1);
    if (array.shape[0] != 1) fail(std::string(name) + " has shape " + text(array.shape) + "; it must be (1,)");
}

template <class Device>
void mean_(const Device& device, const ArrayRef& values, const ArrayRef& scratch, const ArrayRef& out) {
    check_array<float>(values, "values", 2);
    check_array<double>(scratch, "scratch", 1);
    check_scalar(out, "out");
    const Size size = size_of(values, "values");
    if (scratch.shape[0] != kMeanScratch) {
        fail("scratch has shape " + text(scratch.shape) + "; it must be (" + std::to_string(kMeanScratch) + ",)");
    }
    auto* s = output<double>(scratch, "scratch");
    auto* o = output<float>(out, "out");
    check_apart(values, "values", out, "out");
    check_apart(values, "values", scratch, "scratch");
    check_apart(scratch, "scratch", out, "out");
    mean(device, input<float>(values), static_cast<std::int64_t>(size.h) * size.w, s, o);
}

template <class Device>
void subtract_(const Device& device, const ArrayRef& mean, const ArrayRef& values) {
    check_scalar(mean, "mean");
    check_array<float>(values, "values", 2);
    const Size size = size_of(values, "values");
    auto* v = output<float>(values, "values");
    check_apart(mean, "mean", values, "values");
    subtract(device, input<float>(mean), static_cast<std::int64_t>(size.h) * size.w, v);
}

template <class Device, class Scope, class Bind>
void add_image_ops(Scope& scope, const Bind& bind) {
    using py::arg;
    const auto free_gil = py::call_guard<py::gil_scoped_release>();
    scope.def("hwc_to_chw", bind(&hwc_to_chw_<Device>), arg("rgb"), arg("first"), arg("out"), free_gil);
    scope.def("reduce_rgb", bind(&reduce_rgb_<Device>), arg("rgb"), arg("fx"), arg("fy"), arg("out"), free_gil);
    scope.def("resample_rgb_x", bind(&resample_rgb_x_<Device>), arg("rgb"), arg("starts"), arg("weights"), arg("out"),
              free_gil);
    scope.def("resample_rgb_y", bind(&resample_rgb_y_<Device>), arg("rgb"), arg("starts"), arg("weights"), arg("out"),
              free_gil);
    scope.def("rgb_on_grid", bind(&rgb_on_grid_<Device>), arg("rgb"), arg("row_starts"), arg("row_weights"),
              arg("column_starts"), arg("column_weights"), arg("out"), free_gil);
    scope.def("resample_x", bind(&resample_x_<Device>), arg("planes"), arg("starts"), arg("weights"), arg("out"),
              free_gil);
    scope.def("resample_y", bind(&resample_y_<Device>), arg("planes"), arg("starts"), arg("weights"), arg("out"),
              free_gil);
    scope.def("resample_strip", bind(&resample_strip_<Device>), arg("planes"), arg("starts"), arg("weights"),
              arg("first"), arg("out"), free_gil);
    scope.def("copy_strip", bind(&copy_strip_<Device>), arg("planes"), arg("first"), arg("out"), free_gil);
    scope.def("noise_samples", bind(&noise_samples_<Device>), arg("rgb"), arg("out"), free_gil);
    scope.def("reduce_noise", bind(&reduce_noise_<Device>), arg("rgb"), arg("limit"), arg("out"), free_gil);
    scope.def("mean", bind(&mean_<Device>), arg("values"), arg("scratch"), arg("out"), free_gil);
    scope.def("subtract", bind(&subtract_<Device>), arg("mean"), arg("values"), free_gil);
}

}  // namespace pyiseg::bind
