"""Write weights as parts small enough for a small transfer, and join them again.

    python -m tools.weight_parts split runs/paper/checkpoint.pt PARTS --max-mb 15
    python -m tools.weight_parts join PARTS/*.part paper.pt

`split` keeps the weights that ship, in FP16, and what is on record about them; the optimizer's state stays behind. Each
part says which weights it belongs to and carries its SHA-256. MB are 10^6 bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from export.cli import in_half, read_checkpoint, run_main, size_text
from pyiseg.files import atomic_write, parse_json

_MAGIC = b"pyiseg weights, part: "
# The first line of a part, which says what it is, is shorter than this.
_HEADER = 512


def split(checkpoint: Path, out: Path, max_mb: float = 15) -> list[Path]:
    """Write the weights of a checkpoint in FP16 as parts.

    Args:
        checkpoint: As training writes it, with the weights that ship under ``average``.
        out: Folder of the parts, which are named after the checkpoint; made where there is none.
        max_mb: No part is larger.

    Returns:
        The parts.

    Raises:
        ValueError: The checkpoint is none, a weight does not fit into FP16, ``max_mb`` is too small, or ``out`` has
            parts already.
    """
    limit = int(max_mb * 1e6)
    if limit <= _HEADER:
        raise ValueError(f"--max-mb is {max_mb:g}: a part needs more than {_HEADER / 1e6} MB")
    if any(out.glob("*.part")):
        raise ValueError(f"{out} has parts already: those of different weights must not mix; choose another folder")
    buffer = io.BytesIO()
    torch.save(_shipping(checkpoint), buffer)
    content = buffer.getvalue()
    pieces = [content[i : i + limit - _HEADER] for i in range(0, len(content), limit - _HEADER)]
    whole = hashlib.sha256(content).hexdigest()
    out.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, piece in enumerate(pieces, 1):
        header = {"whole": whole, "part": number, "of": len(pieces), "sha256": hashlib.sha256(piece).hexdigest()}
        paths.append(out / f"{checkpoint.stem}-{number:02d}-of-{len(pieces):02d}.part")
        with atomic_write(paths[-1]) as file:
            file.write(_MAGIC + json.dumps(header).encode() + b"\n" + piece)
    return paths


def join(parts: Sequence[Path], target: Path) -> None:
    """Put all parts of one file together again, given in any order.

    Raises:
        ValueError: A part is damaged, missing, or belongs to other weights; the message names it.
    """
    pieces: dict[int, bytes] = {}
    whole, count, first = "", 0, Path()
    for path in parts:
        header, piece = _read(path)
        if not pieces:
            whole, count, first = header["whole"], header["of"], path
        if (header["whole"], header["of"]) != (whole, count):
            raise ValueError(f"{path} is a part of other weights than {first}; leave it out")
        pieces[header["part"]] = piece
    missing = sorted(set(range(1, count + 1)) - set(pieces))
    if missing or not pieces:
        raise ValueError(f"missing of {count} parts: {', '.join(map(str, missing)) or 'all'}")
    content = b"".join(pieces[number] for number in sorted(pieces))
    if hashlib.sha256(content).hexdigest() != whole:
        raise ValueError(f"the parts beside {first} are whole but do not make up what was split; split again")
    with atomic_write(target) as file:
        file.write(content)


def _shipping(checkpoint: Path) -> dict[str, Any]:
    """Read a checkpoint's shipping weights in FP16 under ``average``, and all else that holds no tensor."""
    state = read_checkpoint(checkpoint)
    half = in_half(state["average"], checkpoint)
    return {"average": half, **{name: value for name, value in state.items() if not _holds_tensor(value)}}


def _holds_tensor(value: object) -> bool:
    if isinstance(value, dict):
        return any(map(_holds_tensor, value.values()))
    if isinstance(value, (list, tuple)):
        return any(map(_holds_tensor, value))
    return isinstance(value, torch.Tensor)


def _read(path: Path) -> tuple[dict[str, Any], bytes]:
    if not path.is_file():
        raise FileNotFoundError(f"no part {path}")
    line, _, piece = path.read_bytes().partition(b"\n")
    if not line.startswith(_MAGIC):
        raise ValueError(f"{path} is no part of weights; give files that `python -m tools.weight_parts split` wrote")
    try:
        header: dict[str, Any] = parse_json(line[len(_MAGIC) :])
        right = hashlib.sha256(piece).hexdigest() == header["sha256"] and 1 <= header["part"] <= header["of"]
    except (ValueError, KeyError, TypeError):
        right = False
    if not right:
        raise ValueError(f"{path} is damaged; fetch it again")
    return header, piece


def main(arguments: list[str] | None = None) -> None:
    """Split or join."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("split", help="write a checkpoint's weights as parts")
    one.add_argument("checkpoint", type=Path, help="as training writes it")
    one.add_argument("out", type=Path, help="folder for the parts; made if need be")
    one.add_argument(
        "--max-mb", type=float, default=15, metavar="MB", help="no part is larger, in 10^6 bytes (default: %(default)s)"
    )
    other = commands.add_parser("join", help="put parts together again")
    other.add_argument("parts", type=Path, nargs="+", help="all of them, in any order")
    other.add_argument("target", type=Path, help="file for the weights, such as weights.pt")
    args = parser.parse_args(arguments)
    run_main("weight_parts", lambda: _run(args), package="tools")


def _run(args: argparse.Namespace) -> None:
    if args.command == "split":
        paths = split(args.checkpoint, args.out, args.max_mb)
        print(f"{len(paths)} parts, {size_text(sum(p.stat().st_size for p in paths))} together, in {args.out}")
    else:
        if args.target.suffix == ".part":
            raise ValueError(f"{args.target} is a part; the last argument is the file to write, such as weights.pt")
        join(args.parts, args.target)
        print(f"{len(args.parts)} parts joined as {args.target}")


if __name__ == "__main__":
    main()
