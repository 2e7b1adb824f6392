"""A model folder: ``model.json``, which says how to use the networks, and the ONNX files, checked before they are used.

A `Model` is read once, whole, and never changes; sessions share it.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import math
import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pyiseg.errors import ModelError

FORMAT = 1
MANIFEST = "model.json"
BUNDLED = Path(__file__).resolve().parent / "models"

FORMS, GUIDES = ("averaged", "residual"), ("learned", "color")
_OPTIONAL = ("image.onnx",)  # A network that fuses clicks and image at its first layer has no image stream.
# Where the native operations are exact enough: three colors that go together leave fewer digits than one guide.
LEAST_EPS = {"learned": 1e-12, "color": 1e-6}
# The same networks in FP16 arithmetic, for runtimes that take the types as they stand. Weights that are in click.onnx
# and image.onnx already are external data in there: such a file is only of use in its folder.
_SIBLINGS = {"click.onnx": "click.fp16.onnx", "image.onnx": "image.fp16.onnx"}


@dataclasses.dataclass(frozen=True)
class Rules:
    """How clicks are drawn and answers are finished. Lengths are in grid pixels.

    Attributes:
        sigmas: Widths of the click maps' bells, fine to coarse.
        radius, eps: The guided filter's window and regularisation.
        margin: Width of the soft border that a kept region keeps around itself.
        clean: Whether what no click asked for is dropped "before" the guided filter or "after" it, as published. In the
            residual form, which keeps the prediction on the grid, both come to the same.
        form: The guided filter's: "averaged" averages both coefficients over windows (He et al. 2013), "residual" the
            slopes only, and takes the offset that leaves the prediction on the grid as it is.
        guide: What guides it: "learned" for guide.onnx, "color" for the image's own R, G, B.
    """

    sigmas: tuple[float, ...]
    radius: int
    eps: float
    margin: int
    clean: str = "before"
    form: str = "averaged"
    guide: str = "learned"

    @property
    def cleaned_by_filter(self) -> bool:
        """Whether what no click asked for is dropped in the guided filter; else it is before."""
        return self.clean == "after" and self.form == "averaged"


@dataclasses.dataclass(frozen=True)
class Zoom:
    """When a small selection is looked at again, closer; see `pyiseg.zoom`.

    Attributes:
        from_click: The first click that may do so, counted from the first one that selects; at least 2.
        enlarge: Sides of the part that is looked at, in those of the selection's box; 1 to 100.
        below: Only parts up to this share of the image are looked at alone.
        magnify: Working pixels to an image pixel at most: where there is nothing more to see, nothing is gained.

    Raises:
        ValueError: A value is out of range.
    """

    from_click: int = 4
    enlarge: float = 1.6
    below: float = 0.4
    magnify: float = 2.5

    def __post_init__(self) -> None:
        for name, valid, kind in (
            ("from_click", _whole(2), "a whole number >= 2"),
            ("enlarge", _within(1, 100), "a number in 1..100"),
            ("below", _within(0, 1), "a number in 0..1"),
            ("magnify", _within(1e-3, 1e3), "a number in 0.001..1000"),
        ):
            if not valid(getattr(self, name)):
                raise ValueError(f"zoom.{name} is {getattr(self, name)!r}; it must be {kind}")


@dataclasses.dataclass(frozen=True, eq=False)
class Model:
    """A segmentation model, ready to be run. Made by `load_model`; immutable and shared between sessions.

    Attributes:
        folder: Where it was read from.
        name, description, licence: As its maker wrote them.
        long_side, multiple: Size of the working image, see `pyiseg.geometry.View.fit`.
        grid_stride: Working pixels to a grid pixel.
        rules: How clicks are drawn and answers are finished.
        files: The ONNX files by name, as bytes that have the size and SHA-256 the manifest states.
        training: What its maker noted about the training; free in form.
        zoom: When small selections are looked at closer; None for never.
    """

    folder: Path
    name: str
    description: str
    licence: str
    long_side: int
    multiple: int
    grid_stride: int
    rules: Rules
    files: Mapping[str, bytes] = dataclasses.field(repr=False)
    training: Mapping[str, Any] = dataclasses.field(repr=False)
    zoom: Zoom | None = None

    @property
    def has_fp16(self) -> bool:
        """Whether click.fp16.onnx, and image.fp16.onnx where there is an image.onnx, are among the files."""
        return _SIBLINGS["click.onnx"] in self.files

    @property
    def serving(self) -> dict[str, Any]:
        """What the manifest says of how the networks are used, as plain values: with the files, all that decides."""
        return {
            "input": [self.long_side, self.multiple, self.grid_stride],
            "rules": dataclasses.asdict(self.rules) | {"sigmas": list(self.rules.sigmas)},
            "zoom": None if self.zoom is None else dataclasses.asdict(self.zoom),
        }

    @property
    def sha256(self) -> dict[str, str]:
        """The SHA-256 of each file by name, in hexadecimal."""
        return {name: hashlib.sha256(content).hexdigest() for name, content in self.files.items()}


def load_model(model: str | os.PathLike[str] | Model = "default") -> Model:
    """Read and check a model.

    A folder that was read before and has the same manifest is not read again: the same `Model` comes back.

    Args:
        model: ``"default"`` for the model that comes with pyiseg, the path of a model folder (``"./default"`` for one
            of that name), or a `Model`, which is returned as it is.

    Returns:
        The model, whole and checked.

    Raises:
        ModelError: The folder or one of its files is missing, incomplete, damaged or of a kind this version cannot
            run. The message names the file and the way out.
        ValueError: ``model`` is neither a path nor a `Model`.
    """
    if isinstance(model, Model):
        return model
    if not isinstance(model, (str, os.PathLike)):
        raise ValueError(f"model is {model!r}; pass 'default', the path of a model folder or a pyiseg.Model")
    bundled = model == "default"
    folder = (BUNDLED / "default" if bundled else Path(model)).resolve()
    if bundled and not folder.is_dir():
        raise ModelError(
            f"this installation of pyiseg has no default model ('{folder}' is missing); "
            "install pyiseg again or pass model= the path of a model folder"
        )
    if not folder.is_dir():
        found = "is a file, not a model folder; pass the folder it lies in" if folder.exists() else "does not exist"
        raise ModelError(f"model folder '{folder}' {found}")
    path = folder / MANIFEST
    if not path.is_file():
        raise ModelError(f"'{folder}' is not a pyiseg model folder: it has no {MANIFEST}")
    # The lock keeps two threads from reading the same model twice and holding it twice in memory.
    with _loading:
        return _load(folder, path.read_bytes())


_loading = threading.Lock()


@functools.lru_cache(maxsize=8)
def _load(folder: Path, manifest: bytes) -> Model:
    """Cached by the manifest's text too: it holds the checksums, so a folder that was written anew is read anew."""
    path = folder / MANIFEST
    try:
        content = json.loads(manifest)
    except ValueError as error:
        raise ModelError(f"'{path}' is not JSON ({error}); copy or download the model again") from None
    if not isinstance(content, dict) or "format" not in content:
        raise ModelError(f"'{path}' is not the manifest of a pyiseg model: it states no 'format'")
    if content["format"] != FORMAT:
        newer = isinstance(content["format"], int) and content["format"] > FORMAT
        way_out = "a newer pyiseg is needed: pip install --upgrade pyiseg" if newer else "export the model again"
        raise ModelError(f"'{path}' has format {content['format']!r}, this pyiseg reads format {FORMAT}; {way_out}")
    entry = functools.partial(_entry, path, content)
    listed = entry("files", _mapping, "a table of the ONNX files")
    form, guide = _filter(path, entry("guided_filter", _mapping, "a table"))
    least = LEAST_EPS[guide]
    needed = ("click.onnx",) if guide == "color" else ("click.onnx", "guide.onnx")
    names = (*needed, *(name for name in _OPTIONAL if name in listed))
    names += _siblings(path, names, listed)
    # The ranges are those of the native operations: what passes here, they take.
    positive = (_whole(1), "a whole number >= 1")
    model = Model(
        folder=folder,
        name=entry("name", _text, "text"),
        description=entry("description", _text, "text"),
        licence=entry("licence", _text, "text"),
        long_side=entry("input.long_side", _whole(1, 8192), "a whole number in 1..8192"),
        multiple=entry("input.multiple", *positive),
        grid_stride=entry("grid_stride", *positive),
        rules=Rules(
            sigmas=tuple(entry("click_sigmas", _sigmas, "1 to 8 numbers in 0.001..1e6")),
            radius=entry("guided_filter.radius", _whole(0, 64), "a whole number in 0..64"),
            eps=entry("guided_filter.eps", _within(least, 1e12), f"a number in {least:g}..1e12"),
            margin=entry("clean_margin", _whole(0), "a whole number >= 0"),
            # Folders made before there was a choice say nothing of it.
            clean=entry("clean", _order, "'before' or 'after'") if "clean" in content else "before",
            form=form,
            guide=guide,
        ),
        zoom=_zoom(path, content),
        files=MappingProxyType({name: _read(folder, name, listed.get(name)) for name in names}),
        training=MappingProxyType(entry("training", _mapping, "a table")),
    )
    if model.long_side % model.multiple or model.multiple % model.grid_stride:
        raise ModelError(
            f"'{path}': input.long_side {model.long_side} must be a multiple of input.multiple {model.multiple}, "
            f"and that of grid_stride {model.grid_stride}"
        )
    return model


