// Functors of keep_clicked_components. A part of ops.inl.

#include <cstddef>

#include "../../math/labels.h"
#include "../../math/store.h"
#include "../ops.h"
#include "run.h"

namespace pyiseg {
namespace {

// Every pixel of a region starts with the first pixel of its horizontal stretch inside the run as its parent.
template <int kRun>
struct StartRegions {
    const float* __restrict alpha;
    Size size;
    std::int32_t* __restrict labels;

    PYISEG_HD void operator()(int y, int column) const {
        const int x0 = column * kRun;
        const int end = x0 + kRun < size.w ? x0 + kRun : size.w;
        const std::int32_t row = y * size.w;
        std::int32_t first = kBackground;
        for (int x = x0; x < end; ++x) {
            const bool inside = alpha[row + x] > 0.5f;
            first = inside ? (first < 0 ? row + x : first) : kBackground;
            labels[row + x] = first;
        }
    }
};

// Joins each pixel e with its neighbors a b c above and d to the left, leaving out the links that others imply:
// a-b, b-c and d-e hold along rows; if d and a are set, d's own step has joined the two rows already.
template <int kRun>
struct JoinRegions {
    Size size;
    std::int32_t* labels;

    PYISEG_HD void operator()(int y, int column) const {
        const int x0 = column * kRun;
        const int end = x0 + kRun < size.w ? x0 + kRun : size.w;
        const std::int32_t row = y * size.w;
        for (int x = x0; x < end; ++x) {
            const std::int32_t e = row + x;
            if (!set(e)) continue;
            const bool d = x > 0 && set(e - 1);
            if (d && x == x0) unite(labels, e, e - 1);
            if (y == 0) continue;
            const std::int32_t b = e - size.w;
            const bool a = x > 0 && set(b - 1);
            if (set(b)) {
                if (!(a && d)) unite(labels, e, b);
            } else {
                if (a && !d) unite(labels, e, b - 1);
                if (x + 1 < size.w && set(b + 1)) unite(labels, e, b + 1);
            }
        }
    }

    PYISEG_HD bool set(std::int32_t i) const { return load_label(labels + i) != kBackground; }
};

struct MarkClickedRegions {
    Clicks clicks;
    Size size;
    std::int32_t* labels;

    PYISEG_HD void operator()(int, int i) const {
        for (int j = 0; j <= i; ++j) {
            if (clicks.data[j].label < 0) return;
        }
        if (clicks.data[i].label == 0) return;
        const std::int32_t pixel = clicks.data[i].y * size.w + clicks.data[i].x;
        if (load_label(labels + pixel) == kBackground) return;
        store_label(labels + find_root(labels, pixel), kKept);
    }
};

// Replaces every label by its root's verdict. Others may still walk through this pixel: a walk that meets a verdict on
// its way has met the right one, since a whole tree shares it. No find_root here, which could write over a verdict;
// joining has left the ways short, but where blocks ran from the bottom up.
template <int kRun>
struct ResolveRegions {
    Size size;
    std::int32_t* labels;

    PYISEG_HD void operator()(int y, int column) const {
        const int x0 = column * kRun;
        const int end = x0 + kRun < size.w ? x0 + kRun : size.w;
        for (int x = x0; x < end; ++x) {
            std::int32_t* label = labels + y * size.w + x;
            std::int32_t at = load_label(label);
            if (at < 0) continue;
            for (;;) {
                const std::int32_t parent = load_label(labels + at);
                if (parent < 0) {
                    store_label(label, parent);
                    break;
                }
                if (parent == at) {
                    store_label(label, kBackground);
                    break;
                }
                at = parent;
            }
        }
    }
};

// near = 1 where a kept pixel lies within margin along the row.
template <int kRun>
struct NearInRow {
    const std::int32_t* __restrict labels;
    int margin;
    Size size;
    float* __restrict near;

    PYISEG_HD void operator()(int y, int column) const { for_run<kRun>(*this, y, column, size.w, margin); }

    template <int n>
    PYISEG_HD void part(int y, int x, int left, int right) const {
        const std::size_t at = static_cast<std::size_t>(y) * size.w + x;
        float found[n] = {};
        for (int dx = left; dx <= right; ++dx) {
            const std::int32_t* __restrict l = labels + at + dx;
            for (int k = 0; k < n; ++k) found[k] = l[k] == kKept ? 1.0f : found[k];
        }
        for (int k = 0; k < n; ++k) near[at + k] = found[k];
    }
};

// The same along columns, of what lies near in its row; the result goes back into the labels.
template <int kRun>
struct NearInColumn {
    const float* __restrict near;
    int margin;
    Size size;
    std::int32_t* __restrict labels;

    PYISEG_HD void operator()(int y, int column) const { for_run<kRun>(*this, y, column, size.w, 0); }

    template <int n>
    PYISEG_HD void part(int y, int x, int, int) const {
        const int top = y < margin ? 0 : y - margin;
        const int bottom = size.h - 1 - y < margin ? size.h - 1 : y + margin;
        float found[n] = {};
        for (int row = top; row <= bottom; ++row) {
            const float* __restrict f = near + static_cast<std::size_t>(row) * size.w + x;
            for (int k = 0; k < n; ++k) found[k] = f[k] > found[k] ? f[k] : found[k];
        }
        std::int32_t* __restrict l = labels + static_cast<std::size_t>(y) * size.w + x;
        for (int k = 0; k < n; ++k) l[k] = l[k] != kKept && found[k] > 0.0f ? kNear : l[k];
    }
};

template <int kRun, class T>
struct KeepRegions {
    const float* __restrict alpha;
    const std::int32_t* __restrict labels;
    Size size;
    T* __restrict out;

    PYISEG_HD void operator()(int y, int column) const { for_run<kRun>(*this, y, column, size.w, 0); }

    template <int n>
    PYISEG_HD void part(int y, int x, int, int) const {
        const std::size_t at = static_cast<std::size_t>(y) * size.w + x;
        for (int k = 0; k < n; ++k) {
            const float v = alpha[at + k];
            const bool keep = (labels[at + k] == kKept) | ((labels[at + k] == kNear) & (v <= 0.5f));
            store_value(keep ? v : 0.0f, out[at + k]);
        }
    }
};

// What the filter rendered around a region that was dropped goes with it.
template <int kRun>
struct ZeroCoefficients {
    const float* __restrict alpha;
    const float* __restrict kept;
    Size size;
    float* __restrict coefficients;

    PYISEG_HD void operator()(int y, int column) const { for_run<kRun>(*this, y, column, size.w, 0); }

    template <int n>
    PYISEG_HD void part(int y, int x, int, int) const {
        const std::size_t plane = static_cast<std::size_t>(size.h) * size.w;
        const std::size_t at = static_cast<std::size_t>(y) * size.w + x;
        for (int k = 0; k < n; ++k) {
            const bool drop = (alpha[at + k] > 0.0f) & (kept[at + k] == 0.0f);
            coefficients[at + k] = drop ? 0.0f : coefficients[at + k];
            coefficients[plane + at + k] = drop ? 0.0f : coefficients[plane + at + k];
        }
    }
};

}  // namespace
}  // namespace pyiseg
