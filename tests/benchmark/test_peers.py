"""What is compared with sessions: clicks in, whole masks out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from support.toy_model import PHOTO

from pyiseg import Session
from pyiseg.benchmark.peers import Clicked, Mask, Peer, Pixels, Pyiseg
from pyiseg.evaluation.overlap import iou

pytest.importorskip("cv2")
onnx = pytest.importorskip("onnx")

from support import sam_pair  # noqa: E402 - needs onnx

from pyiseg.benchmark.grabcut import GrabCut  # noqa: E402
from pyiseg.benchmark.mobile_sam import EXPECTED, MobileSam  # noqa: E402


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return sam_pair.build(tmp_path_factory.mktemp("pair"))


def disc(height: int = 90, width: int = 120) -> tuple[Pixels, Mask]:
    """A red disc on blue, with a little noise."""
    y, x = np.mgrid[:height, :width]
    inside = (x - 70) ** 2 + (y - 40) ** 2 < 25**2
    rgb = np.where(inside[..., None], (200, 60, 50), (40, 60, 180)) + np.random.default_rng(0).integers(
        -9, 10, (height, width, 3)
    )
    return rgb.astype(np.uint8), inside


@pytest.mark.parametrize("name", ["pyiseg", "GrabCut", "MobileSAM"])
def test_a_click_gives_the_whole_mask_the_same_each_time(name: str, toy: Path, pair: tuple[Path, Path]) -> None:
    peer: Peer = {"pyiseg": lambda: Pyiseg(toy), "GrabCut": GrabCut, "MobileSAM": lambda: MobileSam(*pair)}[name]()
    rgb, _ = disc()
    before = rgb.copy()
    found: list[list[NDArray[np.bool_]]] = []
    for _ in range(2):
        selection = peer.open(rgb)
        found.append([selection.click(70, 40, True), selection.click(5, 80, False), selection.click(60, 45, True)])
    for one, other in zip(*found, strict=True):
        assert one.dtype == np.bool_
        assert one.shape == rgb.shape[:2]
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(rgb, before)
    assert found[0][0].any()
    assert peer.settings


def test_sessions_give_their_own_mask(toy: Path) -> None:
    session = Session(PHOTO, model=toy)
    selection = Pyiseg(toy).open(PHOTO)
    for click in ((60, 30, True), (50, 30, False)):
        session.click(*click)
        np.testing.assert_array_equal(selection.click(*click), session.mask)


def test_a_robot_user_can_click_on_any_peer(toy: Path) -> None:
    clicked = Clicked(Pyiseg(toy), PHOTO)
    assert clicked.shape == PHOTO.shape[:2]
    assert not clicked.mask.any()
    clicked.click(60, 30, True)
    session = Session(PHOTO, model=toy)
    session.click(60, 30)
    np.testing.assert_array_equal(clicked.mask, session.mask)


def test_grabcut_finds_a_disc_and_obeys() -> None:
    rgb, inside = disc()
    selection = GrabCut().open(rgb)
    assert iou(selection.click(70, 40, True), inside) > 0.95
    after = selection.click(80, 45, False)
    assert not after[45, 80]
    assert selection.click(5, 5, True)[5, 5]


def test_grabcut_without_two_kinds_of_pixels_keeps_what_is_certain() -> None:
    rgb, _ = disc()
    selection = GrabCut().open(rgb)
    assert not selection.click(5, 5, False).any()
    assert selection.click(70, 40, True).any()


def test_grabcut_begins_anew_with_all_clicks() -> None:
    rgb, _ = disc()
    clicks = [(70, 40, True), (5, 80, False), (60, 45, True)]
    one, other = GrabCut().open(rgb), GrabCut().open(rgb)
    for click in clicks:
        last = one.click(*click)
    # Clicks that both select, or both remove, may come in any order but for the wide disc around the first.
    for click in (clicks[0], clicks[2], clicks[1]):
        again = other.click(*click)
    np.testing.assert_array_equal(last, again)


def test_grabcut_needs_iterations() -> None:
    with pytest.raises(ValueError, match="iterations is 0"):
        GrabCut(0)


@pytest.mark.parametrize(("shape", "masks"), [((60, 80), 1), ((60, 80), 4), ((2000, 1500), 1)])
def test_sam_gets_points_in_its_frame_and_its_own_mask_again(
    tmp_path: Path, shape: tuple[int, int], masks: int
) -> None:
    """See `support.sam_pair.build`: sides change where the mask is fed back, and only the best mask selects."""
    selection = MobileSam(*sam_pair.build(tmp_path, masks)).open(np.zeros((*shape, 3), np.uint8))
    columns = np.arange(shape[1])

    def selected(mask: Mask) -> NDArray[np.bool_]:
        assert mask.shape == shape
        assert (mask == mask[0]).all()
        return mask[0]

    np.testing.assert_array_equal(selected(selection.click(30, 10, True)), columns < 30)
    np.testing.assert_array_equal(selected(selection.click(50, 20, False)), columns > 50)
    # Of four masks the one fed back now is that of several points, which is negative there.
    expected = columns > 20 if masks == 1 else columns < 20
    np.testing.assert_array_equal(selected(selection.click(20, 5, True)), expected)


def test_files_that_are_no_pair(tmp_path: Path, pair: tuple[Path, Path]) -> None:
    encoder, decoder = pair
    noise = tmp_path / "noise.onnx"
    noise.write_bytes(b"no network")
    for files, words in (
        ((decoder, encoder), f"'{decoder}' is no encoder of MobileSAM: it has inputs image_embeddings"),
        ((encoder, encoder), f"'{encoder}' is no decoder of MobileSAM: it has inputs input"),
        ((encoder, noise), f"'{noise}' is no ONNX network"),
        ((tmp_path / "absent.onnx", decoder), "no file at"),
        ((tmp_path, decoder), "no file at"),
    ):
        with pytest.raises(ValueError) as raised:  # noqa: PT011 - its message is looked at
            MobileSam(*files)
        assert words in str(raised.value)
        assert EXPECTED in str(raised.value)
    for name in ("point_coords", "orig_im_size", "low_res_masks", "(1, 3, 1024, 1024)"):
        assert name in EXPECTED


def test_a_decoder_that_lacks_an_input(tmp_path: Path, pair: tuple[Path, Path]) -> None:
    model = onnx.load(pair[1])
    for node in model.graph.node:
        node.input[:] = ["image_embeddings" if name == "point_labels" else name for name in node.input]
    kept = [value for value in model.graph.input if value.name != "point_labels"]
    del model.graph.input[:]
    model.graph.input.extend(kept)
    onnx.save(model, tmp_path / "decoder.onnx")
    with pytest.raises(ValueError, match=r"is no decoder .* point_labels"):
        MobileSam(pair[0], tmp_path / "decoder.onnx")