def _filter(path: Path, stated: Mapping[str, Any]) -> tuple[str, str]:
    """The guided filter's form and guide. Folders made before there was a choice say nothing of them."""
    form, guide = stated.get("form", FORMS[0]), stated.get("guide", GUIDES[0])
    for key, value, known in (("form", form, FORMS), ("guide", guide, GUIDES)):
        if value not in known:
            raise ModelError(
                f"'{path}': 'guided_filter.{key}' is {value!r}, this pyiseg knows {' and '.join(map(repr, known))}; "
                "install a newer pyiseg or export the model again"
            )
    if (form, guide) == ("averaged", "color"):
        raise ModelError(
            f"'{path}': 'guided_filter' combines form 'averaged' with guide 'color', which is not offered: the color "
            "guide has the form 'residual'; export the model again"
        )
    return form, guide


def _zoom(path: Path, content: Mapping[str, Any]) -> Zoom | None:
    stated = content.get("zoom")
    if stated is None:
        return None
    try:
        return Zoom(**stated)
    except (TypeError, ValueError) as error:
        raise ModelError(f"'{path}': 'zoom' does not fit: {error}; export the model again") from None


def _siblings(path: Path, names: tuple[str, ...], listed: Mapping[str, Any]) -> tuple[str, ...]:
    """The FP16 siblings of some files: of all that may have one, or none."""
    wanted = [_SIBLINGS[name] for name in names if name in _SIBLINGS]
    found = [name for name in _SIBLINGS.values() if name in listed]
    if found and found != wanted:
        raise ModelError(
            f"'{path}': 'files' lists {' and '.join(found)}, where a model of {', '.join(names)} has "
            f"{' and '.join(wanted)}, or none that computes in FP16; copy, download or export the model again"
        )
    return tuple(found)


