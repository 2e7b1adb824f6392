// What Python hands over is checked here, once; ops.h relies on it. A failed check raises ValueError with the value.
// None of this needs Python: the bindings have released the GIL.
#pragma once

#include <pybind11/pybind11.h>

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <string>
#include <type_traits>
#include <vector>

#include "../device/array.h"
#include "../ops/ops.h"

namespace pyiseg::bind {

namespace py = pybind11;

[[noreturn]] inline void fail(const std::string& message) {
    throw py::value_error(message);
}

inline std::string text(double value) {
    char digits[32];
    std::snprintf(digits, sizeof digits, "%.9g", value);
    return digits;
}

// As Python writes a tuple.
inline std::string text(const std::vector<std::int64_t>& shape) {
    std::string out = "(";
    for (std::size_t i = 0; i < shape.size(); ++i) out += (i ? ", " : "") + std::to_string(shape[i]);
    return out + (shape.size() == 1 ? ",)" : ")");
}

template <class T>
constexpr DType dtype_of_type() {
    if constexpr (std::is_same_v<T, float>) return DType::float32;
    if constexpr (std::is_same_v<T, Half>) return DType::float16;
    if constexpr (std::is_same_v<T, double>) return DType::float64;
    if constexpr (std::is_same_v<T, std::int32_t>) return DType::int32;
    if constexpr (std::is_same_v<T, unsigned char>) return DType::uint8;
    return DType::other;
}

// Fails unless array is C-contiguous and aligned, with elements of type T and `dimensions` axes.
template <class T>
void check_array(const ArrayRef& array, const char* name, int dimensions) {
    constexpr DType wanted = dtype_of_type<T>();
    static_assert(wanted != DType::other);
    if (array.dtype != wanted) {
        fail(std::string(name) + " has dtype " + array.type_name + "; it must be " + name_of(wanted));
    }
    if (static_cast<int>(array.shape.size()) != dimensions) {
        fail(std::string(name) + " has shape " + text(array.shape) + "; it must have " + std::to_string(dimensions) +
             " axes");
    }
    if (!array.contiguous) {
        fail(std::string(name) + " with shape " + text(array.shape) +
             " is not C-contiguous; pass numpy.ascontiguousarray of it");
    }
    if (reinterpret_cast<std::uintptr_t>(array.data) % alignof(T) != 0 && array.bytes() > 0) {
        fail(std::string(name) + " with shape " + text(array.shape) + " begins at an address that is no multiple of " +
             std::to_string(alignof(T)) + " bytes; pass a copy of it");
    }
}

template <class T>
const T* input(const ArrayRef& array) {
    return static_cast<const T*>(array.data);
}

template <class T>
T* output(const ArrayRef& array, const char* name) {
    if (!array.writeable) fail(std::string(name) + " is read-only; an op writes into it");
    return static_cast<T*>(array.data);
}

inline Size check_size(std::int64_t h, std::int64_t w, const char* name) {
    const std::string shape = "(" + std::to_string(h) + ", " + std::to_string(w) + ")";
    if (h < 1 || w < 1) fail(std::string(name) + " has size " + shape + "; both sides must be at least 1");
    constexpr std::int64_t longest = 1 << 22;  // math/bilinear.h is exact up to here
    if (h > longest || w > longest || h > std::numeric_limits<std::int32_t>::max() / w) {
        fail(std::string(name) + " has size " + shape + "; no side may exceed 4194304 and no area 2147483647");
    }
    return {static_cast<int>(h), static_cast<int>(w)};
}

// The size (h, w) of the last two axes.
inline Size size_of(const ArrayRef& array, const char* name) {
    const std::size_t n = array.shape.size();
    return check_size(array.shape[n - 2], array.shape[n - 1], name);
}

inline void check_same_size(Size size, Size expected, const char* name, const char* other) {
    if (size.h == expected.h && size.w == expected.w) return;
    fail(std::string(name) + " has size (" + std::to_string(size.h) + ", " + std::to_string(size.w) + ") but " + other +
         " has (" + std::to_string(expected.h) + ", " + std::to_string(expected.w) + ")");
}

inline void check_planes(const ArrayRef& array, const char* name, std::int64_t planes) {
    if (array.shape[0] == planes) return;
    fail(std::string(name) + " has shape " + text(array.shape) + "; its first axis must be " + std::to_string(planes));
}

inline void check_apart(const ArrayRef& a, const char* a_name, const ArrayRef& b, const char* b_name) {
    const auto* a_first = static_cast<const char*>(a.data);
    const auto* b_first = static_cast<const char*>(b.data);
    if (a_first < b_first + b.bytes() && b_first < a_first + a.bytes()) {
        fail(std::string(a_name) + " and " + b_name + " share memory; an op needs them apart");
    }
}

struct Named {
    const ArrayRef* array;
    const char* name;
};
using Inputs = std::vector<Named>;

// Fails unless `array` is `planes` planes of a size, writeable, and apart from all inputs. Returns its memory.
inline float* check_output_planes(const ArrayRef& array, const char* name, std::int64_t planes, Size size,
                                  const char* sized_as, const Inputs& inputs) {
    check_array<float>(array, name, 3);
    check_planes(array, name, planes);
    check_same_size(size_of(array, name), size, name, sized_as);
    auto* out = output<float>(array, name);
    for (const auto& [other, other_name] : inputs) check_apart(*other, other_name, array, name);
    return out;
}

// Bytes of an image (h, w, 3).
inline Size check_rgb(const ArrayRef& rgb, const char* name) {
    check_array<unsigned char>(rgb, name, 3);
    if (rgb.shape[2] != 3) fail(std::string(name) + " has shape " + text(rgb.shape) + "; it must be (h, w, 3)");
    return check_size(rgb.shape[0], rgb.shape[1], name);
}

// The rows of numpy arrays are looked at. Those of a stream's arrays cannot be: ClickFeed checked what went in there.
inline Clicks check_clicks(const ArrayRef& clicks, Size size, const std::string& name = "clicks") {
    check_array<std::int32_t>(clicks, name.c_str(), 2);
    if (clicks.shape[1] != 3) {
        fail(name + " has shape " + text(clicks.shape) + "; it must be (N, 3), rows of x, y, label");
    }
    const auto* data = input<Click>(clicks);
    const Clicks all{data, static_cast<int>(clicks.shape[0])};
    if (clicks.space != Space::numpy) return all;
    for (int i = 0; i < all.count; ++i) {
        const Click c = data[i];
        const std::string row = name + "[" + std::to_string(i) + "] is (" + std::to_string(c.x) + ", " +
                                std::to_string(c.y) + ", " + std::to_string(c.label) + ")";
        if (c.x < 0 || c.x >= size.w || c.y < 0 || c.y >= size.h) {
            fail(row + "; x must lie in 0.." + std::to_string(size.w - 1) + " and y in 0.." +
                 std::to_string(size.h - 1));
        }
        if (c.label != 0 && c.label != 1) fail(row + "; label must be 1 (foreground) or 0 (background)");
    }
    return all;
}

inline void check_same_count(const Clicks& image_clicks, const Clicks& clicks) {
    if (image_clicks.count == clicks.count) return;
    fail("image_clicks has " + std::to_string(image_clicks.count) + " rows but clicks has " +
         std::to_string(clicks.count));
}

inline Sigmas check_sigmas(const std::vector<double>& sigmas) {
    if (sigmas.empty() || sigmas.size() > kMaxSigmas) {
        fail("sigmas has " + std::to_string(sigmas.size()) + " values; it must have 1.." + std::to_string(kMaxSigmas));
    }
    Sigmas out{static_cast<int>(sigmas.size()), {}};
    for (std::size_t i = 0; i < sigmas.size(); ++i) {
        if (!(sigmas[i] >= 1e-3 && sigmas[i] <= 1e6)) {  // written so that NaN fails
            fail("sigmas[" + std::to_string(i) + "] is " + text(sigmas[i]) + "; it must lie in 0.001..1000000 pixels");
        }
        out.exponent[i] = static_cast<float>(-1.0 / (2.0 * sigmas[i] * sigmas[i]));
    }
    return out;
}

inline int check_radius(int radius) {
    if (radius < 0 || radius > 64) fail("radius is " + std::to_string(radius) + "; it must lie in 0..64");
    return radius;
}

inline float check_eps(double eps) {
    if (!(eps >= 1e-12 && eps <= 1e12)) fail("eps is " + text(eps) + "; it must lie in 1e-12..1e12");
    return static_cast<float>(eps);
}

// Where the colors go together the inverse grows with 1 / eps, and so do the roundings that it multiplies.
inline float check_color_eps(double eps) {
    if (!(eps >= 1e-6 && eps <= 1e12)) fail("eps is " + text(eps) + "; it must lie in 1e-6..1e12");
    return static_cast<float>(eps);
}

inline int check_margin(std::int64_t margin, Size size) {
    if (margin < 0) fail("margin is " + std::to_string(margin) + "; it must not be negative");
    const std::int64_t longest = size.h > size.w ? size.h : size.w;
    return static_cast<int>(margin < longest ? margin : longest);
}

inline int check_threads(long long n, const std::string& name) {
    if (n < 1 || n > 256) fail(name + " is " + std::to_string(n) + "; it must lie in 1..256");
    return static_cast<int>(n);
}

}  // namespace pyiseg::bind
