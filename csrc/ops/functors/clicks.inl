// Functors of click_maps, force_clicks and pin_clicks. A part of ops.inl.

#pragma once

#include <cstddef>

#include "../../math/exp.h"
#include "../../math/guided.h"
#include "../../math/store.h"
#include "../ops.h"
#include "access.h"

namespace pyiseg {
namespace {

// Squares of distances are whole numbers, exact in FP32 up to 2^24; beyond that every map is 0 or flat anyway. Moves
// sizeof(T) bytes a pixel of each of the 2 S maps; the clicks stay in cache.
template <int kRun, class T>
struct ClickMaps {
    Clicks clicks;
    Sigmas sigmas;
    Size size;
    T* __restrict out;

    PYISEG_HD void operator()(int row, int column) const {
        const int label = row >= size.h;
        const int y = label ? row - size.h : row;
        const int x0 = column * kRun;
        float d2[kRun];
        for (int k = 0; k < kRun; ++k) d2[k] = 3.0e38f;
        for (int i = 0; i < clicks.count && clicks.data[i].label >= 0; ++i) {
            if (clicks.data[i].label != label) continue;
            const float dx = static_cast<float>(x0 - clicks.data[i].x);
            const float dy = static_cast<float>(y - clicks.data[i].y);
            for (int k = 0; k < kRun; ++k) {
                const float x = dx + static_cast<float>(k);
                const float d = x * x + dy * dy;
                d2[k] = d < d2[k] ? d : d2[k];
            }
        }
        float nearest = d2[0];
        for (int k = 1; k < kRun; ++k) nearest = d2[k] < nearest ? d2[k] : nearest;
        const int n = size.w - x0 < kRun ? size.w - x0 : kRun;
        for (int s = 0; s < sigmas.count; ++s) {
            const float exponent = sigmas.exponent[s];
            const std::size_t map = static_cast<std::size_t>(label * sigmas.count + s);
            T* __restrict o = out + (map * size.h + y) * size.w + x0;
            float value[kRun] = {};
            if (nearest * exponent >= kExpCutoff) {  // most of a fine map is too far from any click to need exp
                for (int k = 0; k < kRun; ++k) value[k] = exp_nonpositive(d2[k] * exponent);
            }
            T stored[kRun];
            for (int k = 0; k < kRun; ++k) store_value(value[k], stored[k]);
            if (n == kRun) {
                store_run(stored, o);
            } else {
                for (int k = 0; k < n; ++k) o[k] = stored[k];
            }
        }
    }
};

// Whether the list of clicks ends at or before number i.
PYISEG_HD bool ended(Clicks clicks, int i) {
    for (int j = 0; j <= i; ++j) {
        if (clicks.data[j].label < 0) return true;
    }
    return false;
}

struct ForceClicks {
    Clicks clicks;
    Size size;
    float* alpha;

    PYISEG_HD void operator()(int, int i) const {
        if (ended(clicks, i)) return;
        const Click click = clicks.data[i];
        for (int j = i + 1; j < clicks.count && clicks.data[j].label >= 0; ++j) {
            if (clicks.data[j].x == click.x && clicks.data[j].y == click.y) return;  // the later click writes
        }
        alpha[static_cast<std::size_t>(click.y) * size.w + click.x] = click.label ? 1.0f : 0.0f;
    }
};

// The click nearest to a pixel; of several the last.
PYISEG_HD int nearest_click(Clicks clicks, int x, int y) {
    int best = -1;
    std::int64_t least = 0;
    for (int j = 0; j < clicks.count && clicks.data[j].label >= 0; ++j) {
        const std::int64_t dx = clicks.data[j].x - x, dy = clicks.data[j].y - y;
        const std::int64_t d2 = dx * dx + dy * dy;
        if (best < 0 || d2 <= least) {
            best = j;
            least = d2;
        }
    }
    return best;
}

// The pixel of click i and its eight neighbors, as far as no other click is nearer, get slopes 0 and the label as
// offset. Alone in writing them, so calls for several clicks may run side by side.
PYISEG_HD void pin_around(Clicks clicks, int i, Size size, int slopes, float* coefficients) {
    const Click click = clicks.data[i];
    const std::size_t plane = static_cast<std::size_t>(size.h) * size.w;
    for (int y = click.y - 1; y <= click.y + 1; ++y) {
        for (int x = click.x - 1; x <= click.x + 1; ++x) {
            if (y < 0 || y >= size.h || x < 0 || x >= size.w || nearest_click(clicks, x, y) != i) continue;
            float* at = coefficients + static_cast<std::size_t>(y) * size.w + x;
            for (int c = 0; c < slopes; ++c) at[c * plane] = 0.0f;
            at[slopes * plane] = click.label ? 1.0f : 0.0f;
        }
    }
}

// The averaged form averages a forced pixel away where its surroundings disagree. One call per click, which reads and
// writes only what is nearest to it.
struct PinClicks {
    const float* __restrict guide;
    Clicks clicks;
    Size size;
    float* coefficients;

    PYISEG_HD void operator()(int, int i) const {
        if (ended(clicks, i)) return;
        const Click click = clicks.data[i];
        if (nearest_click(clicks, click.x, click.y) != i) return;  // a later click on the same pixel decides
        const std::size_t plane = static_cast<std::size_t>(size.h) * size.w;
        const std::size_t own = static_cast<std::size_t>(click.y) * size.w + click.x;
        const float alpha = guided_alpha(coefficients[own], coefficients[plane + own], guide[own]);
        if (!on_clicks_side(alpha, click.label)) pin_around(clicks, i, size, 1, coefficients);
    }
};

}  // namespace
}  // namespace pyiseg
