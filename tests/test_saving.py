"""saving.py: what was done in a session comes back bit for bit, and nothing else gets in."""

from __future__ import annotations

import base64
import dataclasses
import io
import json
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.toy_device import Devices, gpu
from support.toy_model import PHOTO, build, photo, same

import pyiseg
from pyiseg import Session, load_model

__all__ = ["gpu"]  # a fixture


@pytest.fixture
def saved(toy: Path, tmp_path: Path) -> Path:
    """Of a session with one prompt of each kind, one removed, and two undone."""
    session = everything(toy)
    session.save(tmp_path / "session.json")
    return tmp_path / "session.json"


def everything(toy: Path, device: str = "cpu") -> Session:
    mask = np.zeros(PHOTO.shape[:2], np.uint8)
    mask[5:30, 5:40], mask[30:33, 5:40] = 255, 77
    session = Session(PHOTO, model=toy, device=device, mask=mask)
    session.click(60, 30)
    session.scribble([(20, 20), (60, 30), (62, 44)])
    session.box(50, 12, 70, 40)
    session.click(20, 40, False, local=True)
    session.remove(1)
    session.click(70, 50)
    session.scribble([(1, 1), (5, 5)], fg=False)
    session.undo()
    session.undo()
    return session


def states(session: Session) -> list[Any]:
    """Prompts and alphas of all states, last to first, and then forward again."""
    found = [(session.prompts, session.alpha)]
    for move in (session.redo, session.undo):
        for _ in range(12):
            move()
            found.append((session.prompts, session.alpha))
    return found


def test_it_comes_back_bit_for_bit(toy: Path, saved: Path) -> None:
    expected, found = states(everything(toy)), states(Session.load(saved, PHOTO, model=toy))
    for (prompts, alpha), (others, other) in zip(expected, found, strict=True):
        assert prompts == others
        assert same(alpha, other)


def test_it_goes_on_and_is_saved_again(toy: Path, saved: Path, tmp_path: Path) -> None:
    session, other = Session.load(str(saved), pyiseg.Image(PHOTO, model=toy)), everything(toy)
    assert same(session.click(3, 50), other.click(3, 50))
    session.save(str(tmp_path / "again.json"))
    other.save(tmp_path / "other.json")
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "other.json").read_bytes()
    assert len(saved.read_bytes()) < 2000


def test_on_a_gpu_too(toy: Path, gpu: Devices, tmp_path: Path) -> None:
    everything(toy, "cuda").save(tmp_path / "s.json")
    loaded = Session.load(tmp_path / "s.json", PHOTO, model=toy, device="cuda")
    assert same(loaded.alpha, everything(toy, "cuda").alpha)


def test_an_empty_session(toy: Path, tmp_path: Path) -> None:
    Session(PHOTO, model=toy).save(tmp_path / "s.json")
    assert Session.load(tmp_path / "s.json", PHOTO, model=toy).prompts == ()


def test_another_image_is_refused(toy: Path, saved: Path) -> None:
    with pytest.raises(ValueError, match="pixels, this one has 30 x 20: pass the image it was made on"):
        Session.load(saved, photo(20, 30), model=toy)
    changed = PHOTO.copy()
    changed[0, 0, 0] ^= 1
    with pytest.raises(ValueError, match="was made on another image of"):
        Session.load(saved, changed, model=toy)


def test_another_model_is_refused_unless_it_is_meant(saved: Path, tmp_path: Path, toy: Path) -> None:
    other = build(tmp_path / "other", bias=0.1)
    with pytest.raises(ValueError, match=r"was made with the model 'toy' .*replay=True"):
        Session.load(saved, PHOTO, model=other)
    session = Session.load(saved, PHOTO, model=other, replay=True)
    assert session.prompts == everything(other).prompts
    assert same(session.alpha, everything(other).alpha)
    model = load_model(toy)
    served = dataclasses.replace(model, click_params=dataclasses.replace(model.click_params, radius=1))
    with pytest.raises(ValueError, match="replay=True"):
        Session.load(saved, PHOTO, model=served)


