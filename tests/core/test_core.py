"""The native module apart from its numbers: checks, threads, the GIL."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from support.op_arguments import CLICKS, FILTER_OPS, H, W, f32

from pyiseg import _core


def read_only(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array


# op, argument, bad value, what the message must say
BAD = [
    ("click_maps", "clicks", CLICKS.astype(np.int64), "clicks has dtype int64; it must be int32"),
    ("click_maps", "clicks", CLICKS[:, :2].copy(), r"clicks has shape \(2, 2\); it must be \(N, 3\)"),
    ("click_maps", "clicks", CLICKS[0], r"clicks has shape \(3,\); it must have 2 axes"),
    ("click_maps", "clicks", CLICKS[::-1], r"clicks with shape \(2, 3\) is not C-contiguous"),
    ("click_maps", "clicks", np.array([[8, 0, 1]], np.int32), r"clicks\[0\] is \(8, 0, 1\); x must lie in 0..7"),
    ("click_maps", "clicks", np.array([[0, 0, 1], [0, -1, 1]], np.int32), r"clicks\[1\] is \(0, -1, 1\); .* y in 0..5"),
    ("click_maps", "clicks", np.array([[0, 0, 2]], np.int32), r"clicks\[0\] is \(0, 0, 2\); label must be 1"),
    ("click_maps", "clicks", np.array([[0, 0, -1]], np.int32), r"\(0, 0, -1\); label must be 1"),
    ("click_maps", "sigmas", [], "sigmas has 0 values"),
    ("click_maps", "sigmas", [1.0] * 9, "sigmas has 9 values"),
    ("click_maps", "sigmas", [1.0, 0.0], r"sigmas\[1\] is 0; it must lie in"),
    ("click_maps", "sigmas", [-2.5, 1.0], r"sigmas\[0\] is -2.5; it must lie in"),
    ("click_maps", "sigmas", [float("nan"), 1.0], r"sigmas\[0\] is -?nan"),
    ("click_maps", "sigmas", [1.0, float("inf")], r"sigmas\[1\] is inf"),
    ("click_maps", "sigmas", [1.0, 2.0, 3.0], r"out has shape \(4, 6, 8\); its first axis must be 6"),
    ("click_maps", "out", np.zeros((4, H, W)), "out has dtype float64; it must be float32"),
    ("click_maps", "out", f32(4, W, H).transpose(0, 2, 1), "out with shape .* is not C-contiguous"),
    ("click_maps", "out", f32(4, 0, W), r"out has size \(0, 8\); both sides must be at least 1"),
    ("click_maps", "out", read_only(f32(4, H, W)), "out is read-only"),
    ("force_clicks", "clicks", np.array([[0, 6, 1]], np.int32), r"clicks\[0\] is \(0, 6, 1\); .* y in 0..5"),
    ("force_clicks", "alpha", f32(1, H, W), r"alpha has shape \(1, 6, 8\); it must have 2 axes"),
    ("force_clicks", "alpha", read_only(f32(H, W)), "alpha is read-only"),
    ("pin_clicks", "clicks", np.array([[0, 6, 1]], np.int32), r"clicks\[0\] is \(0, 6, 1\); .* y in 0..5"),
    ("pin_clicks", "coefficients", f32(2, H, W + 2), r"coefficients has size \(6, 10\) but guide has"),
    ("pin_clicks", "coefficients", read_only(f32(2, H, W)), "coefficients is read-only"),
    ("keep_clicked_components", "margin", -1, "margin is -1; it must not be negative"),
    ("keep_clicked_components", "labels", f32(H, W), "labels has dtype float32; it must be int32"),
    ("keep_clicked_components", "labels", np.zeros((H, W + 1), np.int32), r"labels has size \(6, 9\) but alpha has"),
    ("keep_clicked_components", "out", f32(H + 1, W), r"out has size \(7, 8\) but alpha has \(6, 8\)"),
    ("keep_clicked_components", "clicks", np.array([[0, 6, 1]], np.int32), r"clicks\[0\] is \(0, 6, 1\)"),
    ("zero_coefficients", "kept", f32(H, W + 1), r"kept has size \(6, 9\) but alpha has \(6, 8\)"),
    (
        "zero_coefficients",
        "coefficients",
        f32(1, H, W),
        r"coefficients has shape \(1, 6, 8\); its first axis must be 2",
    ),
    ("zero_coefficients", "coefficients", read_only(f32(2, H, W)), "coefficients is read-only"),
    ("guided_filter_coefficients", "radius", -1, r"radius is -1; it must lie in 0..64"),
    ("guided_filter_coefficients", "radius", 65, r"radius is 65; it must lie in 0..64"),
    ("guided_filter_coefficients", "eps", 0.0, "eps is 0; it must lie in"),
    ("guided_filter_coefficients", "eps", -1e-8, "eps is -1e-08; it must lie in"),
    ("guided_filter_coefficients", "eps", float("nan"), "eps is -?nan"),
    ("guided_filter_coefficients", "p", f32(H, W - 1), r"p has size \(6, 7\) but guide has \(6, 8\)"),
    ("guided_filter_coefficients", "guide", np.zeros((H, W)), "guide has dtype float64"),
    ("guided_filter_coefficients", "scratch", f32(1, H, W), r"scratch has shape \(1, 6, 8\); its first axis must be 2"),
    ("guided_filter_coefficients", "coefficients", f32(2, H, W + 2), r"coefficients has size \(6, 10\) but guide has"),
    ("color_guide_statistics", "image", f32(2, H, W), r"image has shape \(2, 6, 8\); its first axis must be 3"),
    ("color_guide_statistics", "eps", 0.0, "eps is 0; it must lie in 1e-6..1e12"),
    ("color_guide_statistics", "eps", 9e-7, "eps is 9e-07; it must lie in 1e-6..1e12"),
    ("color_guide_statistics", "radius", 65, r"radius is 65; it must lie in 0..64"),
    ("color_guide_statistics", "statistics", f32(6, H, W + 1), r"statistics has size \(6, 9\) but image has \(6, 8\)"),
    (
        "color_guide_statistics",
        "statistics",
        f32(9, H, W),
        r"statistics has shape \(9, 6, 8\); its first axis must be 6",
    ),
    ("color_guided_filter_coefficients", "statistics", f32(5, H, W), r"statistics has shape \(5, 6, 8\)"),
    ("color_guided_filter_coefficients", "p", f32(W, H), r"p has size \(8, 6\) but image has \(6, 8\)"),
    ("color_guided_filter_coefficients", "radius", -1, r"radius is -1; it must lie in 0..64"),
    ("color_guided_filter_coefficients", "scratch", f32(2, H, W), r"scratch has shape \(2, 6, 8\)"),
    ("color_guided_filter_coefficients", "coefficients", f32(2, H, W), r"coefficients has shape \(2, 6, 8\)"),
    ("color_guided_filter_coefficients", "coefficients", read_only(f32(4, H, W)), "coefficients is read-only"),
    (
        "pin_image_clicks",
        "image_clicks",
        np.array([[10, 0, 1], [0, 0, 0]], np.int32),
        r"image_clicks\[0\] is \(10, 0, 1\)",
    ),
    ("pin_image_clicks", "clicks", CLICKS[:1].copy(), "image_clicks has 2 rows but clicks has 1"),
    ("pin_image_clicks", "guide", f32(9, 10), r"coefficients has shape \(4, 6, 8\); its first axis must be 2"),
    (
        "pin_image_clicks",
        "guide",
        np.zeros((9, 10, 4), np.uint8),
        r"guide has shape \(9, 10, 4\); it must be \(h, w, 3\)",
    ),
    ("pin_image_clicks", "flags", f32(H, W + 1), r"coefficients has size \(6, 8\) but flags has \(6, 9\)"),
    ("apply_coefficients", "guide", np.zeros((9, 9, 3), np.uint8), r"coefficients has shape \(2, 6, 8\); .* must be 4"),
    (
        "apply_coefficients",
        "guide",
        np.zeros((9, 9), np.int32),
        "dtype int32; it must be float32, or uint8 for RGB",
    ),
    (
        "apply_coefficients",
        "coefficients",
        f32(3, H, W),
        r"coefficients has shape \(3, 6, 8\); its first axis must be 2",
    ),
    ("apply_coefficients", "coefficients", f32(2, H, 0), r"coefficients has size \(6, 0\)"),
    ("apply_coefficients", "guide", f32(9, 10), r"out has size \(9, 9\) but guide has \(9, 10\)"),
    ("apply_coefficients", "out", np.zeros((9, 9), np.int8), "out has dtype int8; it must be float32 or uint8"),
    ("apply_coefficients", "out", read_only(np.zeros((9, 9), np.uint8)), "out is read-only"),
    ("apply_coefficients", "guide", f32(9, 9).astype(">f4"), "guide has dtype >f4"),
]


@pytest.mark.parametrize("op", FILTER_OPS)
def test_good_arguments_are_taken(op: str) -> None:
    assert getattr(_core, op)(**FILTER_OPS[op]()) is None


@pytest.mark.parametrize(
    ("op", "name", "value", "message"), BAD, ids=[f"{op}-{name}-{i}" for i, (op, name, *_) in enumerate(BAD)]
)
def test_bad_arguments_are_named(op: str, name: str, value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        getattr(_core, op)(**{**FILTER_OPS[op](), name: value})


@pytest.mark.parametrize(
    ("op", "a", "b"),
    [
        ("keep_clicked_components", "alpha", "out"),
        ("apply_coefficients", "guide", "out"),
        ("guided_filter_coefficients", "scratch", "coefficients"),
        ("guided_filter_coefficients", "guide", "coefficients"),
    ],
)
def test_shared_memory_is_refused(op: str, a: str, b: str) -> None:
    arguments = FILTER_OPS[op]()
    memory = f32(2 * 9 * 9)
    for name in (a, b):
        shape = arguments[name].shape
        arguments[name] = memory[: int(np.prod(shape))].reshape(shape)
    with pytest.raises(ValueError, match=f"{a} and {b} share memory"):
        getattr(_core, op)(**arguments)


def test_nothing_is_written_when_an_argument_is_bad() -> None:
    alpha = np.full((H, W), 0.25, np.float32)
    with pytest.raises(ValueError, match="clicks"):
        _core.force_clicks(np.array([[0, 0, 1], [99, 0, 1]], np.int32), alpha)
    np.testing.assert_array_equal(alpha, np.float32(0.25))


# threads


@pytest.fixture
def threads() -> Iterator[None]:
    before = _core.get_num_threads()
    yield
    _core.set_num_threads(before)


def everything(h: int = 150, w: int = 210) -> list[np.ndarray]:
    """Results of all ops, large enough for several threads."""
    r = np.random.default_rng(4)
    clicks = np.stack([r.integers(0, w, 9), r.integers(0, h, 9), np.arange(9) % 2], 1).astype(np.int32)
    guide, p = r.normal(0, 0.2, (h, w)).astype(np.float32), (r.random((h, w)) > 0.45).astype(np.float32)
    maps, kept, labels = f32(6, h, w), f32(h, w), np.zeros((h, w), np.int32)
    coefficients, scratch = f32(2, h, w), f32(2, h, w)
    large, small = np.zeros((600, 900), np.uint8), f32(h, w)
    _core.click_maps(clicks, [2.0, 4.0, 16.0], maps)
    _core.force_clicks(clicks, p)
    _core.keep_clicked_components(p, clicks, 3, labels, kept)
    _core.guided_filter_coefficients(guide, kept, 2, 1e-4, False, scratch, coefficients)
    _core.apply_coefficients(coefficients, r.normal(0, 0.2, large.shape).astype(np.float32), large)
    _core.apply_coefficients(coefficients, guide, small)
    return [maps, p, kept, coefficients, large, small]


def test_results_do_not_depend_on_the_number_of_threads(threads: None) -> None:
    _core.set_num_threads(1)
    alone = everything()
    for n in (2, 3, 8, 2):
        _core.set_num_threads(n)
        assert _core.get_num_threads() == n
        for _ in range(5):
            for one, several in zip(alone, everything(), strict=True):
                np.testing.assert_array_equal(one, several)


def test_python_threads_may_call_at_the_same_time(threads: None) -> None:
    _core.set_num_threads(2)
    expected = everything()
    with ThreadPoolExecutor(4) as pool:
        for results in pool.map(lambda _: everything(), range(16)):
            for one, other in zip(expected, results, strict=True):
                np.testing.assert_array_equal(one, other)


def _in_child(queue: Any) -> None:
    queue.put(float(everything()[4].sum(dtype=np.float64)))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_has_threads_of_its_own(threads: None) -> None:
    _core.set_num_threads(2)
    expected = float(everything()[4].sum(dtype=np.float64))
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_in_child, args=(queue,), daemon=True)
    child.start()
    assert queue.get(timeout=60) == expected
    child.join(60)


@pytest.mark.parametrize("n", [0, -1, 257, 10**12])
def test_bad_thread_numbers_are_named(n: int) -> None:
    with pytest.raises(ValueError, match=f"n is {n}; it must lie in 1..256"):
        _core.set_num_threads(n)


@pytest.mark.parametrize(("value", "answer"), [("3", "3"), ("", None), ("0", "ImportError"), ("many", "'many'")])
def test_the_environment_sets_the_number_of_threads(value: str, answer: str | None) -> None:
    code = "from pyiseg import _core; print(_core.get_num_threads())"
    environment = {**os.environ, "PYISEG_NUM_THREADS": value}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    if answer is None:
        assert 1 <= int(run.stdout) <= 8
    elif answer.isdigit():
        assert run.stdout.strip() == answer
    else:
        assert run.returncode != 0
        assert "PYISEG_NUM_THREADS is" in run.stderr
        assert answer in run.stderr


def test_the_gil_is_released() -> None:
    # With a switch interval this long, the main thread can run only while the op itself leaves the GIL.
    size, interval = 256, sys.getswitchinterval()
    guide, coefficients, scratch = f32(size, size), f32(2, size, size), f32(2, size, size)
    started, finished = threading.Event(), []

    def work() -> None:
        started.set()
        _core.guided_filter_coefficients(guide, guide.copy(), 32, 1e-3, False, scratch, coefficients)
        finished.append(time.perf_counter())

    sys.setswitchinterval(1000)
    try:
        worker = threading.Thread(target=work)
        worker.start()
        started.wait()
        ran_meanwhile = not finished
        worker.join()
    finally:
        sys.setswitchinterval(interval)
    assert ran_meanwhile


def test_a_build_without_cuda_has_no_such_module() -> None:
    assert hasattr(_core, "cuda") == _core.cuda_built


NO_THREADS = """
import os, resource
import numpy as np
from pyiseg import _core

if os.geteuid() == 0:  # whom the limit does not concern
    os.setresuid(65534, 65534, 65534)
resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
rgb, out, alone = (np.arange(400 * 400 * 3).astype(np.uint8).reshape(400, 400, 3) for _ in range(3))
for _ in range(3):
    _core.set_num_threads(8)
    _core.reduce_noise(rgb, 100.0, out)
    _core.set_num_threads(1)
    _core.reduce_noise(rgb, 100.0, alone)
    assert (out == alone).all()
print("done")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs a limit to the number of threads")
def test_in_an_environment_without_more_threads() -> None:
    """As in a container that may have few: an error was raised, of no documented kind."""
    done = subprocess.run([sys.executable, "-c", NO_THREADS], capture_output=True, text=True, timeout=60)
    assert done.stdout == "done\n", done.stderr
