"""Several processes, GPUs or machines under ``torchrun``; alone, everything here does nothing."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn

T = TypeVar("T")

# A run may be paused (SIGSTOP) for longer than the half hour after which PyTorch would give it up. That a process has
# died is torchrun's to notice.
PAUSE = timedelta(days=7)


@contextmanager
def joined() -> Iterator[torch.device]:
    """Join the processes that ``torchrun`` started and give this one's device; leave them at the end."""
    gpus = torch.cuda.device_count()
    if "RANK" not in os.environ:
        yield torch.device("cuda" if gpus else "cpu")
        return
    device = torch.device("cuda", int(os.environ["LOCAL_RANK"]) % gpus) if gpus else torch.device("cpu")
    if gpus:
        torch.cuda.set_device(device)
    # NCCL refuses two processes on one GPU. A large GPU has room for several, and waits for each one's Python.
    alone = gpus >= int(os.environ["LOCAL_WORLD_SIZE"])
    dist.init_process_group("nccl" if gpus and alone else "gloo", timeout=PAUSE)
    try:
        yield device
    finally:
        dist.destroy_process_group()


def rank() -> int:
    """Number of this process; 0 writes the files."""
    return dist.get_rank() if dist.is_initialized() else 0


def world() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def from_first(make: Callable[[], T]) -> T:
    """Return what the first process makes, in all of them: files may lie on its machine only."""
    if world() == 1:
        return make()
    box: list[T | None] = [make() if rank() == 0 else None]
    dist.broadcast_object_list(box, src=0)
    return cast(T, box[0])


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace every gradient by its mean over the processes."""
    if world() == 1:
        return
    trained = [p for p in parameters if p.requires_grad]
    for p in trained:
        # A gradient that only some processes have would leave the others waiting.
        p.grad = torch.zeros_like(p) if p.grad is None else p.grad
    flat = torch.cat([p.grad.reshape(-1) for p in trained if p.grad is not None])
    for p, part in zip(trained, _sum(flat).div_(world()).split([p.numel() for p in trained]), strict=True):
        assert p.grad is not None
        p.grad.copy_(part.view_as(p))  # into the layout that it has


def agreed(seconds: float, stop: bool, device: torch.device) -> tuple[float, bool]:
    """Return the first process's clock, and whether any process was asked to stop: all must end at the same update."""
    if world() == 1:
        return seconds, stop
    clock: Tensor = torch.tensor([seconds if rank() == 0 else 0.0, float(stop)], dtype=torch.float64, device=device)
    clock = _sum(clock)
    return float(clock[0]), bool(clock[1] > 0)


def _sum(mine: Tensor) -> Tensor:
    """Return the sum over the processes: in this one's tensor, or under gloo in one that went over the CPU."""
    # Whether gloo takes GPU tensors is up to how PyTorch was built.
    summed = mine.cpu() if dist.get_backend() == "gloo" else mine
    dist.all_reduce(summed)
    return summed.to(mine.device)
