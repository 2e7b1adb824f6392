"""The GPU that engines are built for."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class GpuInfo:
    """What an engine depends on.

    Attributes:
        name: As the driver calls it.
        compute_capability: Major and minor.
        multiprocessors: How many there are; GPUs of one name may differ in it.
        driver: The CUDA version that the driver brings, as in "13.0".
    """

    name: str
    compute_capability: tuple[int, int]
    multiprocessors: int
    driver: str


def gpu_here() -> GpuInfo | None:
    """The GPU that sessions run on; None if this build or this machine has none."""
    from pyiseg import _core

    try:
        if not _core.cuda_built or hasattr(_core, "standin") or not _core.cuda.device_count():
            return None
        info = _core.cuda.device_info()
    except RuntimeError:  # the driver's
        return None
    major, minor = info["compute_capability"]
    driver = int(info["driver"])
    cuda = f"{driver // 1000}.{driver % 1000 // 10}"
    return GpuInfo(str(info["name"]), (major, minor), int(info["multiprocessors"]), cuda)
