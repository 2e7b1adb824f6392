"""model.py, and how the CPU pipeline takes to networks it was not made for."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import toy_model
from support.toy_model import replace_network

import pyiseg
from pyiseg import model as model_module


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return toy_model.build(tmp_path / "toy")


def test_a_model_is_what_its_manifest_says(folder: Path) -> None:
    model = pyiseg.load_model(folder)
    assert model.folder == folder.resolve()
    assert (model.name, model.licence) == ("toy", "Apache-2.0")
    assert (model.long_side, model.multiple, model.grid_stride) == (64, 32, 2)
    assert model.click_params == model_module.ClickParams(sigmas=toy_model.SIGMAS, radius=2, eps=1e-3, margin=1)
    assert set(model.files) == {"image.onnx", "click.onnx", "guide.onnx"}
    assert model.files["click.onnx"] == (folder / "click.onnx").read_bytes()
    assert model.training["command"] == "none"
    assert "onnx" not in repr(model)  # nor megabytes of network


def test_a_model_cannot_be_changed(folder: Path) -> None:
    model: Any = pyiseg.load_model(folder)
    with pytest.raises(AttributeError):
        model.name = "other"
    for table in (model.files, model.training):
        with pytest.raises(TypeError):
            table["click.onnx"] = b""


def test_a_folder_is_read_once(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = pyiseg.load_model(folder)
    assert pyiseg.load_model(model) is model
    monkeypatch.chdir(tmp_path)
    for same in (folder, str(folder), Path("toy"), "./toy", "toy/../toy"):
        assert pyiseg.load_model(same) is model
    (tmp_path / "link").symlink_to(folder)
    assert pyiseg.load_model(tmp_path / "link") is model
    other = shutil.copytree(folder, tmp_path / "other")
    assert pyiseg.load_model(other) is not model


def test_a_folder_that_was_written_anew_is_read_anew(folder: Path) -> None:
    before = pyiseg.load_model(folder)
    toy_model.build(folder, bias=0.25)
    after = pyiseg.load_model(folder)
    assert after is not before
    assert after.files["click.onnx"] != before.files["click.onnx"]


def test_threads_get_the_same_model(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[pyiseg.Model] = []
    read = model_module.read_network

    def read_slowly(*arguments: Any) -> bytes:
        time.sleep(0.02)  # long enough for every thread to get there
        return read(*arguments)

    monkeypatch.setattr(model_module, "read_network", read_slowly)
    threads = [threading.Thread(target=lambda: found.append(pyiseg.load_model(folder))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(set(map(id, found))) == 1


def test_default_is_the_bundled_folder(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_module, "BUNDLED", tmp_path)
    with pytest.raises(pyiseg.ModelError, match="no default model"):
        pyiseg.load_model()
    shutil.copytree(folder, tmp_path / "default")
    assert pyiseg.load_model().name == "toy"
    assert pyiseg.load_model("default") is pyiseg.load_model()


@pytest.mark.parametrize("bad", [None, 3, b"toy", ["toy"]])
def test_what_is_no_path(bad: Any) -> None:
    with pytest.raises(ValueError, match="model is "):
        pyiseg.load_model(bad)


def test_no_folder(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(pyiseg.ModelError, match="gone' does not exist"):
        pyiseg.load_model(tmp_path / "gone")
    with pytest.raises(pyiseg.ModelError, match=r"click\.onnx' is a file, .*pass the folder"):
        pyiseg.load_model(folder / "click.onnx")
    (tmp_path / "empty").mkdir()
    with pytest.raises(pyiseg.ModelError, match=r"empty' is not a pyiseg model folder: it has no model\.json"):
        pyiseg.load_model(tmp_path / "empty")


@pytest.mark.parametrize("name", ["click.onnx", "guide.onnx", "image.onnx"])
def test_files_that_are_not_what_the_manifest_states(folder: Path, name: str) -> None:
    path = folder / name
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    with pytest.raises(pyiseg.ModelError, match=rf"{name}' has {len(whole) - 1} bytes .*{len(whole)}.*again"):
        pyiseg.load_model(folder)
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(pyiseg.ModelError, match=rf"{name}' is damaged .*SHA-256.*again"):
        pyiseg.load_model(folder)
    path.unlink()
    with pytest.raises(pyiseg.ModelError, match=rf"incomplete: {name} is missing.*again"):
        pyiseg.load_model(folder)
    path.write_bytes(whole)
    assert pyiseg.load_model(folder).files[name] == whole  # an error is not remembered


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is not JSON"),
        ('{"format": 1', "is not JSON"),
        ("\udcff", "is not JSON"),
        ("[1]", "states no 'format'"),
        ('{"dim": 3}', "states no 'format'"),
        (
            '{"format": 2}',
            "format 2, this pyiseg reads format 1; a newer pyiseg is needed: pip install --upgrade pyiseg",
        ),
        ('{"format": "1"}', "format '1', this pyiseg reads format 1; export the model again"),
        ('{"format": 0}', "format 0, .*export the model again"),
        ('{"format": 1}', "lacks 'files'"),
    ],
)
def test_manifests_of_other_kinds(folder: Path, text: str, words: str) -> None:
    (folder / "model.json").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(pyiseg.ModelError, match=rf"model\.json' .*{words}"):
        pyiseg.load_model(folder)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("name", 3, "'name' must be text, not 3"),
        ("licence", None, "lacks 'licence'"),
        ("training", [], r"'training' must be a table, not \[\]"),
        ("input", {"long_side": 64}, "lacks 'input.multiple'"),
        ("input", 64, "lacks 'input.long_side'"),
        (
            "input",
            {"long_side": 64.0, "multiple": 32},
            r"'input.long_side' must be a whole number in 1..8192, not 64.0",
        ),
        ("input", {"long_side": 65, "multiple": 32}, "long_side 65 must be a multiple of input.multiple 32"),
        ("grid_stride", 0, "'grid_stride' must be a whole number >= 1, not 0"),
        ("grid_stride", True, "'grid_stride' must be a whole number >= 1, not True"),
        ("grid_stride", 5, "32, and that of grid_stride 5"),
        ("click_sigmas", [], r"'click_sigmas' must be 1 to 8 numbers in 0.001..1e6, not \[\]"),
        ("click_sigmas", [1, -2, 3], "'click_sigmas' must be 1 to 8"),
        ("click_sigmas", [1, float("nan"), 3], "is not JSON .it holds NaN"),
        ("guided_filter", {"radius": 2, "eps": 0}, "'guided_filter.eps' must be a number in 1e-12..1e12, not 0"),
        ("guided_filter", {"radius": -1, "eps": 1}, "'guided_filter.radius' must be a whole number in 0..64, not -1"),
        ("clean_margin", -1, r"'clean_margin' must be a whole number in 0\.\.2147483647, not -1"),
        ("files", {}, r"'files' must state 'bytes' and 'sha256' of click\.onnx"),
        ("files", {"click.onnx": {"bytes": "9", "sha256": ""}}, r"of click\.onnx, not \{'bytes': '9'"),
    ],
)
def test_manifest_entries(folder: Path, key: str, value: Any, words: str) -> None:
    toy_model.change_manifest(folder, **{key: value})
    with pytest.raises(pyiseg.ModelError, match=rf"model\.json'.*{words}"):
        pyiseg.load_model(folder)


@pytest.mark.parametrize("early", [False, True])
def test_variant_in_fp16_are_optional(tmp_path: Path, early: bool) -> None:
    plain = toy_model.build(tmp_path / "plain", early_fusion=early)
    folder = toy_model.build(tmp_path / "both", early_fusion=early, fp16=True)
    model = pyiseg.load_model(folder)
    variant = {"click.fp16.onnx"} | (set() if early else {"image.fp16.onnx"})
    assert model.has_fp16
    assert (
        set(model.files) - set(pyiseg.load_model(plain).files)
        == variant
        == set(model.sha256) - set(pyiseg.load_model(plain).sha256)
    )
    # On the CPU they change nothing.
    found, expected = (pyiseg.Session(toy_model.PHOTO, model=x, device="cpu").click(60, 30) for x in (folder, plain))
    np.testing.assert_array_equal(found, expected)
    # Without being listed they are no part of the model.
    for name in variant:
        shutil.copy(folder / name, plain / name)
    assert not pyiseg.load_model(plain).has_fp16


@pytest.mark.parametrize("name", ["click.fp16.onnx", "image.fp16.onnx"])
def test_damaged_variant(tmp_path: Path, name: str) -> None:
    folder = toy_model.build(tmp_path / "toy", fp16=True)
    path = folder / name
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(pyiseg.ModelError, match=rf"{name}' is damaged .*SHA-256.*again"):
        pyiseg.load_model(folder)
    path.unlink()
    with pytest.raises(pyiseg.ModelError, match=rf"incomplete: {name} is missing.*again"):
        pyiseg.load_model(folder)


@pytest.mark.parametrize(
    ("early", "listed", "words"),
    [
        (False, ["click.fp16.onnx"], r"lists click\.fp16\.onnx, where .* has click\.fp16\.onnx and image\.fp16\.onnx"),
        (False, ["image.fp16.onnx"], r"lists image\.fp16\.onnx, where .* has click\.fp16\.onnx and image\.fp16\.onnx"),
        (True, ["image.fp16.onnx"], r"lists image\.fp16\.onnx, where .* has click\.fp16\.onnx, or"),
        (
            True,
            ["click.fp16.onnx", "image.fp16.onnx"],
            r"lists click.* and image.*, where .* has click\.fp16\.onnx, or",
        ),
    ],
)
def test_variant_come_for_all_parts_or_for_none(tmp_path: Path, early: bool, listed: list[str], words: str) -> None:
    folder = toy_model.build(tmp_path / "toy", early_fusion=early)
    files = json.loads((folder / "model.json").read_text())["files"]
    toy_model.change_manifest(folder, files=files | {name: {"bytes": 1, "sha256": ""} for name in listed})
    with pytest.raises(pyiseg.ModelError, match=rf"model\.json': 'files' {words}.*again"):
        pyiseg.load_model(folder)


NO_THREADS = """
import dataclasses, os, resource
import numpy as np
import pyiseg

