"""A stand-in for the TensorRT packages: the face that pyiseg uses, over networks whose shapes it can tell.

It takes the ONNX files of `toy_model`. An engine of it is JSON, and runs nothing.
"""

from __future__ import annotations

import enum
import json
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
from test_model import replace_network

import pyiseg
from pyiseg.engine_plan import Plan, plans
from pyiseg.gpu import GpuInfo
from pyiseg.model import Model
from pyiseg.tensorrt_flavour import Flavour

GPU = GpuInfo("NVIDIA A100", (8, 0), "13000")

PACKAGES = {
    "tensorrt 10.0": ("tensorrt", "10.0.1"),
    "tensorrt 10": ("tensorrt", "10.9.0"),
    "tensorrt 11": ("tensorrt", "11.4.0"),
    "tensorrt_rtx": ("tensorrt_rtx", "1.7.1"),
}


class Severity(enum.IntEnum):
    INTERNAL_ERROR = 0
    ERROR = 1
    WARNING = 2
    INFO = 3
    VERBOSE = 4


class Tensor:
    def __init__(self, network: Network | None, value: onnx.ValueInfoProto) -> None:
        self.name = value.name
        self.dtype = {1: "float32", 10: "float16", 16: "bfloat16"}[value.type.tensor_type.elem_type]
        dims = [dim.dim_value or -1 for dim in value.type.tensor_type.shape.dim]
        self._network, self._shape = network, tuple(dims)

    @property
    def shape(self) -> tuple[int, ...]:
        if self._network is None:
            return self._shape
        return self._network.derived(self._shape)

    @shape.setter
    def shape(self, shape: tuple[int, ...]) -> None:
        self._shape = tuple(shape)


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
        self.profile: Profile | None = None
        self.profiling_verbosity = "LAYER_NAMES_ONLY"
        self.progress_monitor: Any = None
        self.num_compute_capabilities = 0
        self.target: str | None = None

    def clear_flag(self, flag: str) -> None:
        self.flags.discard(flag)

    def set_flag(self, flag: str) -> None:
        self.flags.add(flag)

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


