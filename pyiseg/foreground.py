"""The colors of a cut-out: the image's own, or at soft edges those of the selection alone."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]

CHOICES = ("image", "estimate")
"""What colors a cut-out can have; see `colors`."""


def check(choice: str) -> None:
    """Refuse what is not one of `CHOICES`.

    Raises:
        ValueError: The message names the value and the choices.
    """
    if not isinstance(choice, str) or choice not in CHOICES:
        raise ValueError(
            f"foreground is {choice!r}; pass 'image' for the image's own colors, or 'estimate' for colors without the "
            "old background at soft edges"
        )


def colors(rgb: Pixels, alpha: Pixels, choice: str) -> Pixels:
    """Return the colors of a cut-out.

    Args:
        rgb: The image, uint8, shape (H, W, 3).
        alpha: The matte, uint8, shape (H, W), 255 where selected.
        choice: "image" for the image as it is, "estimate" for `estimate`.

    Returns:
        RGB, uint8, shape (H, W, 3): ``rgb`` itself, or a fresh array.

    Raises:
        ValueError: ``choice`` is not one of `CHOICES`.
    """
    check(choice)
    return rgb if choice == "image" else estimate(rgb, alpha)


def estimate(rgb: Pixels, alpha: Pixels) -> Pixels:
    """Estimate what color the selection has where it mixes with the background.

    A soft pixel of an image shows alpha * foreground + (1 - alpha) * background. The foreground that explains this
    best, and changes little from pixel to pixel where alpha does not change either, is found on a pyramid of smaller
    images, coarse to fine, together with the background (Germer et al., Fast Multi-Level Foreground Estimation, ICPR
    2020). The pyramid is of means, not of single pixels as in the paper, and a neighbor's foreground counts the
    more, the more of it there is. The result is the same for any number of threads.

    Args:
        rgb: The image, uint8, shape (H, W, 3).
        alpha: The matte, uint8, shape (H, W), 255 where selected.

    Returns:
        RGB, uint8, shape (H, W, 3). Where alpha is 0 or 255 it is ``rgb``, bit for bit. A fresh array.

    Raises:
        ValueError: An array has another dtype or shape.
    """
    from pyiseg import _core

    if alpha.ndim != 2 or rgb.shape != (*alpha.shape, 3):
        raise ValueError(f"rgb has shape {rgb.shape} and alpha {alpha.shape}; they must be (H, W, 3) and (H, W)")
    rgb, alpha = np.ascontiguousarray(rgb), np.ascontiguousarray(alpha)
    scratch = np.empty(_core.foreground_scratch(*alpha.shape), dtype=np.uint8)
    out = np.empty_like(rgb)
    _core.estimate_foreground(rgb, alpha, scratch, out)
    return out
