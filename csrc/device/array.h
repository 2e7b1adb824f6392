// Arrays as the bindings hand them to the checks: where they lie, of what type and shape. No Python in here.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace pyiseg {

enum class DType { float32, float16, float64, int32, uint8, other };

// Who may touch the memory: numpy's own, that of a CUDA device.
enum class Space { numpy, cuda };

// What an op is given. It keeps nothing alive; whoever called does.
struct ArrayRef {
    void* data = nullptr;
    DType dtype = DType::other;
    std::string type_name;
    std::vector<std::int64_t> shape;
    std::size_t item_bytes = 0;
    Space space = Space::numpy;
    bool contiguous = true, writeable = true;

    std::size_t bytes() const {
        std::size_t n = item_bytes;
        for (const std::int64_t side : shape) n *= static_cast<std::size_t>(side);
        return n;
    }
};

// Memory of a stream's device, C-contiguous. Views share the owner, which frees it.
struct Array : ArrayRef {
    std::shared_ptr<void> owner;
    int device = 0;  // which of the CUDA devices
};

inline const char* name_of(DType type) {
    switch (type) {
        case DType::float32:
            return "float32";
        case DType::float16:
            return "float16";
        case DType::float64:
            return "float64";
        case DType::int32:
            return "int32";
        case DType::uint8:
            return "uint8";
        case DType::other:
            break;
    }
    return "other";
}

inline std::size_t bytes_of(DType type) {
    switch (type) {
        case DType::float64:
            return 8;
        case DType::float32:
        case DType::int32:
            return 4;
        case DType::float16:
            return 2;
        case DType::uint8:
            return 1;
        case DType::other:
            break;
    }
    return 0;
}

inline const char* name_of(Space space) {
    return space == Space::numpy ? "a numpy array" : "an array of a CUDA device";
}

}  // namespace pyiseg
