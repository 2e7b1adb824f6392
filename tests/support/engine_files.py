"""Engine files: keys, contents, damage, and builders that are functions."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from pyiseg.tensorrt.cache import EngineCache
from pyiseg.tensorrt.file import EngineKey
from pyiseg.tensorrt.specs import EngineSpec


def states(printed: str) -> dict[str, str]:
    """The state of each file by its name."""
    lines = printed.splitlines()[1:-1]
    return {name.strip(): line.rpartition(": ")[2] for line, name in zip(lines[::2], lines[1::2], strict=True)}


SPEC = EngineSpec("click", (384, 512), (384, 512), (384, 512), 2)


KEY = EngineKey(
    model="Compact v2",
    spec=SPEC,
    files=(("click.onnx", "0a" * 32), ("image.onnx", "0b" * 32)),
    package="tensorrt",
    version="10.9.0.34",
    gpu="NVIDIA GeForce RTX 4090",
    multiprocessors=128,
    driver="13.0",
    compute_capability="8.9",
    machine="x86_64",
)


AHEAD = dataclasses.replace(KEY, gpu=None, multiprocessors=None, driver=None)


ENGINE = bytes(range(256)) * 20


def flip(offset: int) -> Callable[[bytes], bytes]:
    """Change a byte, counted from the end if negative."""

    def flipped(content: bytes) -> bytes:
        changed = bytearray(content)
        changed[offset] ^= 0x10
        return bytes(changed)

    return flipped


DAMAGE: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "empty": (lambda content: b"", "it is damaged, or was not written by pyiseg"),
    "magic": (flip(3), "it is damaged, or was not written by pyiseg"),
    "no header's end": (lambda content: content[:40], "it is damaged, or was not written by pyiseg"),
    "header's first byte": (flip(14), "its header cannot be read"),
    "a value of the key": (lambda content: content.replace(b"RTX 4090", b"RTX 5090"), "another engine"),
    "a name of the key": (lambda content: content.replace(b'"driver"', b'"drover"'), "its header cannot be read"),
    "a type in the key": (lambda content: content.replace(b'"best": [384, 512]', b'"best": 7'), "cannot be read"),
    "the plan's type": (lambda content: content.replace(b'"plan": {', b'"plan": null, "p": {'), "cannot be read"),
    "another format": (lambda content: content.replace(b'"format": 2', b'"format": 1'), "another version of pyiseg"),
    "the stated length": (
        lambda content: content.replace(b'"length": 5', b'"length": 7'),
        "should be 7120",
    ),
    "the stated hash": (lambda content: content.replace(b'"sha256": "', b'"sha256": "0'), "its SHA-256 is not"),
    "first byte": (flip(-len(ENGINE)), "its SHA-256 is not"),
    "middle byte": (flip(-len(ENGINE) // 2), "its SHA-256 is not"),
    "last byte": (flip(-1), "its SHA-256 is not"),
    "cut in the middle": (
        lambda content: content[: -len(ENGINE) // 2],
        "too long: 2560 bytes where .* 5120",
    ),
    "cut by a byte": (lambda content: content[:-1], "cut off or too long: 5119 bytes"),
    "a byte too many": (lambda content: content + b"x", "cut off or too long: 5121 bytes"),
    "some other file": (lambda content: b"\x89PNG\r\n" + bytes(100), "was not written by pyiseg"),
}


class Builder:
    """Counts how often it builds."""

    def __init__(self, engine: bytes = ENGINE) -> None:
        self.engine, self.built = engine, 0

    def __call__(self) -> bytes:
        self.built += 1
        return self.engine


def fetch(cache: EngineCache, build: Callable[[], bytes], *keys: EngineKey) -> bytes:
    return cache.fetch(keys or (KEY,), build, bytes).engine
