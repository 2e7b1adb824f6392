"""Training data: samples, their order, damaged files, configurations. Skipped without the extra pyiseg[train]."""

from __future__ import annotations

import json
import pickle
import re
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import toy_data

pytest.importorskip("torch")
pytest.importorskip("scipy")

from PIL import Image
from support.data_configs import CONFIGS, SBD, SYNTH

from export.data.dataset import DataConfig, TrainingData
from export.data.io import Masked
from export.data.mixed import RealImages, is_validation, photograph


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    def place(name: str) -> Path:
        return tmp_path_factory.mktemp(name)

    alpha = toy_data.build_folder(place("alpha"), "alpha")
    return {
        "mixed": toy_data.build(place("mixed")),
        "sbd": toy_data.build_sbd(place("sbd")),
        "alpha": alpha,
        "index": toy_data.build_folder(place("index"), "index"),
        "synth": alpha,
    }


@pytest.mark.parametrize("kind", CONFIGS)
def test_samples_depend_on_their_number_only(roots: dict[str, Path], kind: str) -> None:
    first, again = (TrainingData(roots[kind], 48, seed=3, config=CONFIGS[kind]) for _ in range(2))
    again[7]
    for one, other in zip(first[5], again[5], strict=True):
        np.testing.assert_array_equal(one, other)
    assert not np.array_equal(first[5].image, first[6].image)
    for one, other in zip(first[5], pickle.loads(pickle.dumps(first))[5], strict=True):
        np.testing.assert_array_equal(one, other)  # as in a worker process
    other_seed = TrainingData(roots[kind], 48, seed=4, config=CONFIGS[kind])
    assert not np.array_equal(first[5].image, other_seed[5].image)
    for i in range(12):
        image, alpha, valid, others, weight = first[i]
        assert weight is None, "not unless it is asked for"
        assert image.shape == (48, 48, 3)
        assert {plane.shape for plane in (alpha, valid, others)} == {(48, 48)}
        assert {plane.dtype for plane in first[i][:4]} == {np.dtype(np.uint8)}
        assert all(plane.flags.c_contiguous for plane in first[i][:4])
        assert valid.max() <= 1 >= others.max()
        assert not (others & ((alpha > 127) | (valid == 0))).any()


@pytest.mark.parametrize(
    ("kind", "epoch"), [("mixed", 6), ("sbd", 6), ("alpha", 4), ("index", 8), ("synth", 4)], ids=CONFIGS
)
def test_an_epoch_is_all_objects(roots: dict[str, Path], kind: str, epoch: int) -> None:
    assert TrainingData(roots[kind], 48, seed=0, config=CONFIGS[kind]).epoch == epoch


@pytest.mark.parametrize(("root", "config"), [("sbd", SBD), ("alpha", SYNTH)])
def test_epochs_show_each_object_once(
    roots: dict[str, Path], monkeypatch: pytest.MonkeyPatch, root: str, config: DataConfig
) -> None:
    data = TrainingData(roots[root], 32, seed=0, config=config)
    shown: list[int] = []
    source = data.photographs or data.composer
    name = "take" if data.photographs else "sample"
    original = getattr(source, name)

    def spy(*args: Any) -> Masked:
        shown.append(args[-1])
        return original(*args)

    monkeypatch.setattr(source, name, spy)
    orders = []
    for epoch in range(4):
        shown.clear()
        for i in range(data.epoch):
            data[epoch * data.epoch + i]
        orders.append(tuple(dict.fromkeys(shown)))  # one object may be tried several times in a row
        assert sorted(orders[-1]) == list(range(data.epoch))
    assert len(set(orders)) > 1
    shown.clear()
    data[2 * data.epoch + 1]
    assert shown[0] == orders[2][1], "a sample made alone is the same one"


def test_validation_images_are_never_trained_on(roots: dict[str, Path]) -> None:
    kept = [name for name in (f"real/{i}.png" for i in range(2000)) if is_validation(name)]
    assert 30 < len(kept) < 100
    sources = DataConfig().sources
    real = {held: RealImages(roots["mixed"], sources, validation=held) for held in (False, True)}
    names = {held: [record["image"] for record in real[held].records["ecssd"]] for held in real}
    assert names[True] == [f"train/real/{toy_data.HELD_OUT}.png"]
    assert len(names[False]) == len(real[False]) == 6
    assert names[True][0] not in names[False]


def test_two_objects_are_wanted_as_one(tmp_path: Path) -> None:
    root = toy_data.build(tmp_path)
    index = np.zeros((60, 80), np.uint8)
    index[10:20, 10:20], index[30:50, 40:60], index[50:, :10] = 1, 2, 3
    Image.fromarray(index).save(root / "train" / "real" / "0_mask.png")
    path = root / "train" / "real.jsonl"
    record = json.loads(path.read_text().splitlines()[0])
    record["objects"] = [{"id": i, "kind": "instance"} for i in (1, 2, 3)]
    path.write_text(json.dumps(record) + "\n")

    def sizes(merged: float) -> set[int]:
        real = RealImages(root, DataConfig().sources, merged=merged)
        return {int((real.sample(np.random.default_rng(i)).alpha > 127).sum()) for i in range(60)}

    assert sizes(0.0) == {100, 400}
    assert sizes(1.0) == {500, 200}
    assert sizes(0.5) == {100, 200, 400, 500}


