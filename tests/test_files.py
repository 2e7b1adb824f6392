"""Files of one JSON object a line: what a kill cuts off costs that line and no other."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyiseg.files import append_json_line, read_json_lines

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
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
