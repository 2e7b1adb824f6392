"""What the commands of export/ do with what they cannot use. Skipped without the extra pyiseg[train]."""

from __future__ import annotations

import json
import logging
import os
import pickle
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import toy_data

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

from support import toy_network  # noqa: E402

from export import import_published, to_onnx, validate  # noqa: E402
from export.checkpoint import training_of  # noqa: E402
from export.cli import in_half, read_checkpoint, run_main  # noqa: E402
from export.conversion.folder import check_target, export_folder  # noqa: E402
from export.conversion.parity import random_inputs  # noqa: E402
from export.conversion.writer import quiet_exporter  # noqa: E402
from export.models.network import Network  # noqa: E402
from export.models.presets import COMPACT, PAPER, scaled  # noqa: E402
from export.to_onnx import name_of  # noqa: E402
from export.training.config import available, load_settings  # noqa: E402
from pyiseg import ModelError  # noqa: E402
from pyiseg.places import cannot_write  # noqa: E402


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("radius is -1;\n  choose 0"), "export.train: error: radius is -1; choose 0"),
        (FileNotFoundError(2, "No such file or directory", "x.pt"), "export.train: error: no file at 'x.pt'; check .*"),
        (NotADirectoryError(20, "Not a directory", "x"), "export.train: error: 'x': not a directory; check the path"),
        (
            cannot_write(Path("x"), OSError(28, "full")),
            "export.train: error: cannot write 'x': No space .*; make room .*",
        ),
        (FileNotFoundError("no folder x"), "export.train: error: no folder x"),
        (RuntimeError(), "export.train: error: RuntimeError"),
        (KeyError("average"), "export.train: error: what was read has no 'average'"),
        (ModelError("no model.json"), "export.train: error: no model.json"),
    ],
)
def test_errors_are_one_line(error: Exception, line: str) -> None:
    def fail() -> None:
        raise error

    with pytest.raises(SystemExit, match=f"^{line}$") as caught:
        run_main("train", fail)
    assert "\n" not in str(caught.value.code)


def test_faults_of_the_program_are_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        run_main("train", lambda: print(1 / 0))


class Gotcha:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("gotcha",)


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (lambda path: path.write_bytes(b""), "is no checkpoint, or damaged"),
        (lambda path: path.write_bytes(b"hello world"), "is no checkpoint, or damaged"),
        (lambda path: path.write_bytes(b"PK\x03\x04" + bytes(99)), "is no checkpoint, or damaged"),
        (lambda path: path.write_bytes(pickle.dumps(Gotcha())), "is no checkpoint, or damaged"),
        (lambda path: torch.save({"average": Gotcha()}, path), "is no checkpoint, or damaged"),
        (lambda path: torch.save([1], path), "holds a list"),
        (lambda path: torch.save({"model": 1, "epoch": 2}, path), "has no 'average', it holds 'model', 'epoch'"),
        (lambda path: torch.save({"average": 3}, path), "has no weights under 'average'"),
        (lambda path: torch.save({"average": {}}, path), "has no weights under 'average'"),
    ],
)
def test_what_is_no_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[[Path], Any], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "x.pt")
    with pytest.raises(
        ValueError, match=rf"x\.pt {words}.*; expected what export\.train .* wrote, with 'average'$"
    ) as caught:
        read_checkpoint(tmp_path / "x.pt")
    assert "weights_only" not in str(caught.value), "PyTorch's advice to read it unsafely"
    assert not (tmp_path / "gotcha").exists()


def test_checkpoints_are_read_for_what_is_needed(tmp_path: Path) -> None:
    torch.save({"average": {"x": torch.ones(2)}, "updates": 3}, tmp_path / "x.pt")
    assert read_checkpoint(tmp_path / "x.pt")["updates"] == 3
    assert read_checkpoint(tmp_path / "x.pt", needs=("updates",))["updates"] == 3
    with pytest.raises(ValueError, match="has no 'optimizer', it holds 'average', 'updates'"):
        read_checkpoint(tmp_path / "x.pt", needs=("average", "optimizer"))
    with pytest.raises(FileNotFoundError):
        read_checkpoint(tmp_path / "y.pt")


