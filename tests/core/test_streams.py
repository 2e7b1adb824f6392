"""Streams, their arrays and captured clicks, on a GPU or on the stand-in for one."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from support.devices import StreamOps, native, standin
from support.op_inputs import PATTERNS, SIGMAS, random_clicks

from pyiseg import _core

H, W = 12, 17
IMAGE = (26, 51)  # the image that the grid is of
NO_CLICKS = np.empty((0, 3), np.int32)


@pytest.fixture
def device() -> Any:
    return native()


# arrays


def test_arrays_come_back_as_they_went(device: Any) -> None:
    stream = device.Stream()
    for dtype in (np.float32, np.float16, np.float64, np.int32, np.uint8):
        values = np.arange(24).reshape(2, 3, 4).astype(dtype)
        array = stream.empty(values.shape, values.dtype)
        assert (array.shape, array.dtype, array.nbytes) == (values.shape, values.dtype, values.nbytes)
        stream.upload(values, array)
        again = np.empty_like(values)
        other = stream.empty((4, 6), dtype)
        stream.copy(array, other)
        stream.download(other.reshape(values.shape), again)
        np.testing.assert_array_equal(again, values)
        stream.fill_zero(other)
        stream.download(other.view((2, 3, 4)), again)
        assert not again.any()


@pytest.mark.parametrize(("first", "second"), [(0, 0), (0, 10), (10, 0), (0, 59), (59, 0)])
def test_a_copy_over_what_it_reads_is_refused(device: Any, first: int, second: int) -> None:
    stream = device.Stream()
    values = np.arange(120, dtype=np.uint8)
    array = stream.empty(values.shape, values.dtype)
    stream.upload(values, array)
    with pytest.raises(ValueError, match="from and to share memory"):
        stream.copy(array.view((60,), first), array.view((60,), second))
    stream.copy(array.view((60,), 0), array.view((60,), 60))
    again = np.empty_like(values)
    stream.download(array, again)
    np.testing.assert_array_equal(again, np.tile(values[:60], 2))


def test_parts_share_the_memory(device: Any) -> None:
    stream = device.Stream()
    array = stream.empty((2, 3, 4))
    assert array[1].ptr == array.ptr + 48
    assert array[1].shape == (3, 4)
    assert array[1, 2].ptr == array.ptr + 80
    assert array[1, 2, 3].shape == ()
    assert array.view((5,), 2).ptr == array.ptr + 8
    with pytest.raises(IndexError, match=r"index is \(2,\); the array has shape \(2, 3, 4\)"):
        array[2]
    with pytest.raises(ValueError, match=r"a view of shape \(5,\) from element 20 on does not lie in"):
        array.view((5,), 20)
    with pytest.raises(ValueError, match=r"shape \(2, 3, 4\) cannot be given the shape \(5,\)"):
        array.reshape((5,))
    with pytest.raises(ValueError, match=r"shape is \(2, -3\); sides must be at least 0"):
        stream.empty((2, -3))
    with pytest.raises(ValueError, match=r"shape is \(4294967296, 4294967296\)"):
        array.view((2**32, 2**32))
    with pytest.raises(ValueError, match=r"shape is \(-1, -1\)"):
        array.view((-1, -1))
    for offset in (2**62 - 8, 2**62, 2**63 - 1, -1, 2):  # times 4 bytes, the first ones wrap
        with pytest.raises(ValueError, match=rf"a view of shape \(16,\) from element {offset}"):
            stream.empty((17,)).view((16,), offset)
    with pytest.raises(ValueError, match=r"shape is \(-1,\); sides must be at least 0"):
        _core.borrow(array.ptr, (-1,), np.float32, array)
    with pytest.raises(ValueError, match="dtype is int64; it must be float32, float16"):
        stream.empty((2,), np.int64)


def test_copies_are_checked(device: Any) -> None:
    stream = device.Stream()
    array = stream.empty((4,))
    with pytest.raises(ValueError, match=r"from is float32 \(5,\) but to is float32 \(4,\)"):
        stream.upload(np.zeros(5, np.float32), array)
    with pytest.raises(ValueError, match=r"from is float32 .* but to is int32"):
        stream.download(array, np.zeros(4, np.int32))
    with pytest.raises(ValueError, match="to is read-only"):
        stream.download(array, read_only())
    with pytest.raises(ValueError, match="C-contiguous"):
        stream.upload(np.zeros(8, np.float32)[::2], array)
    with pytest.raises(ValueError, match="an argument is a numpy array"):
        stream.copy(np.zeros(4, np.float32), array)


def read_only() -> np.ndarray:
    array = np.zeros(4, np.float32)
    array.flags.writeable = False
    return array


def test_numpy_and_stream_arrays_do_not_mix(device: Any) -> None:
    stream = device.Stream()
    maps = stream.empty((2, H, W))
    with pytest.raises(ValueError, match=r"an argument is a numpy array of shape \(0, 3\); it must be"):
        stream.click_maps(NO_CLICKS, [1.0], maps)
    with pytest.raises(ValueError, match=r"of shape \(2, 12, 17\); it must be a numpy array"):
        _core.click_maps(NO_CLICKS, [1.0], maps)


def test_streams_check_as_the_functions_do(device: Any) -> None:
    stream = device.Stream()
    clicks, alpha = stream.empty((4, 3), np.int32), stream.empty((H, W))
    labels = stream.empty((H, W), np.int32)
    with pytest.raises(ValueError, match=r"out has shape \(2, 12, 17\); its first axis must be 4"):
        stream.click_maps(clicks, [1.0, 2.0], stream.empty((2, H, W)))
    with pytest.raises(ValueError, match="alpha and out share memory"):
        stream.keep_clicked_components(alpha, clicks, 0, labels, alpha)
    with pytest.raises(ValueError, match="margin is 1; it must be 0 where out is float16"):
        stream.keep_clicked_components(alpha, clicks, 1, labels, stream.empty((H, W), np.float16))


def test_half_precision_is_rounded_single_precision(device: Any) -> None:
    ops, alpha = StreamOps(device), PATTERNS["noise"]
    clicks = random_clicks(5, *alpha.shape)
    maps = ops.click_maps(clicks, SIGMAS, *alpha.shape)
    half = ops.click_maps(clicks, SIGMAS, *alpha.shape, np.float16)
    np.testing.assert_array_equal(half, maps.astype(np.float16))
    kept = ops.keep_clicked_components(alpha, clicks, 0)
    np.testing.assert_array_equal(ops.keep_clicked_components(alpha, clicks, 0, np.float16), kept.astype(np.float16))


def test_a_negative_label_ends_the_clicks(device: Any) -> None:
    ops, alpha = StreamOps(device), PATTERNS["noise"]
    clicks = random_clicks(5, *alpha.shape)
    longer = np.concatenate([clicks, np.full((11, 3), -1, np.int32), random_clicks(3, *alpha.shape, seed=7)])
    lines = np.stack([alpha, alpha])
    for call in (
        lambda rows: ops.click_maps(rows, SIGMAS, *alpha.shape),
        lambda rows: ops.force_clicks(rows, alpha),
        lambda rows: ops.pin_clicks(alpha, rows, lines),
        lambda rows: ops.keep_clicked_components(alpha, rows, 2),
    ):
        np.testing.assert_array_equal(call(longer), call(clicks))


def test_memory_is_given_back() -> None:
    device, stream = standin(), native().Stream()
    gc.collect()
    before = device.allocated()
    device.set_room(1024)
    try:
        array = stream.empty((20,))
        part = array[3]
        with pytest.raises(_core.DeviceMemoryError, match=r"cudaMallocAsync\(.*cudaErrorMemoryAllocation"):
            stream.empty((200,))
    finally:
        device.set_room(None)
    del array, stream
    assert device.allocated() == before + 80  # a part keeps the whole
    del part
    assert device.allocated() == before


# arrays of others


def test_tensors_of_others_are_taken_without_a_copy() -> None:
    stream = native().Stream()
    array = stream.empty((3, 4))
    taken = _core.from_dlpack(array.__dlpack__())
    assert (taken.ptr, taken.shape, taken.dtype) == (array.ptr, (3, 4), np.float32)
    capsule = array.__dlpack__()
    _core.from_dlpack(capsule)
    with pytest.raises(ValueError, match="no unused DLPack tensor"):
        _core.from_dlpack(capsule)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((3, 4), np.float32).T, "not C-contiguous"),
        (np.zeros((3, 4), np.int64), "dtype is none of"),
        (np.zeros((3, 4), np.float32), r"lies on a device of type 1; it must be CUDA \(2\)"),
    ],
)
def test_tensors_of_others_are_checked(array: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _core.from_dlpack(array.__dlpack__())


def test_borrowed_memory_keeps_its_owner() -> None:
    class Owner:
        dropped = False

        def __init__(self) -> None:
            self.memory = np.zeros(6, np.uint8)

        def __del__(self) -> None:
            Owner.dropped = True

    owner = Owner()
    array = _core.borrow(owner.memory.ctypes.data, (2, 3), np.uint8, owner)
    part = array[1]
    del owner, array
    assert not Owner.dropped
    del part
    assert Owner.dropped


# captured clicks


class Click:
    """What a click enqueues: maps of all and of the previous prediction's on the grid, of all on the image."""

    def __init__(self, device: Any, capacity: int = 4) -> None:
        self.stream = device.Stream()
        self.clicks = self.stream.empty((3, capacity, 3), np.int32)
        self.feed = device.ClickFeed(self.stream, self.clicks, (H, W), IMAGE)
        self.maps = self.stream.empty((2, 2, H, W))
        self.image_maps = self.stream.empty((2, *IMAGE))
        self.calls = 0

    def enqueue(self) -> None:
        self.calls += 1
        for plane in range(2):
            self.stream.click_maps(self.clicks[plane], [2.0], self.maps[plane])
        self.stream.click_maps(self.clicks[2], [2.0], self.image_maps)

    def result(self) -> np.ndarray:
        maps, image_maps = np.empty(self.maps.shape, np.float32), np.empty(self.image_maps.shape, np.float32)
        self.stream.download(self.maps, maps)
        self.stream.download(self.image_maps, image_maps)
        return np.concatenate([maps.ravel(), image_maps.ravel()])


