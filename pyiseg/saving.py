"""Sessions as files: what was done, without the image and without any prediction, as JSON.

    {"format": "pyiseg session", "version": 1,
     "image": {"height": 480, "width": 640, "sha256": "…"},
     "model": {"name": "compact", "sha256": "…"}, "device": "cpu",
     "changes": [{"click": [320, 240, true]}, {"local": [10, 12, false]}, {"box": [5, 5, 90, 80]},
                 {"scribble": [[1, 2], [3, 4]], "fg": true}, {"mask": "a PNG in base64"}, {"remove": 0}],
     "undone": 1}

``changes`` are all that was done, in order; the last ``undone`` of them are undone. Coordinates are image pixels.
A file may come from a stranger: it holds values only, every one is checked as if a user had given it, and how much
there may be of each is limited. The device is for the reader: another one gives other bits, and is not refused.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from pyiseg import prompts
from pyiseg.files import atomic_write, parse_json
from pyiseg.model import Model
from pyiseg.paths import local_path, quoted
from pyiseg.places import check_place
from pyiseg.prompts import Box, Click, LocalClick, Mask, Prompt, Scribble, shortened

FORMAT, VERSION = "pyiseg session", 1
SEVERAL = "pyiseg objects"  # what `pyiseg.server` keeps of all objects of an image
_BEGIN = f'{{"format": "{FORMAT}"'.encode()
# What a file may hold at most, and what opening it may cost: bytes besides two for each pixel of the image, for a mask;
# what was done; corners of a scribble; and prompts that are made again, those after each removal counted.
MOST_BYTES, MOST_CHANGES, MOST_POINTS, MOST_REPLAYED = 4_000_000, 2000, 10_000, 20_000

Change: TypeAlias = "tuple[Prompt | None, int | None]"
"""A prompt that was made, or else which one was removed."""


def image_identity(rgb: npt.NDArray[np.uint8]) -> dict[str, Any]:
    """Return what tells an image from others.

    Args:
        rgb: uint8, shape (H, W, 3).
    """
    height, width = rgb.shape[:2]
    digest = hashlib.sha256(np.ascontiguousarray(rgb).data)
    return {"height": height, "width": width, "sha256": digest.hexdigest()}


def model_identity(model: Model) -> dict[str, str]:
    """Return a model's name, and a hash of all that its mattes depend on."""
    content = json.dumps([model.sha256, model.serving], sort_keys=True)
    return {"name": model.name, "sha256": hashlib.sha256(content.encode()).hexdigest()}


def check_writable(path: str | os.PathLike[str]) -> Path:
    """Refuse a path that a session is not to be written to: no place for a file, or a file that is something else.

    Returns:
        The path.

    Raises:
        ValueError: See above, or it is no path.
        FileNotFoundError, NotADirectoryError: Its folder does not exist, or is a file.
        OSError: What is there cannot be read.
    """
    target = check_place(local_path(path))
    if target.exists():
        try:
            with open(target, "rb") as file:
                begin = file.read(len(_BEGIN))
        except OSError as error:
            raise type(error)(
                f"cannot write {quoted(target)}: whether it is a saved session cannot be read ({error.strerror}); "
                "choose another name"
            ) from None
        if begin and begin != _BEGIN:
            raise ValueError(f"{quoted(target)} would be overwritten, and is no saved session; choose another name")
    return target


def write(
    path: Path, rgb: npt.NDArray[np.uint8], model: Model, device: str, changes: list[Change], undone: int
) -> None:
    """Write what was done in a session, whole or not at all.

    Args:
        path: An existing file is replaced.
        rgb, model, device: Of the session.
        changes: All that was done, in order.
        undone: How many of the last ones are undone.

    Raises:
        OSError: It cannot be written.
    """
    content = {
        "format": FORMAT,
        "version": VERSION,
        "image": image_identity(rgb),
        "model": model_identity(model),
        "device": device,
        "changes": [_plain(*change) for change in changes],
        "undone": undone,
    }
    with atomic_write(path) as file:
        file.write((json.dumps(content) + "\n").encode())


