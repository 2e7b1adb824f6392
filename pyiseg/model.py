"""A model folder: ``model.json``, which says how to use the networks, and the ONNX files, checked before they are used.

A `Model` is read once, whole, and never changes; sessions share it.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pyiseg.errors import ModelError
from pyiseg.geometry import View
from pyiseg.manifest import MANIFEST, Manifest
from pyiseg.network_files import FP16_FILES, FileEntry
from pyiseg.params import ClickParams as ClickParams
from pyiseg.params import Zoom as Zoom
from pyiseg.paths import local_path, quoted

BUNDLED = Path(__file__).resolve().parent / "models"


@dataclasses.dataclass(frozen=True, eq=False)
class Model:
    """A segmentation model, ready to be run. Made by `load_model`; immutable and shared between sessions.

    Attributes:
        folder: Where it was read from.
        name, description, licence: As its maker wrote them.
        long_side, multiple: Size of the working image, see `pyiseg.geometry.View.fit`.
        grid_stride: Working pixels to a grid pixel.
        click_params: How clicks are encoded and predictions are finished.
        files: The ONNX files by name, as bytes that have the size and SHA-256 the manifest states.
        training: What its maker noted about the training; free in form.
        zoom: When sessions zoom in on small selections; None for never.
    """

    folder: Path
    name: str
    description: str
    licence: str
    long_side: int
    multiple: int
    grid_stride: int
    click_params: ClickParams
    files: Mapping[str, bytes] = dataclasses.field(repr=False)
    training: Mapping[str, Any] = dataclasses.field(repr=False)
    zoom: Zoom | None = None

    def view(self, shape: tuple[int, int], long_side: int | None = None) -> View:
        """Return how the model sees an image: the size of the network input, and of the grid it predicts on.

        Args:
            shape: Height and width of the image, or of a crop.
            long_side: Of the network input; None for the model's own.
        """
        long_side = self.long_side if long_side is None else long_side
        return View.fit(shape, long_side=long_side, multiple=self.multiple, grid_stride=self.grid_stride)

    @property
    def has_fp16(self) -> bool:
        """Whether click.fp16.onnx, and image.fp16.onnx where there is an image.onnx, are among the files."""
        return FP16_FILES["click.onnx"] in self.files

    @property
    def rules(self) -> ClickParams:
        """The name that `click_params` had in version 0.2; it goes with version 0.4."""
        return self.click_params

    @property
    def serving(self) -> dict[str, Any]:
        """What the manifest says of how the networks are used, as plain values: with the files, all that decides."""
        return {
            "input": [self.long_side, self.multiple, self.grid_stride],
            "rules": dataclasses.asdict(self.click_params) | {"sigmas": list(self.click_params.sigmas)},
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
        ValueError: ``model`` is neither a path nor a `Model`, or a text that no path can be.
    """
    if isinstance(model, Model):
        return model
    if not isinstance(model, (str, os.PathLike)):
        raise ValueError(f"model is {model!r}; pass 'default', the path of a model folder or a pyiseg.Model")
    try:
        return _read(model)
    except OSError as error:
        raise ModelError(
            f"the model '{error.filename or os.fspath(model)}' cannot be read: {error.strerror or error}; check its "
            "permissions, or copy it again"
        ) from error


def _read(model: str | os.PathLike[str]) -> Model:
    bundled = model == "default"
    folder = (BUNDLED / "default" if bundled else _folder(model)).resolve()
    if bundled and not folder.is_dir():
        raise ModelError(
            f"this installation of pyiseg has no default model ({quoted(folder)} is missing); "
            "install pyiseg again or pass model= the path of a model folder"
        )
    if not folder.is_dir():
        missing = "does not exist; check the path, or pass 'default' for the model that comes with pyiseg"
        found = "is a file, not a model folder; pass the folder it lies in" if folder.exists() else missing
        raise ModelError(f"model folder {quoted(folder)} {found}")
    path = folder / MANIFEST
    if not path.is_file():
        raise ModelError(f"{quoted(folder)} is not a pyiseg model folder: it has no {MANIFEST}")
    # The lock keeps two threads from reading the same model twice and holding it twice in memory.
    with _loading:
        return _load(folder, path.read_bytes())


def _folder(model: str | os.PathLike[str]) -> Path:
    try:
        return local_path(model)
    except ValueError as error:
        raise ValueError(f"model folder: {error}") from None


_loading = threading.Lock()


@functools.lru_cache(maxsize=8)
def _load(folder: Path, content: bytes) -> Model:
    """Cached by the manifest's text too: it holds the checksums, so a folder that was written anew is read anew."""
    manifest = Manifest.from_json(content, folder / MANIFEST)
    return Model(
        folder=folder,
        name=manifest.name,
        description=manifest.description,
        licence=manifest.licence,
        long_side=manifest.long_side,
        multiple=manifest.multiple,
        grid_stride=manifest.grid_stride,
        click_params=manifest.click_params,
        files=MappingProxyType({name: read_network(folder, name, manifest.files[name]) for name in manifest.networks}),
        training=manifest.training,
        zoom=manifest.zoom,
    )


def read_network(folder: Path, name: str, stated: FileEntry) -> bytes:
    """Return the content of a file of the folder, if it is what the manifest states it to be."""
    path = folder / name
    if not path.is_file():
        raise ModelError(
            f"the model {quoted(folder)} is incomplete: {name} is missing; copy or download the model again"
        )
    content = path.read_bytes()
    if len(content) != stated.size:
        raise ModelError(
            f"{quoted(path)} has {len(content)} bytes where {MANIFEST} states {stated.size}: it was cut off or belongs "
            "to another model; copy or download the model again"
        )
    found = hashlib.sha256(content).hexdigest()
    if found != stated.sha256.lower():
        raise ModelError(
            f"{quoted(path)} is damaged or belongs to another model: its SHA-256 is {found} where {MANIFEST} states "
            f"{stated.sha256}; copy or download the model again"
        )
    return content
