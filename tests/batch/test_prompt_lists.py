"""Lists of prompts: CSV files as spreadsheets write them, COCO data sets, and lists from Python."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pyiseg import Box, Click, LocalClick, Scribble
from pyiseg.batch import prompt_coco, prompt_csv
from pyiseg.batch.prompt_list import PromptList, WrongPromptsError, read_prompts

CLICKS = """image,x,y,fg,object
a.jpg,10,20,1,dog
a.jpg,30,40,0,dog
b/c.jpg,5,6,,
a.jpg,7,8,,cat
"""


def simple(found: PromptList) -> dict[str, list[tuple[str, str, list[Any]]]]:
    """A list without the places of its prompts."""
    return {
        image.image: [(thing.name, thing.category, [p.prompt for p in thing.prompts]) for thing in image.objects]
        for image in found.images
    }


OF_CLICKS = {
    "a.jpg": [("dog", "dog", [Click(10, 20), Click(30, 40, False)]), ("cat", "cat", [Click(7, 8)])],
    "b/c.jpg": [("", "object", [Click(5, 6)])],
}


@pytest.mark.parametrize(
    "content",
    [
        CLICKS.encode(),
        b"\xef\xbb\xbf" + CLICKS.encode(),
        CLICKS.replace(",", ";").replace("\n", "\r\n").encode(),
        CLICKS.replace(",", "\t").encode(),
        CLICKS.replace(",", "\t").replace("\n", "\r\n").encode("utf-16"),
        CLICKS.replace("image,x,y", '"IMAGE", X ,"y"').replace("a.jpg", '"./a.jpg"').encode(),
        CLICKS.replace("\n", "\n,,,,\n\n").encode(),
        CLICKS.replace(",10,20,", ",9.5,20.49,").encode(),
        CLICKS.replace(",", ";").replace(";10;20;", ";9,5;2,0e1;").encode(),
        CLICKS.strip().encode(),
    ],
    ids=["plain", "mark", "semicolons", "tabs", "utf-16", "quoted", "blank", "fractions", "commas", "no-end"],
)
def test_clicks_as_programs_write_them(content: bytes) -> None:
    assert simple(prompt_csv.read(content, "prompts.csv")) == OF_CLICKS


def test_boxes_and_clicks_in_one_table() -> None:
    table = (
        "object,category,kind,x,y,fg,x0,y0,x1,y1,image\n"
        "left one,car,box,,,,1,2,3,4,a.jpg\n"
        "left one,,click,5,6,bg,,,,,a.jpg\n"
        "right one,car,,,,1,-5,2,30,40,a.jpg\n"
        "left one,car,LOCAL,7,8,No,,,,,a.jpg\n"
    )
    assert simple(prompt_csv.read(table.encode(), "p")) == {
        "a.jpg": [
            ("left one", "car", [Box(1, 2, 3, 4), Click(5, 6, False), LocalClick(7, 8, False)]),
            ("right one", "car", [Box(-5, 2, 30, 40)]),
        ]
    }


def test_a_category_may_stand_in_any_row_of_the_object() -> None:
    table = b"image,x,y,object,category\na.jpg,1,2,left,\na.jpg,3,4,left,car\nb.jpg,1,2,left,van\n"
    found = prompt_csv.read(table, "p")
    assert [thing.category for image in found.images for thing in image.objects] == ["car", "van"]
    assert found.categories == ("car", "van")


def test_unknown_columns_are_said() -> None:
    assert prompt_csv.read(b"image,x,y,note,\na.jpg,1,2,hm,\n", "p.csv").notes == (
        "p.csv: the columns 'note' are not used",
    )


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_a_data_set_of_coco_as_windows_writes_it(tmp_path: Path, encoding: str) -> None:
    """PowerShell's > writes UTF-16."""
    found = {
        "images": [{"id": 1, "file_name": "a.jpg"}],
        "annotations": [{"id": 1, "image_id": 1, "bbox": [1, 2, 30, 40]}],
    }
    mark = "" if encoding in ("utf-8-sig", "utf-16") else "\ufeff"
    (tmp_path / "a.json").write_bytes((mark + json.dumps(found)).encode(encoding))
    (tmp_path / "b.json").write_text(json.dumps(found))
    written, plain = (read_prompts(tmp_path / name) for name in ("a.json", "b.json"))
    assert [image.image for image in written.images] == [image.image for image in plain.images] == ["a.jpg"]


