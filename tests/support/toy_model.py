"""A model folder small enough to be made by every test run, with networks simple enough to be known by heart.

click.onnx blurs a weighted sum over 3x3 pixels and clips it to 0..1:

    1.5 * fg map + 0.8 * brightness + 0.3 * previous alpha + 0.2 * redness - 1.5 * bg map + bias

so a click selects its neighborhood, a background click clears its own, and what is bright looks selected whether it
was clicked or not: the cleaning of unclicked regions has something to do.

guide.onnx is the luminance, and if it sees the clicks, luminance + 0.5 * finest fg map - 0.25 * finest bg map.
"""

from __future__ import annotations

import hashlib
import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from pyiseg import Click, Session

T = TypeVar("T")

SIGMAS = (1.0, 3.0, 5.0)
FG, BG = 4, 1  # Channels of click_maps: the middle width of each label.


def build(
    folder: Path,
    *,
    early_fusion: bool = False,
    feedback: bool = True,
    guide_clicks: bool = False,
    grid_stride: int = 2,
    long_side: int = 64,
    bias: float = 0.0,
    radius: int = 2,
    eps: float = 1e-3,
    form: str = "averaged",
    color: bool = False,
    fp16: bool = False,
) -> Path:
    """Write a model folder and return its path.

    Args:
        folder: Made if need be.
        early_fusion: Without image.onnx; click.onnx looks at the image itself.
        feedback: Whether click.onnx looks at the previous alpha.
        guide_clicks: Whether guide.onnx looks at the clicks; grid_stride must then be 1.
        grid_stride: Working pixels to a grid pixel.
        long_side: Of the working image.
        bias: See above; 2 selects everything, -9 nothing.
        radius, eps: Of the guided filter; radius 0 for none.
        form: Of the guided filter.
        color: Without guide.onnx, guided by the image's own colors; the form must then be "residual".
        fp16: With an FP16 variant, its weights inside.
    """
    folder.mkdir(parents=True, exist_ok=True)
    networks = {"click.onnx": _click(early_fusion, feedback, grid_stride, bias)}
    if not color:
        networks["guide.onnx"] = _guide(guide_clicks)
    if not early_fusion:
        networks["image.onnx"] = _image(grid_stride)
    if fp16:
        networks["click.fp16.onnx"] = _click(early_fusion, feedback, grid_stride, bias, half=True)
        if not early_fusion:
            networks["image.fp16.onnx"] = _image(grid_stride, half=True)
    for name, network in networks.items():
        (folder / name).write_bytes(network)
    manifest = {
        "format": 1,
        "name": "toy",
        "description": "a stand-in for tests",
        "licence": "Apache-2.0",
        "input": {"long_side": long_side, "multiple": 32},
        "grid_stride": grid_stride,
        "click_sigmas": list(SIGMAS),
        "guided_filter": {"radius": radius, "eps": eps, "form": form, "guide": "color" if color else "learned"},
        "clean_margin": 1,
        "files": {
            name: {"sha256": hashlib.sha256(network).hexdigest(), "bytes": len(network)}
            for name, network in networks.items()
        },
        "training": {"pictures": 0, "command": "none"},
    }
    (folder / "model.json").write_text(json.dumps(manifest))
    return folder


def change_manifest(folder: Path, **changes: Any) -> None:
    """Set top-level entries of a folder's manifest; None removes one."""
    path = folder / "model.json"
    manifest = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in manifest.items() if value is not None}))


def photo(height: int, width: int, seed: int = 0) -> npt.NDArray[np.uint8]:
    """A dark, noisy image with a bright red disc in the middle of its right half."""
    rng = np.random.default_rng(seed)
    rgb = rng.integers(0, 60, (height, width, 3), dtype=np.uint8)
    y, x = np.mgrid[:height, :width]
    disc = np.hypot(x - 0.75 * width, y - 0.5 * height) < 0.2 * min(height, width)
    rgb[disc] += np.array([190, 150, 150], dtype=np.uint8)
    return rgb


PHOTO = photo(60, 80)  # its disc has radius 12 and lies around (60, 30)
CLICKS = (Click(60, 30, True), Click(10, 12, True), Click(50, 30, False), Click(61, 31, True))


def _image(stride: int, half: bool = False) -> bytes:
    """Mean brightness, and mean red minus blue, of each grid pixel; as two named features."""
    nodes = _features(stride, half)
    outputs = [_value("features_0", 1, "h", "w", half), _value("features_1", 1, "h", "w", half)]
    return _network(nodes, [_value("image", 3, "H", "W")], outputs, _feature_weights(half))


