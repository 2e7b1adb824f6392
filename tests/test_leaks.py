"""What is dropped is gone: sessions, images, zooms, formats, files, made again and again, leave no memory behind.

AddressSanitizer's own check of leaks, over the CUDA code, runs in .ci/sanitizers.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PILImage
from support import toy_model
from support.leaks import STATM, growth
from support.toy_model import photo

from pyiseg import Box, Image, Model, Session, formats, images, load_model

pytestmark = pytest.mark.skipif(not STATM.exists(), reason="the memory of a process is read as Linux tells it")

ROUNDS = 100
PHOTO = photo(60, 80)
MOST_BYTES = 200_000
"""Grown in ROUNDS rounds: mostly 0 to 41 kB where nothing is kept. An alpha that each left would be 480 kB."""
MOST_OBJECTS = ROUNDS // 2

Work = Callable[[], object]


@pytest.fixture(scope="module")
def zooming(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """A model that zooms in from the second click on, loaded once, as programs do."""
    folder = toy_model.build(tmp_path_factory.mktemp("leaks") / "toy", form="residual", color=True, radius=1)
    toy_model.change_manifest(folder, zoom={"from_click": 2, "enlarge": 1.6, "below": 0.4, "magnify": 2.5})
    return load_model(folder)


@pytest.fixture
def works(zooming: Model, tmp_path: Path) -> dict[str, Work]:
    mask = np.zeros(PHOTO.shape[:2], np.uint8)
    mask[15:45, 40:75] = 255
    image = Image(PHOTO, model=zooming)

    def make_image() -> None:
        Image(PHOTO, model=zooming)

    def model() -> None:
        Session(PHOTO[:20, :30], model=load_model(zooming.folder)).click(3, 3)

    def session() -> None:
        made = Session(PHOTO, model=zooming, mask=mask)
        made.click(60, 30)
        made.click(5, 8, fg=False)
        made.preview(58, 28)
        made.add(Box(45, 15, 72, 42))
        made.scribble([(50, 25), (65, 33)])
        made.undo()
        made.remove(0)
        made.cutout()

    def sessions_on_an_image() -> None:
        made = Session(image)
        made.click(60, 30), made.click(59, 29), made.click(10, 10, fg=False)

    def refused() -> None:
        made = Session(image)
        for wrong in ((-1, 0), (float("nan"), 1), (1, "a")):
            with suppress(ValueError):
                made.click(*wrong)  # type: ignore[arg-type]

    def saved() -> None:
        made = Session(image)
        made.click(60, 30)
        made.save(tmp_path / "session.json")
        Session.load(tmp_path / "session.json", image)

    def written_and_read() -> None:
        images.write(tmp_path / "a.png", PHOTO)
        images.load(tmp_path / "a.png")

    def damaged() -> None:
        (tmp_path / "b.png").write_bytes((tmp_path / "good.png").read_bytes()[:-90])
        with suppress(ValueError):
            images.load(tmp_path / "b.png")

    def in_formats() -> None:
        formats.mask_from_rle(formats.rle(mask))
        formats.mask_from_polygons(formats.polygons(mask), PHOTO.shape[:2])
        formats.svg([("a", mask)], PHOTO.shape[:2])
        formats.cutout_png(np.dstack([PHOTO, mask]))
        formats.grow(mask, 1)

    PILImage.fromarray(PHOTO).save(tmp_path / "good.png")
    every = (make_image, model, session, sessions_on_an_image, refused, saved, written_and_read, damaged, in_formats)
    return {work.__name__: work for work in every}


NAMES = (
    "make_image",
    "model",
    "session",
    "sessions_on_an_image",
    "refused",
    "saved",
    "written_and_read",
    "damaged",
    "in_formats",
)


def test_what_is_left_is_noticed(toy: Path) -> None:
    """Planted: an alpha of 4.8 kB, and a list, kept each time."""
    image, kept, lists = Image(PHOTO, model=toy), list[np.ndarray](), list[list[object]]()
    assert growth(lambda: kept.append(Session(image).click(60, 30)), ROUNDS, MOST_BYTES).nbytes > MOST_BYTES
    assert growth(lambda: lists.append([lists]), ROUNDS, MOST_BYTES).objects > MOST_OBJECTS


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_left(name: str, works: dict[str, Work]) -> None:
    found = growth(works[name], ROUNDS, MOST_BYTES)
    assert found.nbytes < MOST_BYTES, f"{name} leaves {found.nbytes / ROUNDS:.0f} bytes each time"
    assert found.objects < MOST_OBJECTS, f"{name} leaves {found.objects / ROUNDS:.1f} objects each time"
