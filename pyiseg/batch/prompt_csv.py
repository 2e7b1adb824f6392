"""Prompts from a table: a CSV file as a spreadsheet or a script writes it.

    image,object,category,x,y,fg,x0,y0,x1,y1
    street.jpg,left car,car,,,,20,310,190,420
    street.jpg,left car,car,60,330,0,,,,
    street.jpg,cyclist,,640,280,,,,,

A row is a prompt: a click where x and y are filled, a box where x0, y0, x1 and y1 are. Columns may stand in any order,
and those that are not needed may be left out; ``image`` is needed, and the coordinates of one kind. The rows of an
object are made in their order. Separated by commas, semicolons or tabs; UTF-8, or UTF-16 with its mark.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterator, Mapping

from pyiseg.batch.names import image_name, object_name
from pyiseg.batch.prompt_list import Collector, Placed, PromptList, WrongEntries
from pyiseg.paths import shown
from pyiseg.prompts import Box, Click, LocalClick, Prompt

CLICK, BOX = ("x", "y"), ("x0", "y0", "x1", "y1")
COLUMNS = ("image", "object", "category", "kind", *CLICK, "fg", *BOX)
KINDS = ("click", "local", "box")
YES = ("", "1", "1.0", "1,0", "true", "yes", "ja", "oui", "wahr", "vrai", "fg")
NO = ("0", "0.0", "0,0", "false", "no", "nein", "non", "falsch", "faux", "bg")
"""Truth values as spreadsheets in English, German and French write them; 1.0 is pandas' where a cell is empty."""

LARGEST = 1e7
"""A coordinate is at most this far from 0; no image is as large."""

# Of few digits: numbers of thousands take long to read.
_NUMBER = re.compile(r"[+-]?(?:[0-9]{1,20}(?:[.,][0-9]{0,20})?|[.,][0-9]{1,20})(?:[eE][+-]?[0-9]{1,3})?")

Row = Mapping[str, str]


def read(content: bytes, source: str) -> PromptList:
    """Read a table of prompts.

    Args:
        content: Of the file.
        source: Its name, for messages.

    Raises:
        WrongPromptsError: Rows are wrong: all of them are named by their line.
        ValueError: It is no such table.
    """
    text = _decoded(content, source)
    header_line = text.partition("\n")[0]
    delimiter = max(",;\t", key=header_line.count)
    rows = _rows(text, delimiter, source)
    header = [cell.strip().lower() for cell in next(rows, (1, [""]))[1]]
    unknown = _check_header(header, source)
    found, wrong = Collector(), WrongEntries()
    for line, cells in rows:
        if not any(cells):
            continue
        where = f"{source}, line {line}"
        try:
            if any(cells[len(header) :]):
                raise ValueError(f"it has {len(cells)} cells, and the first line {len(header)}")
            row = dict(zip(header, cells, strict=False))
            name = object_name(row.get("object", ""))
            prompt = _prompt(row, decimal_comma=delimiter != ",")
            found.add(
                image_name(row.get("image", "")),
                name,
                name,
                object_name(row.get("category", "")),
                Placed(prompt, where),
            )
        except ValueError as error:
            wrong.add(where, error)
    wrong.check()
    return found.prompt_list(
        [f"{source}: the columns {', '.join(map(shown, unknown))} are not used"] if unknown else []
    )


def encoding_of(content: bytes) -> str:
    """Return the encoding of a list of prompts: UTF-16 where it begins with the mark of that, as Windows writes it."""
    return "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"


def _decoded(content: bytes, source: str) -> str:
    try:
        return content.decode(encoding_of(content))
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ValueError(f"{source}, line {line}: it is not UTF-8 text; save it as CSV UTF-8") from None


def _rows(text: str, delimiter: str, source: str) -> Iterator[tuple[int, list[str]]]:
    """Yield each row with the line that it begins at, white space around cells left out."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    while True:
        line = reader.line_num + 1
        try:
            yield line, [cell.strip() for cell in next(reader)]
        except StopIteration:
            return
        except csv.Error as error:
            raise ValueError(f"{source}, line {line}: this is no table of comma-separated cells: {error}") from None


def _check_header(header: list[str], source: str) -> list[str]:
    """Return the columns that are not known.

    Raises:
        ValueError: A column that is needed is not there, or one is there twice.
    """
    known = [name for name in header if name in COLUMNS]
    complete = any(set(columns) <= set(known) for columns in (CLICK, BOX))
    if "image" not in known or not complete:
        raise ValueError(
            f"{source}, line 1: the columns are {', '.join(map(shown, header[:20]))}; there must be image, and x and y "
            "for clicks or x0, y0, x1 and y1 for boxes, as in: image,x,y,fg,object"
        )
    twice = next((name for name in known if known.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"{source}, line 1: two columns are named '{twice}'; rename one")
    return [name for name in header if name and name not in COLUMNS]


def _prompt(row: Row, decimal_comma: bool) -> Prompt:
    kind = row.get("kind", "").lower()
    if kind and kind not in KINDS:
        raise ValueError(f"kind is {shown(kind)}; it may be {', '.join(KINDS)}, or empty")
    filled = [columns for columns in (CLICK, BOX) if any(row.get(name) for name in columns)]
    if len(filled) != 1:
        raise ValueError(
            "it is a click and a box at once; make two rows of it"
            if filled
            else "it has no coordinates; fill x and y for a click, or x0, y0, x1 and y1 for a box"
        )
    (columns,) = filled
    if kind and (kind == "box") != (columns == BOX):
        raise ValueError(f"kind is '{kind}', and the filled cells are {', '.join(columns)}")
    values = [_number(name, row.get(name, ""), decimal_comma) for name in columns]
    fg = row.get("fg", "").lower()
    if fg not in YES + NO:
        raise ValueError(
            f"fg is {shown(fg)}; write 1, true or yes or leave it empty to select, 0, false or no to remove"
        )
    if columns == BOX:
        if fg in NO:
            raise ValueError("fg is 0, and a box only selects; remove with clicks")
        return Box(*values)
    for name, value in zip(columns, values, strict=True):
        if value < 0:
            raise ValueError(f"{name} is {value}, outside of any image: pixels count from 0")
    x, y = values
    return (LocalClick if kind == "local" else Click)(x, y, fg in YES)


def _number(name: str, text: str, decimal_comma: bool) -> int:
    """Return a coordinate, rounded to a whole pixel as sessions do."""
    if not text:
        raise ValueError(f"{name} is empty; fill it with a number")
    if not _NUMBER.fullmatch(text) or ("," in text and not decimal_comma):
        raise ValueError(f"{name} is {shown(text)}; write a number, as in 320 or 320.5")
    value = float(text.replace(",", "."))
    if not abs(value) <= LARGEST:
        raise ValueError(f"{name} is {shown(text)}; no image is as large")
    return math.floor(value + 0.5)
