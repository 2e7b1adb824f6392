// The body of foreground.h: a pyramid of halved images, then from its top down the colors of each level, begun with
// those of the level above. Included by ops_cpu.cpp.

#include <algorithm>

#include "foreground.h"
#include "functors/foreground.inl"
#include "functors/run.h"

namespace pyiseg {
namespace {

constexpr Size halved(Size size) {
    return {(size.h + 1) / 2, (size.w + 1) / 2};
}

constexpr int kMaxLevels = 32;
constexpr int kFinest = 2, kCoarser = 4;  // iterations; more of them gain little where the level above is good

}  // namespace

std::int64_t foreground_scratch(Size size) {
    std::int64_t bytes = 0;
    while (size.h > 1 || size.w > 1) {
        size = halved(size);
        bytes += 10 * static_cast<std::int64_t>(size.h) * size.w;
    }
    return bytes;
}

template <class Device>
void estimate_foreground(const Device& device, const std::uint8_t* rgb, const std::uint8_t* alpha, Size size,
                         std::uint8_t* scratch, std::uint8_t* out) {
    ForegroundLevel levels[kMaxLevels];
    int count = 0;
    for (Size at = size; at.h > 1 || at.w > 1; ++count) {
        at = halved(at);
        const std::int64_t pixels = static_cast<std::int64_t>(at.h) * at.w;
        levels[count] = {at, scratch, scratch + 4 * pixels};
        scratch += 10 * pixels;
        const int columns = runs(at.w, kHalveRun);
        if (count == 0) {
            device.for_each_tile(at.h, columns, HalveImage{rgb, alpha, size, levels[0]});
        } else {
            device.for_each_tile(at.h, columns, HalveLevel{levels[count - 1], levels[count]});
        }
    }
    const auto tiles = [&](Size at, const auto& refine) {
        device.for_each_tile(runs(at.h, kTileRows), runs(at.w, kTileColumns), refine);
    };
    const ForegroundLevel none{{0, 0}, nullptr, nullptr};
    for (int i = count - 1; i >= 0; --i) {
        const ForegroundLevel above = i + 1 < count ? levels[i + 1] : none;
        tiles(levels[i].size, RefineForeground<kCoarser, LevelPixels>{LevelPixels{levels[i]}, above});
    }
    const ForegroundLevel above = count > 0 ? levels[0] : none;
    tiles(size, RefineForeground<kFinest, ImagePixels>{ImagePixels{rgb, alpha, size, out}, above});
}

}  // namespace pyiseg

#define PYISEG_INSTANTIATE_FOREGROUND(Device)                                                                       \
    namespace pyiseg {                                                                                              \
    template void estimate_foreground(const Device&, const std::uint8_t*, const std::uint8_t*, Size, std::uint8_t*, \
                                      std::uint8_t*);                                                               \
    }
