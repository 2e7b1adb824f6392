"""manifest.py: model.json read, checked and written, and the document that describes it."""

from __future__ import annotations

import copy
import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import toy_model
from support.paths import ROOT

import pyiseg
from pyiseg.files import LARGEST
from pyiseg.manifest import FORMAT, SCHEMA, Manifest
from pyiseg.network_files import FileEntry
from pyiseg.params import ClickParams, Zoom

DOCUMENT = (ROOT / "docs" / "model-format.md").read_text()
SHIPPED = ROOT / "pyiseg" / "models" / "default" / "model.json"
ENTRY = FileEntry.of(b"a network")
WHOLE = Manifest(
    name="toy",
    description="a stand-in",
    licence="Apache-2.0",
    long_side=64,
    multiple=32,
    grid_stride=2,
    click_params=ClickParams((1.0, 3.0), 2, 1e-3, 1),
    files={"click.onnx": ENTRY, "guide.onnx": ENTRY},
    training={"pictures": 3},
)


# Reading and writing

NUMBERS = st.integers(1 - LARGEST, LARGEST - 1)
PLAIN_JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
ZOOMS = st.builds(
    Zoom,
    from_click=st.integers(2, 2**31 - 1),
    enlarge=st.floats(1, 100) | st.integers(1, 100),
    below=st.floats(0, 1),
    magnify=st.floats(1e-3, 1e3),
)
ENTRIES = st.builds(
    FileEntry, sha256=st.text("0123456789abcdefABCDEF", min_size=64, max_size=64), size=st.integers(0, LARGEST - 1)
)


@st.composite
def manifests(draw: st.DrawFn) -> Manifest:
    form, guide = draw(st.sampled_from([("averaged", "learned"), ("residual", "learned"), ("residual", "color")]))
    rules = ClickParams(
        sigmas=tuple(draw(st.lists(st.floats(1e-3, 1e6) | st.integers(1, 10), min_size=1, max_size=8))),
        radius=draw(st.integers(0, 64)),
        eps=draw(st.floats(1e-6 if guide == "color" else 1e-12, 1e12)),
        margin=draw(st.integers(0, 2**31 - 1)),
        clean=draw(st.sampled_from(["before", "after"])),
        form=form,
        guide=guide,
    )
    names = ["click.onnx", *(["image.onnx"] if draw(st.booleans()) else [])]
    names += [name.replace(".onnx", ".fp16.onnx") for name in names] if draw(st.booleans()) else []
    names += ["guide.onnx"] if guide == "learned" else []
    names += draw(st.sampled_from([[], ["notes.bin"], ["ÄÖ ü.onnx", ".hidden"]]))
    stride = draw(st.integers(1, 8))
    multiple = stride * draw(st.integers(1, 32))
    unknown = draw(st.dictionaries(st.sampled_from(["author", "click", "a.b", ""]), PLAIN_JSON))
    nested = draw(st.dictionaries(st.sampled_from(["scale", "format"]), PLAIN_JSON))
    return Manifest(
        name=draw(st.text()),
        description=draw(st.text()),
        licence=draw(st.text()),
        long_side=multiple * draw(st.integers(1, 8192 // multiple)),
        multiple=multiple,
        grid_stride=stride,
        click_params=rules,
        files={name: draw(ENTRIES) for name in draw(st.permutations(names))},
        training=draw(st.dictionaries(st.text(), PLAIN_JSON, max_size=3)),
        zoom=draw(st.none() | ZOOMS),
        preprocessing=draw(st.none() | st.text()),
        precision=draw(st.none() | st.text()),
        unknown=unknown | ({"input": nested} if nested else {}),
    )


def test_what_json_lacks_becomes_none() -> None:
    odd = dataclasses.replace(
        Manifest.read(SHIPPED.parent), training={"loss": float("nan"), "best": [float("inf"), 1.5]}
    )
    assert odd.training == {"loss": None, "best": [None, 1.5]}
    json.loads(odd.to_json(), parse_constant=lambda name: pytest.fail(name))


@given(manifests())
def test_what_was_written_is_read(manifest: Manifest) -> None:
    text = manifest.to_json()
    for content in (text, text.encode()):
        assert Manifest.from_json(content) == manifest
    assert Manifest.from_json(text).to_json() == text


def test_what_ships_stays_as_it_is() -> None:
    text = SHIPPED.read_text()
    manifest = Manifest.read(SHIPPED.parent)
    assert json.loads(manifest.to_json()) == json.loads(text)
    assert manifest.to_json() == text, "export.add_fp16 would write it otherwise than export.to_onnx did"
    assert not manifest.unknown


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"early_fusion": True, "grid_stride": 1, "guide_clicks": True},
        {"fp16": True, "form": "residual"},
        {"fp16": True, "early_fusion": True},
        {"form": "residual", "color": True, "fp16": True},
    ],
    ids=str,
)
def test_folders_of_another_writer(tmp_path: Path, options: dict[str, Any]) -> None:
    """Nothing that it stated is lost or changed when the manifest is written anew, and the model is the same."""
    folder = toy_model.build(tmp_path / "toy", **options)
    stated, before = json.loads((folder / "model.json").read_text()), pyiseg.load_model(folder)
    manifest = Manifest.read(folder)
    manifest.write(folder)
    written = json.loads((folder / "model.json").read_text())
    assert {key: written[key] for key in stated} == stated
    assert written.keys() - stated.keys() == {"clean"}
    assert Manifest.read(folder) == manifest
    after = pyiseg.load_model(folder)
    for field in dataclasses.fields(pyiseg.Model):
        assert getattr(after, field.name) == getattr(before, field.name), field.name
    assert set(manifest.networks) == set(before.files)