class Package(types.ModuleType):
    """One package.

    Attributes:
        while_building: Called with the config by every build; what it returns, if anything, is returned instead.
        parse_errors: What parsing fails with.
        refuses: Whether engines are refused when they are loaded, and the line that is logged then.
        built: Networks and configs, in order.
        contexts: Execution contexts, in order.
    """

    def __init__(self, name: str = "tensorrt", version: str = "10.9.0") -> None:
        super().__init__(name)
        self.__version__ = version
        self.while_building: Callable[[Config], object] = lambda config: None
        self.parse_errors: list[str] = []
        self.refuses = ""
        self.built: list[tuple[Network, Config]] = []
        self.parsed: list[tuple[bytes, str]] = []
        self.contexts: list[Any] = []
        rtx, eleven, oldest = name == "tensorrt_rtx", version >= "11" and name == "tensorrt", version == "10.0.1"
        self.float32, self.float16 = "float32", "float16"
        self.TensorIOMode = types.SimpleNamespace(INPUT="input", OUTPUT="output")
        self.ProfilingVerbosity = types.SimpleNamespace(DETAILED="DETAILED")
        self.LayerInformationFormat = types.SimpleNamespace(ONELINE="ONELINE")
        self.ExecutionContextAllocationStrategy = types.SimpleNamespace(USER_MANAGED="USER_MANAGED")
        self.NetworkDefinitionCreationFlag = types.SimpleNamespace(**({} if eleven else {"STRONGLY_TYPED": 1}))
        self.BuilderFlag = types.SimpleNamespace(TF32="TF32")
        if rtx:
            self.BuilderFlag.REQUIRE_USER_ALLOCATION = "REQUIRE_USER_ALLOCATION"
            self.ComputeCapability = type("ComputeCapability", (), {"CURRENT": "CURRENT", "SM80": "80", "SM120": "120"})
            self.DynamicShapesKernelSpecializationStrategy = types.SimpleNamespace(EAGER="EAGER")
        package = self

        class ILogger:
            Severity = globals()["Severity"]

        class IProgressMonitor:
            pass

        class Builder:
            def __init__(self, log: Any) -> None:
                self.log = log

            def create_network(self, flags: int) -> Network:
                return Network(flags)

            def create_builder_config(self) -> Config:
                return Config()

            def create_optimization_profile(self) -> Profile:
                return Profile()

            def build_serialized_network(self, network: Network, config: Config) -> object:
                package.built.append((network, config))
                self.log.log(Severity.VERBOSE, "Name: a, LayerType: kgen, Inputs: []")
                instead = package.while_building(config)
                if instead is not None:
                    return None if instead == "nothing" else instead
                shapes = {}
                for tensor in network.inputs:
                    fixed = (tensor.shape,) * 3
                    shapes[tensor.name] = fixed if config.profile is None else config.profile.shapes[tensor.name]
                dtypes = {tensor.name: tensor.dtype for tensor in (*network.inputs, *network.outputs)}
                channels = {tensor.name: tensor._shape[1] for tensor in network.outputs}
                content = {"shapes": shapes, "dtypes": dtypes, "channels": channels, "stride": network.stride}
                return memoryview(json.dumps(content).encode())

        class OnnxParser:
            def __init__(self, network: Network, log: Any) -> None:
                self.network, self.log = network, log
                self.num_errors = len(package.parse_errors)

            def parse(self, content: bytes, path: str) -> bool:
                package.parsed.append((content, path))
                if package.parse_errors:
                    return False
                graph = onnx.load_from_string(content).graph
                self.network.inputs = [Tensor(None, value) for value in graph.input]
                self.network.outputs = [Tensor(self.network, value) for value in graph.output]
                pools = [node for node in graph.node if node.op_type == "AveragePool"]
                self.network.stride = pools[0].attribute[-1].ints[0] if pools else 1
                return True

            def get_error(self, index: int) -> str:
                return package.parse_errors[index]

        class Context:
            def __init__(self, strategy: str, content: dict[str, Any]) -> None:
                self.strategy, self._content = strategy, content
                self.shapes: dict[str, tuple[int, ...]] = {}
                self.addresses: dict[str, int] = {}
                self.enqueued: list[int] = []
                self.fails: object = False
                if oldest:
                    self.device_memory = 0
                else:
                    self.set_device_memory = lambda address, size: setattr(self, "scratch", (address, size))
                    self.update_device_memory_size_for_shapes = lambda: 4 * self.shapes[next(iter(self.shapes))][-1]

            def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
                low, _, high = self._content["shapes"][name]
                self.shapes[name] = shape
                return all(a <= b <= c for a, b, c in zip(low, shape, high, strict=True))

            def get_tensor_shape(self, name: str) -> tuple[int, ...]:
                first = self.shapes[next(iter(self._content["shapes"]))]
                stride = self._content["stride"]
                return (1, self._content["channels"][name], *(side // stride for side in first[2:]))

            def set_tensor_address(self, name: str, address: int) -> bool:
                self.addresses[name] = address
                return address % 256 == 0

            def execute_async_v3(self, handle: int) -> bool:
                if isinstance(self.fails, Exception):
                    raise self.fails
                self.enqueued.append(handle)
                return not self.fails

        class RuntimeConfig:
            dynamic_shapes_kernel_specialization_strategy = "LAZY" if rtx else None

            def set_execution_context_allocation_strategy(self, strategy: str) -> None:
                self.strategy = strategy

            if rtx:

                def create_runtime_cache(self) -> object:
                    return object()

                def set_runtime_cache(self, cache: object) -> bool:
                    self.cache = cache
                    return True

        class Engine:
            device_memory_size = 4096

            def __init__(self, content: dict[str, Any]) -> None:
                self._content, self._names = content, list(content["dtypes"])
                self.num_io_tensors = len(self._names)
                if not oldest:
                    self.create_runtime_config = RuntimeConfig

            def get_tensor_name(self, index: int) -> str:
                return self._names[index]

            def get_tensor_mode(self, name: str) -> str:
                return "input" if name in self._content["shapes"] else "output"

            def get_tensor_dtype(self, name: str) -> str:
                return str(self._content["dtypes"][name])

            def create_execution_context(self, how: Any) -> Context | None:
                if package.refuses:
                    return None
                context = Context(getattr(how, "strategy", how), self._content)
                context.config = how  # type: ignore[attr-defined]
                package.contexts.append(context)
                return context

            def create_engine_inspector(self) -> Any:
                return types.SimpleNamespace(get_engine_information=lambda form: f"layers {form}")

        class Runtime:
            def __init__(self, log: Any) -> None:
                self.log = log

            def deserialize_cuda_engine(self, content: bytes) -> Engine | None:
                try:
                    decoded = json.loads(content)
                except ValueError:
                    self.log.log(Severity.ERROR, "magic tag does not match")
                    return None
                if package.refuses:
                    self.log.log(Severity.ERROR, package.refuses)
                    return None
                return Engine(decoded)

        self.ILogger, self.IProgressMonitor, self.Builder, self.OnnxParser = (
            ILogger,
            IProgressMonitor,
            Builder,
            OnnxParser,
        )
        self.Runtime = Runtime


def opened(package: Package) -> Flavour:
    return Flavour(package.__name__, package.__version__, package)


def plan_of(model: Model, part: str, working: tuple[int, int] | None = (96, 128)) -> Plan:
    return next(plan for plan in plans(model, working) if plan.part == part)


def with_fp16(folder: Path) -> Model:
    """Give a toy model FP16 siblings, in which nothing is FP16."""
    for name in ("image", "click"):
        replace_network(folder, f"{name}.fp16.onnx", (folder / f"{name}.onnx").read_bytes())
    return pyiseg.load_model(folder)
