"""A process of its own for one method and one image, whose peak memory is printed: see `pyiseg.benchmark.memory`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from pyiseg import demo
from pyiseg.benchmark import memory, methods, scenes
from pyiseg.benchmark.peers import Peer, Pyiseg
from pyiseg.files import parse_json


def run(task: dict[str, Any]) -> dict[str, Any]:
    """Measure.

    Args:
        task: ``size``, [width, height]; ``method``, a name for tables; ``clicks``, how many of the demo's are made;
            ``model``, ``device``; ``mobile_sam``, the paths of its files, or None.

    Returns:
        As :func:`pyiseg.benchmark.memory.peak_of`.
    """
    pair = task["mobile_sam"]
    peer: Peer
    if task["method"] == "pyiseg":
        peer = Pyiseg(task["model"], task["device"])
    else:
        paths = None if pair is None else (Path(pair[0]), Path(pair[1]))
        peer = next(peer for peer in methods.peers(paths) if peer.name == task["method"])
    width, height = task["size"]
    whole = scenes.scene(demo.PHOTO, demo.CLICKS[: task["clicks"]], (width, height))
    selection = peer.open(whole.rgb)
    for click in whole.clicks:
        selection.click(*click)
    try:
        return {"peak_mb": round(memory.peak() / memory.MEGABYTE, 1)}
    except OSError as error:
        return {"error": str(error)}


if __name__ == "__main__":
    print(json.dumps(run(parse_json(sys.argv[1]))))
