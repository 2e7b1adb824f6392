"""How an engine is built and opened with a TensorRT package, which comes as an argument.

`tensorrt` 10 and 11 and `tensorrt_rtx` show the same face. Networks are strongly typed, which is to say that the types
stand in the ONNX file; there are no precision flags, and TF32 is off, so that what is FP32 there stays FP32.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from pyiseg.errors import ModelError
from pyiseg.model import Model
from pyiseg.paths import quoted
from pyiseg.tensorrt.callbacks import VERBOSE, WARNING, LogCapture, interruptible, make_log, make_progress
from pyiseg.tensorrt.engine import TensorRTEngine
from pyiseg.tensorrt.file import EngineRefusedError
from pyiseg.tensorrt.specs import EngineSpec, Size, network_file

VARIABLE = "PYISEG_TRT"
PACKAGES = {"tensorrt": "pip install 'pyiseg[tensorrt]'", "tensorrt_rtx": "pip install 'pyiseg[tensorrt-rtx]'"}
"""The packages, first the one that is taken where both are installed, and the lines that bring them."""

Shapes = dict[str, tuple[tuple[int, ...], ...]]


@dataclasses.dataclass(frozen=True)
class Built:
    """A built engine.

    Attributes:
        content: Serialized.
        layers: TensorRT's own description of the layers, if it was asked for.
    """

    content: bytes
    layers: str


class TensorRTPackage:
    """One TensorRT package.

    Attributes:
        name, version: Of the package.
    """

    def __init__(self, name: str, version: str, trt: Any) -> None:
        self.name, self.version, self.trt = name, version, trt
        self.log = make_log(trt)

    @property
    def portable(self) -> bool:
        """Whether engines can be built without the GPU, for any GPU of a compute capability."""
        return self.name == "tensorrt_rtx"

    @property
    def targets(self) -> tuple[tuple[int, int], ...]:
        """The compute capabilities that engines can be built for without such a GPU."""
        if not self.portable:
            return ()
        names = (name for name in vars(self.trt.ComputeCapability) if name.startswith("SM"))
        return tuple(sorted((int(name[2:-1]), int(name[-1])) for name in names))

    def build(
        self, model: Model, spec: EngineSpec, compute_capability: tuple[int, int], *, describe: bool = False
    ) -> Built:
        """Build an engine; a progress bar is shown on a terminal, and Ctrl-C ends it.

        Args:
            model: Its folder must be as it was when the model was read.
            spec: Network and sizes.
            compute_capability: Of the GPU it is for. TensorRT proper builds for the GPU that is there.
            describe: Whether to describe the layers.

        Raises:
            DeviceError: TensorRT cannot read the network, or cannot build it.
            ModelError: The network is none that pyiseg can run, or the folder has changed.
        """
        title = f"{model.name}-{spec.network} {spec.size}"
        doing = f"{self.name} {self.version} cannot build the engine {title}"
        if self.portable and compute_capability not in self.targets:
            known = ", ".join("{}.{}".format(*target) for target in self.targets)
            doing += (
                f" (it is made for the compute capabilities {known}; for this GPU: {PACKAGES['tensorrt']}, and "
                f"{VARIABLE}=tensorrt)"
            )
        again = "" if model.has_fp16 else "export the model again with this version, which also writes FP16 networks"
        progress = make_progress(self.trt, title)
        severity = VERBOSE if describe else WARNING
        try:
            with interruptible(progress), self.log.capture(severity, all_threads=True) as logs:
                try:
                    # Kept by a name each: TensorRT's objects refer to one another without holding on.
                    builder = self.trt.Builder(self.log)
                    network, _parser = self._network(builder, model, spec.network, logs)
                    shapes = self._shapes(builder, network, model, spec, logs)
                    config = self._config(builder, spec, network, shapes, compute_capability, describe)
                    config.progress_monitor = progress
                    content = builder.build_serialized_network(network, config)
                except (RuntimeError, TypeError, MemoryError) as error:  # as pybind11 passes on what C++ throws
                    raise logs.error(doing, error, again) from error
                if content is None:
                    raise logs.error(doing, way_out=again)
                layers = [text for _, text in logs.lines if "LayerType: " in text]
                return Built(bytes(content), "\n".join(layers))
        finally:
            progress.close()

    def load(self, content: bytes, title: str) -> TensorRTEngine:
        """Open a serialized engine; its weights go to the GPU.

        Raises:
            EngineRefusedError: TensorRT does not take it.
            DeviceError: There is no memory left for it, or CUDA failed, whatever the engine is.
        """
        with self.log.capture(all_threads=True) as logs:
            try:
                runtime = self.trt.Runtime(self.log)
                engine = runtime.deserialize_cuda_engine(content)
            except (RuntimeError, TypeError, MemoryError) as error:
                raise logs.error(f"cannot load the engine {title}", error) from error
        if engine is None:
            if logs.cuda_failed:
                raise logs.error(f"cannot load the engine {title}")
            raise EngineRefusedError(f"{self.name} {self.version} does not take it: {logs.messages()}")
        return TensorRTEngine(self.trt, self.log, engine, runtime, f"the engine {title}")

    def _network(self, builder: Any, model: Model, part: str, logs: LogCapture) -> tuple[Any, Any]:
        """A part's network, and the parser, which owns its weights."""
        network = builder.create_network(1 << int(self.trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
        parser = self.trt.OnnxParser(network, self.log)
        name = network_file(model, part)
        path = model.folder / name
        if name != f"{part}.onnx":
            # Weights of an FP16 file lie in the other one, which TensorRT reads itself.
            self._check_unchanged(model, f"{part}.onnx")
        if not parser.parse(model.files[name], str(path)):
            errors = [str(parser.get_error(index)) for index in range(parser.num_errors)]
            raise logs.error(f"{self.name} {self.version} cannot read {quoted(path)}", "; ".join(errors))
        return network, parser

    def _check_unchanged(self, model: Model, name: str) -> None:
        path = model.folder / name
        try:
            same = path.read_bytes() == model.files[name]
        except OSError:
            same = False
        if not same:
            raise ModelError(f"{quoted(path)} has changed or gone since the model was loaded; load it again")

    def _shapes(self, builder: Any, network: Any, model: Model, spec: EngineSpec, logs: LogCapture) -> Shapes:
        """The smallest, the best and the largest shape of each input."""
        sizes = (spec.min, spec.opt, spec.max)
        inputs = {tensor.name: tensor for tensor in (network.get_input(i) for i in range(network.num_inputs))}
        known = {
            "image": sizes,
            "click_maps": tuple(map(spec.grid, sizes)),
            "previous_alpha": tuple(map(spec.grid, sizes)),
        }
        shapes: Shapes = {
            name: tuple((1, inputs[name].shape[1], *size) for size in known[name]) for name in inputs.keys() & known
        }
        if missing := inputs.keys() - known:
            features = self._features(builder, model, sizes, logs) if "image.onnx" in model.files else {}
            if foreign := missing - features.keys():
                raise ModelError(
                    f"'{model.folder / network_file(model, spec.network)}' takes {', '.join(sorted(foreign))}, which "
                    "nothing gives; export the model again"
                )
            shapes |= {name: features[name] for name in missing}
        for name, tensor in inputs.items():
            low, _, high = shapes[name]
            tensor.shape = tuple(a if a == b else -1 for a, b in zip(low, high, strict=True))
        return shapes

    def _features(self, builder: Any, model: Model, sizes: tuple[Size, ...], logs: LogCapture) -> Shapes:
        """Shapes of the image network's outputs, as TensorRT derives them."""
        network, _parser = self._network(builder, model, "image", logs)
        image = network.get_input(0)
        outputs = [network.get_output(i) for i in range(network.num_outputs)]
        channels = image.shape[1]
        shapes: dict[str, list[tuple[int, ...]]] = {output.name: [] for output in outputs}
        for size in sizes:
            image.shape = (1, channels, *size)
            for output in outputs:
                shapes[output.name].append(tuple(output.shape))
        return {name: tuple(found) for name, found in shapes.items()}

    def _config(
        self,
        builder: Any,
        spec: EngineSpec,
        network: Any,
        shapes: Shapes,
        compute_capability: tuple[int, int],
        describe: bool,
    ) -> Any:
        trt = self.trt
        config = builder.create_builder_config()
        config.clear_flag(trt.BuilderFlag.TF32)
        # What allocates while it runs could not be captured.
        if hasattr(trt.BuilderFlag, "REQUIRE_USER_ALLOCATION"):
            config.set_flag(trt.BuilderFlag.REQUIRE_USER_ALLOCATION)
        if describe:
            config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
        if self.portable:
            config.num_compute_capabilities = 1
            # CURRENT asks the driver; what has a name of its own can be built for without one.
            known = trt.ComputeCapability
            target = getattr(known, "SM{}{}".format(*compute_capability), known.CURRENT)
            if not config.set_compute_capability(target, 0):
                raise RuntimeError("compute capability {}.{} is not supported".format(*compute_capability))
        if not spec.static:
            profile = builder.create_optimization_profile()
            for name, (low, best, high) in shapes.items():
                profile.set_shape(name, low, best, high)
            if config.add_optimization_profile(profile) < 0:
                raise RuntimeError("the profile of shapes was not taken")
            # Scratch memory is to be as large as a session's own shapes need, not the largest.
            preview = trt.PreviewFeature
            if hasattr(preview, "RUNTIME_ACTIVATION_RESIZE_10_10"):
                config.set_preview_feature(preview.RUNTIME_ACTIVATION_RESIZE_10_10, True)
        return config