def test_the_projects_checkpoints_are_not_published_ones(tmp_path: Path) -> None:
    torch.save({"average": {"x": torch.ones(2)}}, tmp_path / "x.pt")
    with pytest.raises(ValueError, match=r"x\.pt is a checkpoint of this project: use python -m export\.to_onnx"):
        import_published.read_published(tmp_path / "x.pt")


def test_sharpening_keeps_the_mask() -> None:
    network = Network(scaled(COMPACT, 16), pretrained=False).eval()
    inputs = random_inputs(network.config, 64, 96)
    image, maps, previous = (inputs[name] for name in ("image", "click_maps", "previous_alpha"))

    def alpha() -> Any:
        with torch.no_grad():
            return network.click.activate(network.click(maps, previous, network.image(image)))

    before = alpha()
    to_onnx.sharpen(network, 2.0)
    odds = (before / (1 - before)) ** 2
    torch.testing.assert_close(alpha(), odds / (1 + odds))
    with pytest.raises(ValueError, match="--sharpen is 0"):
        to_onnx.sharpen(network, 0.0)
    with pytest.raises(ValueError, match=r"network\.output 'sigmoid', this is 'clip'"):
        to_onnx.sharpen(Network(scaled(PAPER, 16), pretrained=False), 2.0)


def test_weights_in_half() -> None:
    half = in_half({"x": torch.tensor([0.1]), "n": torch.tensor(70000)}, Path("a.pt"))
    assert (half["x"].dtype, int(half["n"])) == (torch.float16, 70000)
    with pytest.raises(ValueError, match=r"a\.pt: x does not fit into FP16 \(largest 70000\)"):
        in_half({"x": torch.tensor([7e4])}, Path("a.pt"))


# Where a model folder is written


def test_no_folder_is_lost_to_an_export(tmp_path: Path) -> None:
    """The export itself would come after; it is not reached."""
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "holiday.jpg").write_bytes(b"once in a life")
    network = toy_network.build(toy_network.VARIANTS["compact"])
    with pytest.raises(ValueError, match=r"photos is not empty and has no model\.json.*choose a new name"):
        export_folder(network, photos, "x", "", {})
    assert [path.name for path in tmp_path.rglob("*")] == ["photos", "holiday.jpg"]
    with pytest.raises(ValueError, match=r"holiday\.jpg is a file"):
        check_target(photos / "holiday.jpg")
    (photos / "model.json").write_text("{}")
    check_target(photos)
    with pytest.raises(ValueError, match=r"photos is replaced whole, and .*checkpoint\.pt lies in it"):
        check_target(photos, photos / "runs" / "checkpoint.pt")
    check_target(tmp_path / "new", tmp_path / "checkpoint.pt")


@pytest.mark.parametrize("name", ["to_onnx", "import_published"])
def test_commands_lose_no_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    command = {"to_onnx": to_onnx, "import_published": import_published}[name]
    run = tmp_path / "run"
    run.mkdir()
    (run / "model.json").write_text("{}")
    (run / "checkpoint.pt").write_bytes(b"hours of work")
    (tmp_path / "other.pt").write_bytes(b"damaged")
    for arguments, words in (
        ([run / "checkpoint.pt", run], r"checkpoint\.pt lies in it; choose a new name"),
        ([tmp_path / "other.pt", run, "--weights", run / "weights.pt"], r"weights\.pt lies in it; choose a new name"),
        ([tmp_path / "other.pt", tmp_path], r"has no model\.json: .*|lies in it.*"),
        ([tmp_path / "other.pt", tmp_path / "new"], r"other\.pt is no checkpoint, or damaged"),
    ):
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        with pytest.raises(SystemExit, match=rf"^export\.{name}: error: .*({words})"):
            command.main()
    assert (run / "checkpoint.pt").read_bytes() == b"hours of work"


