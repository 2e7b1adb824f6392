"""Pack a data folder into shards for machines that only small transfers reach, and unpack them there.

    python -m tools.pack pack DATA SHARDS --max-mb 48 --only 'train/real*'
    python -m tools.pack best DATA SHARDS --max-mb 30              # see tools.pack_best
    python -m tools.pack unpack SHARDS/*.tar DATA

Shards are plain tar files of whole files. Each begins with a list of its own files and their SHA-256, so it can be
unpacked alone, in any order, at any time; what is there already is left alone, and what is missing is said.
manifest.json lists all shards and their SHA-256; lying beside them, it is checked too. MB are 10^6 bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import sys
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from tqdm import tqdm

from export.cli import run_main, size_text
from pyiseg.files import atomic_write, parse_json, read_json

LISTING = ".pack.json"
"""Name of the list in a shard, and of the record that unpacking keeps of which shards are there."""

INCOMPLETE = 3
"""Exit code of ``unpack`` while shards are missing."""

# What a tar file, its list and its end take up at most, besides the files: a listing's fixed part, and whole records.
FIXED = 4096 + tarfile.RECORDSIZE


@dataclass
class Shard:
    """What goes into one tar file: (name, bytes, SHA-256) of each file, and the size they make."""

    files: list[dict[str, Any]] = field(default_factory=list)
    bytes: int = FIXED


def pack(data: Path, out: Path, max_mb: float = 48, only: Sequence[str] = ()) -> list[Path]:
    """Write all files of a folder, but for hidden ones, into shards.

    Args:
        data: The folder.
        out: An empty or new folder for the shards and manifest.json.
        max_mb: No shard is larger.
        only: Patterns such as ``train/*``, of which a file's path in ``data`` must match one; all files without.

    Returns:
        The shards.

    Raises:
        ValueError: A file is larger than a shard may be, ``max_mb`` too small, nothing is to be packed, or ``out``
            cannot be used.
        FileNotFoundError: There is no folder ``data``.
    """
    limit = int(max_mb * 1e6)
    if limit <= FIXED:
        raise ValueError(f"--max-mb is {max_mb:g}: a shard needs more than {FIXED / 1e6:g} MB")
    if not data.is_dir():
        raise FileNotFoundError(f"no folder {data}")
    if out.resolve().is_relative_to(data.resolve()):
        raise ValueError(f"{out} lies in {data}: shards would be packed too; choose a folder outside")
    if out.exists() and any(out.iterdir()):
        raise ValueError(f"{out} is not empty: shards of different packs must not mix; choose another folder")
    shards = _plan(data, limit, max_mb, only)
    identity = hashlib.sha256(json.dumps([shard.files for shard in shards]).encode()).hexdigest()[:16]
    out.mkdir(parents=True, exist_ok=True)
    written, manifest = [], []
    for number, shard in enumerate(tqdm(shards, unit="shard"), 1):
        path = out / f"shard-{number:04d}-of-{len(shards):04d}.tar"
        listing = {"set": identity, "shard": number, "of": len(shards), "files": shard.files}
        with atomic_write(path) as file:
            _write(file, data, listing)
        if path.stat().st_size > limit:
            raise RuntimeError(f"{path} came out larger than {max_mb:g} MB: {path.stat().st_size} bytes")
        digest = _sha256_of(path)
        manifest.append({"name": path.name, "bytes": path.stat().st_size, "sha256": digest, "files": shard.files})
        written.append(path)
    with atomic_write(out / "manifest.json") as file:
        file.write(json.dumps({"set": identity, "shards": manifest}, indent=1).encode() + b"\n")
    return written


def unpack(shards: Sequence[Path], out: Path) -> list[int]:
    """Unpack shards of one pack, verifying every file; those whose content is there already are not written again.

    Args:
        shards: Any of them, in any order; the others may follow later.
        out: Where to; files are written whole.

    Returns:
        The numbers of the shards that are still missing; empty when all is there.

    Raises:
        ValueError: A shard is damaged, is of another pack, or holds something that would be written elsewhere. The
            shards before it are unpacked.
    """
    if not hasattr(tarfile, "data_filter"):
        raise RuntimeError("this Python is too old to unpack safely: 3.10.12, 3.11.4 or 3.12 is needed at least")
    out.mkdir(parents=True, exist_ok=True)
    record = out / LISTING
    state = _record(record)
    for path in tqdm(shards, unit="shard", disable=len(shards) < 2):
        listing = _unpacked(path, out, state)
        state = {
            "set": listing["set"],
            "of": listing["of"],
            "there": sorted({*state.get("there", []), listing["shard"]}),
        }
        with atomic_write(record) as file:
            file.write(json.dumps(state).encode())
    return sorted(set(range(1, state.get("of", 0) + 1)) - set(state.get("there", [])))


def _plan(data: Path, limit: int, max_mb: float, only: Sequence[str]) -> list[Shard]:
    """Distribute the files, in the order of their names."""
    shards: list[Shard] = []
    for path in sorted(p for p in data.rglob("*") if p.is_file()):
        parts = path.relative_to(data).parts
        name = "/".join(parts)
        if any(part.startswith(".") for part in parts) or (only and not any(fnmatchcase(name, p) for p in only)):
            continue
        entry: dict[str, Any] = {"name": name, "bytes": path.stat().st_size, "sha256": _sha256_of(path)}
        size = size_in_shard(name, entry["bytes"])
        if FIXED + size > limit:
            raise ValueError(
                f"{path} has {size_text(entry['bytes'])}: a shard of at most {max_mb:g} MB cannot hold it; files are "
                "packed whole, so give a larger --max-mb or leave it out with --only"
            )
        if not shards or shards[-1].bytes + size > limit:
            shards.append(Shard())
        shards[-1].files.append(entry)
        shards[-1].bytes += size
    if not shards:
        raise ValueError(f"nothing to pack in {data}" + (f": no file matches {', '.join(only)}" if only else ""))
    return shards


def size_in_shard(name: str, size: int) -> int:
    """Return how many bytes a file takes up at most in a shard: its header, its content and its entry in the list."""
    headers = len(tar_member(name, size).tobuf(tarfile.PAX_FORMAT))
    return headers + -(-size // 512) * 512 + entry_size(name)


def entry_size(name: str) -> int:
    """Return how many bytes a file takes up at most in the list of a shard."""
    return len(json.dumps({"name": name, "bytes": 10**12, "sha256": "0" * 64})) + 4


def _write(file: Any, data: Path, listing: dict[str, Any]) -> None:
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
        content = json.dumps(listing).encode()
        tar.addfile(tar_member(LISTING, len(content)), io.BytesIO(content))
        for entry in listing["files"]:
            content = (data / entry["name"]).read_bytes()
            if hashlib.sha256(content).hexdigest() != entry["sha256"]:
                raise ValueError(f"{data / entry['name']} changed while it was being packed; pack again")
            tar.addfile(tar_member(entry["name"], len(content)), io.BytesIO(content))


def _record(path: Path) -> dict[str, Any]:
    """Read which shards are there."""
    if not path.exists():
        return {}
    try:
        state: dict[str, Any] = read_json(path)
        return {"set": str(state["set"]), "of": int(state["of"]), "there": [int(number) for number in state["there"]]}
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is damaged ({error!r}); remove it and unpack all shards again") from None


def _unpacked(path: Path, out: Path, state: dict[str, Any]) -> dict[str, Any]:
    """Unpack one shard and return its list."""
    if not path.is_file():
        raise FileNotFoundError(f"no shard {path}")
    _check_manifest(path)
    try:
        with tarfile.open(path, "r:") as tar:
            listing = _listing(tar)
            if state and (state["set"], state["of"]) != (listing["set"], listing["of"]):
                raise ValueError(f"it is of pack {listing['set']}, but in {out} is pack {state['set']}")
            expected = {entry["name"]: entry for entry in listing["files"]}
            for member in tar:
                if member.name == LISTING:
                    continue
                # Refuses absolute paths, .. and links out of the folder, and keeps no owner or odd permissions.
                safe = tarfile.data_filter(member, str(out))
                if not safe.isfile() or safe.name not in expected:
                    raise ValueError(f"it holds {member.name!r}, which its list does not name as a file")
                _place(tar, safe, out / safe.name, expected.pop(safe.name))
            if expected:
                raise ValueError(f"{len(expected)} of its files are missing, such as {next(iter(expected))}")
    except tarfile.FilterError as error:
        raise ValueError(f"shard {path} is refused: {error}") from error
    except (tarfile.TarError, ValueError, KeyError, TypeError, EOFError) as error:
        raise ValueError(f"shard {path} cannot be used: {error}; fetch it again") from error
    return listing


def _listing(tar: tarfile.TarFile) -> dict[str, Any]:
    first = tar.next()
    content = tar.extractfile(first) if first is not None and first.name == LISTING and first.isfile() else None
    if content is None:
        raise ValueError(f"it does not begin with {LISTING}: not a shard of this program")
    listing: dict[str, Any] = parse_json(content.read())
    if not (isinstance(listing["shard"], int) and isinstance(listing["of"], int) and listing["shard"] >= 1):
        raise ValueError(f"{LISTING} has no shard number")
    return listing


def _place(tar: tarfile.TarFile, member: tarfile.TarInfo, target: Path, entry: dict[str, Any]) -> None:
    """Write one file, unless it is there already."""
    if target.is_file() and target.stat().st_size == entry["bytes"] and _sha256_of(target) == entry["sha256"]:
        return
    source = tar.extractfile(member)
    content = source.read() if source is not None else b""
    if hashlib.sha256(content).hexdigest() != entry["sha256"]:
        raise ValueError(f"{entry['name']} in it is damaged")
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(target) as file:
        file.write(content)


def _check_manifest(path: Path) -> None:
    """Compare a shard with manifest.json beside it, if there is one that lists it."""
    beside = path.parent / "manifest.json"
    if not beside.is_file():
        return
    try:
        known = {shard["name"]: (shard["bytes"], shard["sha256"]) for shard in read_json(beside)["shards"]}
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{beside} is damaged ({error!r}); fetch it again, or remove it") from None
    if path.name in known and _sha256_of(path) != known[path.name][1]:
        sizes = f" ({path.stat().st_size} bytes, not {known[path.name][0]})"
        differing = sizes if path.stat().st_size != known[path.name][0] else ""
        raise ValueError(f"shard {path}: its content differs from manifest.json{differing}; fetch it again")


def tar_member(name: str, size: int) -> tarfile.TarInfo:
    """Return a header without time and owner: the same files make the same shards."""
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o644
    return member


def _sha256_of(path: Path) -> str:
    with open(path, "rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def main(arguments: list[str] | None = None) -> None:
    """Pack or unpack."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("pack", help="write a folder into shards")
    one.add_argument("data", type=Path, help="the folder")
    one.add_argument("out", type=Path, help="an empty or new folder for the shards and manifest.json")
    one.add_argument(
        "--max-mb",
        type=float,
        default=48,
        metavar="MB",
        help="no shard is larger, in 10^6 bytes (default: %(default)s)",
    )
    one.add_argument(
        "--only", action="append", default=[], metavar="GLOB", help="pack what matches, as 'train/*'; may be repeated"
    )
    best = commands.add_parser("best", help="write the best small part of a folder of the layout mixed into shards")
    best.add_argument("data", type=Path, help="the folder")
    best.add_argument("out", type=Path, help="an empty or new folder for the shards and manifest.json")
    best.add_argument("--max-mb", type=float, default=30, metavar="MB", help="all together (default: %(default)s)")
    best.add_argument("--shard-mb", type=float, metavar="MB", help="no shard is larger; left out, there is one")
    best.add_argument("--configuration", default="compact", help="whose shares count (default: %(default)s)")
    best.add_argument("--set", action="append", default=[], metavar="SECTION.SETTING=VALUE", help="change a setting")
    about = "unpack any shards of a pack; while others are missing, exit code 3"
    other = commands.add_parser("unpack", help=about, description=about)
    other.add_argument("shards", type=Path, nargs="+", help="any of them, in any order; the others may follow")
    other.add_argument("out", type=Path, help="the folder to unpack into")
    args = parser.parse_args(arguments)
    run_main("pack", lambda: _run(args), package="tools")


def _run(args: argparse.Namespace) -> None:
    if args.command != "unpack":
        if args.command == "pack":
            shards = pack(args.data, args.out, args.max_mb, args.only)
        else:
            # The rest of this module runs without PyTorch, which settings of training need.
            from export.training.config import load_settings
            from tools.pack_best import pack_best

            config = load_settings(args.configuration, args.set).data
            shards = pack_best(args.data, args.out, config, args.max_mb, args.shard_mb)
        total = size_text(sum(shard.stat().st_size for shard in shards))
        print(f"{len(shards)} shards, {total} together, in {args.out}")
        return
    if args.out.suffix == ".tar" or args.out.is_file():
        raise ValueError(f"{args.out} is no folder; the last argument is the folder to unpack into")
    missing = unpack(args.shards, args.out)
    print(f"still missing: shards {', '.join(map(str, missing))}" if missing else f"all is in {args.out}")
    if missing:
        sys.exit(INCOMPLETE)


if __name__ == "__main__":
    main()
