"""A pair of ONNX files with the inputs and outputs of a MobileSAM pair, and answers that are known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64
SCORES = (0.5, 0.1, 0.9, 0.2)
"""Of a decoder of four masks: of the three that a single point has, the second is best."""


def build(folder: Path, masks: int = 1) -> tuple[Path, Path]:
    """Write encoder.onnx and decoder.onnx into a folder.

    The decoder selects the columns left of the last point that was clicked or, where the mask that it gave before is
    fed back, right of it. Of four masks only that of index 2 and, for later clicks, that of index 0 select anything.

    Args:
        folder: Must exist.
        masks: Of the decoder, 1 or 4.

    Returns:
        The two paths.
    """
    return _write(folder / "encoder.onnx", *_encoder()), _write(folder / "decoder.onnx", *_decoder(masks))


def _encoder() -> tuple[list[Any], list[Any], list[Any], dict[str, Any]]:
    nodes = [
        helper.make_node("AveragePool", ["input"], ["small"], kernel_shape=[16, 16], strides=[16, 16]),
        helper.make_node("Conv", ["small", "weight"], ["embedding"]),
    ]
    weight = np.ones((256, 3, 1, 1), np.float32)
    shapes = _value("input", ["batch", 3, 1024, 1024]), _value("embedding", [1, 256, 64, 64])
    return nodes, [shapes[0]], [shapes[1]], {"weight": weight}


def _decoder(masks: int) -> tuple[list[Any], list[Any], list[Any], dict[str, Any]]:
    best = 2 if masks == 4 else 0
    low = np.full((1, masks, 256, 256), -1, np.float32)
    low[:, best] = 1
    bias = np.full((1, masks, 1, 1), -1e6, np.float32)
    bias[:, [0, best]] = 0
    constants = {
        "zero": np.array(0, np.int64),
        "one": np.array(1, np.int64),
        "two": np.array(2, np.float32),
        "one_float": np.array(1, np.float32),
        "long_side": np.array(1024, np.float32),
        "before_last": np.array(-2, np.int64),
        "masks_of_one": np.array([1, masks], np.int64),
        "bias": bias,
        "low": low,
        "scores": np.array([SCORES[:masks]], np.float32),
        "nothing": np.array(0, np.float32),
    }

    def node(name: str, inputs: str, output: str, **attributes: Any) -> Any:
        return helper.make_node(name, inputs.split(), [output], **attributes)

    nodes = [
        # The last point but the one that pads, in columns of the image.
        node("Gather", "point_coords before_last", "last", axis=1),
        node("Gather", "last zero", "x", axis=1),
        node("ReduceMax", "orig_im_size", "longest", keepdims=0),
        node("Div", "longest long_side", "scale"),
        node("Mul", "x scale", "column"),
        # Where the mask is fed back the sides are exchanged.
        node("ReduceMean", "mask_input", "mean", keepdims=0),
        node("Relu", "mean", "above"),
        node("Mul", "above has_mask_input", "fed"),
        node("Mul", "fed two", "twice"),
        node("Sub", "one_float twice", "side"),
        node("Cast", "orig_im_size", "size", to=INT64),
        node("Gather", "size one", "width"),
        node("Range", "zero width one", "columns"),
        node("Cast", "columns", "columns_float", to=FLOAT),
        node("Sub", "column columns_float", "left"),
        node("Mul", "left side", "selected"),
        node("Concat", "masks_of_one size", "shape", axis=0),
        node("Expand", "selected shape", "all"),
        node("Add", "all bias", "masks"),
        node("Identity", "scores", "iou_predictions"),
        # All inputs are used, so that none is left out of the file.
        node("ReduceSum", "point_labels", "labels", keepdims=0),
        node("ReduceSum", "image_embeddings", "embeddings", keepdims=0),
        node("Add", "labels embeddings", "used"),
        node("Mul", "used nothing", "unused"),
        node("Add", "low unused", "low_res_masks"),
    ]
    inputs = [
        _value("image_embeddings", [1, 256, 64, 64]),
        _value("point_coords", [1, "points", 2]),
        _value("point_labels", [1, "points"]),
        _value("mask_input", [1, 1, 256, 256]),
        _value("has_mask_input", [1]),
        _value("orig_im_size", [2]),
    ]
    outputs = [
        _value("masks", [1, masks, "height", "width"]),
        _value("iou_predictions", [1, masks]),
        _value("low_res_masks", [1, masks, 256, 256]),
    ]
    return nodes, inputs, outputs, constants


def _value(name: str, shape: list[int | str]) -> Any:
    return helper.make_tensor_value_info(name, FLOAT, shape)


def _write(path: Path, nodes: list[Any], inputs: list[Any], outputs: list[Any], constants: dict[str, Any]) -> Path:
    initializers = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, path.stem, inputs, outputs, initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path
