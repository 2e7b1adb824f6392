"""session.py and cpu.py with models whose guide sees the clicks, and other kinds of model folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
import pytest
from support import toy_model
from support.pillow import image_maps, working_image
from support.sessions import predictions
from support.toy_device import Devices, gpu
from support.toy_model import CLICKS, PHOTO, allocated, click_all, photo, same

import pyiseg
from pyiseg import Session, _core, load_model, obeyed
from pyiseg.runtime.guide import ClickGuide
from pyiseg.runtime.ort import networks_of
from pyiseg.runtime.resample import NUMPY
from pyiseg.runtime.scratch import Scratch

__all__ = ["gpu"]  # a fixture


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Early fusion and a guide that sees the clicks, as the paper's network has them."""
    return toy_model.build(
        tmp_path_factory.mktemp("models") / "clicked", early_fusion=True, guide_clicks=True, grid_stride=1
    )


def luminance(rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    return rgb @ np.array([0.299, 0.587, 0.114]) / 255


def test_a_click_is_the_published_chain(folder: Path) -> None:
    """By hand, on a size at which nothing has to be resized: each guide is that of the clicks it goes with."""
    rgb = photo(32, 64)
    session = Session(rgb, model=folder)
    image = np.ascontiguousarray(rgb.transpose(2, 0, 1)[None] / np.float32(255))
    network = ort.InferenceSession(folder / "click.onnx", providers=["CPUExecutionProvider"])
    labels, scratch = np.empty((32, 64), np.int32), np.empty((2, 32, 64), np.float32)
    previous, fitted = np.zeros((32, 64), np.float32), None
    for number in range(1, 4):
        clicks = np.array([(45, 15, 1), (8, 9, 1), (40, 15, 0)], np.int32)[:number]
        maps = np.empty((6, 32, 64), np.float32)
        _core.click_maps(clicks, toy_model.SIGMAS, maps)
        if fitted is not None:
            lines, guide = fitted
            filtered = np.empty((32, 64), np.float32)
            _core.apply_coefficients(lines, guide, filtered)
            _core.keep_clicked_components(filtered, clicks[:-1], 0, labels, previous)
        inputs = {"click_maps": maps[None], "previous_alpha": previous[None, None], "image": image}
        alpha = np.array(network.run(None, inputs)[0])[0, 0]
        guide = (luminance(rgb) - 0.25 * maps[0] + 0.5 * maps[3]).astype(np.float32)
        guide -= np.float32(guide.mean(dtype=np.float64))
        _core.force_clicks(clicks, alpha)
        clean = np.empty_like(alpha)
        _core.keep_clicked_components(alpha, clicks, 1, labels, clean)
        lines = np.empty_like(scratch)
        _core.guided_filter_coefficients(guide, clean, 2, 1e-3, False, scratch, lines)
        full = np.empty((32, 64), np.uint8)
        _core.apply_coefficients(lines, guide, full)
        fitted = lines, guide
        x, y, label = clicks[-1].tolist()
        found = session.click(x, y, bool(label))
        assert np.abs(found.astype(int) - full).max() <= 1
        assert full.any()


def test_the_full_guide_is_that_of_the_clicks_in_force(folder: Path) -> None:
    rgb = photo(701, 303)  # several strips, larger than the working image
    model = load_model(folder)
    view = pyiseg.Image(rgb, model=model).encoded.view
    assert view.grid == (64, 32)
    working = working_image(view, rgb)
    clicks = view.grid_clicks([(200, 350, 1), (50, 600, 0)])
    network = networks_of(model).guide(rgb.size // 3, Scratch())
    guide = ClickGuide(NUMPY, view, network, rgb, working, model.click_params.sigmas[0])
    on_grid = guide.on_grid(clicks).copy()
    maps = np.empty((6, *view.grid), np.float32)
    _core.click_maps(clicks, toy_model.SIGMAS, maps)
    large = image_maps(view, maps[[0, 3]]).astype(np.float64)
    expected = luminance(rgb) - 0.25 * large[0] + 0.5 * large[1]
    # One scalar is taken off both guides: the mean of the one on the grid.
    offset = expected - guide.at_image()
    assert np.ptp(offset) < 1e-5
    by_hand = working[0].transpose(1, 2, 0) @ np.array([0.299, 0.587, 0.114]) - 0.25 * maps[0] + 0.5 * maps[3]
    np.testing.assert_allclose(offset.mean(), by_hand.mean(), atol=1e-5)
    np.testing.assert_allclose(on_grid, by_hand - by_hand.mean(), atol=1e-5)
    # Nothing is remembered of clicks that were asked for before.
    again = ClickGuide(NUMPY, view, network, rgb, working, model.click_params.sigmas[0])
    again.on_grid(clicks[:1])
    again.at_image()
    np.testing.assert_array_equal(again.on_grid(clicks), on_grid)
    np.testing.assert_array_equal(again.at_image(), guide.at_image())


@pytest.mark.parametrize(
    "kind",
    [
        {"early_fusion": True, "guide_clicks": True, "grid_stride": 1},
        {"guide_clicks": True, "grid_stride": 1},
        {"early_fusion": True, "feedback": False},
        {"radius": 0},
        {"form": "residual"},
        {"form": "residual", "color": True, "radius": 1},
    ],
    ids=["paper", "late", "no-feedback", "no-filter", "residual", "color"],
)
@pytest.mark.parametrize("size", [(60, 80), (33, 20), (1, 300), (1, 1), (701, 303)], ids=str)
def test_every_kind_of_model_undoes_and_redoes_bit_exactly(
    tmp_path: Path, kind: dict[str, int], size: tuple[int, int]
) -> None:
    height, width = size
    session = Session(photo(height, width), model=toy_model.build(tmp_path / "toy", **kind))
    alphas = [session.alpha]
    for x, y, fg in ((0.7, 0.5, True), (0.1, 0.2, True), (0.6, 0.5, False)):
        alphas.append(session.click(int(x * width), int(y * height), fg))
        assert alphas[-1].shape == size
    assert alphas[1].any()
    for count in (2, 1, 0):
        assert same(session.undo(), alphas[count])
    for count in (1, 2, 3):
        assert same(session.redo(), alphas[count])
        assert same(session.alpha, alphas[count])
    session.undo()
    session.undo()
    assert same(session.click(int(0.1 * width), int(0.2 * height)), alphas[2])


def test_the_clicks_change_the_guide_and_so_the_matte(folder: Path, tmp_path: Path) -> None:
    plain = toy_model.build(tmp_path / "plain", early_fusion=True, grid_stride=1)
    with_clicks, without = (click_all(Session(PHOTO, model=model)) for model in (folder, plain))
    assert not any(map(same, with_clicks, without))


def test_rendering_depends_on_its_arguments_only(folder: Path) -> None:
    image = pyiseg.Image(PHOTO, model=folder)
    alphas, made = click_all(Session(image)), predictions(image, CLICKS)
    pipeline = image.encoded.pipeline()
    for count in (2, 4, 1):
        clicks = np.array(CLICKS[:count], np.int32)
        assert same(pipeline.matte(clicks, made[count - 1].prediction), alphas[count - 1])
    clicks, before = np.array(CLICKS[:3], np.int32), made[1].prediction
    np.testing.assert_array_equal(pipeline.predict(clicks, before), made[2].prediction)


def test_without_feedback_the_previous_prediction_does_not_matter(tmp_path: Path) -> None:
    image = pyiseg.Image(PHOTO, model=toy_model.build(tmp_path / "toy", feedback=False))
    clicks = np.array(CLICKS, np.int32)
    np.testing.assert_array_equal(
        image.encoded.pipeline().predict(clicks, None), predictions(image, CLICKS)[-1].prediction
    )


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kind", [{}, {"form": "residual"}, {"form": "residual", "color": True}], ids=str)
def test_without_filter_the_alpha_is_the_prediction_enlarged(tmp_path: Path, stride: int, kind: dict[str, Any]) -> None:
    """Radius 0: slopes are 0 and the offset is the prediction; at the grid's size nothing is left to do."""
    image = pyiseg.Image(photo(32, 64), model=toy_model.build(tmp_path / "toy", radius=0, grid_stride=stride, **kind))
    alpha = Session(image).click(45, 15)
    prediction = predictions(image, [(45, 15, True)])[0].prediction
    flat = np.zeros((2, *prediction.shape), np.float32)
    flat[1] = prediction
    expected = np.empty(alpha.shape, np.uint8)
    if kind:  # where the alpha disobeys, the coefficients of the residual form are pinned
        clicks = np.array([(45, 15, 1)], np.int32)
        on_grid = image.encoded.view.grid_clicks(clicks)
        guide = np.zeros(alpha.shape, np.float32)
        _core.pin_image_clicks(guide, clicks, on_grid, np.empty_like(prediction), flat)
    _core.apply_coefficients(flat, np.zeros(alpha.shape, np.float32), expected)
    np.testing.assert_array_equal(alpha, expected)
    assert alpha.any()


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("color", [False, True])
def test_clicks_are_obeyed_at_the_images_resolution(
    tmp_path: Path, gpu: Devices, monkeypatch: pytest.MonkeyPatch, device: str, color: bool
) -> None:
    """On noise, in a corner of a grid pixel and then in its middle: without pinning, over a quarter are disobeyed."""
    folder = toy_model.build(tmp_path / "toy", form="residual", color=color, eps=1e-4, bias=-9, grid_stride=4)
    rgb = np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8)
    monkeypatch.setattr(obeyed, "obey", lambda *arguments: None)  # what is pinned on the grid is tried alone
    disobeyed = {"pinned": 0, "not pinned": 0}
    for how in disobeyed:
        if how == "not pinned":
            for ops in (_core, _core.cuda.Stream):
                monkeypatch.setattr(ops, "pin_image_clicks", lambda *arguments: None)
        session = Session(rgb, model=folder, device=device)
        rows, columns = pyiseg.Image(rgb, model=folder).encoded.view.grid
        for place in range(20):
            x, y = (2 + place % 5 * 3) * 400 // columns + 1, (2 + place // 5 * 2) * 300 // rows + 1
            session.reset()
            for click in ((x, y), (x + 200 // columns, y + 150 // rows)):
                alpha = session.click(*click)
                disobeyed[how] += sum(alpha[c.y, c.x] < 128 for c in session.clicks)
    assert disobeyed["pinned"] == 0
    assert disobeyed["not pinned"] > 5


@pytest.mark.parametrize("color", [False, True])
@pytest.mark.parametrize("size", [(32, 64), (64, 128), (95, 250)])
def test_the_residual_form_leaves_the_prediction_on_the_grid_as_it_is(
    tmp_path: Path, color: bool, size: tuple[int, int]
) -> None:
    """So alpha, averaged to the grid again, is close to it, whatever the image shows."""
    folder = toy_model.build(tmp_path / "toy", form="residual", color=color, grid_stride=1, eps=1e-2, radius=1)
    image = pyiseg.Image(photo(*size), model=folder)
    session = Session(image)
    alpha = session.click(size[1] * 45 // 64, size[0] * 15 // 32)
    prediction = predictions(image, session.clicks)[0].prediction
    clicks = np.array(session.clicks, np.int32)
    np.testing.assert_array_equal(image.encoded.pipeline().on_grid(clicks, prediction), prediction)
    if size == image.encoded.view.grid:
        wanted = 255 * prediction
        assert np.abs(alpha - wanted).max() <= 0.51
    assert (prediction > 0).any()
    assert (prediction < 1).any()


def test_memory_of_a_click_does_not_grow_with_the_guide(folder: Path) -> None:
    session = Session(photo(600, 1200), model=folder)
    for x in (900, 800, 700):
        session.click(x, 300)  # and what clicks work in is there
    alpha, held, peak = allocated(lambda: session.click(100, 100))
    step, slack = 4 * 32 * 64, 32_768
    assert held <= alpha.nbytes + step + slack
    # Not the 720 000 pixels' 3 MB of a guide.
    assert peak <= alpha.nbytes + 2 * step + slack
