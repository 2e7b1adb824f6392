"""OpenCV's GrabCut (Rother et al. 2004) as a method that clicks are given to."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from pyiseg.benchmark.peers import Mask, Pixels

FIRST, LATER = 3, 1
CERTAIN = 1 / 128
PROBABLE = 1 / 6


class GrabCut:
    """OpenCV's GrabCut, told by every click what a person would tell it, with no box before the first.

    A disc around each click, of a radius of 1/128 of the image's long side, is certain: foreground, or background.
    Around the first click that selects, a disc of 1/6 of the long side is probable foreground, since color models need
    more than one spot to learn from; the rest of the image is probable background. The first click runs three
    iterations, each later one another iteration that goes on from the labels and color models of those before, as an
    interactive program does it.

    Args:
        first, later: Iterations of the first click, and of each later one.
    """

    name = "OpenCV GrabCut"

    def __init__(self, first: int = FIRST, later: int = LATER) -> None:
        for iterations in (first, later):
            if iterations < 1:
                raise ValueError(f"iterations is {iterations}; it must be at least 1")
        self.settings: dict[str, object] = {
            "opencv": cv2.__version__,
            "iterations of the first click": first,
            "iterations of later clicks": later,
            "certain disc": CERTAIN,
            "first disc": PROBABLE,
        }
        self._iterations = first, later

    def open(self, rgb: Pixels) -> _Labels:
        """See :meth:`pyiseg.benchmark.peers.Peer.open`; here it does no more than to reorder the colors."""
        return _Labels(rgb, self._iterations)


class _Labels:
    def __init__(self, rgb: Pixels, iterations: tuple[int, int]) -> None:
        self._bgr = np.ascontiguousarray(rgb[:, :, ::-1])
        self._labels = np.full(rgb.shape[:2], cv2.GC_PR_BGD, np.uint8)
        self._models = np.zeros((1, 65)), np.zeros((1, 65))
        self._iterations = iterations
        self._long_side = max(rgb.shape[:2])
        self._begun = False
        self._selects = False

    def click(self, x: int, y: int, fg: bool) -> Mask:
        if fg and not self._selects:
            wide = max(2, round(self._long_side * PROBABLE))
            probable = cv2.circle(np.zeros_like(self._labels), (x, y), wide, 1, -1) > 0
            self._labels[probable & (self._labels == cv2.GC_PR_BGD)] = cv2.GC_PR_FGD
            self._selects = True
        certain = cv2.GC_FGD if fg else cv2.GC_BGD
        cv2.circle(self._labels, (x, y), max(2, round(self._long_side * CERTAIN)), certain, -1)
        # Without a pixel of both kinds there is nothing to tell apart, and OpenCV raises an error.
        mask = self._mask()
        if mask.any() and not mask.all():
            # The centers of the color models are chosen at random: the same clicks are to give the same mask.
            cv2.setRNGSeed(0)
            mode = cv2.GC_EVAL if self._begun else cv2.GC_INIT_WITH_MASK
            background, foreground = self._models
            # No rectangle: its type does not say that there need not be one.
            box: Any = None
            cv2.grabCut(self._bgr, self._labels, box, background, foreground, self._iterations[self._begun], mode)
            self._begun = True
        return self._mask()

    def _mask(self) -> Mask:
        mask: Mask = (self._labels == cv2.GC_FGD) | (self._labels == cv2.GC_PR_FGD)
        return mask