def test_models_are_named_after_their_settings() -> None:
    """So that the ablations, whose networks may be equal, can be told apart; and whether the network is smaller."""
    for name, changes, expected in (
        ("ablation-t-i", [], "ablation-t-i"),
        ("ablation-t-i", ["network.base=small", "run.batch=2"], "ablation-t-i (small)"),
        ("compact", ["network.long_side=320"], "compact (changed)"),
        *((name, ["network.base=small"], f"{name} (small)") for name in available()),
    ):
        settings = load_settings(name, changes)
        assert name_of({"settings": settings.identity()}, settings.network) == expected
    assert name_of({"settings": {"name": "my own"}}, PAPER) == "my own"
    assert name_of({"pictures": 8}, PAPER) == "paper"


def test_the_record_has_the_command_as_it_was_given() -> None:
    state = {"command": "python -m export.train paper --set run.batch=2", "started_from": "old.pt", "seconds": 60.0}
    assert training_of(state) == {"started_from": "old.pt", "minutes": 1.0, "command": state["command"]}
    old = training_of({"settings": {"name": "paper"}, "minutes": 5})
    assert old["command"] == "python -m export.train paper --data DATA --out OUT --minutes 5"


def test_the_exporter_is_quiet() -> None:
    logger = logging.getLogger("torch.onnx._internal.exporter._registration")
    with warnings.catch_warnings(record=True) as caught, quiet_exporter():
        warnings.filterwarnings("default", message="what is new")  # elsewhere in the tests it would be an error
        warnings.warn("`isinstance(treespec, LeafSpec)` is deprecated", FutureWarning, stacklevel=1)
        warnings.warn("# The axis name: 16*n will not be used", UserWarning, stacklevel=1)
        assert not logger.isEnabledFor(logging.WARNING)
        assert caught == []
        warnings.warn("what is new", UserWarning, stacklevel=1)
        assert len(caught) == 1
    assert logger.isEnabledFor(logging.WARNING)


def test_validating_says_what_is_wrong(tmp_path: Path, toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for model, data, words in (
        (tmp_path, tmp_path, "model"),
        (toy, tmp_path, r"no list .*real\.jsonl.*pyiseg evaluate folder"),
    ):
        monkeypatch.setattr(sys, "argv", ["validate", str(model), "--data", str(data)])
        with pytest.raises(SystemExit, match=rf"^export\.validate: error: .*{words}"):
            validate.main()


def test_validating_takes_objects_of_index_masks(
    tmp_path: Path, toy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = toy_data.build(tmp_path)
    (case,) = validate.sampled_cases(root, 5)
    _, index = toy_data.image_and_index(toy_data.HELD_OUT)
    wanted, void = case.truth()
    assert (wanted == (index == 1)).all()
    assert (void == (index == 255)).all()
    arguments = ["validate", str(toy), "--data", str(root), "--drawn", "1", "--clicks", "2"]
    monkeypatch.setattr(sys, "argv", arguments)
    validate.main()
    assert '"cases": 1' in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", [*arguments, "--long-side", "64", "128"])
    validate.main()
    out = capsys.readouterr().out
    results = json.loads(out)
    assert [result["model"] for result in results] == [f"{toy}, long side {side}" for side in (64, 128)]
    assert ["against_first" in result for result in results] == [False, True]
    monkeypatch.setattr(sys, "argv", ["validate", str(toy), *arguments[1:], "--zoom", "0", "2"])
    validate.main()
    results = json.loads(capsys.readouterr().out)
    assert [result["model"] for result in results] == [f"{toy}, zoom {x}" for x in (0, 2, 0, 2)]
    assert results[2]["against_first"] == {"auc": None, "noc85": None, "noc90": None, "noc95": None}
    monkeypatch.setattr(sys, "argv", [*arguments, "--zoom", "1"])
    with pytest.raises(SystemExit, match=r"zoom\.from_click is 1; it must be a whole number in 2\.\.2147483647"):
        validate.main()
    monkeypatch.setattr(sys, "argv", [*arguments, "--long-side", "65"])
    with pytest.raises(SystemExit, match="--long-side is 65; it must be a multiple of 32"):
        validate.main()
