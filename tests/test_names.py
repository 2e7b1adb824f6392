"""Names that stand in files: none leads out of the folder that it is for, whatever reads it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support import toy_evaluation

from pyiseg import cli
from pyiseg.evaluation.masks import read_names
from pyiseg.evaluation.results import read_report, write_report
from pyiseg.paths import inner_path, is_plain_name, plain_name, printable

PLAIN = ["a", "a.png", ".hidden", "ÄÖ ü.onnx", "a b", "..a", "2008_000123", "CONSOLE", "a" * 255]
LEADING_ELSEWHERE = [
    "",
    ".",
    "..",
    "../a",
    "a/b",
    "/a",
    "a/",
    "..\\a",
    "C:a",
    "C:\\a",
    "\\\\host\\a",
    "a\0b",
    "a\nb",
    "\x1b[2J",
    "a.",
    "a ",
    "NUL",
    "com1.txt",
    "COM¹",
    "lpt³.png",
    "conin$",
    "CONOUT$.txt",
    "com0",
    "a:stream",
    "a" * 256,
    "ü" * 128,
    "\ud800",
    None,
    3,
    ["a"],
]


@pytest.mark.parametrize("name", PLAIN)
def test_plain_names(name: str) -> None:
    assert is_plain_name(name)
    assert plain_name(name, "it") == name
    assert inner_path(f"train/{name}", "it") == f"train/{name}"


@pytest.mark.parametrize("name", LEADING_ELSEWHERE, ids=repr)
def test_names_that_lead_elsewhere(name: Any) -> None:
    with pytest.raises(ValueError, match=r"^'dataset' is .*; it must be the plain name of a file"):
        plain_name(name, "'dataset'")
    if name != "a/b":
        with pytest.raises(ValueError, match=r"^its mask is .*; it must be a path within the folder"):
            inner_path(name, "its mask")
    assert "\n" not in printable(str(name))


@pytest.mark.parametrize("name", ["../../name", "{elsewhere}/name", "a\nb", "", "..\\name"])
def test_a_report_writes_into_its_folder_only(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``"dataset": "../../name"`` had plots written there."""
    elsewhere, out = tmp_path / "elsewhere", tmp_path / "a" / "b" / "out"
    elsewhere.mkdir()
    write_report(tmp_path / "a.json", toy_evaluation.report(name.format(elsewhere=elsewhere)))
    assert cli.main(["report", str(tmp_path / "a.json"), "-o", str(out)]) == 2
    assert "is a damaged report ('dataset' is '" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a.json", "elsewhere"]


@pytest.mark.parametrize("name", ["../1", "/etc/1", "a/b", "NUL"])
def test_lists_of_names(name: str, tmp_path: Path) -> None:
    (tmp_path / "val.txt").write_text(f"2008_1\n{name}\n")
    with pytest.raises(ValueError, match=r"a name in .*val\.txt is '.*it must be the plain name"):
        read_names(tmp_path / "val.txt")


def test_a_list_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "val.txt").write_bytes(b"2008_1\n\xff\xfe\n")
    with pytest.raises(ValueError, match=r"val\.txt is no list of names: it is not text"):
        read_names(tmp_path / "val.txt")


CHANGES: list[tuple[str, Any]] = [
    ("dataset", 3),
    ("robot", "best"),
    ("robot", ["forte"]),
    ("model", []),
    ("model", {"sha256": {}}),
    ("model", {"name": "a"}),
    ("model", {"name": 3, "sha256": {}}),
    ("model", {"name": "a", "sha256": [1]}),
    ("device", None),
    ("jobs", 0),
    ("jobs", True),
    ("versions", {"a": 1}),
    ("versions", ["a"]),
    ("unmasked", "abc"),
    ("failed", 3),
    ("failed", [{"name": "a"}]),
    ("failed", [{"name": "a", "error": 3}]),
    ("runs", {}),
    ("runs", []),
    ("runs", [[]]),
    ("summary", []),
    *((f"summary.{name}", None) for name in ("limit", "cases", "noc85", "failures90", "mean_iou", "auc", "corrected")),
    *((f"summary.{name}", None) for name in ("corrected_cases", "share_above", "click_ms_median", "mean_boundary_iou")),
    ("summary.limit", 0),
    ("summary.limit", 10**9),
    ("summary.mean_iou", [0.5]),
    ("summary.mean_iou", [0.5, 0.5, 2]),
    ("summary.corrected_cases", [1]),
    ("summary.share_above", {"x": []}),
    ("summary.share_above", {"1": [0.5]}),
    ("summary.auc_ci95", "a"),
    ("runs.0.name", 3),
    ("runs.0.ious", [2]),
    ("runs.0.ious", "abc"),
    ("runs.0.clicks", [[1, 2]]),
    ("runs.0.clicks", [[1, -2, True]]),
    ("runs.0.clicks", 5),
    ("runs.0.click_ms", [None]),
    ("runs.0.reach", [[1]]),
    ("runs.0.session_ms", "1"),
]


@pytest.mark.parametrize("removed", [False, True])
@pytest.mark.parametrize(("place", "value"), CHANGES, ids=str)
def test_malformed_reports(place: str, value: Any, removed: bool, tmp_path: Path) -> None:
    """A value that is missing, or of another kind, was a KeyError or TypeError in the middle of drawing."""
    path = tmp_path / "a.json"
    write_report(path, toy_evaluation.report())
    content = json.loads(path.read_text())
    inner: Any = content
    *keys, last = place.split(".")
    for key in keys:
        inner = inner[int(key) if key.isdecimal() else key]
    if removed and place not in ("unmasked", "runs.0.reach"):  # which came later, and may be missing
        del inner[last]
    else:
        inner[last] = value
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"a\.json' is (a damaged report|no report)"):
        read_report(path)
