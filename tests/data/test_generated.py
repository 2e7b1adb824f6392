"""Generated training images: what each kind promises, and their settings. Skipped without the extra pyiseg[train]."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import toy_data

pytest.importorskip("torch")

import cv2
from PIL import Image

from export import generate as generate_sheet
from export.data.composite import Composer
from export.data.dataset import DataConfig, TrainingData
from export.data.generated.kinds import KINDS, any_kind, generate
from export.data.generated.paint import Material, placed_cutout
from export.data.generated.scene import Patch, Scene
from export.data.generated.shapes import SHAPES, box, ellipse, filled, letters, outline, stroked, turned
from export.data.generated.thin import STROKES, WIDEST
from export.data.io import Masked

SHAPE = (112, 144)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy_data.build_folder(tmp_path_factory.mktemp("alpha"), "alpha")


@pytest.fixture(scope="module")
def material(root: Path) -> Material:
    return Material(Composer(root, None))


def generated_images(material: Material, kind: str, count: int, shape: int | tuple[int, int] = SHAPE) -> list[Masked]:
    return [generate(np.random.default_rng([9, i]), material, kind, shape) for i in range(count)]


# What holds for all kinds


@pytest.mark.parametrize("kind", KINDS)
def test_pictures_are_whole(material: Material, kind: str) -> None:
    soft = 0
    for masked in generated_images(material, kind, 16):
        image, alpha, valid, others = masked.planes
        assert image.shape == (*SHAPE, 3)
        assert {plane.shape for plane in (alpha, valid, others)} == {SHAPE}
        assert {plane.dtype for plane in (image, alpha, valid, others)} == {np.dtype(np.uint8)}
        assert valid.all()
        assert others.max() <= 1
        assert not (others & (alpha > 127)).any()
        wanted = int((alpha > 127).sum())
        assert 24 <= wanted <= 0.97 * alpha.size
        soft += int(((alpha > 20) & (alpha < 235)).any())
    assert soft >= 4, "edges are partly covered pixels"


@pytest.mark.parametrize("kind", KINDS)
def test_pictures_are_functions_of_the_generator(material: Material, kind: str) -> None:
    first, again = generated_images(material, kind, 4), generated_images(material, kind, 4)
    for one, other in zip(first, again, strict=True):
        for plane, same in zip(one, other, strict=True):
            np.testing.assert_array_equal(plane, same)
    assert len({masked.image.tobytes() for masked in first}) == 4
    assert generated_images(material, kind, 1, 96)[0].alpha.shape == (96, 96), "one side stands for a square"


@pytest.mark.parametrize("kind", ["several", "graphics", "thin", "holes", "parts", "flat"])
def test_some_things_leave_the_image(material: Material, kind: str) -> None:
    cut = 0
    for masked in generated_images(material, kind, 40):
        rim = np.concatenate([masked.alpha[[0, -1]].ravel(), masked.alpha[:, [0, -1]].ravel()])
        cut += int((rim > 127).any())
    assert cut >= 2


# What each kind promises


def test_several_are_several(material: Material) -> None:
    counts = [
        cv2.connectedComponents((p.alpha > 127).astype(np.uint8))[0] - 1
        for p in generated_images(material, "several", 40)
    ]
    assert np.mean(np.array(counts) >= 2) > 0.85, "few touch, or are hidden, until one is left"
    assert max(counts) >= 8
    assert any(p.others.any() for p in generated_images(material, "several", 20)), "look-alikes that are not wanted"


def test_small_things_are_small(material: Material) -> None:
    shares = [float(p.alpha.sum()) / 255 / p.alpha.size for p in generated_images(material, "small", 30, 256)]
    assert 0.0003 < min(shares) < 0.003, "at the image's border a part is cut off"
    assert 0.004 < max(shares) < 0.013


def test_thin_things_are_thin(material: Material) -> None:
    """A disc of 9 pixels fits into few of them, and then into a body only."""
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (9, 9))
    shares = []
    for masked in generated_images(material, "thin", 40, 256):
        mask = (masked.alpha > 127).astype(np.uint8)
        shares.append(1 - cv2.morphologyEx(mask, cv2.MORPH_OPEN, disc).sum() / mask.sum())
    assert np.median(shares) > 0.9
    for name, strokes in STROKES.items():
        for seed in range(8):
            lines, widths = strokes(np.random.default_rng(seed), SHAPE)
            assert len(lines) == len(widths) > 0, name
            assert 1.0 <= min(widths) <= max(widths) <= WIDEST, name


def test_holes_are_holes(material: Material) -> None:
    """Ground is seen that nothing but the wanted thing surrounds."""
    found = 0
    for masked in generated_images(material, "holes", 30, 160):
        around = cv2.copyMakeBorder((masked.alpha <= 127).astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=1)
        found += int(cv2.connectedComponents(around, connectivity=4)[0] - 1 > 1)
    assert found >= 21, "at the image's border a hole may be open"


def test_parts_begin_like_the_whole(material: Material) -> None:
    """The same image is there with a part wanted and with all of it: others are the rest of the thing."""
    of_part = [masked.others.any() for masked in generated_images(material, "parts", 40)]
    assert 8 < sum(of_part) < 32


def test_flat_areas_are_large(material: Material) -> None:
    shares = [float((p.alpha > 127).mean()) for p in generated_images(material, "flat", 30)]
    assert np.median(shares) > 0.12
    assert max(shares) > 0.6


# Scenes and shapes


def test_scenes_know_what_is_seen_of_what() -> None:
    scene = Scene(np.zeros((20, 30, 3), np.float32))
    scene.lay(box((20, 30), 2, 2, 20, 16), (200, 0, 0), "card", "all")
    scene.lay(box((20, 30), 4, 4, 4, 4), (0, 200, 0), "card", "avatar")
    scene.lay(box((20, 30), 10.5, 4, 6, 4), (0, 0, 200), "beside")
    scene.lay(box((20, 30), 0, 0, 30, 20)._replace(alpha=np.full((20, 30), 0.5, np.float32)), (0, 0, 0), covers=False)
    card, avatar = scene.render("card"), scene.render("avatar")
    assert card.alpha[5, 5] == avatar.alpha[5, 5] == 255, "what lies on a card belongs to it"
    assert card.alpha[5, 12] == 0 == avatar.alpha[10, 10]
    assert card.alpha[5, 10] == 128, "half covered"
    np.testing.assert_array_equal(card.image[10, 10], (100, 0, 0))
    assert card.others[5, 12] == 1 == avatar.others[10, 10]
    moved = scene.render("card", (3, -4))
    np.testing.assert_array_equal(moved.alpha[3:, :-4], card.alpha[:-3, 4:])
    shares = {"left": np.tile(np.linspace(0, 1, 30, dtype=np.float32), (20, 1))}
    scene.lay(Patch(np.ones((20, 30), np.float32), 0, 0), (9, 9, 9), parts=shares)
    np.testing.assert_array_equal(scene.render("left").alpha[0], np.floor(np.linspace(0, 1, 30) * 255 + 0.5))


@pytest.mark.parametrize(
    ("patch", "area"),
    [
        (box((60, 80), 10, 10, 20.5, 8.25), 20.5 * 8.25),
        (box((60, 80), 70, 50, 40, 40), 10 * 10),
        (filled((60, 80), ellipse(40, 30, 20, 15)), np.pi * 20 * 15),
        (filled((60, 80), ellipse(40, 30, 20, 20), ellipse(40, 30, 10, 10)), np.pi * 300),
        (stroked((60, 80), [[(10, 30), (60, 30)]], 3.25), 50 * 3.25 + np.pi * 1.625**2),
        (stroked((60, 80), [[(10, 10), (60, 50)]], 1.25), 4100**0.5 * 1.25 + np.pi * 0.625**2),
        (box((60, 80), -50, 0, 20, 20), 0),
    ],
    ids=["box", "cut box", "disc", "ring", "stroke", "slanted stroke", "outside"],
)
def test_coverage_is_exact(patch: Patch, area: float) -> None:
    # OpenCV fills the pixels of an outline too: up to an eighth of a pixel all around.
    assert float(patch.alpha.sum()) == pytest.approx(area, rel=0.05, abs=1)
    assert patch.alpha.dtype == np.float32
    assert patch.alpha.max(initial=0) <= 1


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes_fit_into_their_circle(shape: str) -> None:
    for seed in range(8):
        points = outline(np.random.default_rng(seed), shape)
        assert np.hypot(*points.T).max() == pytest.approx(1, abs=0.12)
        patch = filled((100, 100), turned(points, 30, 40, (50, 50)))
        assert patch.alpha.sum() > 250


def test_cutouts_are_placed_by_their_middle() -> None:
    rgba = np.full((20, 40, 4), 255, np.uint8)
    for degrees, longest in ((0, 40), (90, 20), (30, 80)):
        patch, color = placed_cutout(rgba, 50, 60, degrees, longest=longest)
        ys, xs = np.mgrid[: patch.alpha.shape[0], : patch.alpha.shape[1]] + 0.5
        total = float(patch.alpha.sum())
        assert total == pytest.approx(longest**2 / 2, rel=0.12)
        assert float((xs * patch.alpha).sum()) / total + patch.left == pytest.approx(50, abs=0.75)
        assert float((ys * patch.alpha).sum()) / total + patch.top == pytest.approx(60, abs=0.75)
        assert color[patch.alpha > 0.5].min() > 250


def test_letters_are_cropped() -> None:
    alpha = letters("Hg", 30)
    assert alpha.max() > 0.9
    assert all(line.any() for line in (alpha[0], alpha[-1], alpha[:, 0], alpha[:, -1]))


# Settings


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"generated": (("sev", 0.1),)}, "names 'sev'; there are several, graphics"),
        ({"generated": (("thin", 0.6), ("flat", 0.5))}, r"sums to 1\.1"),
        ({"generated": (("thin", -0.1),)}, "gives 'thin' -0.1"),
        ({"generated": (("thin", 0.1), ("thin", 0.1))}, "'thin' twice"),
        ({"generated": ("thin",)}, "give pairs"),
        ({"generated": (("thin", 0.1),), "order": "epochs", "composed": 0.0}, "order is 'epochs' and data.generated"),
        ({"degraded": 1.2}, "degraded is 1.2"),
        ({"matched": -1.0}, "matched is -1"),
    ],
)
def test_settings_that_make_no_sense(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DataConfig(**values)
    with pytest.raises(ValueError, match="there is no generated kind 'x'"):
        generate(np.random.default_rng(0), None, "x", 64)  # type: ignore[arg-type]


def test_shares_are_of_all_samples(root: Path) -> None:
    generated = (("thin", 0.5), ("flat", 0.25))
    rng = np.random.default_rng(0)
    sampled = [any_kind(rng, generated) for _ in range(4000)]
    for kind, share in (*generated, (None, 0.25)):
        assert sampled.count(kind) / 4000 == pytest.approx(share, abs=0.03)
    shares = DataConfig(photographs="folder", composed=0.4, generated=generated).shares()
    assert shares == pytest.approx({"folder": 0.15, "composed": 0.1, "thin": 0.5, "flat": 0.25})
    plain = DataConfig(generated=[["thin", 1]])  # type: ignore[arg-type]
    assert plain.generated == (("thin", 1.0),), "lists of TOML become tuples"


def test_samples_of_all_kinds_are_made(root: Path) -> None:
    config = DataConfig(
        photographs="folder", composed=0.0, generated=tuple((kind, 0.12) for kind in KINDS), degraded=0.5, matched=0.5
    )
    first, again = (TrainingData(root, 64, seed=3, config=config) for _ in range(2))
    for i in range(24):
        for one, other in zip(first[i], again[i], strict=True):
            np.testing.assert_array_equal(one, other)
        assert first[i].image.shape == (64, 64, 3)
        assert all(plane.flags.c_contiguous and plane.dtype == np.uint8 for plane in first[i][:4])


def test_degrading_changes_the_image_only(root: Path) -> None:
    """All other chances are drawn before: the same samples, spoiled."""
    plain, spoiled = (
        TrainingData(root, 64, 3, DataConfig(photographs="folder", composed=0.5, degraded=share))
        for share in (0.0, 1.0)
    )
    for i in range(12):
        before, after = plain[i], spoiled[i]
        assert not np.array_equal(before.image, after.image)
        for plane, same in zip(before[1:], after[1:], strict=True):
            np.testing.assert_array_equal(plane, same)


def test_samples_of_older_settings_are_what_they_were(root: Path) -> None:
    """None of the new settings draws a chance where it is 0; the figures are of the version before they came."""
    config = DataConfig(photographs="folder", composed=0.5, generated=(("thin", 0.0),))
    data = TrainingData(root, 48, 3, config)
    means = [float(data[i].alpha.mean()) for i in range(8)]
    # Far apart, so that any other draw is seen, and with room for another version of OpenCV.
    assert means == pytest.approx([10.0, 65.2, 60.2, 22.3, 62.0, 104.0, 10.8, 44.1], abs=1.0)


# Looking at them


def test_a_contact_sheet_is_written(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "sheet.png"
    command = [sys.executable, "-m", "export.generate", str(out), "--data", str(root), "--photographs", "folder"]
    options = ["--kinds", "thin", "flat", "--count", "5", "--size", "48", "64", "--columns", "2", "--degraded", "1"]
    done = subprocess.run([*command, *options], check=True, timeout=120, capture_output=True, text=True)
    assert done.stdout == f"wrote {out}\n"
    with Image.open(out) as sheet:
        assert sheet.size == (2 * 2 * 64, 3 * 48)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--count", "0"], "--count is 0"),
        (["--data", "gone"], "there is no folder 'gone'"),
        (["OUT", "sheet.txt"], r"cannot write 'sheet\.txt': give a file whose name ends in \.png, \.jpg"),
        (["OUT", "gone/sheet.png"], "there is no folder 'gone'"),
    ],
)
def test_a_contact_sheet_that_cannot_be(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    out = change.pop() if change[0] == "OUT" else "sheet.png"
    words = [out, "--data", str(root), "--photographs", "folder", *(change if change[0] != "OUT" else [])]
    monkeypatch.setattr(sys, "argv", ["generate", *words])
    with pytest.raises((ValueError, OSError), match=message):
        generate_sheet.main()
    assert not list(tmp_path.iterdir())
