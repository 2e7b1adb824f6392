// Colors of foreground and background at soft edges (Germer et al.: Fast Multi-Level Foreground Estimation, ICPR 2020).
//
// Wanted are F and B that explain the image, I = alpha F + (1 - alpha) B, and change little where alpha does not.
// They minimize (alpha F + (1 - alpha) B - I)^2 plus, over a pixel's four neighbors j, the sums of
//
//     f_j (F - F_j)^2 and b_j (B - B_j)^2.
//
// In the paper f_j and b_j are eps + omega |alpha - alpha_j|; here they are that times a trust in the neighbor, which
// grows with alpha_j for F and with 1 - alpha_j for B: the more there is of a color at a pixel, the better it is known
// there.
#pragma once

#include "guided.h"
#include "host_device.h"

namespace pyiseg {

constexpr float kForegroundEps = 1e-3f, kForegroundOmega = 0.1f, kForegroundHalf = 0.2f;
// How much a pixel holds to its own color: keeps sums of weights above 0 where all neighbors are of the other kind.
constexpr float kForegroundSelf = 1e-6f;

// Trust in a color of which a pixel shows a share: 0 where there is none, 1 where there is nothing else. In proportion
// to the share, colors are as good with a true alpha, but worse with one that is a little off.
PYISEG_HD float foreground_trust(float share) {
    return (1.0f + kForegroundHalf) * share / (share + kForegroundHalf);
}

// eps + omega |alpha - alpha_j|.
PYISEG_HD float foreground_weight(float alpha, float neighbor) {
    const float change = alpha - neighbor;
    return kForegroundEps + kForegroundOmega * (change < 0.0f ? -change : change);
}

// What part of the image's residual, I - alpha mean_f - (1 - alpha) mean_b, goes to F and to B: the minimum in F and B
// with all neighbors held, solved in closed form. sum_f, sum_b > 0 are sums of weights.
struct ForegroundGains {
    float f, b;
};
PYISEG_HD ForegroundGains foreground_gains(float alpha, float beta, float sum_f, float sum_b) {
    const float determinant = sum_f * sum_b + (alpha * alpha * sum_b + beta * beta * sum_f);
    const float inverse = 1.0f / determinant;
    return {alpha * sum_b * inverse, beta * sum_f * inverse};
}

}  // namespace pyiseg
