// Functors of foreground.inl. A tile's colors depend on what lies within `iterations` pixels of it only, so a tile
// loads that much more on each side, works in memory of its own and writes its own pixels: the bits are those of
// iterating over the whole image, whatever the order of the tiles. A tile without a soft pixel is left out.
#pragma once

#include <cstdint>
#include <cstring>

#include "../../math/foreground.h"
#include "../ops.h"
#include "pyramid.inl"

namespace pyiseg {
namespace {

constexpr int kTileRows = 16, kTileColumns = 64;
constexpr int kMargin = 8;  // columns beside a tile that are loaded; even
constexpr int kTileWidth = kTileColumns + 2 * kMargin;
// Columns that are iterated over: as many beside the tile as there are iterations, and whole vectors together.
constexpr int kBeside = 4, kFirst = kMargin - kBeside, kEnd = kTileWidth - kFirst;

// A row of a tile as bytes; where there is no image all are 0.
struct TileRow {
    std::uint8_t alpha[kTileWidth], beta[kTileWidth];  // beta: 255 - alpha
    std::uint8_t image[3][kTileWidth];
    std::uint8_t colors[6][kTileWidth / 2];  // of the level above
};

// A whole tile, 255 as 1: the shares of foreground and background, the trust in both, the image, and the colors of
// both.
template <int kRows>
struct Tile {
    float alpha[kRows][kTileWidth], beta[kRows][kTileWidth];
    float trust_f[kRows][kTileWidth], trust_b[kRows][kTileWidth];
    float image[kRows][3][kTileWidth], colors[kRows][6][kTileWidth];
};

inline std::uint8_t byte_of_color(float value) {
    return static_cast<std::uint8_t>(static_cast<int>(value * 255.0f + 0.5f));
}

struct LevelPixels {
    ForegroundLevel level;

    Size size() const { return level.size; }
    const std::uint8_t* alpha() const { return level.image + 3 * level.pixels(); }

    // Reads pixels x to x + n - 1 of row y to columns i and on.
    void read(int y, int x, int i, int n, TileRow& row) const {
        const std::uint8_t* from = level.image + static_cast<std::ptrdiff_t>(y) * level.size.w + x;
        for (int c = 0; c < 3; ++c) std::memcpy(row.image[c] + i, from + c * level.pixels(), n);
    }

    // Writes the first n columns of a tile's own, of one row, to pixels x and on of row y.
    void write(int y, int x, int n, const float (&colors)[6][kTileWidth]) const {
        for (int c = 0; c < 6; ++c) {
            std::uint8_t* __restrict o =
                level.colors + c * level.pixels() + static_cast<std::ptrdiff_t>(y) * level.size.w + x;
            for (int k = 0; k < n; ++k) o[k] = byte_of_color(colors[c][kMargin + k]);
        }
    }

    void skip(int, int, int) const {}
};

struct ImagePixels {
    const std::uint8_t *rgb, *values;
    Size image;
    std::uint8_t* out;

    Size size() const { return image; }
    const std::uint8_t* alpha() const { return values; }

    void read(int y, int x, int i, int n, TileRow& row) const {
        const std::uint8_t* __restrict from = rgb + 3 * (static_cast<std::ptrdiff_t>(y) * image.w + x);
        for (int k = 0; k < n; ++k) {
            row.image[0][i + k] = from[3 * k];
            row.image[1][i + k] = from[3 * k + 1];
            row.image[2][i + k] = from[3 * k + 2];
        }
    }

    void write(int y, int x, int n, const float (&colors)[6][kTileWidth]) const {
        const std::ptrdiff_t first = static_cast<std::ptrdiff_t>(y) * image.w + x;
        const std::uint8_t* __restrict a = values + first;
        const std::uint8_t* __restrict from = rgb + 3 * first;
        std::uint8_t* __restrict o = out + 3 * first;
        std::uint8_t estimate[3][kTileColumns];
        for (int c = 0; c < 3; ++c) {
            for (int k = 0; k < kTileColumns; ++k) estimate[c][k] = byte_of_color(colors[c][kMargin + k]);
        }
        for (int k = 0; k < n; ++k) {
            const bool soft = a[k] > 0 && a[k] < 255;
            for (int c = 0; c < 3; ++c) o[3 * k + c] = soft ? estimate[c][k] : from[3 * k + c];
        }
    }