def expected(clicks: np.ndarray, previous: int) -> np.ndarray:
    maps, image_maps = np.empty((2, 2, H, W), np.float32), np.empty((2, *IMAGE), np.float32)
    _core.click_maps(clicks, [2.0], maps[0])
    _core.click_maps(clicks[:previous], [2.0], maps[1])
    _core.click_maps(on_image(clicks), [2.0], image_maps)
    return np.concatenate([maps.ravel(), image_maps.ravel()])


def on_image(clicks: np.ndarray) -> np.ndarray:
    """Clicks on the grid as clicks on the image, which is larger."""
    return (clicks * [3, 2, 1] + [2, 1, 0]).astype(np.int32)


def test_a_graph_is_launched_with_new_clicks_each_time(device: Any) -> None:
    click = Click(device)
    graph = device.ClickGraph(click.feed, click.enqueue)
    for n, previous in ((1, 0), (4, 3), (2, 1), (0, 0), (4, 4)):
        clicks = random_clicks(n, H, W, seed=n)
        graph.launch(clicks, previous, on_image(clicks))
        np.testing.assert_array_equal(click.result(), expected(clicks, previous))
    assert click.calls == 1


def test_without_a_graph_the_same_is_enqueued_each_time(device: Any) -> None:
    click = Click(device)
    clicks = random_clicks(3, H, W)
    click.feed.write(clicks, 2, on_image(clicks))
    click.enqueue()
    np.testing.assert_array_equal(click.result(), expected(clicks, 2))