@pytest.mark.parametrize(
    ("missing", "attribute", "value"),
    [
        ("clean", "click_params.clean", "before"),
        ("guided_filter.form", "click_params.form", "averaged"),
        ("guided_filter.guide", "click_params.guide", "learned"),
        ("zoom", "zoom", None),
        ("zoom.below", "zoom.below", 0.4),
        ("input.preprocessing", "preprocessing", None),
        ("precision", "precision", None),
    ],
)
def test_what_older_folders_lack(missing: str, attribute: str, value: Any) -> None:
    rules = dataclasses.replace(WHOLE.click_params, clean="after", form="residual")
    zoom = Zoom(3, 2, 0.5, 2)
    whole = dataclasses.replace(WHOLE, click_params=rules, zoom=zoom, preprocessing="none", precision="fp32")
    content = whole.to_dict()
    *tables, key = missing.split(".")
    del (content[tables[0]] if tables else content)[key]
    found: Any = Manifest.from_json(json.dumps(content))
    for name in attribute.split("."):
        found = getattr(found, name)
    assert found == value


def test_what_is_not_known_is_kept() -> None:
    content = WHOLE.to_dict() | {"author": ["me"]}
    content["input"]["scale"] = {"deep": 1}
    manifest = Manifest.from_json(json.dumps(content))
    assert manifest.unknown == {"author": ["me"], "input": {"scale": {"deep": 1}}}
    assert dataclasses.replace(manifest, name="other").to_dict() == content | {"name": "other"}
    for known in ({"name": "x"}, {"input": {"multiple": 1}}, {"input": 3}, {"format": 2}):
        with pytest.raises(ValueError, match="'unknown' must hold keys that are not in SCHEMA"):
            dataclasses.replace(WHOLE, unknown=known)


def test_a_manifest_cannot_be_changed() -> None:
    manifest: Any = WHOLE
    with pytest.raises(AttributeError):
        manifest.name = "other"
    for table in (manifest.files, manifest.training, manifest.unknown):
        with pytest.raises(TypeError):
            table["x"] = 1
    before = copy.deepcopy(manifest.to_dict())
    content = manifest.to_dict()
    content["name"], content["files"]["x"], content["training"]["x"] = "other", 1, 1
    assert manifest.to_dict() == before


