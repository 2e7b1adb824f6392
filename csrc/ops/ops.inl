// The body of every op. Included by ops_cpu.cpp and ops_cuda.cu, after they have said what for_each means.
// The functors over (row, run of Device::kRun pixels) stand in ops/*.inl. Loops over a run have constant length where
// they can, so that compilers turn them into vector instructions.

#include <type_traits>

#include "functors/apply.inl"
#include "functors/clicks.inl"
#include "functors/guided.inl"
#include "functors/regions.inl"
#include "functors/run.h"

namespace pyiseg {
namespace {

// f with a radius that it may rely on: on CUDA those of the models that there are, elsewhere 0, which stands for any.
template <class Device, class F>
void with_radius(int radius, const F& f) {
    if constexpr (Device::kWindowsInRegisters) {
        if (radius == 1) return f(std::integral_constant<int, 1>{});
        if (radius == 2) return f(std::integral_constant<int, 2>{});
    }
    f(std::integral_constant<int, 0>{});
}

}  // namespace

template <class Device, class T>
void click_maps(const Device& device, Clicks clicks, const Sigmas& sigmas, Size size, T* out) {
    constexpr int run = Device::kRun;
    device.for_each(2 * size.h, runs(size.w, run), ClickMaps<run, T>{clicks, sigmas, size, out});
}

template <class Device>
void force_clicks(const Device& device, Clicks clicks, Size size, float* alpha) {
    device.for_each(1, clicks.count, ForceClicks{clicks, size, alpha});
}

template <class Device>
void pin_clicks(const Device& device, const float* guide, Clicks clicks, Size size, float* coefficients) {
    device.for_each(1, clicks.count, PinClicks{guide, clicks, size, coefficients});
}

template <class Device, class T>
void keep_clicked_components(const Device& device, const float* alpha, Clicks clicks, int margin, Size size,
                             std::int32_t* labels, T* out) {
    constexpr int run = Device::kRun;
    const int columns = runs(size.w, run), row_columns = row_runs<Device>(size.w);
    device.for_each(size.h, columns, StartRegions<run>{alpha, size, labels});
    device.for_each(size.h, columns, JoinRegions<run>{size, labels});
    device.for_each(1, clicks.count, MarkClickedRegions{clicks, size, labels});
    device.for_each(size.h, columns, ResolveRegions<run>{size, labels});
    if constexpr (std::is_same_v<T, float>) {
        if (margin > 0) {  // out serves as scratch until the last step
            device.for_each(size.h, row_columns, NearInRow<run>{labels, margin, size, out});
            device.for_each(size.h, row_columns, NearInColumn<run>{out, margin, size, labels});
        }
    }
    device.for_each(size.h, row_columns, KeepRegions<run, T>{alpha, labels, size, out});
}

template <class Device>
void zero_coefficients(const Device& device, const float* alpha, const float* kept, Size size, float* coefficients) {
    constexpr int run = Device::kRun;
    device.for_each(size.h, row_runs<Device>(size.w), ZeroCoefficients<run>{alpha, kept, size, coefficients});
}

template <class Device>
void guided_filter_coefficients(const Device& device, const float* guide, const float* p, int radius, float eps,
                                bool residual, Size size, float* scratch, float* coefficients) {
    constexpr int run = Device::kRun;
    const int columns = row_runs<Device>(size.w);
    with_radius<Device>(radius, [&](auto held) {
        device.for_each(size.h, columns, FitCoefficients<run, held.value>{guide, p, radius, eps, size, scratch});
        if (residual) {
            device.for_each(size.h, columns,
                            ResidualCoefficients<run, 1, held.value>{guide, p, scratch, radius, size, coefficients});
        } else {
            device.for_each(2 * size.h, columns, BoxMean<run, held.value>{scratch, radius, size, coefficients});
        }
    });
}

template <class Device>
void color_guide_statistics(const Device& device, const float* image, int radius, float eps, Size size,
                            float* statistics) {
    constexpr int run = Device::kRun;
    device.for_each(size.h, row_runs<Device>(size.w), ColorStatistics<run>{image, radius, eps, size, statistics});
}

template <class Device>
void color_guided_filter_coefficients(const Device& device, const float* image, const float* statistics, const float* p,
                                      int radius, Size size, float* scratch, float* coefficients) {
    constexpr int run = Device::kRun;
    const int columns = row_runs<Device>(size.w);
    with_radius<Device>(radius, [&](auto held) {
        device.for_each(size.h, columns, FitColorSlopes<run, held.value>{image, statistics, p, radius, size, scratch});
        device.for_each(size.h, columns,
                        ResidualCoefficients<run, 3, held.value>{image, p, scratch, radius, size, coefficients});
    });
}

template <class Device, class Guide>
void pin_image_clicks(const Device& device, Guide guide, Size image, Clicks image_clicks, Clicks clicks, Size grid,
                      float* flags, float* coefficients) {
    device.for_each(1, clicks.count,
                    FlagDisobeyedClicks<Guide>{guide, image, image_clicks, clicks, grid, coefficients, flags});
    device.for_each(1, clicks.count, PinFlaggedClicks{clicks, grid, Guide::kSlopes, flags, coefficients});
}

template <class Device, class Guide, class T>
void apply_coefficients(const Device& device, const float* coefficients, Size grid, Guide guide, Size image, T* out) {
    // Grid columns are far apart here, and longer runs cut fewer of them. 16 pixels of RGB are three words of 16 bytes.
    constexpr int run = (Guide::kSlopes == 3 ? 4 : 2) * Device::kRun;
    device.for_each(image.h, row_runs<Device>(image.w, run),
                    ApplyCoefficients<run, T, Guide>{coefficients, grid, guide, image, out});
}

}  // namespace pyiseg

#define PYISEG_INSTANTIATE_OPS(Device)                                                                                 \
    namespace pyiseg {                                                                                                 \
    template void click_maps(const Device&, Clicks, const Sigmas&, Size, float*);                                      \
    template void click_maps(const Device&, Clicks, const Sigmas&, Size, Half*);                                       \
    template void force_clicks(const Device&, Clicks, Size, float*);                                                   \
    template void pin_clicks(const Device&, const float*, Clicks, Size, float*);                                       \
    template void pin_image_clicks(const Device&, LearnedGuide, Size, Clicks, Clicks, Size, float*, float*);           \
    template void pin_image_clicks(const Device&, ColorGuide, Size, Clicks, Clicks, Size, float*, float*);             \
    template void keep_clicked_components(const Device&, const float*, Clicks, int, Size, std::int32_t*, float*);      \
    template void keep_clicked_components(const Device&, const float*, Clicks, int, Size, std::int32_t*, Half*);       \
    template void zero_coefficients(const Device&, const float*, const float*, Size, float*);                          \
    template void guided_filter_coefficients(const Device&, const float*, const float*, int, float, bool, Size,        \
                                             float*, float*);                                                          \
    template void color_guide_statistics(const Device&, const float*, int, float, Size, float*);                       \
    template void color_guided_filter_coefficients(const Device&, const float*, const float*, const float*, int, Size, \
                                                   float*, float*);                                                    \
    template void apply_coefficients(const Device&, const float*, Size, LearnedGuide, Size, float*);                   \
    template void apply_coefficients(const Device&, const float*, Size, LearnedGuide, Size, unsigned char*);           \
    template void apply_coefficients(const Device&, const float*, Size, ColorGuide, Size, float*);                     \
    template void apply_coefficients(const Device&, const float*, Size, ColorGuide, Size, unsigned char*);             \
    }
