"""Layers that a run does not train, computed by ONNX Runtime: on a CPU two to three times as fast as PyTorch's own."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor

from export.models.efficientnet_lite0 import Lite0
from export.models.layers import BatchNormConv


class FrozenLayers:
    """The stem and the first blocks of an image encoder as they were when this was made.

    Args:
        encoder: Its ``frozen_blocks`` must be at least 1, and there must be no click maps in its stem.
        threads: Of ONNX Runtime.
    """

    def __init__(self, encoder: Lite0, threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        # Threads that wait for more in a loop would take the cores from PyTorch, whose turn it is then.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        model = _Writer().write(encoder).SerializeToString()
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def __call__(self, image: Tensor) -> tuple[Tensor, ...]:
        """Return the features of the frozen blocks, fine to coarse, and the last block's output, without gradients."""
        found = self._session.run(None, {"image": image.detach().contiguous().numpy()})
        return tuple(torch.from_numpy(x).permute(0, 3, 1, 2) for x in found)


class _Writer:
    """Writes the layers node by node: PyTorch's exporter takes ten seconds over them, at every start of a run.

    Outputs are (B, H, W, C): seen as (B, C, H, W) they are as PyTorch likes them best.
    """

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.values: list[onnx.TensorProto] = [numpy_helper.from_array(np.float32(x), n) for n, x in _LIMITS.items()]

    def write(self, encoder: Lite0) -> onnx.ModelProto:
        """Return the model: `image` to the features of the frozen blocks and the last block's output."""
        x = self._relu6(self._conv(encoder.stem, "image"))
        taps = []
        for i, block in enumerate(encoder.blocks[: encoder.frozen_blocks]):
            y = x if block.expand is None else self._relu6(self._conv(block.expand, x))
            y = self._conv(block.project, self._relu6(self._conv(block.depthwise, y)))
            x = self._node("Add", [x, y]) if block.residual else y
            if i in encoder.taps:
                taps.append(x)
        outputs = [self._node("Transpose", [value], perm=[0, 2, 3, 1]) for value in (*taps, x)]
        declared = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None] * 4) for name in outputs]
        image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [None, 3, None, None])
        graph = helper.make_graph(self.nodes, "frozen", [image], declared, self.values)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)

    def _conv(self, conv: BatchNormConv, x: str) -> str:
        with torch.no_grad():
            weight, bias = conv.effective()
        before, after = conv.tf_padding or (0, 0)
        pads = [before, before, after, after] if conv.tf_padding else [conv.padding[0]] * 4
        if conv.padding_value and any(pads):
            around = self._value(np.array([0, 0, *pads[:2], 0, 0, *pads[2:]], np.int64))
            x, pads = self._node("Pad", [x, around, self._value(np.float32(conv.padding_value))]), [0] * 4
        named = [x, self._value(weight.numpy()), self._value(bias.numpy())]
        return self._node("Conv", named, pads=pads, strides=list(conv.stride), group=conv.groups)

    def _relu6(self, x: str) -> str:
        return self._node("Clip", [x, *_LIMITS])

    def _value(self, array: np.generic | np.ndarray) -> str:  # type: ignore[type-arg]
        self.values.append(
            numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), f"v{len(self.values)}")
        )
        return self.values[-1].name

    def _node(self, kind: str, inputs: list[str], **attributes: object) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [f"x{len(self.nodes)}"], **attributes))
        return self.nodes[-1].output[0]


_LIMITS = {"zero": 0.0, "six": 6.0}