def test_what_a_graph_is_given_is_checked(device: Any) -> None:
    click = Click(device)
    graph = device.ClickGraph(click.feed, click.enqueue)
    for call in (graph.launch, click.feed.write):
        with pytest.raises(ValueError, match=r"clicks\[0\] is \(17, 0, 1\); x must lie in 0..16"):
            call(np.array([[W, 0, 1]], np.int32), 0, np.array([[0, 0, 1]], np.int32))
        with pytest.raises(ValueError, match=r"image_clicks\[0\] is \(0, 26, 1\); .* y in 0\.\.25"):
            call(np.array([[0, 0, 1]], np.int32), 0, np.array([[0, IMAGE[0], 1]], np.int32))
        with pytest.raises(ValueError, match="image_clicks has 0 rows but clicks has 1"):
            call(np.array([[0, 0, 1]], np.int32), 0, NO_CLICKS)
        with pytest.raises(ValueError, match="clicks has 5 rows; there is room for 4"):
            call(random_clicks(5, H, W), 4, random_clicks(5, H, W))
        with pytest.raises(ValueError, match=r"previous_clicks is 3; it must lie in 0\.\.2"):
            call(random_clicks(2, H, W), 3, random_clicks(2, H, W))
    with pytest.raises(ValueError, match=r"clicks has shape \(2, 4, 3\); it must be \(3, capacity, 3\)"):
        device.ClickFeed(click.stream, click.stream.empty((2, 4, 3), np.int32), (H, W), IMAGE)
    with pytest.raises(ValueError, match=r"grid has size \(0, 5\)"):
        device.ClickFeed(click.stream, click.clicks, (0, 5), IMAGE)


