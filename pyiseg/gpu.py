"""The GPU that engines are built for."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class GpuInfo:
    """What an engine depends on.

    Attributes:
        name: As the driver calls it.
        compute_capability: Major and minor.
        driver: Its version, as a text.
    """

    name: str
    compute_capability: tuple[int, int]
    driver: str


def gpu_here() -> GpuInfo | None:
    """The GPU that sessions run on; None if this build or this machine has none."""
    from pyiseg import _core

    try:
        if not _core.cuda_built or not _core.cuda.device_count():
            return None
        info = _core.cuda.device_info()
    except RuntimeError:  # the driver's
        return None
    major, minor = info["compute_capability"]
    return GpuInfo(str(info["name"]), (major, minor), str(info["driver"]))
