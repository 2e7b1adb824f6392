"""COCO's run-length encoding of masks, as `pycocotools` reads and writes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from pyiseg.formats.arrays import Mask, as_mask, checked_shape

Counts = npt.NDArray[np.int64]


def rle(mask: npt.NDArray[Any], *, compressed: bool = True) -> dict[str, Any]:
    """Return a mask run-length encoded, as COCO has it.

    Args:
        mask: bool, or alpha as uint8 of which 128 and more is selected, shape (H, W).
        compressed: Whether the counts are text, as `pycocotools` returns it (but str, which JSON can hold, not bytes),
            or a list of whole numbers.

    Returns:
        ``{"size": [H, W], "counts": ...}``: the lengths of runs down the columns, from left to right, by turns of what
        is not selected, which the first is of, and of what is.

    Raises:
        ValueError: The mask has another dtype or shape.
    """
    selected = as_mask(mask)
    counts = _counts(selected)
    return {"size": list(selected.shape), "counts": _packed(counts) if compressed else counts.tolist()}


def mask_from_rle(rle: Mapping[str, Any]) -> Mask:
    """Return the mask of a run-length encoding.

    Args:
        rle: As `rle` returns it, or `pycocotools.mask.encode` does: counts are text, bytes or whole numbers.

    Returns:
        bool, shape (H, W). Fresh.

    Raises:
        ValueError: It is no such encoding, or its runs do not add up to the size.
        MemoryError: There is not enough for the size; look at that of a stranger's encoding first.
    """
    if not isinstance(rle, Mapping) or "size" not in rle or "counts" not in rle:
        raise ValueError(f"rle is {str(rle)[:60]}; pass {{'size': [H, W], 'counts': ...}}")
    height, width = checked_shape(rle["size"])
    counts = rle["counts"]
    if isinstance(counts, (str, bytes)):
        lengths: npt.NDArray[Any] = _unpacked(
            counts.encode("latin-1", "replace") if isinstance(counts, str) else counts
        )
    else:
        try:
            lengths = np.asarray(counts)
        except ValueError:  # lists of different lengths
            lengths = np.empty((0, 0))
        if lengths.ndim != 1 or lengths.dtype.kind not in "iu":
            raise ValueError("the counts of the rle are no list of whole numbers, and no text")
    # By floating point first: whole numbers may add up to what they should by passing 2^64, and NumPy then writes
    # beyond the end. Where this is right, none passes it.
    about = float(lengths.sum(dtype=np.float64))
    if (lengths < 0).any() or about > 2.0 * height * width or lengths.sum(dtype=np.int64) != height * width:
        raise ValueError(
            f"the counts of the rle add up to {about:.17g} pixels, not to the {height} x {width} of its size, or one "
            "is below 0; it is damaged, or of another image"
        )
    columns = np.repeat(np.arange(lengths.size) % 2 == 1, lengths).reshape(width, height)
    return np.ascontiguousarray(columns.T)


def _counts(selected: Mask) -> Counts:
    height, width = selected.shape
    # Where a pixel differs from the one before it, down the columns: without turning the whole mask around.
    rows, columns = np.divmod(np.flatnonzero(selected[1:] != selected[:-1]), width)
    turns = np.flatnonzero(selected[0, 1:] != selected[-1, :-1]) + 1
    places = np.concatenate((columns * height + rows + 1, turns * height))
    places.sort()
    begins = np.zeros(int(selected[0, 0]), np.int64)  # a first run of nothing
    ends = np.concatenate((begins, places, [height * width]))
    ends[1:] -= ends[:-1].copy()
    return ends


def _packed(counts: Counts) -> str:
    """Return counts as text: from the fourth on as differences to the last but one, in groups of five bits."""
    left = counts.copy()
    left[3:] -= counts[1:-2]
    groups, wanted = [], []
    going = np.ones(left.size, np.bool_)
    while going.any():
        wanted.append(going)
        group = left & 0x1F
        left >>= 5
        # The sixth bit says that more follows; the last group's fifth is the sign.
        going = going & (left != np.where(group & 0x10, -1, 0))
        groups.append(group + np.where(going, 0x20, 0) + 48)
    shown = np.stack(groups, axis=1).astype(np.uint8)
    letters: bytes = shown[np.stack(wanted, axis=1)].tobytes()
    return letters.decode("ascii")


def _unpacked(text: bytes) -> Counts:
    groups = np.frombuffer(text, np.uint8).astype(np.int64) - 48
    last = np.flatnonzero((groups & 0x20) == 0)
    if ((groups < 0) | (groups > 63)).any() or not groups.size or last.size == 0 or last[-1] != groups.size - 1:
        raise ValueError("the counts of the rle are no compressed counts of COCO; the text is damaged or cut off")
    first = np.append(0, last[:-1] + 1)
    if (last - first).max() > 11:
        raise ValueError("the counts of the rle hold a number too large for any image; the text is damaged")
    place = np.arange(groups.size) - np.repeat(first, last - first + 1)
    values = np.add.reduceat((groups & 0x1F) << (5 * place), first)
    values -= np.where(groups[last] & 0x10, np.int64(1) << (5 * (last - first + 1)), 0)
    values[1::2] = np.cumsum(values[1::2])
    values[2::2] = np.cumsum(values[2::2])
    return values