class SavedSession:
    """What a file says was done in a session, checked against the image that it is opened with.

    Args:
        path: The file.
        rgb: The image, uint8, shape (H, W, 3).

    Attributes:
        changes: All that was done, in order.
        undone: How many of the last ones are undone.
        model: What `model_identity` returned when it was written.

    Raises:
        ValueError: The file is no session, is damaged, or belongs to another image.
        OSError: It cannot be read.
    """

    def __init__(self, path: Path, rgb: npt.NDArray[np.uint8]) -> None:
        self._path, self._name, self._shape = path, quoted(path), (rgb.shape[0], rgb.shape[1])
        content = self._read()
        self._check_image(content.get("image"), rgb)
        model = content.get("model")
        if not isinstance(model, dict) or not all(isinstance(model.get(key), str) for key in ("name", "sha256")):
            raise self._damaged("model", model)
        self.model: dict[str, str] = {key: model[key] for key in ("name", "sha256")}
        listed = content.get("changes")
        if not isinstance(listed, list):
            raise self._damaged("changes", listed)
        if len(listed) > MOST_CHANGES:
            raise ValueError(f"{self._name} says {len(listed)} things were done, more than the {MOST_CHANGES} it may")
        self.changes: list[Change] = []
        count = replayed = 0
        for number, entry in enumerate(listed):
            change = self._change(number, entry, count)
            replayed += 1 if change[1] is None else count - 1 - change[1]
            count += 1 if change[0] is not None else -1
            self.changes.append(change)
            if replayed > MOST_REPLAYED:
                raise ValueError(f"{self._name} takes more than {MOST_REPLAYED} prompts to make again: it is refused")
        undone = content.get("undone")
        if isinstance(undone, bool) or not isinstance(undone, int) or not 0 <= undone <= len(listed):
            raise self._damaged("undone", undone)
        self.undone: int = undone

    def check_model(self, model: Model) -> None:
        """Refuse another model than that which the session was made with.

        Raises:
            ValueError: It is another one.
        """
        now = model_identity(model)
        if now["sha256"] != self.model["sha256"]:
            made = f"{shortened(self.model['name'])} ({shortened(self.model['sha256'][:12])})"
            raise ValueError(
                f"{self._name} was made with the model {made}, this is '{now['name']}' ({now['sha256'][:12]}): pass "
                "model= that one, or replay=True to make the prompts again with this one, whose mattes differ"
            )

    def _read(self) -> Mapping[str, Any]:
        if not self._path.exists():
            raise FileNotFoundError(
                f"no saved session at {self._name}; check the path (the working folder is {quoted(Path.cwd())})"
            )
        most = MOST_BYTES + 2 * self._shape[0] * self._shape[1]
        with open(self._path, "rb") as file:
            text = file.read(most + 1)
        if len(text) > most:
            raise ValueError(f"{self._name} is larger than {most} bytes: it is no saved session of this image")
        try:
            content = parse_json(text)
        except ValueError:
            content = None
        if isinstance(content, dict) and content.get("format") == SEVERAL:
            raise ValueError(
                f"{self._name} holds several objects, as the page of pyiseg serve saves them: open it there, "
                "or save the session of one object there and pass that"
            )
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise ValueError(f"{self._name} is no saved session, or it is damaged: pass what Session.save wrote")
        if content.get("version") != VERSION or isinstance(content["version"], bool):
            stated = shortened(content.get("version"))
            raise ValueError(
                f"{self._name} is a session of format {stated}, this version of pyiseg reads {VERSION}: install a "
                "newer pyiseg"
            )
        return content

    def _check_image(self, stated: Any, rgb: npt.NDArray[np.uint8]) -> None:
        if not isinstance(stated, dict):
            raise self._damaged("image", stated)
        height, width = self._shape
        if (stated.get("height"), stated.get("width")) != self._shape:
            size = f"{shortened(stated.get('width'))} x {shortened(stated.get('height'))}"
            raise ValueError(
                f"{self._name} was made on an image of {size} pixels, this one has {width} x {height}: pass the "
                "image it was made on"
            )
        if stated.get("sha256") != image_identity(rgb)["sha256"]:
            raise ValueError(
                f"{self._name} was made on another image of {width} x {height} pixels: pass the one it was made on, "
                "unchanged (a JPEG that was saved again has other pixels)"
            )

    def _change(self, number: int, entry: Any, count: int) -> Change:
        """Return a change, checked as if a user had made it; ``count`` is how many prompts are in force before it."""
        where = f"changes[{number}]"
        if not isinstance(entry, dict):
            raise self._damaged(where, entry)
        try:
            if "remove" in entry:
                place = entry["remove"]
                if isinstance(place, bool) or not isinstance(place, int) or not 0 <= place < count:
                    raise ValueError(f"there is no prompt {shortened(place)}")
                return None, place
            return self._prompt(entry, count), None
        except (ValueError, TypeError, KeyError) as error:
            raise self._damaged(where, entry, str(error)) from None

    def _prompt(self, entry: Mapping[str, Any], count: int) -> Prompt:
        if "click" in entry:
            x, y, fg = entry["click"]
            return prompts.checked_click(x, y, fg, self._shape)
        if "local" in entry:
            x, y, fg = entry["local"]
            return LocalClick(*prompts.checked_click(x, y, fg, self._shape))
        if "box" in entry:
            x0, y0, x1, y1 = entry["box"]
            return prompts.checked_box(x0, y0, x1, y1, self._shape)
        if "scribble" in entry:
            if isinstance(entry["scribble"], list) and len(entry["scribble"]) > MOST_POINTS:
                raise ValueError(f"a scribble has at most {MOST_POINTS} points")
            return prompts.checked_scribble(entry["scribble"], entry["fg"], self._shape)
        if "mask" not in entry:
            raise ValueError("it is no prompt that this version knows")
        if count:
            raise ValueError("a mask comes before all other prompts")
        return prompts.checked_mask(self._mask(entry["mask"]), self._shape)

    def _mask(self, text: Any) -> npt.NDArray[np.uint8]:
        from PIL.PngImagePlugin import PngImageFile

        try:
            # Not Image.open, which refuses large images: its size is compared with the image's, before it is decoded.
            image = PngImageFile(io.BytesIO(base64.b64decode(text, validate=True)))
            right = image.mode == "L" and (image.height, image.width) == self._shape
            mask = np.array(image) if right else None
        except Exception as error:  # Pillow's decoders have no common one
            raise ValueError(f"its mask is damaged ({shortened(str(error))})") from None
        if mask is None:
            raise ValueError("its mask is of another size or kind than the image")
        return mask

    def _damaged(self, where: str, value: Any, why: str = "") -> ValueError:
        said = f": {why if len(why) <= 300 else why[:300] + '…'}" if why else ""
        told = f"{self._name} is damaged: {where} is {shortened(value)}{said}"
        return ValueError(f"{told}; pass what Session.save wrote")


def _plain(prompt: Prompt | None, removed: int | None) -> dict[str, Any]:
    if prompt is None:
        return {"remove": removed}
    if isinstance(prompt, Mask):
        return {"mask": _png(prompt.alpha)}
    if isinstance(prompt, Scribble):
        return {"scribble": [list(point) for point in prompt.points], "fg": prompt.fg}
    name = {Click: "click", LocalClick: "local", Box: "box"}[type(prompt)]
    return {name: list(prompt)}


def _png(alpha: npt.NDArray[np.uint8]) -> str:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(alpha).save(buffer, format="PNG")
    return base64.b64encode(buffer.getvalue()).decode()
