// How a functor walks over a run of pixels. A part of ops.inl.
#pragma once

#include "../../math/host_device.h"

namespace pyiseg {
namespace {

constexpr int runs(int w, int run) {
    return (w + run - 1) / run;
}

// Calls f.part<kRun> for the run at x0, or f.part<1> for pixels whose window (reach to both sides) leaves the row; the
// window comes as the offsets of its ends. At the ends of a row the run is moved inward: it may treat pixels of its
// neighbor again, with the same result, which is cheaper than treating its own one by one.
template <int kRun, class F>
PYISEG_HD void for_run(const F& f, int row, int x0, int w, int reach) {
    const int last = w - reach - kRun;
    if (last >= reach) {
        const int start = x0 < reach ? reach : (x0 > last ? last : x0);
        f.template part<kRun>(row, start, -reach, reach);
        if (start == x0) return;
    }
    const int end = x0 + kRun < w ? x0 + kRun : w;
    for (int x = x0; x < end; ++x) {
        const int left = x < reach ? -x : -reach;
        const int right = w - 1 - x < reach ? w - 1 - x : reach;
        if (last < reach || right - left < 2 * reach) f.template part<1>(row, x, left, right);
    }
}

}  // namespace
}  // namespace pyiseg
