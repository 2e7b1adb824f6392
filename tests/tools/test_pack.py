"""Packing data into shards and weights into parts, and back."""

from __future__ import annotations

import io
import json
import re
import runpy
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tqdm")

from tools import pack as packing
from tools.pack import LISTING, pack, unpack


def contents(root: Path) -> dict[str, bytes]:
    files = (p for p in root.rglob("*") if p.is_file() and p.name != LISTING)
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in files}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    root = tmp_path / "data"
    for i in range(12):
        path = root / f"train/{'real' if i % 2 else 'objects'}/größe {i}{'x' * 40 * (i == 5)}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(rng.bytes(int(rng.integers(0, 30000))))
    (root / "train/real.jsonl").write_text("{}\n")
    (root / ".hidden").write_text("not packed")
    return root


def shards_of(data: Path, out: Path, max_mb: float = 0.06) -> list[Path]:
    shards = pack(data, out, max_mb)
    assert 3 < len(shards) < 12
    return shards


def test_what_is_packed_comes_back(data: Path, tmp_path: Path) -> None:
    shards = shards_of(data, tmp_path / "shards")
    assert max(shard.stat().st_size for shard in shards) <= 60000
    expected = contents(data)
    del expected[".hidden"]
    assert unpack(shards, tmp_path / "all") == []
    assert contents(tmp_path / "all") == expected
    for i, shard in enumerate(reversed(shards)):
        shard = shard.rename(tmp_path / "arrived.tar")  # alone, out of order, under another name
        assert unpack([shard], tmp_path / "one") == list(range(1, len(shards) - i))
    assert contents(tmp_path / "one") == expected


def test_the_same_files_make_the_same_shards(data: Path, tmp_path: Path) -> None:
    one, other = (contents(shards_of(data, tmp_path / name)[0].parent) for name in ("one", "other"))
    assert one == other
    manifest = json.loads(one["manifest.json"])
    assert [shard["name"] for shard in manifest["shards"]] == sorted(set(one) - {"manifest.json"})
    assert {f["name"] for shard in manifest["shards"] for f in shard["files"]} == set(contents(data)) - {".hidden"}


def test_unpacking_goes_on_where_it_was(data: Path, tmp_path: Path) -> None:
    shards, out = shards_of(data, tmp_path / "shards"), tmp_path / "out"
    unpack(shards[:2], out)
    there = {path: path.stat().st_mtime_ns for path in out.rglob("*.png")}
    lost, damaged = list(there)[:2]
    lost.unlink()
    damaged.write_bytes(b"half")
    assert unpack(shards, out) == []
    (data / ".hidden").unlink()
    assert contents(out) == contents(data)
    assert all(path.stat().st_mtime_ns == time for path, time in there.items() if path not in (lost, damaged))


def test_a_part_of_the_data(data: Path, tmp_path: Path) -> None:
    unpack(pack(data, tmp_path / "shards", only=["train/real/*", "*.jsonl"]), tmp_path / "out")
    names = contents(tmp_path / "out")
    assert len(names) == 7
    assert "train/real.jsonl" in names
    with pytest.raises(ValueError, match=r"no file matches .*jpg"):
        pack(data, tmp_path / "none", only=["*.jpg"])


