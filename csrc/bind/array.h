// How Python's arrays, numpy's and those of a stream, become an ArrayRef.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <string>
#include <utility>
#include <vector>

#include "../device/array.h"
#include "checks.h"

namespace pyiseg::bind {

namespace py = pybind11;

inline DType dtype_of(const py::dtype& type) {
    if (type.byteorder() == '>') return DType::other;
    switch (type.kind()) {
        case 'f':
            switch (type.itemsize()) {
                case 2:
                    return DType::float16;
                case 4:
                    return DType::float32;
                case 8:
                    return DType::float64;
                default:
                    return DType::other;
            }
        case 'i':
            return type.itemsize() == 4 ? DType::int32 : DType::other;
        case 'u':
            return type.itemsize() == 1 ? DType::uint8 : DType::other;
        default:
            return DType::other;
    }
}

inline ArrayRef ref_of(const py::array& array) {
    ArrayRef ref;
    ref.data = const_cast<void*>(array.data());  // written only where writeable says so
    ref.dtype = dtype_of(array.dtype());
    ref.type_name = py::str(array.dtype());
    ref.shape.assign(array.shape(), array.shape() + array.ndim());
    ref.item_bytes = static_cast<std::size_t>(array.itemsize());
    ref.space = Space::numpy;
    ref.contiguous = array.flags() & py::array::c_style;
    ref.writeable = array.writeable();
    return ref;
}

inline DType check_dtype(const py::dtype& type) {
    const DType known = dtype_of(type);
    if (known == DType::other) {
        fail("dtype is " + std::string(py::str(type)) + "; it must be float32, float16, float64, int32 or uint8");
    }
    return known;
}

// So that counts of elements and bytes cannot wrap: 2^40 bytes are more than any device has.
inline void check_sides(const std::vector<std::int64_t>& shape) {
    std::int64_t count = 1;
    for (const std::int64_t side : shape) {
        if (side < 0 || (side > 0 && count > (std::int64_t{1} << 40) / side)) {
            fail("shape is " + text(shape) + "; sides must be at least 0, and all elements together at most 2^40");
        }
        count *= side == 0 ? 1 : side;
    }
}

inline Array shaped(void* data, DType dtype, std::vector<std::int64_t> shape, Space space,
                    std::shared_ptr<void> owner) {
    Array array;
    array.data = data;
    array.dtype = dtype;
    array.type_name = name_of(dtype);
    array.shape = std::move(shape);
    array.item_bytes = bytes_of(dtype);
    array.space = space;
    array.owner = std::move(owner);
    return array;
}

}  // namespace pyiseg::bind

template <>
struct pybind11::detail::type_caster<pyiseg::ArrayRef> {
    PYBIND11_TYPE_CASTER(pyiseg::ArrayRef, const_name("numpy.ndarray | pyiseg._core.Array"));

    bool load(handle source, bool) {
        if (isinstance<array>(source)) {
            value = pyiseg::bind::ref_of(reinterpret_borrow<array>(source));
            return true;
        }
        if (!isinstance<pyiseg::Array>(source)) return false;
        value = source.cast<const pyiseg::Array&>();
        return true;
    }
};
