"""Weights of pixels in the losses, by the grade of a mask and by what is thin. Skipped without pyiseg[train]."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import cv2
import numpy as np
import pytest
from support import toy_data

pytest.importorskip("torch")

import torch

from export.data.dataset import DataConfig, Sample, TrainingData
from export.data.io import Grade
from export.data.pixel_weights import EDGE_BAND, pixel_weights, thin_parts
from export.training.losses import absolute_error, soft_iou
from export.training.step import Targets

Array = np.ndarray  # type: ignore[type-arg]


def disc_with_a_limb() -> Array:
    """A disc of radius 40, a limb of 5 pixels to its right, a slit of 3 pixels in it; alpha, uint8, (160, 200)."""
    alpha = cv2.circle(np.zeros((160, 200), np.uint8), (60, 80), 40, 255, -1)
    alpha[78:83, 100:170] = 255
    alpha[60:63, 40:80] = 0
    return alpha


LIMB, SLIT, MIDDLE, EDGE, FAR = (80, 140), (61, 60), (90, 60), (80, 22), (20, 180)


@pytest.mark.parametrize(
    ("grade", "edges", "thin", "expected"),
    [
        # Of limb, slit, the disc's middle, its edge, and far background.
        ("rough", 0.2, 0.0, (0.2, 0.2, 1, 0.2, 1)),
        ("fair", 0.5, 0.0, (0.5, 0.5, 1, 0.5, 1)),
        ("close", 1.0, 1.0, (1, 1, 0.5, 0.5, 0.5)),
        ("exact", 1.0, 3.0, (1, 1, 0.25, 0.25, 0.25)),
        ("rough", 0.2, 1.0, (0.2, 0.2, 1, 0.2, 1)),
        ("fair", 1.0, 1.0, None),
        ("close", 1.0, 0.0, None),
    ],
)
def test_weights(grade: Grade, edges: float, thin: float, expected: tuple[float, ...] | None) -> None:
    weight = pixel_weights(disc_with_a_limb(), grade, edges, thin)
    if expected is None:
        assert weight is None
        return
    assert weight is not None
    assert weight.dtype == np.uint8
    assert [weight[place] / 255 for place in (LIMB, SLIT, MIDDLE, EDGE, FAR)] == pytest.approx(expected, abs=0.003)


def test_the_band_is_as_wide_as_said() -> None:
    alpha = np.zeros((40, 60), np.uint8)
    alpha[:, 30:] = 255
    weight = pixel_weights(alpha, "rough", 0.0, 0.0)
    assert weight is not None
    np.testing.assert_array_equal(np.flatnonzero(weight[20] == 0), range(30 - EDGE_BAND, 30 + EDGE_BAND))


@pytest.mark.parametrize(("width", "is_thin"), [(2, True), (6, True), (11, True), (15, False), (30, False)])
@pytest.mark.parametrize("gap", [False, True])
@pytest.mark.parametrize("across", [False, True])
def test_thin_is_told_by_the_width(width: int, is_thin: bool, gap: bool, across: bool) -> None:
    mask = np.zeros((120, 120), np.uint8)
    mask[50 : 50 + width] = 1
    mask = mask.T if across else mask
    thin = thin_parts(np.ascontiguousarray(1 - mask if gap else mask))
    assert thin.any() == is_thin
    if is_thin:
        assert thin[mask == 1].all(), "to its ends: the sides of a image do not close it"


@pytest.mark.parametrize("size", [20, 60])
def test_corners_of_wide_objects_are_not_thin(size: int) -> None:
    mask = np.zeros((100, 100), np.uint8)
    mask[10 : 10 + size, 10 : 10 + size] = 1
    assert not thin_parts(mask).any()


def sample(weight: Array | None) -> Sample:
    alpha = disc_with_a_limb()
    valid = np.ones_like(alpha)
    valid[:, :30] = 0
    return Sample(np.zeros((*alpha.shape, 3), np.uint8), alpha, valid, np.zeros_like(alpha), weight)


def test_losses_heed_the_weights_and_truths_do_not() -> None:
    weight = np.full((160, 200), 255, np.uint8)
    weight[78:84, 100:] = 51
    plain, weighted = (Targets([sample(w)], 2, False, torch.device("cpu")) for w in (None, weight))
    torch.testing.assert_close(weighted.grid_truth, plain.grid_truth)
    torch.testing.assert_close(weighted.truth, plain.truth)
    assert plain.valid.unique().tolist() == [0, 1]
    torch.testing.assert_close(weighted.valid[0, 0].numpy(), plain.valid[0, 0].numpy() * weight / np.float32(255))
    wrong = plain.truth.clone()
    wrong[..., 110:] = 0  # the limb is missed
    for loss in (absolute_error, soft_iou):
        assert loss(wrong, plain.truth, weighted.valid) < 0.3 * loss(wrong, plain.truth, plain.valid)
    mixed = Targets([sample(None), sample(weight)], 2, False, torch.device("cpu"))
    torch.testing.assert_close(mixed.valid, torch.cat([plain.valid, weighted.valid]))


def test_grades_reach_the_samples(tmp_path: Path) -> None:
    root = toy_data.build(tmp_path)
    path = root / "train" / "real.jsonl"

    def weights(source: str, grade: str | None, **values: float) -> list[Array | None]:
        text = path.read_text()
        record = f'"source": "{source}"' + ("" if grade is None else f', "grade": "{grade}"')
        path.write_text(text.replace('"source": "ecssd"', record))
        config = DataConfig(composed=0.0, sources=((source, 1.0),), **values)  # type: ignore[arg-type]
        found = [TrainingData(root, 64, 1, config)[i].weight for i in range(6)]
        path.write_text(text)
        return found

    for source, grade, expected in (
        ("sbd", None, 51),
        ("new", "rough", 51),
        ("new", "fair", 102),
        ("sbd", "fair", 102),
    ):
        found = weights(source, grade, rough_edges=0.2, fair_edges=0.4)
        assert all(w is not None and set(np.unique(w)) == {expected, 255} for w in found), (source, grade)
    assert weights("new", None, rough_edges=0.2) == weights("ecssd", None, rough_edges=0.2) == [None] * 6
    assert weights("sbd", None) == [None] * 6
    with pytest.raises(ValueError, match=r"real\.jsonl, line 1, .*grade 'good' is none of exact, close"):
        weights("ecssd", "good")
    assert set(get_args(Grade)) == {"exact", "close", "fair", "rough"}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"rough_edges": 1.5}, "data.rough_edges is 1.5; it is a share"),
        ({"fair_edges": -0.1}, "data.fair_edges"),
        ({"native": 2.0}, "data.native"),
        ({"thin": -1.0}, "data.thin is -1.0; give 0 to 10"),
    ],
)
def test_weights_that_make_no_sense(values: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DataConfig(**values)  # type: ignore[arg-type]
