// pyiseg._core.Array: memory of a stream's device as Python sees it, shared with other libraries without a copy.
#include "array.h"

#include <pybind11/stl.h>

#include <utility>

#include "checks.h"
#include "dlpack.h"

namespace pyiseg::bind {
namespace {

// An array over the first elements, from an offset on; it shares the memory.
Array view(const Array& array, std::vector<std::int64_t> shape, std::int64_t offset) {
    Array part = array;
    part.shape = std::move(shape);
    check_sides(part.shape);
    const std::size_t skipped = static_cast<std::size_t>(offset);  // in elements: bytes could wrap
    if (offset < 0 || part.bytes() > array.bytes() || skipped > (array.bytes() - part.bytes()) / array.item_bytes) {
        fail("a view of shape " + text(part.shape) + " from element " + std::to_string(offset) +
             " on does not lie in an array of shape " + text(array.shape));
    }
    part.data = static_cast<char*>(part.data) + skipped * array.item_bytes;
    return part;
}

Array reshape(const Array& array, std::vector<std::int64_t> shape) {
    Array other = view(array, std::move(shape), 0);
    if (other.bytes() != array.bytes()) {
        fail("an array of shape " + text(array.shape) + " cannot be given the shape " + text(other.shape));
    }
    return other;
}

// The sub-array at an index along the first axes.
Array at(const Array& array, const std::vector<std::int64_t>& index) {
    std::int64_t offset = 0;
    for (std::size_t axis = 0; axis < index.size(); ++axis) {
        if (axis >= array.shape.size() || index[axis] < 0 || index[axis] >= array.shape[axis]) {
            throw py::index_error("index is " + text(index) + "; the array has shape " + text(array.shape));
        }
        offset = offset * array.shape[axis] + index[axis];
    }
    std::vector<std::int64_t> rest(array.shape.begin() + static_cast<std::ptrdiff_t>(index.size()), array.shape.end());
    for (const std::int64_t side : rest) offset *= side;
    return view(array, std::move(rest), offset);
}

// An array over memory that something else owns; owner lives as long as the array and its views.
Array borrow(std::uintptr_t address, std::vector<std::int64_t> shape, const py::object& dtype, py::object owner) {
    check_sides(shape);
    const std::shared_ptr<void> held(new py::object(std::move(owner)), [](void* p) {
        py::gil_scoped_acquire acquire;
        delete static_cast<py::object*>(p);
    });
    return shaped(reinterpret_cast<void*>(address), check_dtype(py::dtype::from_args(dtype)), std::move(shape),
                  Space::cuda, held);
}

// What travels with an exported tensor.
struct Exported {
    dlpack::ManagedTensor managed;
    std::vector<std::int64_t> shape;
    std::shared_ptr<void> owner;
};

dlpack::DataType type_of(DType dtype) {
    const auto bits = static_cast<std::uint8_t>(8 * bytes_of(dtype));
    switch (dtype) {
        case DType::int32:
            return {dlpack::kInt, bits, 1};
        case DType::uint8:
            return {dlpack::kUInt, bits, 1};
        default:
            return {dlpack::kFloat, bits, 1};
    }
}

dlpack::Device device_of(const Array& array) {
    return {dlpack::kCuda, array.device};
}

// The keywords are those of the array API standard, 2023.12. An older tensor than max_version allows is always welcome;
// whoever gets one has waited, for what is handed out is complete.
py::capsule to_dlpack(const Array& array, const py::object& /* stream */, const py::object& /* max_version */,
                      const py::object& dl_device, const py::object& copy) {
    const auto refuse = [](const char* message) {
        PyErr_SetString(PyExc_BufferError, message);
        throw py::error_already_set();
    };
    if (!copy.is_none() && py::cast<bool>(copy)) refuse("this array is shared as it is; copy what you get of it");
    const auto place = py::make_tuple(device_of(array).type, device_of(array).id);
    if (!dl_device.is_none() && !place.equal(dl_device))
        refuse("this array is shared where it lies; move it afterwards");
    auto* out = new Exported{{}, array.shape, array.owner};
    out->managed.tensor = {array.data,
                           device_of(array),
                           static_cast<std::int32_t>(array.shape.size()),
                           type_of(array.dtype),
                           out->shape.data(),
                           nullptr,
                           0};
    out->managed.context = out;
    out->managed.deleter = [](dlpack::ManagedTensor* m) { delete static_cast<Exported*>(m->context); };
    // Whoever takes the tensor renames the capsule and calls the deleter; otherwise it is done here.
    return py::capsule(&out->managed, "dltensor", [](PyObject* capsule) {
        if (!PyCapsule_IsValid(capsule, "dltensor")) return;
        auto* m = static_cast<dlpack::ManagedTensor*>(PyCapsule_GetPointer(capsule, "dltensor"));
        m->deleter(m);
    });
}

Array from_dlpack(const py::capsule& capsule) {
    if (!PyCapsule_IsValid(capsule.ptr(), "dltensor")) fail("the capsule is no unused DLPack tensor");
    auto* managed = static_cast<dlpack::ManagedTensor*>(PyCapsule_GetPointer(capsule.ptr(), "dltensor"));
    const dlpack::Tensor& t = managed->tensor;
    DType dtype = DType::other;
    for (const DType known : {DType::float32, DType::float16, DType::float64, DType::int32, DType::uint8}) {
        const dlpack::DataType type = type_of(known);
        if (type.code == t.dtype.code && type.bits == t.dtype.bits && t.dtype.lanes == 1) dtype = known;
    }
    if (dtype == DType::other) fail("the DLPack tensor's dtype is none of float32, float16, float64, int32, uint8");
    if (t.ndim < 0) fail("the DLPack tensor has " + std::to_string(t.ndim) + " axes");
    const std::vector<std::int64_t> shape(t.shape, t.shape + t.ndim);
    check_sides(shape);
    std::int64_t step = 1;
    for (int axis = t.ndim - 1; axis >= 0; --axis) {
        if (t.strides && shape[axis] > 1 && t.strides[axis] != step) {
            fail("the DLPack tensor of shape " + text(shape) + " is not C-contiguous; make it so first");
        }
        step *= shape[axis];
    }
    const bool on_cuda = t.device.type == dlpack::kCuda || t.device.type == dlpack::kCudaManaged;
    if (!on_cuda) {
        fail("the DLPack tensor lies on a device of type " + std::to_string(t.device.type) + "; it must be CUDA (2)");
    }
    PyCapsule_SetName(capsule.ptr(), "used_dltensor");
    const std::shared_ptr<void> owner(managed, [](void* p) {
        py::gil_scoped_acquire acquire;  // the producer's deleter may drop Python objects
        auto* m = static_cast<dlpack::ManagedTensor*>(p);
        if (m->deleter) m->deleter(m);
    });
    Array array = shaped(static_cast<char*>(t.data) + t.byte_offset, dtype, shape, Space::cuda, owner);
    array.device = t.device.id;
    return array;
}

py::dict cuda_array_interface(const Array& array) {
    py::dict out;
    out["shape"] = py::tuple(py::cast(array.shape));
    out["typestr"] = py::dtype(name_of(array.dtype)).attr("str");
    out["data"] = py::make_tuple(reinterpret_cast<std::uintptr_t>(array.data), !array.writeable);
    out["strides"] = py::none();
    out["stream"] = py::none();  // what is handed out is complete
    out["version"] = 3;
    return out;
}

}  // namespace

void add_array(py::module_& core) {
    using py::arg;
    py::class_<Array>(core, "Array")
        .def_property_readonly("ptr", [](const Array& a) { return reinterpret_cast<std::uintptr_t>(a.data); })
        .def_property_readonly("shape", [](const Array& a) { return py::tuple(py::cast(a.shape)); })
        .def_property_readonly("dtype", [](const Array& a) { return py::dtype(name_of(a.dtype)); })
        .def_property_readonly("nbytes", &Array::bytes)
        .def("view", view, arg("shape"), arg("offset") = 0)
        .def("reshape", reshape, arg("shape"))
        .def("__getitem__", at, arg("index"))
        .def(
            "__getitem__", [](const Array& a, std::int64_t i) { return at(a, {i}); }, arg("index"))
        .def("__dlpack__", to_dlpack, py::kw_only(), arg("stream") = py::none(), arg("max_version") = py::none(),
             arg("dl_device") = py::none(), arg("copy") = py::none())
        .def("__dlpack_device__", [](const Array& a) { return py::make_tuple(device_of(a).type, device_of(a).id); })
        .def_property_readonly("__cuda_array_interface__", cuda_array_interface);
    core.def("borrow", borrow, arg("address"), arg("shape"), arg("dtype"), arg("owner"));
    core.def("from_dlpack", from_dlpack, arg("capsule"));
}

}  // namespace pyiseg::bind
