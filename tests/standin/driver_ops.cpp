// The driver's ops: each on random inputs, CUDA against the CPU.
#include <algorithm>

#include "driver.h"
#include "settings.h"

namespace pyiseg::driver {
namespace {

std::size_t pixels(Size size) {
    return static_cast<std::size_t>(size.h) * static_cast<std::size_t>(size.w);
}

// Windows of any places and lengths along an axis of so many pixels.
template <class Weight>
struct AnyWindows {
    Input<std::int32_t> starts;
    Input<Weight> weights;
    int taps, size;

    template <class Device>
    Windows<Weight> on(const Device& device) const {
        return {starts.on(device), weights.on(device), taps, size};
    }
};

template <class Weight>
AnyWindows<Weight> any_windows(Bench& bench, Random& random, int side, Weight one) {
    const int size = random.between(1, 70), taps = random.between(1, std::min(side, 9));
    std::vector<std::int32_t> starts(static_cast<std::size_t>(size));
    for (std::int32_t& start : starts) start = random.between(0, side - taps);
    const std::size_t count = static_cast<std::size_t>(taps) * starts.size();
    return {bench.input(std::move(starts)), bench.input(std::vector<Weight>(count, one / static_cast<Weight>(taps))),
            taps, size};
}

void components(Bench& bench, Random& random, Size size, const Input<Click>& clicks) {
    const int count = static_cast<int>(clicks.values().size());
    for (int kind = 0; kind < kAlphaKinds; ++kind) {
        const auto alpha = bench.input(alpha_of(random, size, kind));
        for (const int margin : {0, random.between(1, 6)}) {
            auto labels = bench.scratch<std::int32_t>(pixels(size));
            const auto kept = bench.run(
                "keep_clicked_components", size, std::vector<float>(pixels(size)), [&](const auto& device, float* out) {
                    keep_clicked_components(device, alpha.on(device), {clicks.on(device), count}, margin, size,
                                            labels.on(device), out);
                });
            const auto there = bench.input(kept);
            bench.run("zero_coefficients", size, random.floats(2 * pixels(size), -1),
                      [&](const auto& device, float* out) {
                          zero_coefficients(device, alpha.on(device), there.on(device), size, out);
                      });
        }
        auto labels = bench.scratch<std::int32_t>(pixels(size));
        bench.run("keep_clicked_components, FP16", size, std::vector<Half>(pixels(size)),
                  [&](const auto& device, Half* out) {
                      keep_clicked_components(device, alpha.on(device), {clicks.on(device), count}, 0, size,
                                              labels.on(device), out);
                  });
    }
}

// Coefficients rendered on an image of any size, through a guide of either kind.
template <class Guide, class Values>
void rendered(Bench& bench, Random& random, Size grid, const std::vector<float>& coefficients, Size image,
              const Values& values) {
    const std::size_t count = pixels(image);
    const auto there = bench.input(coefficients);
    bench.run("apply_coefficients", image, std::vector<float>(count), [&](const auto& device, float* out) {
        apply_coefficients(device, there.on(device), grid, Guide{values.on(device)}, image, out);
    });
    bench.run("apply_coefficients, bytes", image, std::vector<unsigned char>(count),
              [&](const auto& device, unsigned char* out) {
                  apply_coefficients(device, there.on(device), grid, Guide{values.on(device)}, image, out);
              });
    const int clicked = random.between(1, 9);
    std::vector<Click> on_image = random.clicks(image, clicked), on_grid = on_image;
    for (Click& click : on_grid) click = {click.x * grid.w / image.w, click.y * grid.h / image.h, click.label};
    const auto clicks = bench.input(on_grid), image_clicks = bench.input(on_image);
    auto flags = bench.scratch<float>(pixels(grid));
    bench.run("pin_image_clicks", image, coefficients, [&](const auto& device, float* out) {
        pin_image_clicks(device, Guide{values.on(device)}, image, {image_clicks.on(device), clicked},
                         {clicks.on(device), clicked}, grid, flags.on(device), out);
    });
}

}  // namespace

std::vector<float> alpha_of(Random& random, Size size, int kind) {
    std::vector<float> alpha(pixels(size));
    for (int y = 0; y < size.h; ++y) {
        for (int x = 0; x < size.w; ++x) {
            const int edge = std::min(std::min(x, y), std::min(size.w - 1 - x, size.h - 1 - y));
            bool inside = true;
            switch (kind) {
                case 0:
                    inside = random.between(0, 999) < 590;
                    break;
                case 1:
                    inside = random.between(0, 999) < 500;
                    break;
                case 2:
                    inside = (x / 3 + y / 2) % 5 < 3;
                    break;
                case 3:
                    inside = y % 4 == 0 || x == ((y / 4) % 2 ? 0 : size.w - 1);
                    break;
                case 4:
                    break;
                case 5:
                    inside = (x + y) % 2 == 1;
                    break;
                default:
                    inside = edge % 2 == 0;
            }
            alpha[static_cast<std::size_t>(y) * static_cast<std::size_t>(size.w) + static_cast<std::size_t>(x)] =
                inside ? 0.6f + 0.4f * static_cast<float>(random.between(0, 9)) / 9.0f : 0.2f;
        }
    }
    return alpha;
}

void click_ops(Bench& bench, Random& random, Size size) {
    const int count = random.between(1, 9);
    const auto clicks = bench.input(random.clicks(size, count));
    const Sigmas sigmas{3, {-0.5f, -0.02f, -0.001f}};
    bench.run("click_maps", size, std::vector<float>(6 * pixels(size)), [&](const auto& device, float* out) {
        click_maps(device, {clicks.on(device), count}, sigmas, size, out);
    });
    bench.run("click_maps, FP16", size, std::vector<Half>(6 * pixels(size)), [&](const auto& device, Half* out) {
        click_maps(device, {clicks.on(device), count}, sigmas, size, out);
    });
    bench.run("force_clicks", size, random.floats(pixels(size)),
              [&](const auto& device, float* out) { force_clicks(device, {clicks.on(device), count}, size, out); });
    components(bench, random, size, clicks);
}

void filter_ops(Bench& bench, Random& random, Size size) {
    const std::size_t n = pixels(size);
    const auto guide = bench.input(random.floats(n, -0.5f, 0.5f)), p = bench.input(random.floats(n));
    const auto color = bench.input(random.floats(3 * n));
    const int count = random.between(1, 9);
    const auto clicks = bench.input(random.clicks(size, count));
    for (const int radius : {0, 1, 2, random.between(3, 8)}) {
        const Size image{random.between(1, 90), random.between(1, 140)};
        auto scratch = bench.scratch<float>(3 * n);
        for (const bool residual : {false, true}) {
            const auto found = bench.run("guided_filter_coefficients", size, std::vector<float>(2 * n),
                                         [&](const auto& device, float* out) {
                                             guided_filter_coefficients(device, guide.on(device), p.on(device), radius,
                                                                        1e-4f, residual, size, scratch.on(device), out);
                                         });
            const auto pinned = bench.run("pin_clicks", size, found, [&](const auto& device, float* out) {
                pin_clicks(device, guide.on(device), {clicks.on(device), count}, size, out);
            });
            rendered<LearnedGuide>(bench, random, size, pinned, image,
                                   bench.input(random.floats(pixels(image), -0.5f, 0.5f)));
        }
        const auto statistics = bench.input(
            bench.run("color_guide_statistics", size, std::vector<float>(6 * n), [&](const auto& device, float* out) {
                color_guide_statistics(device, color.on(device), radius, 3e-4f, size, out);
            }));
        const auto found = bench.run(
            "color_guided_filter_coefficients", size, std::vector<float>(4 * n), [&](const auto& device, float* out) {
                color_guided_filter_coefficients(device, color.on(device), statistics.on(device), p.on(device), radius,
                                                 size, scratch.on(device), out);
            });
        rendered<ColorGuide>(bench, random, size, found, image, bench.input(random.bytes(3 * pixels(image))));
    }
}

void image_ops(Bench& bench, Random& random, Size size) {
    const std::size_t n = pixels(size), w = static_cast<std::size_t>(size.w), h = static_cast<std::size_t>(size.h);
    const auto rgb = bench.input(random.bytes(3 * n));
    const auto planes = bench.input(random.floats(2 * n));
    const auto whole = static_cast<std::int64_t>(n);
    const std::int64_t first = random.between(0, static_cast<int>(n) - 1);
    const int length = random.between(1, 3000);
    const std::size_t strip = static_cast<std::size_t>(length);
    bench.run("hwc_to_chw", size, std::vector<float>(3 * strip),
              [&](const auto& device, float* out) { hwc_to_chw(device, rgb.on(device), whole, first, length, out); });
    bench.run("copy_strip", size, std::vector<float>(2 * strip), [&](const auto& device, float* out) {
        copy_strip(device, planes.on(device), 2, whole, first, length, out);
    });
    const int fx = random.between(1, 7), fy = random.between(1, 7);
    const auto reduced =
        static_cast<std::size_t>((size.h + fy - 1) / fy) * static_cast<std::size_t>((size.w + fx - 1) / fx);
    bench.run("reduce_rgb", size, std::vector<std::uint8_t>(3 * reduced),
              [&](const auto& device, std::uint8_t* out) { reduce_rgb(device, rgb.on(device), size, fx, fy, out); });
    if (size.h > 2 && size.w > 2) {
        const Size lattice{random.between(1, size.h - 2), random.between(1, size.w - 2)};
        bench.run(
            "noise_samples", size, std::vector<std::int32_t>(3 * pixels(lattice)),
            [&](const auto& device, std::int32_t* out) { noise_samples(device, rgb.on(device), size, lattice, out); });
    }
    const float limit = 500.0f * static_cast<float>(random.between(1, 100));
    bench.run("reduce_noise", size, std::vector<std::uint8_t>(3 * n),
              [&](const auto& device, std::uint8_t* out) { reduce_noise(device, rgb.on(device), size, limit, out); });
    constexpr std::int32_t one = 1 << 22;
    const auto fixed_x = any_windows(bench, random, size.w, one), fixed_y = any_windows(bench, random, size.h, one);
    const auto float_x = any_windows(bench, random, size.w, 1.0), float_y = any_windows(bench, random, size.h, 1.0);
    bench.run("resample_rgb_x", size, std::vector<std::uint8_t>(3 * h * static_cast<std::size_t>(fixed_x.size)),
              [&](const auto& device, std::uint8_t* out) {
                  resample_rgb_x(device, rgb.on(device), size, fixed_x.on(device), out);
              });
    bench.run("resample_rgb_y", size, std::vector<std::uint8_t>(3 * w * static_cast<std::size_t>(fixed_y.size)),
              [&](const auto& device, std::uint8_t* out) {
                  resample_rgb_y(device, rgb.on(device), size, fixed_y.on(device), out);
              });
    const std::size_t grid = static_cast<std::size_t>(float_y.size) * static_cast<std::size_t>(float_x.size);
    bench.run("rgb_on_grid", size, std::vector<float>(3 * grid), [&](const auto& device, float* out) {
        rgb_on_grid(device, rgb.on(device), size, float_y.on(device), float_x.on(device), out);
    });
    bench.run("resample_x", size, std::vector<float>(2 * h * static_cast<std::size_t>(float_x.size)),
              [&](const auto& device, float* out) {
                  resample_x(device, planes.on(device), 2 * size.h, size.w, float_x.on(device), out);
              });
    bench.run("resample_y", size, std::vector<float>(2 * w * static_cast<std::size_t>(float_y.size)),
              [&](const auto& device, float* out) {
                  resample_y(device, planes.on(device), 2, size, float_y.on(device), out);
              });
    const std::int64_t from = random.between(0, float_y.size * size.w - 1);
    bench.run("resample_strip", size, std::vector<float>(2 * strip), [&](const auto& device, float* out) {
        resample_strip(device, planes.on(device), 2, size, float_y.on(device), from, length, out);
    });
    auto scratch = bench.scratch<double>(kMeanScratch);
    const auto found = bench.input(bench.run("mean", size, std::vector<float>(1), [&](const auto& device, float* out) {
        mean(device, planes.on(device), whole, scratch.on(device), out);
    }));
    bench.run("subtract", size, random.floats(n),
              [&](const auto& device, float* out) { subtract(device, found.on(device), whole, out); });
}

void launches(Bench& bench, Random& random) {
#ifdef __SANITIZE_THREAD__
    constexpr int columns = 4099;  // the many would take it a minute
#else
    constexpr int columns = 65535 * 32 + 5;
#endif
    const auto values = bench.input(random.floats(100));
    std::vector<std::int32_t> places(columns);
    for (std::int32_t& place : places) place = random.between(0, 99);
    const auto starts = bench.input(places);
    const auto weights = bench.input(std::vector<double>(columns, 0.5));
    standin::refuse(cudaErrorInvalidValue, "another library's call");
    bench.run("resample_x", {1, columns}, std::vector<float>(columns), [&](const auto& device, float* out) {
        resample_x(device, values.on(device), 1, 100, {starts.on(device), weights.on(device), 1, columns}, out);
    });
}

}  // namespace pyiseg::driver
