"""The schema of ``model.json``: read, checked and written here and nowhere else.

`SCHEMA` lists the keys; reading, checking and writing follow it. docs/model-format.md describes them for people.
"""

from __future__ import annotations

import dataclasses
import json
import operator
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from pyiseg.checks import Check, MisfitError, one_of, optional, table, text, whole, within
from pyiseg.errors import ModelError
from pyiseg.files import as_json, atomic_write, parse_json
from pyiseg.network_files import FileEntry, check_files, networks
from pyiseg.params import FORMS, GUIDES, LEAST_EPS, ClickParams, Zoom, check_filter
from pyiseg.paths import quoted

FORMAT = 1
MANIFEST = "model.json"


@dataclasses.dataclass(frozen=True)
class Manifest:
    """The content of a ``model.json``, checked when it is made.

    docs/model-format.md says more on each value.

    Attributes:
        name, description, licence: Of the model, in words.
        long_side, multiple: Size of the working image in pixels, see `pyiseg.geometry.View.fit`.
        grid_stride: Working pixels to a grid pixel.
        click_params: How clicks are encoded and predictions are finished.
        files: The ONNX files of the folder by name; read-only.
        training: What is noted about the training; read-only, free in form, as JSON has it (tuples become lists).
        zoom: When small selections are zoomed in on; None for never.
        preprocessing: How the image becomes the networks' input, in words; None says nothing.
        precision: How the weights of the FP32 files are stored, in words; None says nothing.
        unknown: Keys that this version does not know, as they were read; read-only, written again as they are.

    Raises:
        ValueError: A value is of another kind or out of range, two contradict each other, or a file is missing in the
            list; the message names key and value.
    """

    name: str
    description: str
    licence: str
    long_side: int
    multiple: int
    grid_stride: int
    click_params: ClickParams
    files: Mapping[str, FileEntry]
    training: Mapping[str, Any]
    zoom: Zoom | None = None
    preprocessing: str | None = None
    precision: str | None = None
    unknown: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        check_filter(self.click_params)
        for key in SCHEMA:
            if not key.valid(value := key.value_of(self)):
                raise MisfitError(f"'{key}' must be {key.kind}, not {key.plain(value)!r}")
        if self.long_side % self.multiple or self.multiple % self.grid_stride:
            raise MisfitError(
                f"input.long_side {self.long_side} must be a multiple of input.multiple {self.multiple}, "
                f"and that of grid_stride {self.grid_stride}"
            )
        check_files(self.files, self.click_params.guide)
        for name in ("training", "unknown"):
            object.__setattr__(self, name, MappingProxyType(_as_json(name, getattr(self, name))))
        object.__setattr__(self, "files", MappingProxyType(dict(self.files)))
        if _unknown_of(self.unknown) != self.unknown:
            raise MisfitError(f"'unknown' must hold keys that are not in SCHEMA, not {dict(self.unknown)!r}")

    @property
    def networks(self) -> tuple[str, ...]:
        """The files that make up the model, by name; what else is listed is not read."""
        return networks(self.click_params.guide, self.files)

    @classmethod
    def from_json(cls, content: str | bytes, path: str | Path = MANIFEST) -> Manifest:
        """Read the text of a ``model.json``.

        Args:
            content: The text, in UTF-8 if bytes. Keys that came later than format 1 may be missing.
            path: Where it was found, for messages.

        Raises:
            ModelError: It is no manifest of this format, or a value does not fit. The message names the file, the key,
                the value and the way out.
        """
        stated = _parsed(content, path)
        try:
            return cls(**_values(stated, path))
        except MisfitError as error:
            raise ModelError(f"{quoted(path)}: {error}; {error.way_out}") from None

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """Read the manifest of a model folder; see `from_json`.

        Raises:
            OSError: There is none, or it cannot be read.
            ModelError: As for `from_json`.
        """
        return cls.from_json((folder / MANIFEST).read_bytes(), folder / MANIFEST)

    def to_dict(self) -> dict[str, Any]:
        """Return the content of ``model.json``, made of what JSON has.

        The tables within `training` and `unknown` are those of the manifest, not to be changed.
        """
        content: dict[str, Any] = {"format": FORMAT}
        for key in SCHEMA:
            if (value := key.value_of(self)) is not None:
                place = content.setdefault(key.path[0], {}) if len(key.path) > 1 else content
                place[key.path[-1]] = key.plain(value)
        for name, value in self.unknown.items():
            content[name] = content[name] | value if name in content else value
        return content

    def to_json(self) -> str:
        """Return the text of ``model.json``; `from_json` makes an equal manifest of it."""
        return json.dumps(self.to_dict(), indent=2) + "\n"

    def write(self, folder: Path) -> None:
        """Write ``model.json`` into a folder, whole.

        Raises:
            OSError: It cannot be written.
        """
        with atomic_write(folder / MANIFEST) as file:
            file.write(self.to_json().encode())


