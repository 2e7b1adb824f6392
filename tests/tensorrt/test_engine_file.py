"""engine_file.py: names, headers, and what is made of damaged files."""

from __future__ import annotations

import dataclasses
import io
import json
import types
from pathlib import Path
from typing import Any

import pytest
from support.engine_files import AHEAD, DAMAGE, ENGINE, KEY, SPEC

from pyiseg import _core
from pyiseg.tensorrt import file as engine_file
from pyiseg.tensorrt.file import EngineKey, EngineRefusedError, read_engine, read_header, write_engine
from pyiseg.tensorrt.gpu import GpuInfo, gpu_here


def test_names_are_for_people_and_for_looking_up() -> None:
    assert KEY.name.startswith("compact_v2-click-384x512-nvidia_geforce_rtx_4090-")
    assert AHEAD.name.startswith("compact_v2-click-384x512-sm89-")
    changes: list[dict[str, Any]] = [
        *(
            {name: "other"}
            for name in ("model", "package", "version", "gpu", "driver", "compute_capability", "machine")
        ),
        {"multiprocessors": 64},
        *({"spec": dataclasses.replace(SPEC, **{name: (32, 32)})} for name in ("min", "opt", "max")),
        {"spec": dataclasses.replace(SPEC, network="image")},
        {"spec": dataclasses.replace(SPEC, grid_stride=4)},
        {"files": (("click.onnx", "0a" * 32), ("image.onnx", "0c" * 32))},
        {"files": KEY.files[:1]},
        {"format": 3},
    ]
    keys = [KEY, AHEAD, *(dataclasses.replace(KEY, **change) for change in changes)]
    assert len({key.name for key in keys}) == len(keys)
    assert all(engine_file.OURS.fullmatch(key.name) for key in keys)
    strange = dataclasses.replace(KEY, model="../../ö b\n" * 30, gpu="/dev/null \x00")
    assert engine_file.OURS.fullmatch(strange.name)
    assert len(strange.name) < 200


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_is_damaged_is_refused(tmp_path: Path, damage: str) -> None:
    change, words = DAMAGE[damage]
    path = write_engine(tmp_path, KEY, ENGINE, 1.0)
    assert read_engine(path, KEY) == read_engine(path) == ENGINE
    whole = path.read_bytes()
    path.write_bytes(change(whole))
    assert path.read_bytes() != whole
    with pytest.raises(EngineRefusedError, match=words):
        read_engine(path, KEY)


def test_a_header_can_be_read_by_people(tmp_path: Path) -> None:
    path = write_engine(tmp_path, KEY, ENGINE, 1.23456)
    magic, header, _ = path.read_bytes().split(b"\n", 2)
    assert magic == b"pyiseg engine"
    content = json.loads(header)
    assert content["key"]["gpu"] == "NVIDIA GeForce RTX 4090"
    assert content["key"]["plan"]["high"] == [384, 512]
    assert content["seconds"] == 1.235
    assert EngineKey.from_json(content["key"]) == KEY
    assert read_header(write_engine(tmp_path, AHEAD, ENGINE, 1.0)).key == AHEAD


def test_the_driver_is_told_by_its_cuda_version(monkeypatch: pytest.MonkeyPatch) -> None:
    info = {"name": "T4", "compute_capability": (7, 5), "multiprocessors": 40, "driver": 12040}
    cuda = types.SimpleNamespace(device_count=lambda: 1, device_info=lambda: info)
    monkeypatch.setattr(_core, "cuda_built", True)
    monkeypatch.setattr(_core, "cuda", cuda, raising=False)
    monkeypatch.delattr(_core, "standin", raising=False)
    assert gpu_here() == GpuInfo("T4", (7, 5), 40, "12.4")


def test_an_engine_that_another_process_replaces_is_read_whole(tmp_path: Path) -> None:
    """The file was opened twice: 22 of 400 reads had the header of one engine and the content of another."""
    engines = [bytes([number]) * (5000 + 1000 * number) for number in range(2)]
    path = write_engine(tmp_path, KEY, engines[0], 1.0)
    opened = []
    before = io.open

    def replacing(file: Any, mode: str = "r", *given: Any, **named: Any) -> Any:
        stream = before(file, mode, *given, **named)
        if mode == "rb" and file == path:
            opened.append(file)
            write_engine(tmp_path, KEY, engines[1], 1.0)
        return stream

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine_file, "open", replacing, raising=False)
        assert read_engine(path, KEY) == engines[0]
    assert len(opened) == 1
    assert read_engine(path, KEY) == engines[1]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("length", "5120"),
        ("length", 1 << 70),
        ("length", float("inf")),
        ("sha256", 3),
        ("seconds", "1"),
        ("folder", 0),
        ("folder", ["a"]),
        ("more", 1),
        ("key", None),
        ("key", {"format": 2}),
        ("key", [2]),
    ],
)
def test_headers_that_do_not_fit(tmp_path: Path, name: str, value: Any) -> None:
    """Infinity was an OverflowError, and a folder that is a number a TypeError in ``pyiseg engines list``."""
    path = write_engine(tmp_path, KEY, ENGINE, 1.0)
    magic, header, engine = path.read_bytes().split(b"\n", 2)
    content = json.loads(header) | {name: value}
    path.write_bytes(b"\n".join([magic, json.dumps(content).encode(), engine]))
    with pytest.raises(EngineRefusedError, match="its header cannot be read"):
        read_header(path)
    with pytest.raises(EngineRefusedError, match="its header cannot be read"):
        read_engine(path)
    content = json.loads(header)
    content["key"]["multiprocessors"] = float("inf")
    path.write_bytes(b"\n".join([magic, json.dumps(content).encode(), engine]))
    with pytest.raises(EngineRefusedError, match="its header cannot be read"):
        read_header(path)
