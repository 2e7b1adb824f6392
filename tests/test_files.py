"""Files of one JSON object a line: what a kill cuts off costs that line and no other."""

from __future__ import annotations

import ast
import os
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.paths import ROOT

from pyiseg.files import LARGEST, append_json_line, parse_json, read_json, read_json_lines

WHOLE = st.integers(1 - LARGEST, LARGEST - 1)
VALUES = st.recursive(
    st.none() | st.booleans() | WHOLE | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
OBJECTS = st.dictionaries(st.text(), VALUES, max_size=3)


@settings(deadline=None)
@given(lines=st.lists(OBJECTS, max_size=4), more=st.lists(OBJECTS, max_size=2), data=st.data())
def test_what_is_cut_off_spoils_no_other_line(lines: list[object], more: list[object], data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "lines.jsonl"
        path.touch()
        ends = [0]
        for values in lines:
            append_json_line(path, values)
            ends.append(path.stat().st_size)
        assert read_json_lines(path) == lines
        cut = data.draw(st.integers(0, ends[-1]))
        with open(path, "rb+") as file:
            file.truncate(cut)
        # A line is whole without its line end too.
        whole = lines[: sum(end - 1 <= cut for end in ends[1:])]
        assert read_json_lines(path) == whole
        for values in more:
            append_json_line(path, values)
        assert read_json_lines(path) == whole + more


@pytest.mark.parametrize("damaged", [b"", b"12", b'"text"', b"[1]", b"{", b"\xff{}", b"\0\0\0\0", b'{"a": "\xff"}'])
def test_what_is_no_object_is_skipped(tmp_path: Path, damaged: bytes) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_bytes(b'{"a": 1}\n' + damaged + b'\n{"a": 2}\n')
    assert read_json_lines(path) == [{"a": 1}, {"a": 2}]


def test_what_json_cannot_hold_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    append_json_line(path, {"a": 1})
    with pytest.raises(TypeError):
        append_json_line(path, {"a": 2, "b": object()})
    assert path.read_bytes() == b'{"a": 1}\n'


DEEP = b"[" * 100_000 + b"]" * 100_000


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"{", "Expecting"),
        (b"\xff\xfe{}\x80", "it is not UTF-8 text"),
        (DEEP, "more than 64 deep"),
        (b'{"a":' * 65 + b"1" + b"}" * 65, "more than 64 deep"),
        (b'{"a": NaN}', "NaN, which JSON does not have"),
        (b"[-Infinity]", "-Infinity, which JSON does not have"),
        (b"[1e999]", "infinity"),
        (b"[9223372036854775808]", "more than 63 bits"),
        (b"[-9223372036854775808]", "more than 63 bits"),
        (b"9" * 5000, "it holds a number of thousands of digits"),
        (b'["\\ud800"]', "half of a character"),
        (b'{"\\udfff": 1}', "half of a character"),
    ],
    ids=lambda value: value[:12].decode("ascii", "replace") if isinstance(value, bytes) else "",
)
def test_json_that_programs_trip_over(tmp_path: Path, content: bytes, words: str) -> None:
    """Lists 100 000 deep were a RecursionError, and Infinity an OverflowError later on."""
    if content[:1] == b"9" and not hasattr(sys, "set_int_max_str_digits"):
        pytest.skip("this Python reads numbers of any length")
    (tmp_path / "a.json").write_bytes(content)
    for read in (lambda: parse_json(content), lambda: read_json(tmp_path / "a.json")):
        with pytest.raises(ValueError, match=words):
            read()
    (tmp_path / "a.jsonl").write_bytes(b'{"a": 1}\n' + content + b'\n{"b": 2}\n')
    assert read_json_lines(tmp_path / "a.jsonl") == [{"a": 1}, {"b": 2}]


def test_json_that_is_as_large_as_it_may_be(tmp_path: Path) -> None:
    deepest = b"[" * 63 + b"9223372036854775807" + b"]" * 63
    assert parse_json(deepest.decode()) == parse_json(deepest) != []
    assert parse_json('["\\ud83d\\ude00"]') == ["😀"]
    (tmp_path / "a.json").write_bytes(b"[1]")
    assert read_json(tmp_path / "a.json", most=3) == [1]
    with pytest.raises(ValueError, match="more than 2 bytes"):
        read_json(tmp_path / "a.json", most=2)
    with pytest.raises(ValueError, match="is a folder"):
        read_json(tmp_path)
    with pytest.raises(FileNotFoundError):
        read_json(tmp_path / "gone.json")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with a name here")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.json")
    with pytest.raises(ValueError, match="it is no file"):
        read_json(tmp_path / "a.json")


def test_what_is_written_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    append_json_line(path, {"loss": float("nan"), "most": float("inf"), "size": (1, 2)})
    assert read_json_lines(path) == [{"loss": None, "most": None, "size": [1, 2]}]
    for wrong in (1 << 63, "\ud800"):
        with pytest.raises(ValueError, match=r"bits|surrogate"):
            append_json_line(path, {"a": wrong})
    assert len(read_json_lines(path)) == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no file that is always full")
def test_a_full_disk_names_the_file() -> None:
    with pytest.raises(OSError, match=r"cannot write '/dev/full': No space left on device; make room there"):
        append_json_line(Path("/dev/full"), {"a": 1})


def test_one_reader_of_json() -> None:
    """Everything that is read from a file goes through `pyiseg.files`, with its limits.

    Requests and lists of prompts have limits of their own, and say which of their values is wrong.
    """
    own = {"pyiseg/files.py", "pyiseg/server/bodies.py", "pyiseg/batch/prompt_coco.py"}
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for folder in ("pyiseg", "export", "tools")
        for path in sorted((ROOT / folder).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("json.loads", "json.load")
    ]
    assert {place.partition(":")[0] for place in found} <= {str(Path(name)) for name in own}
