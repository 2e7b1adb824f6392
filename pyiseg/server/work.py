"""The library's work in threads, so that the event loop stays free."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import ParamSpec, TypeVar

from anyio import CapacityLimiter, to_thread
from anyio.lowlevel import RunVar

from pyiseg.server import limits

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

# One of each for an event loop, made when first needed: an app that is mounted is not told when a loop begins.
_working: RunVar[CapacityLimiter] = RunVar("pyiseg_server_working")
_opening: RunVar[CapacityLimiter] = RunVar("pyiseg_server_opening")


async def in_thread(
    function: Callable[Parameters, Result], *arguments: Parameters.args, **named: Parameters.kwargs
) -> Result:
    """Call a function in a thread, at most `limits.WORKERS` at once; the others wait in order.

    A request that is cancelled waits for it all the same, so what it holds is held as long as the thread works.
    """
    return await to_thread.run_sync(partial(function, *arguments, **named), limiter=_one_of(_working, limits.WORKERS))


async def in_opening_thread(
    function: Callable[Parameters, Result], *arguments: Parameters.args, **named: Parameters.kwargs
) -> Result:
    """Do the same for what needs much memory while it runs: `limits.OPENING` at once, beside the other work."""
    return await to_thread.run_sync(partial(function, *arguments, **named), limiter=_one_of(_opening, limits.OPENING))


def _one_of(kind: RunVar[CapacityLimiter], most: int) -> CapacityLimiter:
    limiter = kind.get(None)
    if limiter is None:
        limiter = CapacityLimiter(most)
        kind.set(limiter)
    return limiter