# What is refused


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": None}, "'name' must be text, not None"),
        ({"long_side": 8193}, r"'input\.long_side' must be a whole number in 1\.\.8192, not 8193"),
        ({"long_side": 48}, r"input\.long_side 48 must be a multiple of input\.multiple 32"),
        ({"grid_stride": 3}, "and that of grid_stride 3"),
        ({"sigmas": ()}, r"'click_sigmas' must be 1 to 8 numbers in 0\.001\.\.1e6, not \[\]"),
        ({"sigmas": (1.0,) * 9}, "'click_sigmas' must be 1 to 8"),
        ({"eps": 1e-13}, r"'guided_filter\.eps' must be a number in 1e-12\.\.1e12, not 1e-13"),
        ({"form": "residual", "guide": "color", "eps": 1e-7}, r"eps' must be a number in 1e-06\.\.1e12, not 1e-07"),
        ({"form": "sharp"}, r"'guided_filter\.form' is 'sharp', this pyiseg knows 'averaged' and 'residual'"),
        ({"guide": []}, r"'guided_filter\.guide' is \[\], this pyiseg knows 'learned' and 'color'"),
        ({"guide": "color"}, "combines form 'averaged' with guide 'color', which is not offered"),
        ({"clean": None}, "'clean' must be 'before' or 'after', not None"),
        ({"margin": 1.5}, r"'clean_margin' must be a whole number in 0\.\.2147483647, not 1.5"),
        ({"precision": 16}, "'precision' must be text, not 16"),
        ({"zoom": {"below": 0.5}}, "'zoom' must be a table, not {'below': 0.5}"),
        ({"training": [1]}, r"'training' must be a table, not \[1\]"),
        ({"training": {"rate": {1, 2}}}, "'training' holds what JSON cannot: .*set"),
        ({"files": {"click.onnx": ENTRY}}, r"'files' must state 'bytes' and 'sha256' of guide\.onnx, not None"),
        (
            {"files": {**WHOLE.files, "click.onnx": FileEntry("ab" * 31, 3)}},
            r"of click\.onnx, not \{'bytes': 3, 'sha256': 'abab.*'\} \(bytes: a whole number >= 0, sha256: 64 hex",
        ),
        ({"files": {**WHOLE.files, "x.bin": FileEntry("ab" * 32, -1)}}, r"of x\.bin, not \{'bytes': -1"),
        ({"files": {**WHOLE.files, "x.bin": FileEntry("ab" * 32 + "\n", 1)}}, r"of x\.bin, not \{'bytes': 1"),
        (
            {"files": {**WHOLE.files, "image.onnx": ENTRY, "click.fp16.onnx": ENTRY}},
            r"'files' lists click\.fp16\.onnx, where a model of .* has click\.fp16\.onnx and image\.fp16\.onnx",
        ),
    ],
)
def test_wrong_values_fail_when_they_are_written(changes: dict[str, Any], words: str) -> None:
    ours = {key: value for key, value in changes.items() if hasattr(WHOLE, key)}
    rules = dataclasses.replace(WHOLE.click_params, **{key: x for key, x in changes.items() if key not in ours})
    with pytest.raises(ValueError, match=words):
        dataclasses.replace(WHOLE, **ours, click_params=rules)


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "/etc/passwd",
        "../click.onnx",
        "sub/click.onnx",
        "click.onnx/",
        "./click.onnx",
        "..\\click.onnx",
        "sub\\click.onnx",
        "\\click.onnx",
        "C:",
        "C:click.onnx",
        "con",
        "NUL.onnx",
        "com1.fp16.onnx",
        "click.onnx.",
        "click ",
        "c:\\click.onnx",
        "C:/click.onnx",
        "\\\\server\\share\\click.onnx",
        "//server/share/click.onnx",
        "click.onnx:stream",
        "click\0.onnx",
    ],
)
def test_names_of_files_lie_in_the_folder(tmp_path: Path, name: str) -> None:
    folder = toy_model.build(tmp_path / "toy")
    files = json.loads((folder / "model.json").read_text())["files"]
    toy_model.change_manifest(folder, files=files | {name: files["click.onnx"]})
    words = re.escape(f"'files' names {name!r}; it must be the name of a file in the model's folder")
    with pytest.raises(pyiseg.ModelError, match=rf"model\.json': {words}.*export the model again"):
        pyiseg.load_model(folder)
    with pytest.raises(ValueError, match=words):
        dataclasses.replace(WHOLE, files=WHOLE.files | {name: ENTRY})