def _click(early_fusion: bool, feedback: bool, stride: int, bias: float, half: bool = False) -> bytes:
    weights = np.zeros(9, dtype=np.float32)
    weights[[FG, BG, 6, 7, 8]] = (1.5, -1.5, 0.3, 0.8, 0.2)
    fed_back = ["previous_alpha"] if feedback else []
    weights = weights if feedback else np.delete(weights, 6)
    kernel = np.tile(weights[None, :, None, None], (1, 1, 3, 3)) / 9
    dtype = np.float16 if half else np.float32
    initializers = {"kernel": kernel.astype(dtype), "bias": np.array([bias], dtype=dtype)}
    nodes = [
        helper.make_node("Concat", ["click_maps", *fed_back, "features_0", "features_1"], ["all"], axis=1),
        helper.make_node("Conv", ["all", "kernel", "bias"], ["raw"], pads=[1, 1, 1, 1]),
        helper.make_node("Cast", ["raw"], ["sum"], to=TensorProto.FLOAT),
        helper.make_node("Clip", ["sum", "zero", "one"], ["alpha"]),
    ]
    initializers |= {"zero": np.array(0, dtype=np.float32), "one": np.array(1, dtype=np.float32)}
    inputs = [_value("click_maps", 6, "h", "w", half), *(_value(name, 1, "h", "w", half) for name in fed_back)]
    if early_fusion:
        inputs.append(_value("image", 3, "H", "W"))
        nodes = _features(stride, half) + nodes
        initializers |= _feature_weights(half)
    else:
        inputs += [_value("features_0", 1, "h", "w", half), _value("features_1", 1, "h", "w", half)]
    return _network(nodes, inputs, [_value("alpha", 1, "h", "w")], initializers)


def _guide(clicks: bool) -> bytes:
    weights = [0.299, 0.587, 0.114, *([-0.25, 0.5] if clicks else [])]
    kernel = np.array(weights, dtype=np.float32).reshape(1, -1, 1, 1)
    inputs = [_value("image", 3, "H", "W"), *([_value("click_maps", 2, "H", "W")] if clicks else [])]
    nodes = [
        helper.make_node("Concat", [value.name for value in inputs], ["planes"], axis=1),
        helper.make_node("Conv", ["planes", "kernel"], ["guide"]),
    ]
    return _network(nodes, inputs, [_value("guide", 1, "H", "W")], {"kernel": kernel})


def _features(stride: int, half: bool) -> list[onnx.NodeProto]:
    return [
        helper.make_node("Cast", ["image"], ["seen"], to=TensorProto.FLOAT16 if half else TensorProto.FLOAT),
        helper.make_node("AveragePool", ["seen"], ["pooled"], kernel_shape=[stride] * 2, strides=[stride] * 2),
        helper.make_node("Conv", ["pooled", "brightness"], ["features_0"]),
        helper.make_node("Conv", ["pooled", "redness"], ["features_1"]),
    ]


def _feature_weights(half: bool) -> dict[str, npt.NDArray[Any]]:
    rows = {"brightness": [1 / 3, 1 / 3, 1 / 3], "redness": [1, 0, -1]}
    dtype = np.float16 if half else np.float32
    return {name: np.array(row, dtype=dtype).reshape(1, 3, 1, 1) for name, row in rows.items()}


def _value(name: str, channels: int, height: str, width: str, half: bool = False) -> onnx.ValueInfoProto:
    dtype = TensorProto.FLOAT16 if half else TensorProto.FLOAT
    return helper.make_tensor_value_info(name, dtype, [1, channels, height, width])


def _network(
    nodes: list[onnx.NodeProto],
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
    initializers: dict[str, npt.NDArray[Any]],
) -> bytes:
    tensors = [numpy_helper.from_array(value, name) for name, value in initializers.items()]
    graph = helper.make_graph(nodes, "toy", inputs, outputs, tensors)
    # Written for old runtimes, so that the tests run with any ONNX Runtime that pyiseg supports.
    network = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(network)
    return bytes(network.SerializeToString())


def click_all(session: Session) -> list[npt.NDArray[np.uint8]]:
    return [session.click(*click) for click in CLICKS]


def same(found: npt.NDArray[np.uint8], expected: npt.NDArray[np.uint8]) -> bool:
    return found.dtype == expected.dtype and np.array_equal(found, expected)


def allocated(call: Callable[[], T]) -> tuple[T, int, int]:
    """Call, and return the result, the bytes that are held more than before, and the most that were meanwhile."""
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        result = call()
        now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return result, now - before, peak - before


def replace_network(folder: Path, name: str, content: bytes) -> None:
    """Put another network into a folder, with a manifest that agrees to it."""
    (folder / name).write_bytes(content)
    files = json.loads((folder / "model.json").read_text())["files"]
    files[name] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    change_manifest(folder, files=files)