def png(size: tuple[int, int], mode: str = "L") -> str:
    buffer = io.BytesIO()
    Image.new(mode, size).save(buffer, format="PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def damaged_profile() -> str:
    """A PNG whose color profile is cut off; Pillow's decoder ends in an IndexError."""
    buffer = io.BytesIO()
    Image.new("L", PHOTO.shape[1::-1]).save(buffer, format="PNG")
    chunk = b"iCCP"
    part = struct.pack(">I", 0) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return base64.b64encode(buffer.getvalue()[:33] + part + buffer.getvalue()[33:]).decode()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "other"}, "is no saved session"),
        ({"format": "pyiseg objects"}, "holds several objects, as the page of pyiseg serve saves them"),
        ({"version": 2}, "is a session of format 2, this version of pyiseg reads 1: install a newer pyiseg"),
        ({"version": "x" * 1000}, "is a session of format"),
        ({"image": None}, "is damaged: image is None"),
        ({"model": {"name": 3}}, "is damaged: model"),
        ({"changes": {}}, "is damaged: changes is {}"),
        ({"changes": [[]]}, r"changes\[0\] is \[\]"),
        ({"changes": [{"click": [1, 2]}]}, r"changes\[0\]"),
        ({"changes": [{"click": [1, 2, "yes"]}]}, "fg is 'yes'"),
        ({"changes": [{"click": [1e9, 2, True]}]}, "outside the image"),
        ({"changes": [{"local": [1, -2, True]}]}, "outside the image"),
        ({"changes": [{"box": [1, 2, 3]}]}, r"changes\[0\]"),
        ({"changes": [{"box": [900, 900, 901, 901]}]}, "holds nothing of the image"),
        ({"changes": [{"scribble": [[1, 2]]}]}, r"changes\[0\]"),
        ({"changes": [{"scribble": [[1]], "fg": True}]}, "pass a pair"),
        ({"changes": [{"polygon": [[1, 2]]}]}, "no prompt that this version knows"),
        ({"changes": [{"remove": 0}]}, "there is no prompt 0"),
        ({"changes": [{"click": [1, 2, True]}, {"remove": True}]}, "there is no prompt True"),
        ({"changes": [{"click": [1, 2, True]}, {"mask": png((9, 9))}]}, "a mask comes before all other prompts"),
        ({"changes": [{"mask": png((9, 9))}]}, "its mask is of another size or kind"),
        ({"changes": [{"mask": png((60000, 60000), "1")}]}, "mask"),
        ({"changes": [{"mask": "no base64 !"}]}, "its mask is damaged"),
        ({"changes": [{"mask": "aGVsbG8="}]}, "its mask is damaged"),
        ({"changes": [{"mask": 7}]}, r"changes\[0\]"),
        ({"changes": [{"mask": damaged_profile()}]}, "mask"),
        ({"changes": [{"click": [1, 2, True]}] * 3000}, "says 3000 things were done, more than the 2000"),
        ({"changes": [{"click": [1, 2, True]}] * 900 + [{"remove": 0}] * 100}, "takes more than 20000 prompts"),
        ({"changes": [{"scribble": [[1, 2]] * 20_000, "fg": True}]}, "at most 10000 points"),
        ({"version": True}, "is a session of format True"),
        ({"undone": 99}, "undone is 99"),
        ({"undone": -1}, "undone is -1"),
        ({"undone": True}, "undone is True"),
    ],
)
def test_what_is_damaged_is_refused(toy: Path, saved: Path, change: dict[str, Any], message: str) -> None:
    content = json.loads(saved.read_text()) | change
    saved.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=message) as caught:
        Session.load(saved, PHOTO, model=toy)
    assert len(str(caught.value)) < 700


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"[]", b"3", b"[" * 100_000, b'{"format": "pyiseg session"'])
def test_what_is_no_session_is_refused(toy: Path, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "s.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"s\.json' is no saved session, or it is damaged"):
        Session.load(tmp_path / "s.json", PHOTO, model=toy)


def test_every_cut_off_file_is_refused(toy: Path, saved: Path) -> None:
    text = saved.read_bytes()
    image = pyiseg.Image(PHOTO, model=toy)
    for length in range(0, len(text) - 2, 37):
        saved.write_bytes(text[:length])
        with pytest.raises(ValueError, match="no saved session"):
            Session.load(saved, image)


def test_a_file_that_is_too_large_is_not_read(toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyiseg.saving.MOST_BYTES", 10)
    (tmp_path / "s.json").write_bytes(b" " * (11 + 2 * PHOTO.shape[0] * PHOTO.shape[1]))
    with pytest.raises(ValueError, match="is larger than 9610 bytes"):
        Session.load(tmp_path / "s.json", PHOTO, model=toy)


def test_where_nothing_can_be_written_nothing_is_lost(toy: Path, saved: Path, tmp_path: Path) -> None:
    session, before = everything(toy), saved.read_bytes()
    with pytest.raises(OSError, match="nowhere"):
        session.save(tmp_path / "nowhere" / "s.json")
    with pytest.raises(ValueError, match="it is a folder"):
        session.save(tmp_path)
    with pytest.raises(FileNotFoundError):
        Session.load(tmp_path / "none.json", PHOTO, model=toy)
    (tmp_path / "photo.jpg").write_bytes(b"pixels")
    with pytest.raises(ValueError, match=r"photo\.jpg' would be overwritten, and is no saved session"):
        session.save(tmp_path / "photo.jpg")
    assert (tmp_path / "photo.jpg").read_bytes() == b"pixels"
    (tmp_path / "photo.jpg").unlink()
    assert saved.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["session.json"]


def test_a_mask_of_a_very_large_image_comes_back(toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = Session(PHOTO, model=toy, mask=np.full(PHOTO.shape[:2], 255, np.uint8))
    session.save(tmp_path / "s.json")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert same(Session.load(tmp_path / "s.json", PHOTO, model=toy).alpha, session.alpha)