def test_what_cannot_be_packed(data: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no folder"):
        pack(tmp_path / "nowhere", tmp_path / "out")
    with pytest.raises(ValueError, match="lies in"):
        pack(data, data / "shards")
    with pytest.raises(ValueError, match=r"--max-mb is -1: a shard needs more than 0\.0"):
        pack(data, tmp_path / "out", -1)
    (data / "large.bin").write_bytes(bytes(70000))
    with pytest.raises(ValueError, match=r"large\.bin has 70\.0 kB: .* at most 0\.06 MB .*--max-mb"):
        pack(data, tmp_path / "out", 0.06)
    pack(data, tmp_path / "out", 1)
    with pytest.raises(ValueError, match="is not empty"):
        pack(data, tmp_path / "out", 1)


@pytest.mark.parametrize("with_manifest", [True, False])
@pytest.mark.parametrize("damage", ["cut", "flipped", "empty"])
def test_damaged_shards_are_named(data: Path, tmp_path: Path, with_manifest: bool, damage: str) -> None:
    shards = shards_of(data, tmp_path / "shards")
    if not with_manifest:
        (shards[0].parent / "manifest.json").unlink()
    content = bytearray(shards[1].read_bytes())
    content[len(content) // 2] ^= 1
    shards[1].write_bytes({"cut": content[: len(content) // 2], "flipped": content, "empty": b""}[damage])
    with pytest.raises(ValueError, match=rf"shard {shards[1]}:? .*fetch it again"):
        unpack(shards, tmp_path / "out")
    for name, there in contents(tmp_path / "out").items():
        assert there == (data / name).read_bytes(), "nothing damaged is left"
    assert unpack(shards[2:], tmp_path / "out") == [2]


def test_the_manifest_knows_the_whole_shard(data: Path, tmp_path: Path) -> None:
    """One byte behind the last file: only the manifest tells, and it names the shard before anything is written."""
    shard = shards_of(data, tmp_path / "shards")[0]
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1
    shard.write_bytes(content)
    with pytest.raises(ValueError, match=rf"{shard}: its content differs from manifest\.json; fetch"):
        unpack([shard], tmp_path / "out")
    assert not contents(tmp_path / "out")


@pytest.mark.parametrize("text", ["{", "[]", '{"shards": [{}]}'])
def test_damaged_lists_are_named(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
    shards, out = shards_of(data, tmp_path / "shards"), tmp_path / "out"
    unpack(shards[:1], out)
    (out / LISTING).write_text(text)
    for lists in (out / LISTING, shards[0].parent / "manifest.json"):
        lists.write_text(text)
        with pytest.raises(SystemExit, match=rf"^tools\.pack: error: {lists} is damaged"):
            packing.main(["unpack", *map(str, shards), str(out)])
        lists.unlink()
    capsys.readouterr()
    assert unpack(shards, out) == []


def test_packs_do_not_mix(data: Path, tmp_path: Path) -> None:
    shards = shards_of(data, tmp_path / "shards")
    foreign = pack(data, tmp_path / "foreign", only=["train/real/*"])
    unpack(shards[:1], tmp_path / "out")
    with pytest.raises(ValueError, match=rf"{foreign[0]} .* but in .*out is pack"):
        unpack(foreign, tmp_path / "out")


def forged(path: Path, name: str, kind: bytes = tarfile.REGTYPE) -> Path:
    """Write a shard with one member that wants to be elsewhere."""
    content = b"gotcha"
    entry = {"name": name, "bytes": len(content), "sha256": packing.hashlib.sha256(content).hexdigest()}
    listing = json.dumps({"set": "0", "shard": 1, "of": 1, "files": [entry]}).encode()
    with tarfile.open(path, "w") as tar:
        tar.addfile(packing.tar_member(LISTING, len(listing)), io.BytesIO(listing))
        member = packing.tar_member(name, len(content) if kind == tarfile.REGTYPE else 0)
        member.type, member.linkname = kind, "../../secret" if kind != tarfile.REGTYPE else ""
        tar.addfile(member, io.BytesIO(content) if kind == tarfile.REGTYPE else None)
    return path


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("../evil", tarfile.REGTYPE),
        ("train/../../evil", tarfile.REGTYPE),
        ("link", tarfile.SYMTYPE),
        ("link", tarfile.LNKTYPE),
        ("fifo", tarfile.FIFOTYPE),
        ("outside/evil", tarfile.REGTYPE),
    ],
)
def test_nothing_is_written_elsewhere(tmp_path: Path, name: str, kind: bytes) -> None:
    out = tmp_path / "in" / "out"
    out.mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    (out / "outside").symlink_to(tmp_path / "elsewhere")
    shard = forged(tmp_path / "forged.tar", name, kind)
    with pytest.raises(ValueError, match=r"forged\.tar"):
        unpack([shard], out)
    assert not (list(tmp_path.rglob("evil")) + list((tmp_path / "elsewhere").iterdir()))
    assert {path.name for path in out.iterdir()} == {"outside"}


def test_absolute_paths_stay_inside(tmp_path: Path) -> None:
    unused = tmp_path / "absolute"
    with pytest.raises(ValueError, match=r"forged\.tar"):
        unpack([forged(tmp_path / "forged.tar", str(unused))], tmp_path / "out")
    assert not unused.exists()


def test_a_tar_that_is_no_shard(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        tar.addfile(packing.tar_member("a", 0))
    with pytest.raises(ValueError, match="not a shard"):
        unpack([tmp_path / "x.tar"], tmp_path / "out")
    with pytest.raises(FileNotFoundError, match=r"y\.tar"):
        unpack([tmp_path / "y.tar"], tmp_path / "out")


def test_packing_on_the_command_line(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    packing.main(["pack", str(data), str(tmp_path / "s"), "--max-mb", "0.06", "--only", "train/*"])
    shards = sorted((tmp_path / "s").glob("*.tar"))
    assert f"{len(shards)} shards" in capsys.readouterr().out
    with pytest.raises(SystemExit) as stopped:
        packing.main(["unpack", str(shards[1]), str(tmp_path / "out")])
    assert stopped.value.code == packing.INCOMPLETE
    assert "still missing: shards 1, 3, 4" in capsys.readouterr().out
    packing.main(["unpack", *map(str, shards), str(tmp_path / "out")])
    assert "all is in" in capsys.readouterr().out
    with pytest.raises(SystemExit, match=r"\.tar is no folder; the last argument is the folder to unpack into"):
        packing.main(["unpack", *map(str, shards)])
    with pytest.raises(SystemExit, match="no folder"):
        packing.main(["pack", str(tmp_path / "nowhere"), str(tmp_path / "t")])


# Weights


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    average = {"conv.weight": torch.randn(40, 30, 3, 3), "norm.count": torch.tensor(7)}
    state = {
        "average": average,
        "network": average,
        "optimizer": {"state": {0: torch.randn(9)}},
        "updates": 12,
        "config": {"lr": 1e-5, "sizes": [[0.0, 64]]},
    }
    torch.save(state, tmp_path / "checkpoint.pt")
    return tmp_path / "checkpoint.pt"


def test_weights_come_back_in_half(checkpoint: Path, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from tools.weight_parts import join, main, split

    parts = split(checkpoint, tmp_path / "parts", max_mb=0.005)
    assert len(parts) == 6
    assert max(part.stat().st_size for part in parts) <= 5000
    join(parts[::-1], tmp_path / "joined.pt")
    before, after = (torch.load(p, weights_only=True) for p in (checkpoint, tmp_path / "joined.pt"))
    assert set(after) == {"average", "updates", "config"}
    assert after["config"] == before["config"]
    assert after["average"]["conv.weight"].dtype == torch.float16
    assert torch.equal(after["average"]["conv.weight"], before["average"]["conv.weight"].half())
    assert after["average"]["norm.count"] == 7
    main(["split", str(checkpoint), str(tmp_path / "whole")])
    (whole,) = (tmp_path / "whole").iterdir()
    main(["join", str(whole), str(tmp_path / "again.pt")])
    assert (tmp_path / "again.pt").read_bytes() == (tmp_path / "joined.pt").read_bytes()


def test_wrong_parts_are_named(checkpoint: Path, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from tools.weight_parts import join, main, split

    parts = split(checkpoint, tmp_path / "parts", max_mb=0.005)
    target = tmp_path / "joined.pt"
    with pytest.raises(ValueError, match=r"missing of 6 parts: 2, 5$"):
        join([parts[0], *parts[2:4], parts[5]], target)
    content = parts[3].read_bytes()
    for damage in (content[:-1], content[:2000] + b"?" + content[2001:], content[:30] + b"\n"):
        parts[3].write_bytes(damage)
        with pytest.raises(ValueError, match=f"{re.escape(str(parts[3]))} is damaged"):
            join(parts, target)
    parts[3].write_bytes(b"")
    with pytest.raises(ValueError, match=r"04-of-06\.part is no part"):
        join(parts, target)
    parts[3].write_bytes(content)
    torch.save({"average": {"x": torch.ones(9)}}, tmp_path / "other.pt")
    with pytest.raises(ValueError, match="parts has parts already"):
        split(tmp_path / "other.pt", tmp_path / "parts")
    foreign = split(tmp_path / "other.pt", tmp_path / "others")
    with pytest.raises(ValueError, match=r"other-01-of-01\.part is a part of other weights"):
        join([*parts, *foreign], target)
    assert not target.exists()
    with pytest.raises(SystemExit, match=r"06-of-06\.part is a part; the last argument is the file to write"):
        main(["join", *map(str, parts)])
    with pytest.raises(SystemExit, match=r"^tools\.weight_parts: error: missing"):
        main(["join", str(parts[0]), str(target)])


def test_weights_that_cannot_be_split(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from tools.weight_parts import split

    torch.save({"average": {"wide": torch.tensor([1e6])}}, tmp_path / "wide.pt")
    with pytest.raises(ValueError, match=r"wide does not fit into FP16 \(largest 1e\+06\)"):
        split(tmp_path / "wide.pt", tmp_path)
    torch.save({"weights": 1}, tmp_path / "none.pt")
    with pytest.raises(ValueError, match=r"none\.pt has no 'average', it holds 'weights'"):
        split(tmp_path / "none.pt", tmp_path)
    with pytest.raises(ValueError, match="--max-mb is 0"):
        split(tmp_path / "wide.pt", tmp_path, max_mb=0)


@pytest.mark.parametrize("name", ["pack", "weight_parts", "gpu_train"])
def test_old_names_say_the_new_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    pytest.importorskip("torch")
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    with pytest.raises(SystemExit, match=r"^0$"):
        runpy.run_module(f"export.{name}", run_name="__main__")
    said = capsys.readouterr()
    assert said.err == f"export.{name} is now called tools.{name}; the old name goes with version 0.4\n"
    assert said.out.startswith("usage:")
