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

import pyiseg
from pyiseg.model import Model
from pyiseg.tensorrt.gpu import GpuInfo
from pyiseg.tensorrt.package import TensorRTPackage
from pyiseg.tensorrt.specs import EngineSpec, engine_specs
from support.fake_network import Config, Network, Profile, Tensor
from support.toy_model import replace_network

GPU = GpuInfo("NVIDIA A100", (8, 0), 108, "13.0")

PACKAGES = {
    "tensorrt 10.3": ("tensorrt", "10.3.0"),
    "tensorrt 10": ("tensorrt", "10.16.1"),
    "tensorrt 11": ("tensorrt", "11.4.0"),
    "tensorrt_rtx": ("tensorrt_rtx", "1.7.1"),
}


class Severity(enum.IntEnum):
    INTERNAL_ERROR = 0
    ERROR = 1
    WARNING = 2
    INFO = 3
    VERBOSE = 4


class Package(types.ModuleType):
    """One package.

    Attributes:
        while_building: Called with the config by every build; what it returns, if anything, is returned instead.
        while_sizing: Called when an execution's scratch memory is asked for.
        parse_errors: What parsing fails with.
        refuses: Whether engines are refused when they are loaded, and the line that is logged then.
        built: Networks and configs, in order.
        contexts: Execution contexts, in order.
        died: What was freed, in order.
        compiled: What is in the cache of kernels after a context was made.
    """

    def __init__(self, name: str = "tensorrt", version: str = "10.16.1") -> None:
        super().__init__(name)
        self.__version__ = version
        self.while_building: Callable[[Config], object] = lambda config: None
        self.while_sizing: Callable[[], object] = lambda: None
        self.parse_errors: list[str] = []
        self.refuses = ""
        self.built: list[tuple[Network, Config]] = []
        self.parsed: list[tuple[bytes, str]] = []
        self.contexts: list[Any] = []
        self.died: list[str] = []
        self.compiled = b"one"
        rtx, oldest = name == "tensorrt_rtx", version == "10.3.0"
        self.float32, self.float16 = "float32", "float16"
        self.TensorIOMode = types.SimpleNamespace(INPUT="input", OUTPUT="output")
        self.ProfilingVerbosity = types.SimpleNamespace(DETAILED="DETAILED")
        self.LayerInformationFormat = types.SimpleNamespace(ONELINE="ONELINE")
        self.ExecutionContextAllocationStrategy = types.SimpleNamespace(USER_MANAGED="USER_MANAGED")
        self.NetworkDefinitionCreationFlag = types.SimpleNamespace(STRONGLY_TYPED=1)
        self.PreviewFeature = types.SimpleNamespace()
        if not oldest:
            self.PreviewFeature.RUNTIME_ACTIVATION_RESIZE_10_10 = "RESIZE"
        self.BuilderFlag = types.SimpleNamespace(TF32="TF32")
        if rtx:
            self.BuilderFlag.REQUIRE_USER_ALLOCATION = "REQUIRE_USER_ALLOCATION"
            self.ComputeCapability = type("ComputeCapability", (), {"CURRENT": "CURRENT", "SM80": "80", "SM120": "120"})
            self.DynamicShapesKernelSpecializationStrategy = types.SimpleNamespace(EAGER="EAGER")
        package = self

        class Mortal:
            def __del__(self) -> None:
                package.died.append(type(self).__name__)

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
                channels = {tensor.name: tensor.dims[1] for tensor in network.outputs}
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

        class Context(Mortal):
            def __init__(self, strategy: str, content: dict[str, Any]) -> None:
                self.strategy, self._content = strategy, content
                self.shapes: dict[str, tuple[int, ...]] = {}
                self.addresses: dict[str, int] = {}
                self.enqueued: list[int] = []
                self.fails: object = False

            def set_device_memory(self, address: int, size: int) -> None:
                self.scratch = (address, size)

            def update_device_memory_size_for_shapes(self) -> int:
                package.while_sizing()
                return 4 * self.shapes[next(iter(self.shapes))][-1]

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

        class Kernels(Mortal):
            content = b""

            def deserialize(self, content: bytes) -> bool:
                fits = not content.startswith(b"foreign")
                self.content = content if fits else b""
                return fits

            def serialize(self) -> memoryview:
                return memoryview(self.content)

        class RuntimeConfig:
            dynamic_shapes_kernel_specialization_strategy = "LAZY" if rtx else None

            def set_execution_context_allocation_strategy(self, strategy: str) -> None:
                self.strategy = strategy

            if rtx:

                def create_runtime_cache(self) -> Kernels:
                    return Kernels()

                def set_runtime_cache(self, cache: object) -> bool:
                    self.cache = cache
                    return True

        class Engine(Mortal):
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
                if hasattr(how, "cache") and package.compiled not in how.cache.content:
                    how.cache.content += package.compiled
                package.contexts.append(context)
                return context

            def create_engine_inspector(self) -> Any:
                return types.SimpleNamespace(get_engine_information=lambda form: f"layers {form}")

        class Runtime(Mortal):
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


def opened(package: Package) -> TensorRTPackage:
    return TensorRTPackage(package.__name__, package.__version__, package)


def plan_of(model: Model, part: str, working: tuple[int, int] | None = (96, 128)) -> EngineSpec:
    return next(spec for spec in engine_specs(model, working) if spec.network == part)


def with_fp16(folder: Path) -> Model:
    """Give a toy model an FP16 variant in which nothing is FP16."""
    for name in ("image", "click"):
        replace_network(folder, f"{name}.fp16.onnx", (folder / f"{name}.onnx").read_bytes())
    return pyiseg.load_model(folder)
