"""A stand-in for TensorRT's networks, whose shapes it can tell, and for what describes how they are built."""

from __future__ import annotations

from typing import Any

import onnx


class Tensor:
    def __init__(self, network: Network | None, value: onnx.ValueInfoProto) -> None:
        self.name = value.name
        self.dtype = {1: "float32", 10: "float16", 16: "bfloat16"}[value.type.tensor_type.elem_type]
        dims = [dim.dim_value or -1 for dim in value.type.tensor_type.shape.dim]
        self._network, self.dims = network, tuple(dims)

    @property
    def shape(self) -> tuple[int, ...]:
        if self._network is None:
            return self.dims
        return self._network.derived(self.dims)

    @shape.setter
    def shape(self, shape: tuple[int, ...]) -> None:
        self.dims = tuple(shape)


class Network:
    def __init__(self, flags: int) -> None:
        self.flags = flags
        self.inputs: list[Tensor] = []
        self.outputs: list[Tensor] = []
        self.stride = 1

    @property
    def num_inputs(self) -> int:
        return len(self.inputs)

    @property
    def num_outputs(self) -> int:
        return len(self.outputs)

    def get_input(self, index: int) -> Tensor:
        return self.inputs[index]

    def get_output(self, index: int) -> Tensor:
        return self.outputs[index]

    def derived(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """An output has the size of the first input, divided by the stride of the pooling."""
        return (*shape[:2], *(side // self.stride if side > 0 else -1 for side in self.inputs[0].shape[2:]))


class Config:
    def __init__(self) -> None:
        self.flags: set[str] = {"TF32"}
        self.previews: set[str] = set()
        self.profile: Profile | None = None
        self.profiling_verbosity = "LAYER_NAMES_ONLY"
        self.progress_monitor: Any = None
        self.num_compute_capabilities = 0
        self.target: str | None = None

    def clear_flag(self, flag: str) -> None:
        self.flags.discard(flag)

    def set_flag(self, flag: str) -> None:
        self.flags.add(flag)

    def set_preview_feature(self, feature: str, on: bool) -> None:
        assert on
        self.previews.add(feature)

    def add_optimization_profile(self, profile: Profile) -> int:
        self.profile = profile
        return 0

    def set_compute_capability(self, target: str, index: int) -> bool:
        self.target = target
        return (self.num_compute_capabilities, index) == (1, 0)


class Profile:
    def __init__(self) -> None:
        self.shapes: dict[str, tuple[tuple[int, ...], ...]] = {}

    def set_shape(self, name: str, *shapes: tuple[int, ...]) -> None:
        self.shapes[name] = shapes