image = np.zeros((8, 8), np.uint8)
pyiseg.Session(image).click(1, 1)
another = dataclasses.replace(pyiseg.load_model(), zoom=None)
if os.geteuid() == 0:  # whom the limit does not concern
    os.setresuid(65534, 65534, 65534)
resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
try:
    pyiseg.Session(image, model=another)
except pyiseg.ModelError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs a limit to the number of threads")
def test_where_the_system_gives_no_threads() -> None:
    environment = {**os.environ, "PYISEG_NUM_THREADS": "4"}
    done = subprocess.run(
        [sys.executable, "-c", NO_THREADS], env=environment, capture_output=True, text=True, timeout=60
    )
    assert "onnx': it got no more threads, so let PYISEG_NUM_THREADS be 1: " in done.stdout, done.stderr
    done = subprocess.run(
        [sys.executable, "-c", NO_THREADS],
        env=environment | {"PYISEG_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


@pytest.mark.parametrize("name", ["click.onnx", "guide.onnx", "image.onnx"])
def test_files_that_are_no_networks(folder: Path, name: str, capfd: pytest.CaptureFixture[str]) -> None:
    replace_network(folder, name, b"not a network")
    with pytest.raises(pyiseg.ModelError, match=f"cannot load '.*{name}'"):
        pyiseg.Session(np.zeros((8, 8), np.uint8), model=folder)
    assert capfd.readouterr().err == ""  # the exception says it all


@pytest.mark.parametrize(
    ("name", "other", "words"),
    [
        (
            "click.onnx",
            "guide.onnx",
            r"it turns \['image'\] into \['guide'\].*should be \['click_maps'\] and some of .*'previous_alpha'",
        ),
        ("guide.onnx", "image.onnx", r"into \['features_0', 'features_1'\], .*into \['guide'\]"),
        ("image.onnx", "click.onnx", r"'click_maps'.*should be \['image'\] into features"),
        ("image.onnx", "guide.onnx", r"click\.onnx' is not .*'features_0'"),  # click.onnx asks for what no one gives
    ],
)
def test_networks_of_another_kind(folder: Path, name: str, other: str, words: str) -> None:
    replace_network(folder, name, (folder / other).read_bytes())
    with pytest.raises(pyiseg.ModelError, match=words):
        pyiseg.Session(np.zeros((8, 8), np.uint8), model=folder)


def test_networks_that_fail(folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    # An image stream of stride 1 to a click stream of stride 2: loads, but cannot run.
    other = toy_model.build(tmp_path / "other", grid_stride=1)
    replace_network(folder, "image.onnx", (other / "image.onnx").read_bytes())
    session = pyiseg.Session(np.zeros((8, 8), np.uint8), model=folder)
    with pytest.raises(pyiseg.ModelError, match=r"click\.onnx' failed on this image"):
        session.click(1, 1)
    assert session.clicks == ()
    assert capfd.readouterr().err == ""


def test_a_guide_that_sees_the_clicks_needs_the_grid_to_be_the_working_image(folder: Path, tmp_path: Path) -> None:
    other = toy_model.build(tmp_path / "other", grid_stride=1, guide_clicks=True)
    pyiseg.Session(np.zeros((8, 8), np.uint8), model=other).click(1, 1)
    replace_network(folder, "guide.onnx", (other / "guide.onnx").read_bytes())
    with pytest.raises(pyiseg.ModelError, match=r"guide\.onnx' takes click_maps.*grid_stride 2.*with grid_stride 1"):
        pyiseg.Session(np.zeros((8, 8), np.uint8), model=folder)


@pytest.mark.parametrize("name", ["click.onnx", "guide.onnx", "image.onnx"])
def test_a_damaged_network_with_bytes_that_are_no_text(
    folder: Path, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """What ONNX Runtime says of it has those bytes in it, and arrived as a UnicodeDecodeError."""
    content = (folder / name).read_bytes()
    for before, after in ((b"image", b"im\xffge"), (b"alpha", b"al\xffha"), (b"Conv", b"Co\xffv")):
        if before in content:
            replace_network(folder, name, content.replace(before, after))
            with pytest.raises(pyiseg.ModelError, match=name):
                pyiseg.Session(np.zeros((8, 8), np.uint8), model=folder)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["model.json", "click.onnx"])
def test_files_that_may_not_be_read(folder: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A PermissionError, where ModelError is documented."""
    before = Path.read_bytes

    def refuse(path: Path) -> bytes:
        if path.name == name:
            raise PermissionError(13, "Permission denied", str(path))
        return before(path)

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(pyiseg.ModelError, match=rf"the model '.*{name}' cannot be read: Permission denied; check"):
        pyiseg.load_model(folder)


def test_a_folder_that_may_not_be_looked_into(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "is_dir", refuse)
    with pytest.raises(pyiseg.ModelError, match="cannot be read: Permission denied"):
        pyiseg.load_model(folder)


@pytest.mark.parametrize("margin", [2**31 - 1, 2**31, 2**63, 10**30])
def test_a_margin_that_is_larger_than_any_image(folder: Path, margin: int) -> None:
    """From 2^63 on it was an OverflowError in the first click."""
    toy_model.change_manifest(folder, clean_margin=margin)
    if margin >= 2**31:
        words = "not JSON" if margin >= 2**63 else r"'clean_margin' must be a whole number in 0\.\.2147483647"
        with pytest.raises(pyiseg.ModelError, match=words):
            pyiseg.load_model(folder)
        return
    session = pyiseg.Session(toy_model.PHOTO, model=folder)
    session.click(60, 30)
    session.click(61, 31, local=True)
