"""session.py: a list of steps, on a stand-in model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
import pytest
from PIL import Image
from support import toy_model
from support.toy_device import Devices, watched
from support.toy_model import CLICKS, PHOTO, click_all, photo, same

import pyiseg
from pyiseg import Session, _core, load_model
from pyiseg.runtime.guide import ImageGuide
from pyiseg.runtime.noise import eps_under_noise, noise_level, reduce_noise, unseen_noise
from pyiseg.runtime.ort import networks_of
from pyiseg.runtime.resample import NUMPY
from pyiseg.runtime.scratch import Scratch

__all__ = ["watched"]  # a fixture

# What comes out


@pytest.mark.parametrize(
    "image",
    [
        PHOTO,
        PHOTO[..., 0],
        np.dstack([PHOTO, PHOTO[..., 0]]),
        PHOTO[::-1, ::2],
        photo(1, 1),
        photo(1, 300),
        photo(300, 1),
        photo(701, 303),
        Image.fromarray(PHOTO),
        Image.fromarray(PHOTO).convert("P"),
    ],
    ids=["rgb", "gray", "rgba", "strided", "1x1", "1x300", "300x1", "odd", "pil", "palette"],
)
def test_alpha_of_every_kind_of_image(toy: Path, image: Any) -> None:
    session = Session(image, model=toy)
    height, width = np.asarray(image).shape[:2]
    assert session.shape == (height, width)
    before = session.alpha
    assert before.shape == (height, width)
    assert before.dtype == np.uint8
    assert not before.any()
    for fg in (True, False):
        alpha = session.click(width // 2, height - 1, fg)
        assert alpha.shape == (height, width)
        assert alpha.dtype == np.uint8
        assert alpha.flags.c_contiguous
        assert alpha.flags.owndata
        assert same(session.alpha, alpha)
        if fg:
            assert alpha[height - 1, width // 2] > 128


def test_a_path_is_an_image(toy: Path, tmp_path: Path) -> None:
    Image.fromarray(PHOTO).save(tmp_path / "photo.png")
    by_path = Session(str(tmp_path / "photo.png"), model=toy)
    np.testing.assert_array_equal(by_path.image, PHOTO)
    assert same(by_path.click(60, 30), Session(PHOTO, model=toy).click(60, 30))


def test_clicks_select_and_remove(session: Session) -> None:
    alpha = session.click(60, 30)
    assert alpha[30, 60] > 200
    assert alpha[30, 5] == 0
    assert alpha[55, 75] == 0
    alpha = session.click(10, 12)
    assert alpha[12, 10] > 200
    assert alpha[30, 60] > 200
    alpha = session.click(60, 30, fg=False)
    assert alpha[12, 10] > 200
    assert alpha[30, 60] < 50


@pytest.mark.parametrize("early_fusion", [False, True])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kind", [{}, {"form": "residual"}, {"form": "residual", "color": True}], ids=str)
def test_a_click_is_the_documented_chain(tmp_path: Path, early_fusion: bool, stride: int, kind: dict[str, Any]) -> None:
    """The networks by plain calls, on sizes at which nothing has to be resized, and the native operations by hand."""
    folder = toy_model.build(tmp_path / "toy", early_fusion=early_fusion, grid_stride=stride, **kind)
    rgb = photo(32, 64)
    session = Session(rgb, model=folder)

    def run(name: str, **values: npt.NDArray[np.float32]) -> list[npt.NDArray[np.float32]]:
        network = ort.InferenceSession(folder / name, providers=["CPUExecutionProvider"])
        return [np.asarray(value) for value in network.run(None, values)]

    image = np.ascontiguousarray(rgb.transpose(2, 0, 1)[None] / np.float32(255))
    h, w = 32 // stride, 64 // stride
    if "color" in kind:
        guide, planes = np.empty_like(rgb), image[0]
        level = unseen_noise(noise_level(NUMPY, rgb), load_model(folder).view((32, 64)))
        assert (level > 0) == (stride > 1), "the noise of this image counts, unless the grid is as large"
        if level:
            reduce_noise(NUMPY, rgb, level, guide)
        else:
            guide = rgb
    else:
        planes = run("guide.onnx", image=image)[0][0]
    on_grid = planes.reshape(-1, h, stride, w, stride).mean((2, 4), dtype=np.float64).astype(np.float32)
    if "color" not in kind:
        mean = np.float32(on_grid.mean(dtype=np.float64))
        guide, on_grid = planes[0] - mean, on_grid - mean
    context = {"image": image} if early_fusion else {}
    if not early_fusion:
        context = dict(zip(["features_0", "features_1"], run("image.onnx", image=image), strict=True))

    labels = np.empty((h, w), np.int32)
    previous = np.zeros((h, w), np.float32)
    for number in range(1, 4):
        clicks = np.array([(45, 15, 1), (8, 9, 1), (40, 15, 0)], np.int32)[:number]
        placed = clicks // np.array([stride, stride, 1], np.int32)
        maps = np.empty((6, h, w), np.float32)
        _core.click_maps(placed, toy_model.SIGMAS, maps)
        inputs = {"click_maps": maps[None], "previous_alpha": previous[None, None], **context}
        alpha = run("click.onnx", **inputs)[0][0, 0].copy()
        _core.force_clicks(placed, alpha)
        clean = np.empty_like(alpha)
        _core.keep_clicked_components(alpha, placed, 1, labels, clean)
        coefficients = np.empty((len(on_grid) + 1, h, w), np.float32)
        if "color" in kind:
            statistics, scratch = np.empty((6, h, w), np.float32), np.empty((3, h, w), np.float32)
            _core.color_guide_statistics(on_grid, 2, eps_under_noise(1e-3, level), statistics)
            _core.color_guided_filter_coefficients(on_grid, statistics, clean, 2, scratch, coefficients)
        else:
            scratch = np.empty_like(coefficients)
            _core.guided_filter_coefficients(on_grid[0], clean, 2, 1e-3, bool(kind), scratch, coefficients)
        full = np.empty((32, 64), np.uint8)
        _core.apply_coefficients(coefficients, guide, full)
        filtered = clean
        if not kind:
            filtered = np.empty((h, w), np.float32)
            _core.apply_coefficients(coefficients, on_grid[0], filtered)
        previous = np.empty_like(filtered)
        _core.keep_clicked_components(filtered, placed, 0, labels, previous)
        x, y, label = clicks[-1].tolist()
        found = session.click(x, y, bool(label))
        # Two runs of one chain; a rounding of the resizer may tip a value over the edge between two of 256 levels.
        assert np.abs(found.astype(int) - full).max() <= 1
        assert full.any()


def test_the_previous_alpha_matters(toy: Path) -> None:
    # The toy network alone would not keep what the first click selected at this distance from the second.
    once, twice = Session(PHOTO, model=toy), Session(PHOTO, model=toy)
    twice.click(60, 30)
    assert not same(twice.click(58, 30), once.click(58, 30))


def test_the_image_matters(toy: Path) -> None:
    assert not same(Session(PHOTO, model=toy).click(60, 30), Session(255 - PHOTO, model=toy).click(60, 30))


def test_what_no_click_asked_for_is_cleaned_away(session: Session) -> None:
    # The disc looks selected to the toy network whatever is clicked.
    alpha = session.click(5, 50)
    assert alpha[50, 5] > 200
    assert not alpha[15:45, 45:75].any()
    assert session.click(60, 30)[24:36, 54:66].min() > 128


def test_a_click_has_its_way_against_the_network(tmp_path: Path) -> None:
    nothing = toy_model.build(tmp_path / "nothing", bias=-9, long_side=96, grid_stride=1)
    everything = toy_model.build(tmp_path / "everything", bias=9, long_side=96, grid_stride=1)
    flat = np.full((96, 96), 90, np.uint8)
    one = Session(flat, model=nothing).click(40, 50).astype(int)
    assert one[50, 40] == 255
    assert one.sum() < 12 * 255  # the pixel, its neighbors, and what the windows that see it spread
    session = Session(flat, model=everything)
    assert session.click(10, 10).min() == 255
    hole = session.click(40, 50, fg=False)
    assert hole[50, 40] == 0
    assert hole[50, 60] == 255
    assert session.click(40, 50).min() == 255  # the later click wins


def test_cutout_and_mask(session: Session) -> None:
    alpha = session.click(60, 30)
    rgba = session.cutout()
    assert rgba.dtype == np.uint8
    np.testing.assert_array_equal(rgba[..., :3], PHOTO)
    np.testing.assert_array_equal(rgba[..., 3], alpha)
    assert session.mask.dtype == np.bool_
    np.testing.assert_array_equal(session.mask, alpha > 127)
    assert 0 < np.count_nonzero(session.mask) < alpha.size


def test_the_mask_is_alpha_from_128(toy: Path, watched: Devices) -> None:
    session = Session(PHOTO, model=toy, device="watched")
    session.click(60, 30)
    row = np.array([0, 127, 128, 255], np.uint8)
    watched.faults["matte"] = lambda clicks, prediction: np.full(session.shape, 255, np.uint8)
    alpha = session.alpha
    alpha[0, :4] = row
    watched.faults["matte"] = lambda clicks, prediction: alpha.copy()
    assert session.mask[0, :4].tolist() == [False, False, True, True]


def test_only_what_earlier_clicks_asked_for_is_fed_back(toy: Path) -> None:
    """Two islands, of which one has a click: the other makes no difference."""
    pipeline = pyiseg.Image(PHOTO, model=toy).encoded.pipeline()
    clicks, alpha = np.array([[16, 12, 1], [56, 12, 1]], np.int32), np.zeros((32, 32), np.float32)
    alpha[4:9, 4:9] = 0.75
    one = pipeline.predict(clicks, pipeline.carry(alpha))
    alpha[4:9, 20:25] = 0.75
    np.testing.assert_array_equal(pipeline.predict(clicks, pipeline.carry(alpha)), one)
    alpha[4:9, 4:9] = 0
    assert (pipeline.predict(clicks, pipeline.carry(alpha)) != one).any()


def test_the_guide_covers_an_image_of_many_strips(toy: Path) -> None:
    rgb = photo(701, 303)
    luminance = rgb @ np.array([0.299, 0.587, 0.114]) / 255
    network = networks_of(load_model(toy)).guide(rgb.size // 3, Scratch())
    view = pyiseg.Image(rgb, model=toy).encoded.view
    guide = ImageGuide(NUMPY, view, network, rgb, np.empty).at_image()
    np.testing.assert_allclose(guide - guide.mean(), luminance - luminance.mean(), atol=1e-6)
    assert abs(guide.mean()) < 0.01


# The list of steps


def test_the_same_clicks_give_the_same_alpha(toy: Path, session: Session) -> None:
    alphas = click_all(session)
    assert session.clicks == CLICKS
    assert all(map(same, click_all(Session(PHOTO, model=toy)), alphas))
    session.reset()
    assert all(map(same, click_all(session), alphas))
    assert len({alpha.tobytes() for alpha in alphas}) == len(CLICKS)


def test_undo_and_redo_are_bit_exact(session: Session) -> None:
    alphas = [session.alpha, *click_all(session)]
    for _ in range(2):
        for count in reversed(range(len(CLICKS))):
            assert same(session.undo(), alphas[count])
            assert same(session.alpha, alphas[count])
            assert session.clicks == CLICKS[:count]
        for count in range(1, len(CLICKS) + 1):
            assert same(session.redo(), alphas[count])
            assert same(session.alpha, alphas[count])
            assert session.clicks == CLICKS[:count]


def test_a_click_after_undo_is_like_the_click_that_was_undone(session: Session) -> None:
    alphas = click_all(session)
    session.undo()
    session.undo()
    assert same(session.click(*CLICKS[2]), alphas[2])
    assert same(session.click(*CLICKS[3]), alphas[3])


def test_nothing_to_undo_or_redo(session: Session) -> None:
    assert not session.undo().any()
    assert not session.redo().any()
    alpha = session.click(60, 30)
    assert same(session.redo(), alpha)
    session.undo()
    session.undo()
    assert same(session.redo(), alpha)
    assert session.clicks == ((60, 30, True),)


def test_a_new_click_drops_what_could_be_redone(session: Session) -> None:
    click_all(session)
    session.undo()
    session.undo()
    alpha = session.click(20, 20)
    assert same(session.redo(), alpha)
    assert session.clicks == (*CLICKS[:2], (20, 20, True))


def test_reset(session: Session) -> None:
    click_all(session)
    session.undo()
    assert not session.reset().any()
    assert session.clicks == ()
    assert not session.redo().any()
    assert not session.undo().any()


def test_the_same_click_again(session: Session) -> None:
    session.click(60, 30)
    assert session.click(60, 30)[30, 60] > 200
    assert session.clicks == ((60, 30, True), (60, 30, True))
