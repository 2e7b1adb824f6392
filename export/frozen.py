"""Layers that a run does not train, computed by ONNX Runtime: on a CPU two to three times as fast as PyTorch's own."""

from __future__ import annotations

import copy

import onnxruntime
import torch
from torch import Tensor, nn
from torch.export import Dim

from export.layers import FoldedConv
from export.lite0 import Lite0
from export.onnx_parts import quiet_exporter

_TRACED = (2, 3, 64, 96)


class FrozenLayers:
    """The stem and the first blocks of an image encoder as they were when this was made.

    Args:
        encoder: Its ``frozen_blocks`` must be at least 1.
        threads: Of ONNX Runtime.
    """

    def __init__(self, encoder: Lite0, threads: int) -> None:
        layers = _Layers(encoder).eval()
        with quiet_exporter(), torch.no_grad():
            free = {0: Dim("batch"), 2: 32 * Dim("rows", min=1, max=256), 3: 32 * Dim("columns", min=1, max=256)}
            program = torch.onnx.export(
                layers, (torch.rand(_TRACED),), dynamo=True, dynamic_shapes=(free,), verbose=False
            )
        assert program is not None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        # Threads that wait for more in a loop would take the cores from PyTorch, whose turn it is then.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        model = program.model_proto.SerializeToString()
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name

    def __call__(self, image: Tensor) -> tuple[Tensor, ...]:
        """Return what `export.lite0.Lite0.through` returns, without a gradient."""
        found = self._session.run(None, {self._input: image.detach().contiguous().numpy()})
        return tuple(torch.from_numpy(x).permute(0, 3, 1, 2) for x in found)


class _Layers(nn.Module):
    """What is exported. Its outputs are (B, H, W, C): seen as (B, C, H, W) they are as PyTorch likes them best."""

    def __init__(self, encoder: Lite0) -> None:
        super().__init__()
        self.encoder, self.blocks = copy.deepcopy(encoder), encoder.frozen_blocks
        for module in self.encoder.modules():
            if isinstance(module, FoldedConv):
                module.fold()
            elif isinstance(module, nn.ReLU6):
                module.inplace = False

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        return tuple(x.permute(0, 2, 3, 1) for x in self.encoder.through(image, self.blocks))