@pytest.mark.parametrize("name", ["..x.onnx", "a..b", "x", " x", "click.onnx.bak", "-", "C.onnx", "größe.onnx"])
def test_other_names_are_plain(name: str) -> None:
    assert name in dataclasses.replace(WHOLE, files=WHOLE.files | {name: ENTRY}).files


def test_links_may_lead_anywhere(tmp_path: Path) -> None:
    folder = toy_model.build(tmp_path / "toy")
    expected = pyiseg.load_model(folder).files
    for name in (*expected, "model.json"):
        (folder / name).rename(tmp_path / f"elsewhere-{name}")
        (folder / name).symlink_to(tmp_path / f"elsewhere-{name}")
    (folder / "model.json").resolve().write_text(Manifest.read(folder).to_json())  # another text, so it is read anew
    assert pyiseg.load_model(folder).files == expected


def test_deep_nesting_is_no_json_of_ours() -> None:
    with pytest.raises(pyiseg.ModelError, match=r"'x/model\.json' is not JSON"):
        Manifest.from_json("[" * 200_000, "x/model.json")


def test_a_table_that_is_none() -> None:
    for name in ("files", "guided_filter"):
        content = WHOLE.to_dict() | {name: 3}
        with pytest.raises(pyiseg.ModelError, match=rf"'model\.json': '{name}' must be a table.*, not 3; export"):
            Manifest.from_json(json.dumps(content))


# The schema and the document


def test_the_schema_has_every_value() -> None:
    stated = {key.attribute for key in SCHEMA}
    ours = {field.name for field in dataclasses.fields(Manifest)} - {"click_params", "unknown"}
    assert stated == ours | {f"click_params.{field.name}" for field in dataclasses.fields(ClickParams)}


def documented() -> dict[str, tuple[str, str]]:
    """Value and what a missing one means, by key, as the document's table has them."""
    table = DOCUMENT.partition("| key | value | if missing |")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| `(.+?)` \| (.+?) \| (.+?) \| .+ \|$", table, flags=re.MULTILINE)
    return {key: (value, missing) for key, value, missing in rows}


def test_the_document_names_every_key() -> None:
    zoom = {f"zoom.{field.name}" for field in dataclasses.fields(Zoom)}
    files = {f"files.NAME.{key}" for key in WHOLE.to_dict()["files"]["click.onnx"]}
    assert documented().keys() == {"format", *map(str, SCHEMA), *zoom, *files}
    assert documented()["format"][0] == f"`{FORMAT}`"


@pytest.mark.parametrize("key", SCHEMA, ids=str)
def test_the_document_says_what_a_key_takes(key: Any) -> None:
    value, missing = documented()[str(key)]
    assert value == key.kind
    assert (missing == "refused") == key.required
    content = WHOLE.to_dict()
    (content[key.path[0]] if len(key.path) > 1 else content).pop(key.path[-1], None)
    if key.required:
        with pytest.raises(pyiseg.ModelError, match=re.escape(f"'model.json' lacks '{key}', {key.kind}; export")):
            Manifest.from_json(json.dumps(content))
    elif (default := key.value_of(Manifest.from_json(json.dumps(content)))) is not None:
        assert missing == f'`"{default}"`'


@pytest.mark.parametrize("field", dataclasses.fields(Zoom), ids=lambda field: field.name)
def test_the_document_says_what_zoom_takes(field: Any) -> None:
    value, missing = documented()[f"zoom.{field.name}"]
    assert missing == f"`{field.default}`"
    with pytest.raises(ValueError, match=rf"zoom\.{field.name} is 'x'; it must be {re.escape(value)}$"):
        Zoom(**{field.name: "x"})


def test_the_documents_example_can_be_read() -> None:
    (example,) = re.findall(r"```json\n(.*?)```", DOCUMENT, flags=re.DOTALL)
    manifest = Manifest.from_json(example)
    assert manifest.networks == ("click.onnx",)
    for key in json.loads(example):  # it is the least
        lacking = {name: value for name, value in json.loads(example).items() if name != key}
        with pytest.raises(pyiseg.ModelError):
            Manifest.from_json(json.dumps(lacking))
