"""Small color profiles (ICC.1:2001-04, version 2.4): of RGB by its primaries, of gray, and of CMYK."""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

D50 = (0.9642, 1.0, 0.8249)

# Columns are the primaries' XYZ under D50, as the profiles of these spaces have them.
SRGB = np.array([[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]])
ADOBE_RGB = np.array([[0.60974, 0.20528, 0.14919], [0.31111, 0.62567, 0.06322], [0.01947, 0.06087, 0.74457]])
ADOBE_GAMMA = 563 / 256


def rgb_profile(primaries: NDArray[np.float64], gamma: float) -> bytes:
    """A profile of a matrix and one gamma; 0 stands for the curve of sRGB."""
    curve = _srgb_curve() if gamma == 0 else _gamma(gamma)
    tags = {f"{name}XYZ": _xyz(tuple(column)) for name, column in zip("rgb", primaries.T, strict=True)}
    return _profile("RGB ", b"mntr", tags | {f"{name}TRC": curve for name in "rgb"} | {"wtpt": _xyz(D50)})


def gray_profile(gamma: float) -> bytes:
    """A profile of gray."""
    return _profile("GRAY", b"mntr", {"kTRC": _gamma(gamma), "wtpt": _xyz(D50)})


def cmyk_profile() -> bytes:
    """A profile of inks that darken alike: L* is 100 times what each of them lets through, and nothing has a hue."""
    ramp = bytes(range(256))
    # The four inks off or on, the first one varying slowest; L, a and b of each, of which 128 is no hue.
    nodes = b"".join(bytes([255 if corner == 0 else 0, 128, 128]) for corner in range(16))
    matrix = struct.pack(">9i", *(65536 * (i % 4 == 0) for i in range(9)))
    table = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + matrix + 4 * ramp + nodes + 3 * ramp
    return _profile("CMYK", b"prtr", {"A2B0": table, "wtpt": _xyz(D50)}, b"Lab ")


def to_linear(srgb: NDArray[np.float64]) -> NDArray[np.float64]:
    """The curve of sRGB, IEC 61966-2-1: 0..1 to light."""
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def from_linear(light: NDArray[np.float64]) -> NDArray[np.float64]:
    """Its inverse."""
    light = np.clip(light, 0, 1)
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)


def as_srgb(values: NDArray[np.uint8], primaries: NDArray[np.float64], gamma: float) -> NDArray[np.float64]:
    """What colors of such a profile are in sRGB, 0..255 and not rounded, by the definition; shape (..., 3)."""
    light = (values / 255) ** gamma @ primaries.T
    return 255 * from_linear(light @ np.linalg.inv(SRGB).T)


def _srgb_curve() -> bytes:
    points = np.rint(65535 * to_linear(np.linspace(0, 1, 1024))).astype(">u2")
    return b"curv" + bytes(4) + struct.pack(">I", len(points)) + points.tobytes()


def _gamma(gamma: float) -> bytes:
    return b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256))


def _xyz(values: tuple[float, ...]) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(65536 * value) for value in values))


def _profile(space: str, kind: bytes, tags: dict[str, bytes], connection: bytes = b"XYZ ") -> bytes:
    note = b"a profile for tests\0"
    tags = tags | {
        "cprt": b"text" + bytes(4) + note,
        "desc": b"desc" + bytes(4) + struct.pack(">I", len(note)) + note + bytes(78),
    }
    table, data = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        table += name.encode() + struct.pack(">II", start + len(data), len(content))
        data += content + bytes(-len(content) % 4)
    header = struct.pack(">I4sI4s4s4s", start + len(data), bytes(4), 0x02400000, kind, space.encode(), connection)
    header += struct.pack(">6H", 2000, 1, 1, 0, 0, 0) + b"acsp" + bytes(28)
    header += struct.pack(">3i", *(round(65536 * value) for value in D50))
    return header.ljust(128, b"\0") + table + data
