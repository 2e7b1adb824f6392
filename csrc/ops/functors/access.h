// How a functor reads and writes a run of values. A part of ops.inl.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "../../math/host_device.h"

namespace pyiseg {
namespace {

#ifdef __CUDACC__
// The widest word that a thread moves at once and that divides a run of so many bytes.
template <std::size_t bytes, bool by16 = bytes % 16 == 0, bool by8 = bytes % 8 == 0, bool by4 = bytes % 4 == 0>
struct WordOf {
    using type = unsigned char;
};
template <std::size_t bytes>
struct WordOf<bytes, true, true, true> {
    using type = uint4;
};
template <std::size_t bytes>
struct WordOf<bytes, false, true, true> {
    using type = uint2;
};
template <std::size_t bytes>
struct WordOf<bytes, false, false, true> {
    using type = unsigned;
};
#endif

// Stands before each read of a word of several values. Tests count them.
#ifndef PYISEG_WORD_READ
#define PYISEG_WORD_READ()
#endif

// values = from[0..n-1]. On CUDA in words of up to 16 bytes where the address allows them.
template <class T, int n>
PYISEG_HD void load_run(const T* from, T (&values)[n]) {
#ifdef __CUDA_ARCH__
    using Word = typename WordOf<sizeof values>::type;
    if (reinterpret_cast<std::uintptr_t>(from) % sizeof(Word) == 0) {
        constexpr std::size_t bytes = n * sizeof(T), count = bytes / sizeof(Word);
        Word words[count];
        for (std::size_t i = 0; i < count; ++i) {
            PYISEG_WORD_READ();
            words[i] = reinterpret_cast<const Word*>(from)[i];
        }
        std::memcpy(values, words, sizeof values);
        return;
    }
#endif
    for (int k = 0; k < n; ++k) values[k] = from[k];
}

// to[0..n-1] = values, in the same way.
template <class T, int n>
PYISEG_HD void store_run(const T (&values)[n], T* to) {
#ifdef __CUDA_ARCH__
    using Word = typename WordOf<sizeof values>::type;
    if (reinterpret_cast<std::uintptr_t>(to) % sizeof(Word) == 0) {
        constexpr std::size_t bytes = n * sizeof(T), count = bytes / sizeof(Word);
        Word words[count];
        std::memcpy(words, values, sizeof values);
        // Not a plain assignment: the compiler takes some of those apart again.
        for (std::size_t i = 0; i < count; ++i) __stwb(reinterpret_cast<Word*>(to) + i, words[i]);
        return;
    }
#endif
    for (int k = 0; k < n; ++k) to[k] = values[k];
}

// The values of a row at a run of n pixels and radius to both sides of it, at [-radius] to [n - 1 + radius]. With a
// radius that is known when this is compiled they lie in registers, and on CUDA were read in words of 16 bytes: n is 4,
// and single values of neighboring threads lie 16 bytes apart. A radius of 0 stands for any: they stay where they are.
template <int n, int radius>
struct RowWindow {
    static_assert(n == 4 && radius <= n);
    float values[n + 2 * radius];

    // at: the run's first pixel, pixel x of a row of w.
    PYISEG_HD RowWindow(const float* at, int x, int w) {
#ifdef __CUDA_ARCH__
        if (reinterpret_cast<std::uintptr_t>(at) % sizeof(uint4) == 0 && x >= n && x + 2 * n <= w) {
            uint4 words[3];
            for (int i = 0; i < 3; ++i) {
                PYISEG_WORD_READ();
                words[i] = reinterpret_cast<const uint4*>(at - n)[i];
            }
            float all[3 * n];
            std::memcpy(all, words, sizeof all);
            for (int i = 0; i < n + 2 * radius; ++i) values[i] = all[n - radius + i];
            return;
        }
#endif
        for (int i = 0; i < n + 2 * radius; ++i) values[i] = at[i - radius];
    }
    PYISEG_HD float operator[](int i) const { return values[radius + i]; }
};

template <int n>
struct RowWindow<n, 0> {
    const float* __restrict at;

    PYISEG_HD RowWindow(const float* pixel, int, int) : at(pixel) {}
    PYISEG_HD float operator[](int i) const { return at[i]; }
};

// Long lists are dealt out as rows of this many values, so that CPU threads have rows to share and CUDA's warps are
// full.
constexpr int kFlatRow = 1024;

constexpr int flat_rows(std::int64_t n) {
    return static_cast<int>((n + kFlatRow - 1) / kFlatRow);
}

// Rows that one call of a pass along rows treats: it reads its window's weights once for all of them.
constexpr int kSharedRows = 4;

}  // namespace
}  // namespace pyiseg
