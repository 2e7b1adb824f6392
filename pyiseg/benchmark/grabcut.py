"""OpenCV's GrabCut (Rother et al. 2004) as a method that clicks are given to."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from pyiseg.benchmark.peers import Mask, Pixels

ITERATIONS = 3
CERTAIN = 1 / 128
PROBABLE = 1 / 6


class GrabCut:
    """OpenCV's GrabCut, told by every click what a person would tell it, with no box before the first.

    A disc around each click, of a radius of 1/128 of the image's long side, is certain: foreground, or background.
    Around the first click that selects, a disc of 1/6 of the long side is probable foreground, since color models need
    more than one spot to learn from; the rest of the image is probable background. Each click begins anew with all
    clicks so far: to go on from the labels and color models of the click before takes a third of the time, but those
    do not recover from a wrong answer.

    Args:
        iterations: Of each click.
    """

    name = "OpenCV GrabCut"

    def __init__(self, iterations: int = ITERATIONS) -> None:
        if iterations < 1:
            raise ValueError(f"iterations is {iterations}; it must be at least 1")
        self.settings: dict[str, object] = {
            "opencv": cv2.__version__,
            "iterations": iterations,
            "begins": "anew at each click",
            "certain disc": CERTAIN,
            "first disc": PROBABLE,
        }
        self._iterations = iterations

    def open(self, rgb: Pixels) -> _Labels:
        """See :meth:`pyiseg.benchmark.peers.Peer.open`; here it does no more than to reorder the colors."""
        return _Labels(rgb, self._iterations)


class _Labels:
    def __init__(self, rgb: Pixels, iterations: int) -> None:
        self._bgr = np.ascontiguousarray(rgb[:, :, ::-1])
        self._clicks: list[tuple[int, int, bool]] = []
        self._iterations = iterations

    def click(self, x: int, y: int, fg: bool) -> Mask:
        self._clicks.append((x, y, fg))
        labels = self._told()
        mask = _selected(labels)
        # Without a pixel of both kinds there is nothing to tell apart, and OpenCV raises an error.
        if mask.all() or not mask.any():
            return mask
        # The centers of the color models are chosen at random: the same clicks are to give the same mask.
        cv2.setRNGSeed(0)
        background, foreground = np.zeros((1, 65)), np.zeros((1, 65))
        # No rectangle: its type does not say that there need not be one.
        box: Any = None
        cv2.grabCut(self._bgr, labels, box, background, foreground, self._iterations, cv2.GC_INIT_WITH_MASK)
        return _selected(labels)

    def _told(self) -> Pixels:
        """What the clicks say of each pixel, uint8, shape (H, W)."""
        labels = np.full(self._bgr.shape[:2], cv2.GC_PR_BGD, np.uint8)
        long_side: int = max(labels.shape)
        for x, y, _ in [click for click in self._clicks if click[2]][:1]:
            cv2.circle(labels, (x, y), max(2, round(long_side * PROBABLE)), cv2.GC_PR_FGD, -1)
        for x, y, fg in self._clicks:
            certain = cv2.GC_FGD if fg else cv2.GC_BGD
            cv2.circle(labels, (x, y), max(2, round(long_side * CERTAIN)), certain, -1)
        return labels


def _selected(labels: Pixels) -> Mask:
    mask: Mask = (labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)
    return mask
