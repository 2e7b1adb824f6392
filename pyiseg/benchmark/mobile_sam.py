"""A pair of ONNX files of SAM's form (image encoder, mask decoder) as a method that clicks are given to.

Meant for MobileSAM (Zhang et al. 2023); any pair of the form that the export script of segment-anything writes does.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pyiseg.benchmark.peers import Mask, Pixels
from pyiseg.paths import quoted
from pyiseg.settings import NUM_THREADS

LONG_SIDE = 1024
"""Of what the encoder sees; the rest of its square is zeros."""
MEAN, DEVIATION = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
DECODER_INPUTS = (
    "image_embeddings",
    "point_coords",
    "point_labels",
    "mask_input",
    "has_mask_input",
    "orig_im_size",
)
DECODER_OUTPUTS = ("masks", "iou_predictions", "low_res_masks")
EMBEDDING = (1, 256, 64, 64)
EXPECTED = (
    f"a MobileSAM pair is an encoder of one float input (1, 3, {LONG_SIDE}, {LONG_SIDE}), normalized and padded, and "
    f"one output {EMBEDDING}, and a decoder with the inputs {', '.join(DECODER_INPUTS)} and the outputs "
    f"{', '.join(DECODER_OUTPUTS)}"
)


class MobileSam:
    """A SAM encoder and decoder, used as the reference predictor uses them.

    The image is resized to a long side of 1024, normalized, padded with zeros and encoded once. Each click runs the
    decoder on all clicks so far and a padding point, with the low-resolution mask of the click before; of its masks the
    first click takes the one that is predicted to be best of the three, the following clicks the one that is meant for
    several points (a decoder exported with a single mask has made that choice itself). The decoder enlarges the mask to
    the image's size; it is selected where that is above 0.

    Args:
        encoder, decoder: Paths of the ONNX files.
        name: For tables.

    Raises:
        ValueError: A file is not there, is no ONNX network, or is none of such a pair.
    """

    def __init__(self, encoder: Path, decoder: Path, name: str = "MobileSAM") -> None:
        self.name = name
        self._encoder = _opened(encoder)
        self._decoder = _opened(decoder)
        inputs, outputs = self._encoder.get_inputs(), self._encoder.get_outputs()
        wanted = (1, 3, LONG_SIDE, LONG_SIDE)
        if len(inputs) != 1 or not _fits(inputs[0], wanted) or not outputs or not _fits(outputs[0], EMBEDDING):
            raise ValueError(f"'{encoder}' is no encoder of MobileSAM: it has {_described(self._encoder)}; {EXPECTED}")
        found = {node.name for node in self._decoder.get_inputs()}
        given = [node.name for node in self._decoder.get_outputs()]
        if found != set(DECODER_INPUTS) or not set(DECODER_OUTPUTS) <= set(given):
            raise ValueError(f"'{decoder}' is no decoder of MobileSAM: it has {_described(self._decoder)}; {EXPECTED}")
        self.settings: dict[str, object] = {"files": [_digest(path) for path in (encoder, decoder)]}

    def open(self, rgb: Pixels) -> _Embedded:
        """See :meth:`pyiseg.benchmark.peers.Peer.open`: it encodes the image."""
        height, width = rgb.shape[:2]
        scale = LONG_SIDE / max(height, width)
        size = int(width * scale + 0.5), int(height * scale + 0.5)
        small = np.asarray(Image.fromarray(rgb).resize(size, Image.Resampling.BILINEAR), dtype=np.float32)
        padded = np.zeros((1, 3, LONG_SIDE, LONG_SIDE), np.float32)
        normalized = (small - np.array(MEAN, np.float32)) / np.array(DEVIATION, np.float32)
        padded[0, :, : size[1], : size[0]] = normalized.transpose(2, 0, 1)
        name = self._encoder.get_inputs()[0].name
        embedding = self._encoder.run(None, {name: padded})[0]
        # The reference scales points by the sizes after rounding.
        return _Embedded(self._decoder, embedding, (height, width), (size[0] / width, size[1] / height))


class _Embedded:
    def __init__(self, decoder: Any, embedding: Any, shape: tuple[int, int], scale: tuple[float, float]) -> None:
        self._decoder = decoder
        self._embedding = embedding
        self._shape = shape
        self._scale = scale
        self._points: list[tuple[float, float]] = []
        self._labels: list[float] = []
        self._low = np.zeros((1, 1, 256, 256), np.float32)

    def click(self, x: int, y: int, fg: bool) -> Mask:
        self._points.append((x * self._scale[0], y * self._scale[1]))
        self._labels.append(float(fg))
        feeds = {
            "image_embeddings": self._embedding,
            # A point labelled -1 stands for the box that there is not.
            "point_coords": np.array([[*self._points, (0.0, 0.0)]], np.float32),
            "point_labels": np.array([[*self._labels, -1.0]], np.float32),
            "mask_input": self._low,
            "has_mask_input": np.array([len(self._points) > 1], np.float32),
            "orig_im_size": np.array(self._shape, np.float32),
        }
        masks, scores, low = self._decoder.run(list(DECODER_OUTPUTS), feeds)
        # Masks 1 to 3 are readings of a single point, 0 is for several.
        several = masks.shape[1] > 1 and len(self._points) == 1
        best = 1 + int(np.argmax(scores[0, 1:])) if several else 0
        self._low = low[:, best : best + 1]
        mask: Mask = masks[0, best] > 0
        if mask.shape != self._shape:
            raise ValueError(f"the decoder gave a mask of {mask.shape} for an image of {self._shape}; {EXPECTED}")
        return mask


def _opened(path: Path) -> Any:
    import onnxruntime as ort

    from pyiseg import _core

    options = ort.SessionOptions()
    if os.environ.get(NUM_THREADS):
        options.intra_op_num_threads = _core.get_num_threads()
    if not path.is_file():
        raise ValueError(f"no file at {quoted(path)}; {EXPECTED}")
    try:
        return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's errors have no common base but this
        raise ValueError(
            f"{quoted(path)} is no ONNX network that can be run ({str(error)[:200]}); {EXPECTED}"
        ) from None


def _fits(node: Any, shape: tuple[int, ...]) -> bool:
    """Whether a float input or output may have a shape; sizes with names may be any."""
    return (
        node.type == "tensor(float)"
        and len(node.shape) == len(shape)
        and all(not isinstance(size, int) or size == wanted for size, wanted in zip(node.shape, shape, strict=True))
    )


def _described(network: Any) -> str:
    def listed(nodes: Any) -> str:
        return ", ".join(f"{node.name} {tuple(node.shape)}" for node in nodes)

    return f"inputs {listed(network.get_inputs())} and outputs {listed(network.get_outputs())}"


def _digest(path: Path) -> dict[str, str]:
    import hashlib

    return {"name": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
