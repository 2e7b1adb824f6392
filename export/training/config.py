"""All settings of a training run in one typed configuration, read from the files in ``export/configs/``."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from export.data.dataset import DataConfig
from export.models.config import NetworkConfig
from export.models.presets import NETWORKS
from export.parsing import from_dict, renamed
from export.training.click_config import CLICK_RANGES, ClickConfig

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

CONFIGS = Path(__file__).parents[1] / "configs"


@dataclass(frozen=True)
class LossConfig:
    """Weights of the loss terms, see `export.training.losses`; a term of weight 0 is not computed.

    Attributes:
        iou: Soft IoU of the alpha after the guided filter, equation (1) of Forte et al. 2020.
        click: Squared error at the clicks, the rest of equation (1).
        click_sum: Whether that error is summed over the clicks, as the paper does, or averaged.
        grid_iou: Soft IoU of the prediction before the guided filter.
        focal: Normalized focal loss of the prediction before the guided filter.
        absolute: Mean absolute error of the alpha after the guided filter.
        mirror: Squared difference of the prediction from the mean of it and of the mirrored image's. Every second
            image of a batch then is the mirror image of the one before, with the same clicks, mirrored, so that
            a batch shows half as many objects.
        binary: Whether the truth is the mask alpha > 0.5, as in the paper, instead of the alpha itself.
    """

    iou: float = 1.0
    click: float = 1.0
    click_sum: bool = False
    grid_iou: float = 1.0
    focal: float = 1.0
    absolute: float = 1.0
    mirror: float = 0.0
    binary: bool = False


@dataclass(frozen=True)
class OptimizerConfig:
    """How weights follow their gradients.

    Attributes:
        name: The optimizer: AdamW or RAdam of PyTorch; Muon (Jordan et al. 2024), whose updates of the weights of
            convolutions are orthogonal matrices, with AdamW for all others; SOAP (Vyas et al. 2024), Adam in the
            eigenbases of the gradients. The last two need the package pytorch_optimizer. Weight decay is apart from the
            gradient in all of them.
        beta2: Decay of the gradients' second moments; that of the first is 0.9. SOAP has 0.95 for both.
        lr, encoder_lr: Peak learning rates; the second one for an encoder that begins pretrained.
        schedule: "cosine" falls to 1 % over the run; "steps" multiplies by 0.1 at each of `steps`; "constant" stays at
            the peak, so that the run may become longer (Hägele et al. 2024); "decay" falls to 1 % in a straight line,
            for a branch of a constant run (``export.train --branch``). All but "decay" after `warmup`.
        steps: Shares of the run.
        warmup: Updates over which the rates rise from 0.
        weight_decay, norm_decay: On convolution weights, and on the scales and shifts of norms.
        clip_norm: Gradients are scaled down to this norm; 0 leaves them.
        update: After the clicks of a "picture", or after each "click", as the paper does.
        frozen: Blocks of a pretrained EfficientNet-Lite that stay as they are, with the stem. All up to stride 4, 8 and
            16 are 3, 5 and 11 of Lite0, and 4, 7 and 15 of Lite2.
        ema: Decay of the exponential moving average of the weights, per update, at most; the average is what is
            exported. 0: the weights themselves. After n updates the decay is (1 + n) / (10 + n) where that is less, so
            that the average is over about the last tenth of a run's beginning, and of a branch that decays.
        ema_updates: Updates that the moving average counts as seen where the run begins. Its decay rises to
            `ema` with the updates it has seen, so that initial weights which are noise are soon forgotten. Weights
            to start from that are an average themselves are to be kept: give the updates behind them.
    """

    name: Literal["adamw", "radam", "muon", "soap"] = "adamw"
    beta2: float = 0.99
    lr: float = 1e-3
    encoder_lr: float = 1.5e-4
    schedule: Literal["cosine", "steps", "constant", "decay"] = "cosine"
    steps: tuple[float, ...] = ()
    warmup: int = 200
    weight_decay: float = 0.01
    norm_decay: float = 0.0
    clip_norm: float = 5.0
    update: Literal["picture", "click"] = "picture"
    ema: float = field(default=0.998, metadata={"was": "average"})
    frozen: int = 3
    ema_updates: int = field(default=0, metadata={"was": "averaged_before"})


@dataclass(frozen=True)
class RunConfig:
    """How long, how large, how exact.

    Attributes:
        epochs: Length of the run in epochs of its data, see `export.data.dataset.TrainingData.epoch`; 0 to give
            `pictures`.
        pictures: Length of the run in training images; of a branch, those of its own.
        minutes: Where it is not 0, the run takes so long instead, and the schedule is scaled to fit.
        batch: Images an update, on each GPU.
        sizes: (from which share of the run on, side of the training images). In the place of shares there may be
            numbers of images, above 1, which a longer run leaves where they are; a branch counts on from the number
            of its run.
        precision: Arithmetic of the networks; the guided filter and the losses stay in FP32. "auto" times "fp32" and
            "bf16" when the run begins or goes on, and takes the faster, see `export.training.precision`.
        seed: Of samples and initial weights.
        validate_every: So many images apart, the averaged weights are validated beside the run, see
            `export.training.validations`; 0 for never.
        weights_every: So many minutes of training apart, and when the run ends or is stopped, the averaged weights are
            written to ``weights.pt``, in FP16; 0 for never.
    """

    epochs: float = 0.0
    pictures: int = 60_000
    minutes: float = 0.0
    batch: int = 4
    sizes: tuple[tuple[float, int], ...] = ((0.0, 256), (0.45, 320))
    precision: Literal["fp32", "bf16", "fp16", "auto"] = "fp32"
    seed: int = 1
    validate_every: int = 0
    weights_every: float = 0.0


INF = math.inf
# What a value may be, both ends included; tuples hold such values.
RANGES: dict[str, dict[str, tuple[float, float]]] = {
    "clicks": CLICK_RANGES,
    "loss": dict.fromkeys(("iou", "click", "grid_iou", "focal", "absolute", "mirror"), (0, INF)),
    "optimizer": {
        **dict.fromkeys(("lr", "encoder_lr", "warmup", "weight_decay", "norm_decay", "clip_norm", "frozen"), (0, INF)),
        "ema_updates": (0, INF),
        **dict.fromkeys(("steps", "ema", "beta2"), (0, 1)),
    },
    "run": {
        **dict.fromkeys(("epochs", "pictures", "minutes", "seed", "validate_every", "weights_every"), (0, INF)),
        "batch": (1, INF),
    },
}


@dataclass(frozen=True)
class Settings:
    """A training run. On the CPU, equal settings, data and threads give equal weights; a GPU sums in no fixed order."""

    name: str
    network: NetworkConfig
    data: DataConfig = field(default_factory=DataConfig)
    clicks: ClickConfig = field(default_factory=ClickConfig)
    loss: LossConfig = LossConfig()
    optimizer: OptimizerConfig = field(default=OptimizerConfig(), metadata={"was": "optimiser"})
    run: RunConfig = RunConfig()

    def __post_init__(self) -> None:
        clicks, loss, run = self.clicks, self.loss, self.run
        if loss.focal and self.network.output != "sigmoid":
            raise ValueError(f"loss.focal is {loss.focal}, but network.output '{self.network.output}': make it 0")
        if clicks.carried and self.network.zoom is None:
            raise ValueError(f"clicks.carried is {clicks.carried}, but network.zoom is none: the model never zooms in")
        if clicks.two_passes and not self.network.feedback:
            raise ValueError(f"clicks.two_passes is {clicks.two_passes}, but network.feedback is false: make it 0")
        if loss.mirror and run.batch % 2:
            raise ValueError(
                f"loss.mirror is {loss.mirror} and run.batch {run.batch}: images come in pairs, make it even"
            )
        if (run.epochs > 0) == (run.pictures > 0):
            raise ValueError(f"run.epochs is {run.epochs}, run.pictures {run.pictures}: give one, set the other to 0")
        shares = [share for share, _ in run.sizes]
        if not shares or shares[0] != 0 or shares != sorted(set(shares)) or (shares[-1] >= 1 and min(shares[1:]) <= 1):
            raise ValueError(
                f"run.sizes is {run.sizes}: its shares must rise from 0 and stay below 1, or be numbers of images, "
                "all above 1 but the first"
            )
        if self.optimizer.schedule == "constant" and (changes := self._shares_by_images()):
            raise ValueError(
                "a run with optimizer.schedule 'constant' may become longer, which would move what begins at a share "
                f"of it: give numbers of images, as in {' '.join(changes)}"
            )
        if any(side < 32 or side % 32 for _, side in run.sizes):
            raise ValueError(f"run.sizes is {run.sizes}: its sides must be multiples of 32")
        if not any((loss.iou, loss.click, loss.grid_iou, loss.focal, loss.absolute)):
            raise ValueError("every term of loss has weight 0, so nothing would be learnt: give one of them a weight")
        for section, limits in RANGES.items():
            for name, (low, high) in limits.items():
                value = getattr(getattr(self, section), name)
                if not all(
                    low <= x <= high and math.isfinite(x) for x in (value if isinstance(value, tuple) else (value,))
                ):
                    wanted = f"at least {low:g}" if high == INF else f"from {low:g} to {high:g}"
                    raise ValueError(f"{section}.{name} is {value}; it must be {wanted}")

    def identity(self) -> dict[str, Any]:
        """What must not change between the parts of one run.

        Its minutes may: the schedule then stretches. So may the rules for zooming in: training does not. What is
        written and validated on the way is no matter of training either.

        With schedule "constant" no rate or size depends on how long the run is to be, so its length may change, and
        one that is to go on for weeks on whatever machine there is may change its precision too. With "cosine",
        "steps" and "decay" another length is another rate from the first update on; there it must stay.
        """
        plain = asdict(self)
        run = plain["run"]
        del run["minutes"], run["validate_every"], run["weights_every"], plain["network"]["zoom"]
        if self.optimizer.schedule == "constant":
            del run["pictures"], run["epochs"], run["precision"]
        return plain

    def _shares_by_images(self) -> list[str]:
        """Return what is given as a share of the run as numbers of images, in the command line's words."""
        length, sizes, warmup_from = self.run.pictures or 10_000, self.run.sizes, self.clicks.warmup_from
        changes = []
        if 0 < sizes[-1][0] < 1:
            pairs = ", ".join(f"[{round(share * length)}, {side}]" for share, side in sizes)
            changes.append(f"--set 'run.sizes=[{pairs}]'")
        if 0 < warmup_from < 1:
            changes.append(f"--set clicks.warmup_from={round(warmup_from * length)}")
        return changes


