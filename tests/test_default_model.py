"""The model that ships: it really selects, on images it was not trained on."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest
from PIL import Image
from support.cat import CLICKS, PHOTO
from support.paths import GOLDEN

from pyiseg import Click, Session, _core, demo, load_model
from pyiseg.evaluation.metrics import iou

# Places (x, y) in the demonstration's photograph.
OTTER = {
    "nose": (80, 205),
    "neck": (300, 420),
    "paw": (430, 615),
    "back": (900, 370),
    "flank": (1050, 600),
    "tail": (1320, 520),
}
AROUND = {"water": (700, 150), "before it": (120, 420), "rock": (300, 800), "grass": (1250, 720), "corner": (5, 995)}


def rendered(width: int = 640, height: int = 480) -> tuple[npt.NDArray[np.uint8], list[npt.NDArray[np.bool_]]]:
    """Two balls on a noisy floor, and their masks."""
    rng = np.random.default_rng(0)
    image = cv2.GaussianBlur(rng.integers(0, 255, (height, width, 3), np.uint8), (0, 0), 3)
    image = (image * 0.4 + np.array([40, 90, 60])).astype(np.uint8)
    masks = []
    for x, y, r, color in ((180, 240, 110, (200, 60, 40)), (470, 250, 90, (50, 70, 200))):
        mask = np.zeros((height, width), np.uint8)
        cv2.circle(mask, (x, y), r, 1, -1)
        shade = np.linspace(0.6, 1.2, height)[:, None, None]
        image = np.where(mask[..., None] == 1, np.clip(np.array(color) * shade, 0, 255), image).astype(np.uint8)
        masks.append(mask == 1)
    return image, masks


@pytest.mark.parametrize("wanted", [0, 1])
def test_one_click_selects_the_clicked_ball_only(wanted: int) -> None:
    image, masks = rendered()
    y, x = (int(v) for v in np.argwhere(masks[wanted]).mean(axis=0))
    session = Session(image)
    session.click(x, y)
    assert iou(session.mask, masks[wanted]) > 0.8
    assert (session.mask & masks[1 - wanted]).mean() < 0.01


def test_noise_leaves_the_edge_of_a_mask_in_one_piece() -> None:
    width, height = 2000, 1500
    y, x = np.mgrid[:height, :width]
    truth = np.hypot(x - width // 2, y - height // 2) < 450
    image = np.where(truth[..., None], (200, 60, 50), (90, 120, 90))
    image = np.clip(image + 8 * np.random.default_rng(0).standard_normal(image.shape) + 0.5, 0, 255).astype(np.uint8)
    session = Session(image)
    session.click(width // 2, height // 2)
    found = session.mask
    for mask in (found, ~found):
        areas = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)[2][1:, cv2.CC_STAT_AREA]
        assert areas.sum() - areas.max() <= 4  # it was thousands of pieces; a single pixel may be left
    assert iou(found, truth) > 0.997


def test_a_second_click_adds_and_a_third_removes() -> None:
    image, masks = rendered()
    session = Session(image)
    session.click(180, 240)
    session.click(470, 250)
    assert iou(session.mask, masks[0] | masks[1]) > 0.8
    session.click(180, 240, fg=False)
    assert not session.mask[240, 180]


def test_size_does_not_change_what_is_selected() -> None:
    image, masks = rendered()
    large = np.asarray(Image.fromarray(image).resize((2560, 1920), Image.Resampling.BICUBIC))
    session = Session(large)
    session.click(720, 960)
    mask = np.asarray(Image.fromarray(masks[0]).resize((2560, 1920), Image.Resampling.NEAREST))
    assert iou(session.mask, mask) > 0.8


def test_whole_session_on_a_photograph() -> None:
    """Against the mask recorded when the weights were made: another runtime or machine may differ at single pixels."""
    session = Session(PHOTO)
    for click in CLICKS:
        session.click(*click)
    with Image.open(GOLDEN / "cat_mask.png") as image:
        golden = np.asarray(image) >= 128
    assert iou(session.mask, golden) > 0.99
    for x, y, fg in CLICKS:
        assert session.mask[y, x] == fg
    assert session.clicks == tuple(Click(*click) for click in CLICKS)


def test_the_demonstration_selects_the_whole_otter_and_nothing_else() -> None:
    session = Session(demo.PHOTO)
    for click in demo.CLICKS:
        session.click(*click)
    mask = session.mask
    assert {name: bool(mask[y, x]) for name, (x, y) in OTTER.items()} == dict.fromkeys(OTTER, True)
    assert {name: bool(mask[y, x]) for name, (x, y) in AROUND.items()} == dict.fromkeys(AROUND, False)
    assert 0.23 < mask.mean() < 0.27


def test_the_manifest_says_what_made_the_weights() -> None:
    model = load_model()
    assert sum(len(content) for content in model.files.values()) <= 12e6
    assert model.training["pictures"] > 1000
    assert "ImageNet" in model.training["started_from"]
    assert model.licence == "Apache-2.0"


def test_the_fp16_variant_predicts_like_the_fp32_files() -> None:
    """In ONNX Runtime, which computes them in FP32; test_fp16.py is about the arithmetic."""
    model = load_model()
    assert model.has_fp16
    assert sum(len(content) for name, content in model.files.items() if "fp16" in name) <= 200e3  # weights are shared
    rng = np.random.default_rng(0)
    coarse = rng.random((5, 6, 3)).astype(np.float32)
    have: dict[str, Any] = {"image": cv2.resize(coarse, (192, 160)).transpose(2, 0, 1)[None]}
    have["click_maps"] = np.zeros((1, 6, 80, 96), np.float32)
    _core.click_maps(np.array([[40, 50, 1], [10, 5, 0]], np.int32), model.click_params.sigmas, have["click_maps"][0])
    have["previous_alpha"] = rng.random((1, 1, 80, 96)).astype(np.float32)

    def alpha(kind: str) -> Any:
        values = dict(have)
        for part in ("image", "click"):
            network = onnxruntime.InferenceSession(model.folder / f"{part}{kind}.onnx")
            types = {i.name: np.float16 if i.type == "tensor(float16)" else np.float32 for i in network.get_inputs()}
            found = network.run(None, {name: values[name].astype(dtype) for name, dtype in types.items()})
            values |= dict(zip([o.name for o in network.get_outputs()], found, strict=True))
        return values["alpha"]

    whole, half = alpha(""), alpha(".fp16")
    assert whole.dtype == half.dtype == np.float32
    assert 0.05 < whole.mean() < 0.95
    assert 0 < np.abs(whole - half).mean() <= 2e-3


@pytest.mark.parametrize("count", [6, 12, 20])
def test_one_click_on_each_of_many_discs_selects_them_and_nothing_else(count: int) -> None:
    """With the weights of version 0.2 a selection of 20 flooded all that lay between them (IoU 0.07)."""
    rng, radius = np.random.default_rng(count), 45 if count == 6 else 32
    centers: list[tuple[int, int]] = []
    while len(centers) < count:
        x, y = int(rng.integers(radius + 6, 794 - radius)), int(rng.integers(radius + 6, 594 - radius))
        if all(np.hypot(x - a, y - b) > 2 * radius + 12 for a, b in centers):
            centers.append((x, y))
    rows, columns = np.mgrid[:600, :800]
    truth = np.zeros((600, 800), np.bool_)
    for x, y in centers:
        truth |= np.hypot(columns - x, rows - y) <= radius
    rgb = np.where(truth[..., None], (200, 60, 50), (90, 120, 90)) + rng.normal(0, 4, (600, 800, 3))
    session = Session(rgb.clip(0, 255).astype(np.uint8))
    for center in centers:
        session.click(*center)
    assert (session.mask & truth).sum() >= 0.9 * (session.mask | truth).sum()