@pytest.mark.parametrize("error", [RuntimeError("no engine"), KeyboardInterrupt()])
def test_what_is_thrown_while_capturing_is_thrown_on(device: Any, error: BaseException) -> None:
    click = Click(device)

    def fail() -> None:
        click.enqueue()
        raise error

    with pytest.raises(type(error)):
        device.ClickGraph(click.feed, fail)
    # The stream is as it was: it does work, and can be captured.
    clicks = random_clicks(3, H, W)
    click.feed.write(clicks, 1, on_image(clicks))
    click.enqueue()
    np.testing.assert_array_equal(click.result(), expected(clicks, 1))
    device.ClickGraph(click.feed, click.enqueue).launch(clicks, 2, on_image(clicks))
    np.testing.assert_array_equal(click.result(), expected(clicks, 2))


FORBIDDEN: dict[str, Callable[[Click], object]] = {
    "allocating": lambda click: click.stream.empty((4,)),
    "waiting": lambda click: click.stream.synchronize(),
    "downloading": lambda click: click.result(),
    "uploading": lambda click: click.stream.upload(np.zeros(click.maps.shape, np.float32), click.maps),
}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_what_would_wait_is_refused_while_capturing(device: Any, what: str) -> None:
    click = Click(device)
    with pytest.raises(_core.DeviceRuntimeError):
        device.ClickGraph(click.feed, lambda: FORBIDDEN[what](click))
    click.stream.synchronize()


def test_nothing_runs_while_capturing() -> None:
    click, ran = Click(native()), list[int]()

    def enqueue() -> None:
        standin().call(click.stream.handle, lambda: ran.append(1))

    graph = native().ClickGraph(click.feed, enqueue)
    click.stream.synchronize()
    assert not ran
    graph.launch(NO_CLICKS, 0, NO_CLICKS)
    graph.launch(NO_CLICKS, 0, NO_CLICKS)
    click.stream.synchronize()
    assert ran == [1, 1]


def test_a_graph_keeps_no_hold_on_what_it_was_given() -> None:
    """A click's callable belongs to a session, which owns the graph: kept, it would be a ring nobody can free."""
    gc.collect()
    before = standin().allocated()
    gc.disable()
    try:
        click = Click(native())
        graph = native().ClickGraph(click.feed, click.enqueue)
        graph.launch(NO_CLICKS, 0, NO_CLICKS)
        del click, graph
        assert standin().allocated() == before
    finally:
        gc.enable()


def test_waiting_holds_up_no_other_thread() -> None:
    """What frees a feed waits for its copy, and Python's other threads go on: here one that the copy waits for."""
    click = Click(native())
    standin().call(click.stream.handle, lambda: time.sleep(0.05))  # needs Python's lock
    click.feed.write(NO_CLICKS, 0, NO_CLICKS)
    standin().call(click.stream.handle, lambda: None)
    del click