def load_settings(name: str | Path, changes: Sequence[str] = ()) -> Settings:
    """Read a configuration.

    A file may build on another (``base = "paper"``), and its network on one of `export.models.presets.NETWORKS`
    (``network.base = "paper"``).

    Args:
        name: One of `available`, or the path of a TOML file.
        changes: ``"run.batch=8"``: a setting and its value as TOML writes it; a value TOML cannot read is a text.

    Raises:
        ValueError: There is no such configuration, or a setting does not exist or does not fit.
    """
    table = _read(Path(name) if Path(name).suffix == ".toml" else CONFIGS / f"{name}.toml")
    for change in changes:
        key, found, text = change.partition("=")
        if not found:
            raise ValueError(f"'{change}' is no change: write section.setting=value, as in run.batch=8")
        try:
            value = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            value = text
        inner: Any = value
        for part in reversed(key.split(".")):
            inner = {part: inner}
        table = _merged(table, renamed(Settings, inner))
    changed = {change.partition("=")[0] for change in changes}
    for given, other in (("pictures", "epochs"), ("epochs", "pictures")):
        # A run has one length: whoever gives it one way takes back the other.
        if f"run.{given}" in changed and f"run.{other}" not in changed:
            table = _merged(table, {"run": {other: 0}})
    network = dict(table.get("network", {}))
    base = network.pop("base", "compact")
    if base not in NETWORKS:
        raise ValueError(f"network.base is {base!r}; there are {', '.join(NETWORKS)}")
    table["network"] = {**asdict(NETWORKS[base]), **network}
    return from_dict(Settings, table)


def available() -> list[str]:
    """Return the names of the configurations that come along."""
    return sorted(path.stem for path in CONFIGS.glob("*.toml"))


def _read(path: Path, above: tuple[Path, ...] = ()) -> dict[str, Any]:
    if path in above:
        raise ValueError(f"{path} builds on itself: its base, or the base of that, is '{path.stem}'")
    if not path.is_file():
        if path.parent != CONFIGS:
            raise ValueError(f"no file at '{path}'; check the path")
        raise ValueError(f"there is no configuration '{path.stem}'; there are {', '.join(available())}")
    try:
        table = renamed(Settings, tomllib.loads(path.read_text(encoding="utf-8")))
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path} is not TOML: {error}") from error
    base = table.pop("base", None)
    return _merged(_read(path.with_name(f"{base}.toml"), (*above, path)), table) if base is not None else table


def _merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Lay one table over another; tables within are laid over each other in the same way."""
    result = dict(under)
    for key, value in over.items():
        old = result.get(key)
        both = isinstance(value, Mapping) and isinstance(old, Mapping)
        result[key] = _merged(old, value) if both else value  # type: ignore[arg-type]
    return result