def test_other_crops_of_a_photograph_do_not_cross_over(tmp_path: Path) -> None:
    """Two sources crop the same photograph of COCO; by its name one crop would validate, the other is trained on."""
    number = next(i for i in range(9999) if is_validation(f"coco_{i}.png") and not is_validation(f"mval_{i}.png"))
    twins = [
        {"image": f"train/real/{source}_{number}.png", "mask": "m", "source": source, "objects": [{"id": 1}]}
        for source in ("coco", "mval")
    ]
    assert len({photograph(record) for record in twins}) == 1
    root = toy_data.build(tmp_path)
    with open(root / "train" / "real.jsonl", "a") as file:
        file.write("".join(json.dumps(record) + "\n" for record in twins))
    for held, expected in ((False, ["mval"]), (True, [])):
        records = RealImages(root, DataConfig().sources, validation=held).records
        assert [source for source in ("coco", "mval") if records[source]] == expected


# Damaged files in the middle of a run


@pytest.mark.parametrize("config", [SBD, DataConfig(photographs="sbd", composed=0.0)])
def test_a_damaged_file_is_named_once_and_replaced(tmp_path: Path, config: DataConfig) -> None:
    root = toy_data.build_sbd(tmp_path)
    data = TrainingData(root, 32, seed=0, config=config)
    damaged = root / "img" / f"{toy_data.TRAIN[1]}.jpg"
    damaged.write_bytes(damaged.read_bytes()[:400])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        samples = [data[i] for i in range(2 * data.epoch)]
    assert [str(damaged) in str(w.message) for w in caught] == [True], "named once, and nothing else"
    assert all((sample.alpha > 127).any() for sample in samples)
    with pytest.warns(UserWarning, match=re.escape(str(damaged))):
        again = [sample.image for sample in map(TrainingData(root, 32, 0, config).__getitem__, range(2 * data.epoch))]
    for sample, other in zip(samples, again, strict=True):
        np.testing.assert_array_equal(sample.image, other)


def test_nothing_but_damaged_files_is_an_error(tmp_path: Path) -> None:
    root = toy_data.build_folder(tmp_path, "alpha")
    config = DataConfig(photographs="folder", composed=0.0)
    data = TrainingData(root, 32, seed=0, config=config)
    for path in (root / "masks").iterdir():
        Image.fromarray(np.full((60, 80), 3, np.uint8)).save(path)
    with (
        pytest.warns(UserWarning, match="wants nothing: its largest value is 3"),
        pytest.raises(ValueError, match=r"in a row could not be read, .*--set data.masks=index"),
    ):
        data[0]
    for path in (root / "masks").iterdir():
        Image.fromarray(np.full((9, 9), 255, np.uint8)).save(path)
    with pytest.warns(UserWarning, match="one size"), pytest.raises(ValueError, match="its mask 9 x 9"):
        data[0]


# The configuration


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"photographs": "coco"}, "photographs is 'coco'; choose one of mixed, sbd, folder, none"),
        ({"masks": "gray"}, "masks is 'gray'"),
        ({"augment": "heavy"}, "augment"),
        ({"order": "sorted"}, "order"),
        ({"composed": 1.5}, "composed is 1.5"),
        ({"photographs": "none"}, "--set data.composed=1"),
        ({"order": "epochs"}, "order is 'epochs' and composed 0.25"),
        ({"min_area": 0.9}, "less than data.max_area"),
        ({"sources": ()}, "name at least one"),
        ({"sources": (("sbd", -1.0),)}, "sources"),
        ({"sources": ("sbd",)}, "give pairs"),
        ({"epoch_size": -1}, "epoch_size is -1"),
    ],
)
def test_configurations_that_make_no_sense(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DataConfig(**values)


def test_configurations_are_plain(roots: dict[str, Path]) -> None:
    lists = {name: [list(pair) for pair in v] if name == "sources" else v for name, v in asdict(DataConfig()).items()}
    assert DataConfig(**lists) == DataConfig()
    assert DataConfig().shares()["composed"] == 0.25
    assert sum(DataConfig().shares().values()) == pytest.approx(1)
    assert SBD.shares() == {"sbd": 1.0, "composed": 0.0}
    assert SYNTH.shares() == {"composed": 1.0}
    assert TrainingData(roots["sbd"], 32, 0, DataConfig(photographs="sbd", composed=0.0, epoch_size=3)).epoch == 3