@pytest.mark.parametrize("words", ["1 0", "1.0 0.0", "TRUE FALSE", "WAHR FALSCH", "VRAI FAUX", "ja Nein", "oui non"])
def test_truth_values_of_spreadsheets_are_known(words: str) -> None:
    yes, no = words.split()
    table = f"image,x,y,fg\na.jpg,1,2,{yes}\na.jpg,3,4,{no}\n"
    assert prompt_csv.read(table.encode(), "prompts.csv") == prompt_csv.read(
        b"image,x,y,fg\na.jpg,1,2,\na.jpg,3,4,0\n", "prompts.csv"
    )


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("a.jpg,1,,,,,,,", "y is empty"),
        ("a.jpg,1,2,,3,4,5,6,", "a click and a box at once"),
        ("a.jpg,,,1,,,,,", "it has no coordinates"),
        ("a.jpg,,,,3,4,5,,", "y1 is empty"),
        ("a.jpg,one,2,,,,,,", "x is 'one'; write a number"),
        ("a.jpg,nan,2,,,,,,", "x is 'nan'"),
        ("a.jpg,1e999,2,,,,,,", "x is '1e999'; no image is as large"),
        ("a.jpg,\u0661,2,,,,,,", "x is '\u0661'"),
        ("a.jpg,-1,2,,,,,,", "x is -1, outside of any image"),
        ("a.jpg,1,2,maybe,,,,,", "fg is 'maybe'; write 1, true or yes or leave it empty to select, 0, false or no to"),
        ("a.jpg,,,0,3,4,5,6,", "a box only selects"),
        ("a.jpg,1,2,,,,,,circle", "kind is 'circle'"),
        ("a.jpg,1,2,,,,,,box", "kind is 'box', and the filled cells are x, y"),
        ("a.jpg,,,,3,4,5,6,click", "kind is 'click', and the filled cells are x0, y0, x1, y1"),
        ("a.jpg,1,2,,,,,,,more", "it has 10 cells, and the first line 9"),
        (",1,2,,,,,,", "the image has no name"),
        ("/etc/passwd,1,2,,,,,,", "'/etc/passwd' is no name within the folder"),
        ("../a.jpg,1,2,,,,,,", "'../a.jpg' is no name within the folder"),
        ("b/../../a.jpg,1,2,,,,,,", "is no name within the folder"),
        ("b\\a.jpg,1,2,,,,,,", "has a backslash"),
        ("C:/a.jpg,1,2,,,,,,", "is no name within the folder"),
        ("https://a.org/a.jpg,1,2,,,,,,", "is no name within the folder"),
        (".,1,2,,,,,,", "is no name within the folder"),
        ("a\x1b[2J.jpg,1,2,,,,,,", "'a\\x1b[2J.jpg' has a character"),
        (f"{'a' * 300}.jpg,1,2,,,,,,", "is longer than a file's name"),
    ],
)
def test_wrong_rows_are_named(row: str, words: str) -> None:
    table = f"image,x,y,fg,x0,y0,x1,y1,kind\na.jpg,1,2,,,,,,\n\n{row}\n"
    with pytest.raises(WrongPromptsError) as raised:
        prompt_csv.read(table.encode(), "prompts.csv")
    (line,) = raised.value.lines
    assert line.startswith("prompts.csv, line 4: ")
    assert words in line


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("a.jpg,1,2,left,truck", "its category is 'truck', and 'car' for the same object before"),
        (f"a.jpg,1,2,{'x' * 201},", "has 201 characters; it may have 200"),
        ("a.jpg,1,2,a\x00b,", "has a character that a name cannot have"),
    ],
)
def test_wrong_names_of_objects(row: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        prompt_csv.read(f"image,x,y,object,category\na.jpg,1,2,left,car\n{row}\n".encode(), "p")


def test_all_wrong_rows_are_named_at_once_up_to_twenty() -> None:
    table = "image,x,y\n" + "".join(f'"a.jpg\n",{x},-1\n' for x in range(50)) + "a.jpg,1,2\n"
    with pytest.raises(WrongPromptsError) as raised:
        prompt_csv.read(table.encode(), "p")
    assert len(raised.value.lines) == 21
    assert raised.value.lines[1].startswith("p, line 4: ")
    assert raised.value.lines[20] == "and 30 more"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "line 1: the columns are ''; there must be image"),
        (b"image,x\na.jpg,1\n", "there must be image, and x and y"),
        (b"file,x,y\na.jpg,1,2\n", "there must be image"),
        (b"image,x0,y0,x1\na.jpg,1,2,3\n", "x0, y0, x1 and y1 for boxes"),
        (b"image,x,y,X\na.jpg,1,2,3\n", "two columns are named 'x'"),
        (b"image,x,y\na.jpg,1,2\nb\xe4r.jpg,1,2\n", "line 3: it is not UTF-8 text; save it as CSV UTF-8"),
        (b'image,x,y\n"a.jpg,1,2\n', "line 2: this is no table"),
        (b'image,x,y\n"a"b,1,2\n', "line 2: this is no table"),
        (b"image,x,y\n" + b"a" * 200_000 + b",1,2\n", "line 2: this is no table"),
    ],
)
def test_what_is_no_table(content: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        prompt_csv.read(content, "p")


CELLS = st.sampled_from(
    ["image", "x", "y", "x0", "y0", "x1", "y1", "fg", "object", "a.jpg", "../b", "1", "-3", "1e9", "nan", "", '"', "\r"]
)


@given(st.one_of(st.binary(max_size=200), st.lists(st.lists(CELLS, max_size=9), max_size=5)))
@example(b"\xff\xfe\x00")
@example(b"image,x,y\n\x00,1,2")
@settings(deadline=None)
def test_any_table_is_read_or_a_value_error(content: bytes | list[list[str]]) -> None:
    if isinstance(content, list):
        content = "\n".join(",".join(row) for row in content).encode()
    with suppress(ValueError):
        check(prompt_csv.read(content, "p"))


def check(found: PromptList) -> None:
    """Whatever was read is sound."""
    assert len({image.image for image in found.images}) == len(found.images)
    for image in found.images:
        assert image.image
        assert not image.image.startswith("/")
        assert ".." not in image.image.split("/")
        assert image.objects
        for thing in image.objects:
            assert thing.prompts
            assert thing.category in found.categories


def coco(**changes: Any) -> dict[str, Any]:
    return {
        "info": {},
        "images": [{"id": 5, "file_name": "a.jpg"}, {"id": 6, "file_name": "b/c.jpg"}, {"id": 7, "file_name": "d.jpg"}],
        "categories": [{"id": 1, "name": "bird"}, {"id": 3, "name": "car"}, {"id": 2, "name": "dog"}],
        "annotations": [
            {"id": 1, "image_id": 6, "category_id": 3, "bbox": [10, 20, 5, 1], "iscrowd": 0},
            {"id": 2, "image_id": 5, "category_id": 2, "bbox": [10.4, 20.5, 5.2, 0.3], "segmentation": []},
            {"id": 3, "image_id": 5, "category_id": 2, "bbox": [-3, 0, 13, 2.0], "score": 0.5},
        ],
    } | changes


def test_boxes_of_a_coco_data_set() -> None:
    found = prompt_coco.read(json.dumps(coco()).encode(), "p")
    assert simple(found) == {
        "b/c.jpg": [("car", "car", [Box(10, 20, 14, 20)])],
        "a.jpg": [("dog", "dog", [Box(10, 21, 15, 21)]), ("dog", "dog", [Box(-3, 0, 9, 1)])],
    }
    assert found.categories == ("bird", "car", "dog")
    assert found.ids == {
        "images": {"a.jpg": 5, "b/c.jpg": 6, "d.jpg": 7},
        "categories": {"bird": 1, "car": 3, "dog": 2},
    }
    assert found.notes == ()


def test_annotations_of_crowds_are_left_out_and_said() -> None:
    data = coco()
    data["annotations"][0]["iscrowd"] = 1
    found = prompt_coco.read(json.dumps(data).encode(), "p.json")
    assert list(simple(found)) == ["a.jpg"]
    assert found.notes == ("p.json: annotations of crowds are left out, 1 in all",)


def test_annotations_need_no_category() -> None:
    data = coco(annotations=[{"image_id": 5, "bbox": [1, 2, 3, 4]}])
    del data["categories"]
    assert simple(prompt_coco.read(json.dumps(data).encode(), "p")) == {"a.jpg": [("", "object", [Box(1, 2, 3, 5)])]}


@pytest.mark.parametrize(
    ("key", "entry", "words"),
    [
        ("images", {"id": 9, "file_name": "../x.jpg"}, "is no name within the folder"),
        ("images", {"id": 9, "file_name": "\ud800.jpg"}, "has a character"),
        ("images", {"id": 9}, "its file_name is None"),
        ("images", {"id": [1], "file_name": "x.jpg"}, r"its id is \[1\]"),
        ("images", {"id": 5, "file_name": "x.jpg"}, "its id 5 is that of 'a.jpg' already"),
        ("images", 3, "it is 3; it must be an object"),
        ("categories", {"id": 9, "name": None}, "its name is None"),
        ("annotations", [], r"it is \[\]"),
        ("annotations", {"image_id": 8, "bbox": [1, 2, 3, 4]}, "its image_id is 8, which none of the images has"),
        ("annotations", {"image_id": True, "bbox": [1, 2, 3, 4]}, "its image_id is True"),
        ("annotations", {"image_id": {}, "bbox": [1, 2, 3, 4]}, "its image_id is {}"),
        ("annotations", {"image_id": 5, "category_id": 8, "bbox": [1, 2, 3, 4]}, "none of the categories has"),
        ("annotations", {"image_id": 5}, "its bbox is None"),
        ("annotations", {"image_id": 5, "bbox": [1, 2, 3]}, "must be four numbers"),
        ("annotations", {"image_id": 5, "bbox": [1, 2, 3, "4"]}, "must be four numbers"),
        ("annotations", {"image_id": 5, "bbox": [1, 2, 3, True]}, "must be four numbers"),
        ("annotations", {"image_id": 5, "bbox": [1, 2, 3, float("nan")]}, "must be four numbers"),
        ("annotations", {"image_id": 5, "bbox": [1, 2, float("inf"), 4]}, "must be four numbers"),
        ("annotations", {"image_id": 5, "bbox": [1, 2, 3, 10**400]}, "must be four numbers"),
        ("annotations", {"image_id": 5, "bbox": [1, 2, 0, 4]}, "must be more than 0"),
    ],
)
def test_wrong_entries_are_named(key: str, entry: Any, words: str) -> None:
    data = coco()
    data[key].append(entry)
    with pytest.raises(WrongPromptsError, match=words) as raised:
        prompt_coco.read(json.dumps(data).encode(), "p.json")
    assert raised.value.lines[0].startswith(f"p.json, {key}[3]: ")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"{", "line 1: this is no JSON"),
        (b"\n\n{]", "line 3: this is no JSON"),
        (b"{\xff}", "not UTF-8"),
        (b"[" * 100_000, "nested too deeply|no JSON"),
        (b'{"images": ' + b"1" * 5000 + b"}", "no JSON that can be read|no COCO data set"),
        (b'[{"image_id": 1, "bbox": [1, 2, 3, 4], "score": 1}]', "a list, as of a detector's results"),
        (b"{}", "no COCO data set"),
        (b'{"images": {}, "annotations": []}', "no COCO data set"),
        (b"3", "no COCO data set"),
    ],
)
def test_what_is_no_data_set(content: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        prompt_coco.read(content, "p")


VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-2, 3), st.floats(), st.sampled_from(["a.jpg", "..", "\ud800"])),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(
            st.sampled_from(["id", "file_name", "name", "image_id", "category_id", "bbox", "iscrowd"]), inner
        ),
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["images", "annotations", "categories"]), st.lists(VALUES, max_size=3)))
@settings(deadline=None)
def test_any_data_set_is_read_or_a_value_error(data: dict[str, Any]) -> None:
    with suppress(ValueError):
        check(prompt_coco.read(json.dumps(data).encode(), "p"))


