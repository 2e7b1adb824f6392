"""Measure sessions, alone or beside other methods, at several image sizes: what `pyiseg benchmark` does."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pyiseg import backend, demo
from pyiseg.benchmark import memory, scenes
from pyiseg.benchmark.machine import describe
from pyiseg.benchmark.methods import BYTES_A_PIXEL
from pyiseg.benchmark.peers import Peer
from pyiseg.benchmark.timing import PeerTurn, SessionTurn, Turn, WrongAnswerError
from pyiseg.evaluation.overlap import iou
from pyiseg.model import load_model
from pyiseg.settings import NUM_THREADS

FORMAT = 1
FLOOR = 0.85
"""IoU with the outline drawn by hand that the bundled model must reach."""
PEER_SECONDS = 120.0
"""A peer whose turn would take longer is left out at that size; one that has had as long sits out further rounds."""
BESIDE_PIXELS = 300_000_000
"""Bytes of libraries and networks, whatever the image."""
NOTE = (
    "one photograph, stretched to each size, and enlarged above 1.5 megapixels, so that it has no finer detail there; "
    "for the click that zooms in it fills a third of the sides, on gray"
)
TIMED = ("open", "click", "zoomed_click", "crop_click", "matte")
"""What is timed of a session, in the order of tables; of other methods the first two."""


@dataclass(frozen=True)
class Settings:
    """What is measured.

    Attributes:
        sizes: Width and height of each image.
        repeat: Rounds that count, after one that does not.
        model, device: As for :class:`pyiseg.Session`.
        peers: Methods to measure beside it.
        mobile_sam: The paths of a peer's files, for the processes that measure memory.

    Raises:
        ValueError: ``repeat`` is less than 1.
    """

    sizes: Sequence[tuple[int, int]]
    repeat: int = 7
    model: str | Path = "default"
    device: str = "cpu"
    peers: Sequence[Peer] = field(default=())
    mobile_sam: Sequence[Path] | None = None

    def __post_init__(self) -> None:
        if self.repeat < 1:
            raise ValueError(f"repeat is {self.repeat}; it must be at least 1")


def begin(settings: Settings) -> dict[str, Any]:
    """Return a result without figures: what is measured, and on what.

    Raises:
        pyiseg.ModelError, pyiseg.DeviceError, ValueError: There is no such model or device here.
    """
    model = load_model(settings.model)
    return {
        "format": FORMAT,
        "complete": False,
        "machine": describe(),
        "threads": os.environ.get(NUM_THREADS) or None,
        "device": backend.resolve(settings.device),
        "model": {"name": model.name, "sha256": dict(model.sha256)},
        "peers": {peer.name: peer.settings for peer in settings.peers},
        "repeat": settings.repeat,
        "image": NOTE,
        "sizes": [],
    }


def run(
    settings: Settings, result: dict[str, Any], progress: Callable[[str], None], done: Callable[[], None]
) -> dict[str, Any]:
    """Measure all sizes, the smallest first.

    Args:
        settings: What.
        result: As from :func:`begin`. Filled while it goes on: what an interrupted run has measured is in it.
        progress: Called with what is done now.
        done: Called when a size is in the result.

    Returns:
        ``result``.

    Raises:
        WrongAnswerError: Clicks gave another answer than before, or than they must.
        pyiseg.ModelError, pyiseg.DeviceError: As from :class:`pyiseg.Session`.
    """
    # Of each peer, the seconds that a turn took for each pixel at the last size.
    pace: dict[str, float] = {}
    for size in sorted(settings.sizes, key=lambda size: size[0] * size[1]):
        entry: dict[str, Any] = {
            "size": list(size),
            "megapixels": round(size[0] * size[1] / 1e6, 3),
            "methods": {},
        }
        result["sizes"].append(entry)
        _measure(size, settings, entry["methods"], pace, progress)
        done()
    result["complete"] = True
    done()
    return result


def _measure(
    size: tuple[int, int],
    settings: Settings,
    methods: dict[str, Any],
    pace: dict[str, float],
    progress: Callable[[str], None],
) -> None:
    label = "{} x {}".format(*size)
    pixels = size[0] * size[1]
    peers: list[Peer] = []
    if reason := _short_of_memory("pyiseg", pixels):
        methods["pyiseg"] = {"skipped": reason}
        progress(f"{label}: pyiseg skipped, {reason}")
    for peer in settings.peers:
        reason = _short_of_memory(peer.name, pixels) or _too_slow(pace.get(peer.name, 0.0) * pixels)
        if reason:
            methods[peer.name] = {"skipped": reason}
            progress(f"{label}: {peer.name} skipped, {reason}")
        else:
            peers.append(peer)
    if "pyiseg" in methods and not peers:
        return
    try:
        wanted = scenes.expected(size)
        whole = scenes.scene(demo.PHOTO, demo.CLICKS, size)
        turns: list[SessionTurn | PeerTurn] = []
        if "pyiseg" not in methods:
            small = scenes.scene(demo.PHOTO, scenes.ZOOMING_CLICKS, size, share=3)
            turns.append(SessionTurn(whole, small, load_model(settings.model), settings.device))
        turns += [PeerTurn(peer, whole) for peer in peers]
        _take_turns(turns, settings.repeat, methods, pace, pixels, lambda text: progress(f"{label}: {text}"))
    except MemoryError:
        for name in ("pyiseg", *(peer.name for peer in peers)):
            methods.setdefault(name, {}).setdefault("skipped", "out of memory")
        progress(f"{label}: skipped, out of memory")
        return
    for turn in turns:
        found = methods[turn.name]
        found["iou"] = round(iou(turn.mask, wanted), 4)
        if turn.name == "pyiseg" and settings.model == "default" and found["iou"] < FLOOR:
            raise WrongAnswerError(
                f"pyiseg: IoU {found['iou']:.2f} with the outline of what was clicked, {FLOOR} is the least at {label}"
            )
    for turn in turns:
        progress(f"{label}: memory of {turn.name}")
        methods[turn.name]["memory"] = memory.peak_of(
            {
                "size": size,
                "method": turn.name,
                # The second click of a peer takes what the first has taken already.
                "clicks": len(demo.CLICKS) if turn.name == "pyiseg" else 1,
                "model": str(settings.model),
                "device": settings.device,
                "mobile_sam": settings.mobile_sam and [str(path.resolve()) for path in settings.mobile_sam],
            }
        )


def _take_turns(
    turns: Sequence[Turn],
    repeat: int,
    methods: dict[str, Any],
    pace: dict[str, float],
    pixels: int,
    progress: Callable[[str], None],
) -> None:
    """Run all methods round by round, so that whatever else the machine does slows all alike."""
    spent = {turn.name: 0.0 for turn in turns}
    for number in range(repeat + 1):
        progress(f"round {number} of {repeat}" if number else "warming up")
        for turn in turns:
            if number > 1 and turn.name != "pyiseg" and spent[turn.name] > PEER_SECONDS:
                continue
            start = time.perf_counter()
            turn.run()
            seconds = time.perf_counter() - start
            spent[turn.name] += seconds
            pace[turn.name] = seconds / pixels
            if number:
                methods[turn.name] = {"times": turn.summary()}


def _short_of_memory(name: str, pixels: int) -> str:
    """Why there is not enough memory for a method at a size; empty where there is, or where that is not known."""
    need = BESIDE_PIXELS + pixels * BYTES_A_PIXEL.get(name, max(BYTES_A_PIXEL.values()))
    free = memory.available()
    if free is None or free >= need:
        return ""
    return f"it needs up to {need / 1e9:.1f} GB of memory, and {free / 1e9:.1f} GB are free"


def _too_slow(seconds: float) -> str:
    return f"opening and two clicks would take about {seconds:.0f} s" if seconds > PEER_SECONDS else ""
