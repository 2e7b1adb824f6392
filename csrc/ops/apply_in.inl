// A window of what apply_coefficients writes, on the CPU only. A part of ops_cpu.cpp.

namespace pyiseg {
namespace {

// A run of a window of the image: what `ApplyCoefficients` writes there, bit for bit.
template <int kRun, class Guide>
struct ApplyCoefficientsIn {
    const float* __restrict coefficients;
    Size grid;
    Guide guide;
    Size image;
    int top, left;
    Size window;
    unsigned char* __restrict out;

    void operator()(int y, int column) const {
        const CoefficientRow<Guide::kSlopes + 1> row(coefficients, grid, image, top + y);
        const int begin = column * kRun, count = window.w - begin < kRun ? window.w - begin : kRun;
        const std::size_t pixel = static_cast<std::size_t>(top + y) * image.w + left + begin;
        write_run<kRun>(row, locate(left + begin, grid.w, image.w), guide, image.w, pixel, count,
                        out + static_cast<std::size_t>(y) * window.w + begin);
    }
};

}  // namespace

template <class Device, class Guide>
void apply_coefficients_in(const Device& device, const float* coefficients, Size grid, Guide guide, Size image, int top,
                           int left, Size window, unsigned char* out) {
    constexpr int run = (Guide::kSlopes == 3 ? 4 : 2) * Device::kRun;
    device.for_each(window.h, runs(window.w, run),
                    ApplyCoefficientsIn<run, Guide>{coefficients, grid, guide, image, top, left, window, out});
}

template void apply_coefficients_in(const Cpu&, const float*, Size, LearnedGuide, Size, int, int, Size, unsigned char*);
template void apply_coefficients_in(const Cpu&, const float*, Size, ColorGuide, Size, int, int, Size, unsigned char*);

}  // namespace pyiseg
