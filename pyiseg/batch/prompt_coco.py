"""Prompts from a data set in COCO's form: each annotation's box is an object's prompt.

    {"images": [{"id": 1, "file_name": "street.jpg"}],
     "categories": [{"id": 3, "name": "car"}],
     "annotations": [{"id": 7, "image_id": 1, "category_id": 3, "bbox": [20, 310, 171, 111]}]}

A ``bbox`` is x, y, width and height along the edges of pixels, so that [0, 0, 2, 2] covers the pixels 0 and 1. Other
keys, ``segmentation`` and ``score`` among them, are not looked at; annotations of crowds are left out.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from typing import Any

from pyiseg.batch.names import image_name, object_name
from pyiseg.batch.prompt_csv import LARGEST, encoding_of
from pyiseg.batch.prompt_list import UNNAMED, Collector, Placed, PromptList, WrongEntries
from pyiseg.files import json_fault
from pyiseg.paths import shown
from pyiseg.prompts import Box, shortened


def read(content: bytes, source: str) -> PromptList:
    """Read the boxes of a data set.

    Args:
        content: Of the file.
        source: Its name, for messages.

    Raises:
        WrongPromptsError: Entries are wrong: all of them are named by their place in the file.
        ValueError: It is no such data set.
    """
    images, categories, annotations = _lists(_parsed(content, source), source)
    found, wrong = Collector(), WrongEntries()
    names, labels = dict[Any, str](), dict[Any, str]()
    tables: tuple[tuple[str, list[Any], str, Callable[[str], str], dict[Any, str]], ...] = (
        ("images", images, "file_name", image_name, names),
        ("categories", categories, "name", object_name, labels),
    )
    for key, entries, field, check, known in tables:
        for number, entry in enumerate(entries):
            try:
                _add_named(entry, field, check, known)
            except ValueError as error:
                wrong.add(f"{source}, {key}[{number}]", error)
    crowds = 0
    for number, entry in enumerate(annotations):
        where = f"{source}, annotations[{number}]"
        try:
            _check_object(entry)
            if entry.get("iscrowd") in (1, True):
                crowds += 1
                continue
            image = _looked_up(entry, "image_id", names, "images")
            label = _looked_up(entry, "category_id", labels, "categories") if "category_id" in entry else ""
            found.add(image, number, label, label, Placed(_box(entry.get("bbox")), where))
        except ValueError as error:
            wrong.add(where, error)
    wrong.check()
    notes = [f"{source}: annotations of crowds are left out, {crowds} in all"] if crowds else []
    ids = {
        key: {name: number for number, name in named.items() if isinstance(number, int)}
        for key, named in (("images", names), ("categories", labels))
    }
    prompts = found.prompt_list(notes, ids)
    # Those that no annotation has are counted too, so that numbers of classes are those of the whole data set.
    in_order = dict.fromkeys([*(label or UNNAMED for label in labels.values()), *prompts.categories])
    return dataclasses.replace(prompts, categories=tuple(in_order))


def _parsed(content: bytes, source: str) -> Any:
    try:
        return json.loads(content.decode(encoding_of(content)))
    except UnicodeDecodeError:
        raise ValueError(f"{source} is no JSON: it is not UTF-8 text") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"{source}, line {error.lineno}: this is no JSON: {error.msg}") from None
    except RecursionError:
        raise ValueError(f"{source} is nested too deeply for a list of prompts") from None
    except ValueError as error:  # a whole number of thousands of digits
        raise ValueError(f"{source} is no JSON that can be read: {json_fault(error)}") from None


def _lists(data: Any, source: str) -> list[list[Any]]:
    if isinstance(data, list):
        raise ValueError(
            f"{source} is a list, as of a detector's results, which does not name the images' files; put it under "
            '"annotations" beside "images" and "categories"'
        )
    data = data if isinstance(data, dict) else {}
    lists = [data.get(key, []) for key in ("images", "categories", "annotations")]
    if not all(isinstance(listed, list) for listed in lists) or "images" not in data or "annotations" not in data:
        raise ValueError(f'{source} is no COCO data set: it must have lists "images" and "annotations"')
    return lists


def _add_named(entry: Any, field: str, check: Any, known: dict[Any, str]) -> None:
    _check_object(entry)
    number, name = _checked_id(entry.get("id")), entry.get(field)
    if not isinstance(name, str):
        raise ValueError(f"its {field} is {shortened(name)}; it must be text")
    name = check(name)
    if number in known:
        raise ValueError(f"its id {shortened(number)} is that of {shown(known[number])} already")
    known[number] = name


def _check_object(entry: Any) -> None:
    if not isinstance(entry, dict):
        raise ValueError(f"it is {shortened(entry)}; it must be an object")


def _checked_id(value: Any) -> int | str:
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise ValueError(f"its id is {shortened(value)}; it must be a whole number")
    return value


def _looked_up(entry: dict[str, Any], key: str, known: dict[Any, str], place: str) -> str:
    value = entry.get(key)
    if isinstance(value, bool) or not isinstance(value, (int, str)) or value not in known:
        raise ValueError(f"its {key} is {shortened(value)}, which none of the {place} has")
    return known[value]


def _box(bbox: Any) -> Box:
    if (
        not isinstance(bbox, list)
        or len(bbox) != 4
        or not all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in bbox)
        or not all(abs(value) <= LARGEST for value in bbox)  # not NaN either
    ):
        raise ValueError(f"its bbox is {shortened(bbox)}; it must be four numbers [x, y, width, height]")
    x, y, width, height = bbox
    if width <= 0 or height <= 0:
        raise ValueError(f"its bbox is {shortened(bbox)}: width and height must be more than 0")
    # Edges to pixels, both ends included; what is narrower than a pixel is one.
    left, top = _rounded(x), _rounded(y)
    return Box(left, top, max(left, _rounded(x + width) - 1), max(top, _rounded(y + height) - 1))


def _rounded(value: float) -> int:
    return math.floor(value + 0.5)
