"""engine_file.py: names, headers, and what is made of damaged files."""

from __future__ import annotations

import dataclasses
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
