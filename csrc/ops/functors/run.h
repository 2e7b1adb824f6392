// How a functor walks over a run of pixels. A part of ops.inl.
#pragma once

#include "../../math/host_device.h"

namespace pyiseg {
namespace {

constexpr int runs(int w, int run) {
    return (w + run - 1) / run;
}

// Runs that cover a row of w pixels where each begins at run_start: on CUDA one more where rows begin inside of a run.
template <class Device>
constexpr int row_runs(int w, int run = Device::kRun) {
    return runs(Device::kAlignedRuns && w % run != 0 ? w + run - 1 : w, run);
}

// The pixel of a row at which a run begins; the first run may begin before the row does. On CUDA runs begin where words
// do: rows of an odd width do not, and would be read and written value by value.
template <int kRun>
PYISEG_HD int run_start(int row, int column, int w) {
#ifdef __CUDA_ARCH__
    const unsigned shift = static_cast<unsigned>(row) * static_cast<unsigned>(w) % kRun;  // exact: kRun is a power of 2
    return column * kRun - static_cast<int>(shift);
#else
    (void)row, (void)w;
    return column * kRun;
#endif
}

// Calls f.part<kRun> for a run, or f.part<1> for pixels whose window (reach to both sides) leaves the row; the window
// comes as the offsets of its ends. At the ends of a row the run is moved inward: it may treat pixels of its neighbor
// again, with the same result, which is cheaper than treating its own one by one.
template <int kRun, class F>
PYISEG_HD void for_run(const F& f, int row, int column, int w, int reach) {
    const int x0 = run_start<kRun>(row, column, w);
    if (x0 >= w) return;
    const int last = w - reach - kRun;
    bool inner = last >= reach;
    if (inner) {
        const int start = x0 < reach ? reach : (x0 > last ? last : x0);
#ifdef __SANITIZE_THREAD__
        inner = start == x0;  // ThreadSanitizer cannot know that both write the same: there, one by one
#endif
        if (inner) f.template part<kRun>(row, start, -reach, reach);
        if (start == x0) return;
    }
    const int end = x0 + kRun < w ? x0 + kRun : w;
    for (int x = x0 < 0 ? 0 : x0; x < end; ++x) {
        const int left = x < reach ? -x : -reach;
        const int right = w - 1 - x < reach ? w - 1 - x : reach;
        if (!inner || right - left < 2 * reach) f.template part<1>(row, x, left, right);
    }
}

}  // namespace
}  // namespace pyiseg