    // A row of a tile without a soft pixel.
    void skip(int y, int x, int n) const {
        const std::ptrdiff_t first = 3 * (static_cast<std::ptrdiff_t>(y) * image.w + x);
        std::memcpy(out + first, rgb + first, 3 * static_cast<std::size_t>(n));
    }
};

// One tile. `above` has no pixels where this is the smallest level.
template <int kIterations, class Pixels>
struct RefineForeground {
    static constexpr int kRows = kTileRows + 2 * kIterations;
    static_assert(kIterations <= kBeside && kMargin % 2 == 0, "the first column lies at an even pixel");

    Pixels pixels;
    ForegroundLevel above;

    void operator()(int tile_row, int tile_column) const {
        const Size size = pixels.size();
        const int top = tile_row * kTileRows, left = tile_column * kTileColumns;
        const int h = size.h - top < kTileRows ? size.h - top : kTileRows;
        const int w = size.w - left < kTileColumns ? size.w - left : kTileColumns;
        if (!is_soft(top, left, h, w)) {
            for (int y = top; y < top + h; ++y) pixels.skip(y, left, w);
            return;
        }
        Tile<kRows> tile;
        for (int r = 0; r < kRows; ++r) load(tile, r, top - kIterations + r, left - kMargin);
        for (int i = 1; i <= kIterations; ++i) iterate(tile, i, kRows - i);
        for (int r = 0; r < h; ++r) pixels.write(top + r, left, w, tile.colors[kIterations + r]);
    }

    bool is_soft(int top, int left, int h, int w) const {
        const std::uint8_t* at = pixels.alpha() + static_cast<std::ptrdiff_t>(top) * pixels.size().w + left;
        for (int y = 0; y < h; ++y, at += pixels.size().w) {
            int soft = 0;
            for (int x = 0; x < w; ++x) soft |= at[x] > 0 && at[x] < 255;
            if (soft) return true;
        }
        return false;
    }

    // Row r of the tile is row y of the image, its first column is column x.
    void load(Tile<kRows>& tile, int r, int y, int x) const {
        const Size size = pixels.size();
        const int first = x < 0 ? -x : 0, end = size.w - x < kTileWidth ? size.w - x : kTileWidth;
        TileRow row;
        const bool whole = y >= 0 && y < size.h && first == 0 && end == kTileWidth;
        if (!whole) std::memset(&row, 0, sizeof row);
        if (y >= 0 && y < size.h) {
            const std::uint8_t* a = pixels.alpha() + static_cast<std::ptrdiff_t>(y) * size.w + x;
            for (int i = first; i < end; ++i) row.alpha[i] = a[i];
            for (int i = first; i < end; ++i) row.beta[i] = static_cast<std::uint8_t>(255 - a[i]);
            pixels.read(y, x + first, first, end - first, row);
            if (above.image != nullptr) {
                const int from = first / 2, count = (end + 1) / 2 - from;
                const std::ptrdiff_t at = static_cast<std::ptrdiff_t>(y / 2) * above.size.w + (x + first) / 2;
                for (int c = 0; c < 6; ++c)
                    std::memcpy(row.colors[c] + from, above.colors + c * above.pixels() + at, count);
            }
        }
        convert(row, tile.alpha[r], tile.beta[r], tile.image[r], tile.colors[r]);
        for (int i = 0; i < kTileWidth; ++i) tile.trust_f[r][i] = foreground_trust(tile.alpha[r][i]);
        for (int i = 0; i < kTileWidth; ++i) tile.trust_b[r][i] = foreground_trust(tile.beta[r][i]);
    }

    // Opaque and clear pixels have the image's color; of the other kind they have none, which is 0 and has no weight.
    void convert(const TileRow& row, float (&alpha)[kTileWidth], float (&beta)[kTileWidth],
                 float (&image)[3][kTileWidth], float (&colors)[6][kTileWidth]) const {
        constexpr float unit = 1.0f / 255.0f;
        for (int x = 0; x < kTileWidth; ++x) alpha[x] = static_cast<float>(row.alpha[x]) * unit;
        for (int x = 0; x < kTileWidth; ++x) beta[x] = static_cast<float>(row.beta[x]) * unit;
        for (int c = 0; c < 3; ++c) {
            for (int x = 0; x < kTileWidth; ++x) image[c][x] = static_cast<float>(row.image[c][x]) * unit;
        }
        for (int c = 0; c < 6; ++c) {
            const float* __restrict own = image[c % 3];
            const std::uint8_t* __restrict other = c < 3 ? row.beta : row.alpha;
            const std::uint8_t* __restrict same = c < 3 ? row.alpha : row.beta;
            float begun[kTileWidth];
            for (int x = 0; x < kTileWidth / 2; ++x) {
                const float value = static_cast<float>(row.colors[c][x]) * unit;
                begun[2 * x] = value;
                begun[2 * x + 1] = value;
            }
            const float* __restrict start = above.image != nullptr ? begun : own;
            for (int x = 0; x < kTileWidth; ++x) {
                const float soft = other[x] == 0 ? own[x] : start[x];
                colors[c][x] = same[x] == 0 ? 0.0f : soft;
            }
        }
    }

