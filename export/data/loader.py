"""Batches of training images, made ahead of the training that waits for them."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import cv2
import torch

from export.data.dataset import DataConfig, Sample, TrainingData

# (height, width) and number of a sample.
Number = tuple[tuple[int, int], int]


class Numbered(torch.utils.data.Dataset):  # type: ignore[type-arg]
    """Samples by ((height, width), number)."""

    def __init__(self, root: Path, sides: set[int], seed: int, config: DataConfig) -> None:
        self.data = TrainingData(root, max(sides), seed, config)
        self.epoch, self.objects = self.data.epoch, self.data.objects

    def __getitem__(self, number: Number) -> Sample:
        shape, index = number
        return self.data.sample(index, shape)


def batches(data: Numbered, numbers: Callable[[], list[Number]], workers: int) -> Iterator[list[Sample]]:
    """Yield batches without end.

    Args:
        data: Where samples come from.
        numbers: Called for each batch in turn, some batches ahead: which samples it is made of.
        workers: Processes that make samples; 0 for one thread here.
    """
    if workers == 0:
        with ThreadPoolExecutor(1) as pool:

            def begin() -> Future[list[Sample]]:
                return pool.submit(lambda chosen: [data[n] for n in chosen], numbers())

            ahead = begin()
            while True:
                batch = ahead.result()
                ahead = begin()
                yield batch
    # Spawned, not forked: the threads of torch, OpenCV and this process do not survive a fork.
    yield from torch.utils.data.DataLoader(
        data,
        batch_sampler=iter(numbers, None),
        num_workers=workers,
        collate_fn=list,
        multiprocessing_context="spawn",
        worker_init_fn=begin_worker,
    )


def begin_worker(_: int) -> None:
    """Keep a worker to one core, there being one for each, and leave Ctrl-C and SIGTERM to the process it works for."""
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, signal.SIG_IGN)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
