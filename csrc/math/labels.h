// Label equivalence: a forest over pixel indices in which every link points to a smaller index.
#pragma once

#include <cstdint>

#include "host_device.h"

// MSVC has none of the builtins of GCC and Clang; std::atomic_ref would need C++20, on CUDA's side as well.
#if defined(_MSC_VER) && !defined(__clang__)
#define PYISEG_MSVC_ATOMICS
#include <intrin.h>
#endif

namespace pyiseg {

constexpr std::int32_t kBackground = -1;  // no region, or a region that is not kept
constexpr std::int32_t kKept = -2;        // the root, and later every pixel, of a region to keep
constexpr std::int32_t kNear = -3;        // outside the kept regions, within the margin of one

// Stands before each access to a label. Tests, which run kernels on host threads, let other threads run there.
#ifndef PYISEG_LABEL_ACCESS
#define PYISEG_LABEL_ACCESS()
#endif
#if defined(__CUDA_ARCH__) && !defined(PYISEG_STANDIN)
#define PYISEG_CUDA_ATOMICS  // PTX's volatile accesses are relaxed ones; those of C++ are not
#endif

// Other threads write labels while this one reads them; relaxed order is enough, because any value read is a valid
// ancestor, however old.
PYISEG_HD std::int32_t load_label(const std::int32_t* p) {
    PYISEG_LABEL_ACCESS();
#ifdef PYISEG_CUDA_ATOMICS
    return *static_cast<const volatile std::int32_t*>(p);
#elif defined(PYISEG_MSVC_ATOMICS)
    return __iso_volatile_load32(p);
#else
    return __atomic_load_n(p, __ATOMIC_RELAXED);
#endif
}

PYISEG_HD void store_label(std::int32_t* p, std::int32_t value) {
    PYISEG_LABEL_ACCESS();
#ifdef PYISEG_CUDA_ATOMICS
    *static_cast<volatile std::int32_t*>(p) = value;
#elif defined(PYISEG_MSVC_ATOMICS)
    __iso_volatile_store32(p, value);
#else
    __atomic_store_n(p, value, __ATOMIC_RELAXED);
#endif
}

// *p = min(*p, value); returns what stood there.
PYISEG_HD std::int32_t atomic_min(std::int32_t* p, std::int32_t value) {
    PYISEG_LABEL_ACCESS();
#ifdef PYISEG_CUDA_ATOMICS
    return atomicMin(p, value);
#elif defined(PYISEG_MSVC_ATOMICS)
    static_assert(sizeof(long) == sizeof(std::int32_t));
    std::int32_t old = __iso_volatile_load32(p);
    while (value < old) {
        const std::int32_t found = _InterlockedCompareExchange(reinterpret_cast<volatile long*>(p), value, old);
        if (found == old) break;
        old = found;
    }
    return old;
#else
    std::int32_t old = __atomic_load_n(p, __ATOMIC_RELAXED);
    while (value < old && !__atomic_compare_exchange_n(p, &old, value, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
    }
    return old;
#endif
}

// The root of i's tree. A root is its own label, or carries a negative mark. On the way every second pixel is hung
// below its grandparent (path halving): otherwise chains grow as long as the image is high, and each step waits for the
// one before. With it they do so only if blocks run in the worst order, from the bottom up. Safe against other threads
// that walk or join: only pixels that are no roots are written, which they stay, and with an ancestor. Where that
// undoes what another thread wrote in between, the other one still joins the two trees, since unite goes on with what
// it found. Not safe beside threads that write marks anywhere but on roots.
PYISEG_HD std::int32_t find_root(std::int32_t* labels, std::int32_t i) {
    for (;;) {
        const std::int32_t parent = load_label(labels + i);
        if (parent == i || parent < 0) return i;
        const std::int32_t above = load_label(labels + parent);
        if (above == parent || above < 0) return parent;
        store_label(labels + i, above);
        i = above;
    }
}

// Joins the trees of i and j; safe against other threads that join at the same time. In the end each region's root is
// its smallest pixel index, whatever the order.
PYISEG_HD void unite(std::int32_t* labels, std::int32_t i, std::int32_t j) {
    for (;;) {
        i = find_root(labels, i);
        j = find_root(labels, j);
        if (i == j) return;
        if (i < j) {
            const std::int32_t swap = i;
            i = j;
            j = swap;
        }
        const std::int32_t old = atomic_min(labels + i, j);
        if (old == i) return;  // i was still a root and now hangs below j
        i = old;               // someone linked i first: join what it was linked to as well
    }
}

}  // namespace pyiseg
