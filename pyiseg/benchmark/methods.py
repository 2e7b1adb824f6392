"""The methods that a benchmark measures beside sessions, by what a user names."""

from __future__ import annotations

from pathlib import Path

from pyiseg.benchmark.peers import Peer

BYTES_A_PIXEL = {"pyiseg": 40, "MobileSAM": 40, "OpenCV GrabCut": 250}
"""What a measurement needs at most, for refusing sizes that the machine has no memory for."""


def peers(mobile_sam: tuple[Path, Path] | None) -> list[Peer]:
    """Return the other methods, loaded: OpenCV's GrabCut, and before it a MobileSAM pair if its files are given.

    Raises:
        ImportError: OpenCV is not installed.
        ValueError: The files are not those of such a pair.
    """
    from pyiseg.benchmark.grabcut import GrabCut
    from pyiseg.benchmark.mobile_sam import MobileSam

    pair: list[Peer] = [] if mobile_sam is None else [MobileSam(*mobile_sam)]
    return [*pair, GrabCut()]