    // One iteration over rows first to end - 1, each from the colors before it (Jacobi's method).
    void iterate(Tile<kRows>& tile, int first, int end) const {
        float old[2][6][kTileWidth];
        std::memcpy(old[(first - 1) % 2], tile.colors[first - 1], sizeof old[0]);
        for (int r = first; r < end; ++r) {
            std::memcpy(old[r % 2], tile.colors[r], sizeof old[0]);
            refine_row(tile, r, old[(r - 1) % 2], old[r % 2]);
        }
    }

    void refine_row(Tile<kRows>& tile, int r, const float (&up)[6][kTileWidth],
                    const float (&here)[6][kTileWidth]) const {
        // Weights of the neighbors above, left, right and below, of F and B; then what the formula makes of their sums.
        float f[4][kTileWidth], b[4][kTileWidth], one_f[kTileWidth], one_b[kTileWidth], to_f[kTileWidth],
            to_b[kTileWidth];
        const float* __restrict alpha = tile.alpha[r];
        const float* __restrict beta = tile.beta[r];
        const float* __restrict trust_f = tile.trust_f[r];
        const float* __restrict trust_b = tile.trust_b[r];
        for (int x = kFirst; x < kEnd; ++x) {
            const float a_up = tile.alpha[r - 1][x], a_down = tile.alpha[r + 1][x];
            const float w_up = foreground_weight(alpha[x], a_up), w_left = foreground_weight(alpha[x], alpha[x - 1]);
            const float w_right = foreground_weight(alpha[x], alpha[x + 1]),
                        w_down = foreground_weight(alpha[x], a_down);
            f[0][x] = w_up * tile.trust_f[r - 1][x], f[1][x] = w_left * trust_f[x - 1];
            f[2][x] = w_right * trust_f[x + 1], f[3][x] = w_down * tile.trust_f[r + 1][x];
            b[0][x] = w_up * tile.trust_b[r - 1][x], b[1][x] = w_left * trust_b[x - 1];
            b[2][x] = w_right * trust_b[x + 1], b[3][x] = w_down * tile.trust_b[r + 1][x];
            const float sum_f = ((f[0][x] + f[1][x]) + (f[2][x] + f[3][x])) + kForegroundSelf;
            const float sum_b = ((b[0][x] + b[1][x]) + (b[2][x] + b[3][x])) + kForegroundSelf;
            const ForegroundGains gains = foreground_gains(alpha[x], beta[x], sum_f, sum_b);
            one_f[x] = 1.0f / sum_f, one_b[x] = 1.0f / sum_b;
            to_f[x] = gains.f, to_b[x] = gains.b;
        }
        for (int c = 0; c < 3; ++c) {
            const float* __restrict image = tile.image[r][c];
            const float* __restrict f_up = up[c];
            const float* __restrict b_up = up[3 + c];
            const float* __restrict f_here = here[c];
            const float* __restrict b_here = here[3 + c];
            const float* __restrict f_down = tile.colors[r + 1][c];
            const float* __restrict b_down = tile.colors[r + 1][3 + c];
            float* __restrict f_out = tile.colors[r][c];
            float* __restrict b_out = tile.colors[r][3 + c];
            for (int x = kFirst; x < kEnd; ++x) {
                const float mean_f =
                    (((f[0][x] * f_up[x] + f[1][x] * f_here[x - 1]) + (f[2][x] * f_here[x + 1] + f[3][x] * f_down[x])) +
                     kForegroundSelf * f_here[x]) *
                    one_f[x];
                const float mean_b =
                    (((b[0][x] * b_up[x] + b[1][x] * b_here[x - 1]) + (b[2][x] * b_here[x + 1] + b[3][x] * b_down[x])) +
                     kForegroundSelf * b_here[x]) *
                    one_b[x];
                const float residual = image[x] - (alpha[x] * mean_f + beta[x] * mean_b);
                const float new_f = clip(mean_f + to_f[x] * residual), new_b = clip(mean_b + to_b[x] * residual);
                const bool soft = alpha[x] > 0.0f && beta[x] > 0.0f;
                f_out[x] = soft ? new_f : f_here[x];
                b_out[x] = soft ? new_b : b_here[x];
            }
        }
    }
};

}  // namespace
}  // namespace pyiseg