def _as_it_is(value: Any) -> Any:
    return value


class Key(NamedTuple):
    """One key of the file.

    Attributes:
        path: The key, behind that of the table it lies in, if any.
        attribute: Where `Manifest` has the value.
        valid: Whether it takes a value.
        kind: What it takes, for messages and docs/model-format.md.
        required: Whether it may not be missing; else the default of `Manifest` or `ClickParams` is meant.
        parse: Makes the value of what JSON has; what is no such thing may stay as it is, for `valid` to refuse.
        plain: The other way round.
    """

    path: tuple[str, ...]
    attribute: str
    valid: Check
    kind: str
    required: bool = True
    parse: Callable[[Any], Any] = _as_it_is
    plain: Callable[[Any], Any] = _as_it_is

    def __str__(self) -> str:
        return ".".join(self.path)

    def value_of(self, manifest: Manifest) -> Any:
        """Return the value that a manifest has."""
        return operator.attrgetter(self.attribute)(manifest)


def _sigmas(value: Any) -> bool:
    return isinstance(value, tuple) and 1 <= len(value) <= 8 and all(map(within(1e-3, 1e6), value))


def _parse_sigmas(stated: Any) -> Any:
    return tuple(stated) if isinstance(stated, list) else stated


def _plain_sigmas(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _parse_zoom(stated: Any) -> Any:
    try:
        return None if stated is None else Zoom(**stated)
    except (TypeError, ValueError) as error:
        raise MisfitError(f"'zoom' does not fit: {error}") from None


def _plain_zoom(value: Any) -> Any:
    return dataclasses.asdict(value) if isinstance(value, Zoom) else value


def _parse_files(stated: Any) -> Any:
    def parse(entry: Any) -> Any:
        if isinstance(entry, dict) and {"sha256", "bytes"} <= entry.keys():
            return FileEntry(entry["sha256"], entry["bytes"])
        return entry

    return {name: parse(entry) for name, entry in stated.items()}


def _plain_files(value: Any) -> Any:
    if not table(value):
        return value
    return {name: {"sha256": entry.sha256, "bytes": entry.size} for name, entry in value.items()}


SCHEMA = (
    Key(("name",), "name", text, "text"),
    Key(("description",), "description", text, "text"),
    Key(("licence",), "licence", text, "text"),
    # The ranges are those of the native operations: what passes here, they take.
    Key(("input", "long_side"), "long_side", whole(1, 8192), "a whole number in 1..8192"),
    Key(("input", "multiple"), "multiple", whole(1), "a whole number >= 1"),
    Key(("input", "preprocessing"), "preprocessing", optional(str), "text", False),
    Key(("grid_stride",), "grid_stride", whole(1), "a whole number >= 1"),
    Key(
        ("click_sigmas",),
        "click_params.sigmas",
        _sigmas,
        "1 to 8 numbers in 0.001..1e6",
        True,
        _parse_sigmas,
        _plain_sigmas,
    ),
    Key(("guided_filter", "form"), "click_params.form", one_of(*FORMS), "'averaged' or 'residual'", False),
    Key(("guided_filter", "guide"), "click_params.guide", one_of(*GUIDES), "'learned' or 'color'", False),
    Key(("guided_filter", "radius"), "click_params.radius", whole(0, 64), "a whole number in 0..64"),
    Key(("guided_filter", "eps"), "click_params.eps", within(LEAST_EPS["learned"], 1e12), "a number in 1e-12..1e12"),
    Key(("clean",), "click_params.clean", one_of("before", "after"), "'before' or 'after'", False),
    Key(("clean_margin",), "click_params.margin", whole(0, 2**31 - 1), "a whole number in 0..2147483647"),
    Key(("zoom",), "zoom", optional(Zoom), "a table", False, _parse_zoom, _plain_zoom),
    Key(("precision",), "precision", optional(str), "text", False),
    Key(("files",), "files", table, "a table of the ONNX files", True, _parse_files, _plain_files),
    Key(("training",), "training", table, "a table", plain=lambda value: dict(value) if table(value) else value),
)
"""The keys of the file but ``format``, in the order in which they are written."""

_KNOWN = {("format",), *(key.path for key in SCHEMA)}
_TABLES = {key.path[0] for key in SCHEMA if len(key.path) > 1}


def _parsed(content: str | bytes, path: str | Path) -> dict[str, Any]:
    """The table that a manifest is, of the format that is read here."""
    try:
        stated = parse_json(content)
    except ValueError as error:
        raise ModelError(f"{quoted(path)} is not JSON ({error}); copy or download the model again") from None
    if not isinstance(stated, dict) or "format" not in stated:
        raise ModelError(f"{quoted(path)} is not the manifest of a pyiseg model: it states no 'format'")
    if (found := stated["format"]) != FORMAT:
        newer = isinstance(found, int) and found > FORMAT
        way_out = "a newer pyiseg is needed: pip install --upgrade pyiseg" if newer else "export the model again"
        raise ModelError(f"{quoted(path)} has format {found!r}, this pyiseg reads format {FORMAT}; {way_out}")
    return stated


def _values(stated: dict[str, Any], path: str | Path) -> dict[str, Any]:
    """What `Manifest` is made of: not checked, but for what is missing."""
    for name, kind in (("files", "a table of the ONNX files"), ("guided_filter", "a table")):
        if name not in stated:
            raise ModelError(f"{quoted(path)} lacks '{name}', {kind}; export the model again")
        if not table(stated[name]):
            raise MisfitError(f"'{name}' must be {kind}, not {stated[name]!r}")
    values: dict[str, Any] = {}
    for key in SCHEMA:
        place = stated.get(key.path[0]) if len(key.path) > 1 else stated
        if isinstance(place, dict) and key.path[-1] in place:
            values[key.attribute] = key.parse(place[key.path[-1]])
        elif key.required:
            raise ModelError(f"{quoted(path)} lacks '{key}', {key.kind}; export the model again")
    params = {
        name.removeprefix("click_params."): values.pop(name)
        for name in list(values)
        if name.startswith("click_params.")
    }
    return {**values, "click_params": ClickParams(**params), "unknown": _unknown_of(stated)}


def _unknown_of(content: Mapping[str, Any]) -> dict[str, Any]:
    """What a table holds beside the keys of `SCHEMA`."""
    unknown: dict[str, Any] = {}
    for name, value in content.items():
        if name in _TABLES and isinstance(value, dict):
            value = {inner: x for inner, x in value.items() if (name, inner) not in _KNOWN}
            unknown |= {name: value} if value else {}
        elif name not in _TABLES and (name,) not in _KNOWN:
            unknown[name] = value
    return unknown


def _as_json(name: str, value: Mapping[str, Any]) -> dict[str, Any]:
    """Return a table as it is after being written and read; NaN and infinity, which JSON lacks, become None."""
    try:
        plain: dict[str, Any] = parse_json(json.dumps(as_json(dict(value))))
    except (TypeError, ValueError) as error:
        raise MisfitError(f"'{name}' holds what JSON cannot: {error}") from None
    return plain