@given(st.binary(max_size=100))
def test_any_bytes_are_read_or_a_value_error(content: bytes) -> None:
    with pytest.raises(ValueError, match="p"):
        prompt_coco.read(content, "p")


def test_prompts_from_python() -> None:
    given = {
        "./a.jpg": [Click(1, 2), Box(1, 2, 3, 4), LocalClick(3, 3, False)],
        "b.jpg": {"dog": [Scribble(((1, 2), (3, 4)))], "cat": [Click(5, 6)]},
    }
    found = read_prompts(given)
    assert simple(found) == {
        "a.jpg": [("", "object", [Click(1, 2), Box(1, 2, 3, 4), LocalClick(3, 3, False)])],
        "b.jpg": [("dog", "dog", [Scribble(((1, 2), (3, 4)))]), ("cat", "cat", [Click(5, 6)])],
    }
    assert read_prompts(found) is found


@pytest.mark.parametrize(
    ("prompts", "words"),
    [
        (3, "prompts is 3; pass the path"),
        ([Click(1, 2)], "pass the path"),
        ({"a.jpg": Click(1, 2)}, r"prompts\['a.jpg'\]: Click\(x=1, y=2, fg=True\) is no list"),
        ({"a.jpg": [(1, 2)]}, r"\(1, 2\) is no pyiseg.Click"),
        ({"a.jpg": {"dog": 3}}, r"prompts\['a.jpg'\]\['dog'\]: 'int' object is not iterable"),
        ({"../a.jpg": [Click(1, 2)]}, "no name within"),
    ],
)
def test_wrong_prompts_from_python(prompts: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_prompts(prompts)


@pytest.mark.parametrize("name", ["prompts.csv", "prompts.json", "prompts"])
def test_files_are_known_by_their_content(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(CLICKS.encode())
    assert simple(read_prompts(path)) == OF_CLICKS
    path.write_bytes(b"\xef\xbb\xbf \n" + json.dumps(coco()).encode())
    assert list(simple(read_prompts(str(path)))) == ["b/c.jpg", "a.jpg"]


def test_files_without_prompts_are_refused(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("image,x,y\n\n")
    with pytest.raises(ValueError, match="holds no prompt"):
        read_prompts(tmp_path / "p.csv")
    with pytest.raises(ValueError, match="is a folder; pass the CSV or JSON file"):
        read_prompts(tmp_path)
    with pytest.raises(FileNotFoundError, match="no list of prompts at"):
        read_prompts(tmp_path / "gone.csv")