def _read(folder: Path, name: str, stated: Any) -> bytes:
    """One file of the folder, if it is what the manifest states it to be."""
    path = folder / name
    if not (_mapping(stated) and _whole(0)(stated.get("bytes")) and _text(stated.get("sha256"))):
        raise ModelError(
            f"'{folder / MANIFEST}': 'files' must state 'bytes' and 'sha256' of {name}, not {stated!r}; "
            "export the model again"
        )
    if not path.is_file():
        raise ModelError(f"the model '{folder}' is incomplete: {name} is missing; copy or download the model again")
    content = path.read_bytes()
    if len(content) != stated["bytes"]:
        raise ModelError(
            f"'{path}' has {len(content)} bytes where {MANIFEST} states {stated['bytes']}: it was cut off or belongs "
            "to another model; copy or download the model again"
        )
    found = hashlib.sha256(content).hexdigest()
    if found != stated["sha256"].lower():
        raise ModelError(
            f"'{path}' is damaged or belongs to another model: its SHA-256 is {found} where {MANIFEST} states "
            f"{stated['sha256']}; copy or download the model again"
        )
    return content


def _entry(path: Path, content: Mapping[str, Any], key: str, valid: Callable[[Any], bool], kind: str) -> Any:
    """The manifest's value at a dotted key."""
    value: Any = content
    for part in key.split("."):
        if not isinstance(value, dict) or part not in value:
            raise ModelError(f"'{path}' lacks '{key}', {kind}; export the model again")
        value = value[part]
    if not valid(value):
        raise ModelError(f"'{path}': '{key}' must be {kind}, not {value!r}; export the model again")
    return value


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _order(value: Any) -> bool:
    return value in ("before", "after")


def _mapping(value: Any) -> bool:
    return isinstance(value, dict)


def _whole(low: int, high: float = math.inf) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, int) and _within(low, high)(value)


def _within(low: float, high: float) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, (int, float)) and not isinstance(value, bool) and low <= value <= high


def _sigmas(value: Any) -> bool:
    return isinstance(value, list) and 1 <= len(value) <= 8 and all(map(_within(1e-3, 1e6), value))
