"""Which clicks a network is trained with: a section of `export.training.config.Settings`."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

SHARES = ("damaged", "long", "sampled", "random_first", "carried", "two_passes")
# What a value may be, both ends included.
CLICK_RANGES: dict[str, tuple[float, float]] = {
    **dict.fromkeys(("clicks", "long_clicks", "sampled_clicks"), (1, math.inf)),
    **dict.fromkeys(("warmup_clicks", "loss_growth"), (0, math.inf)),
    **dict.fromkeys(SHARES, (0, 1)),
    "warmup_from": (0, math.inf),
}


@dataclass(frozen=True)
class ClickConfig:
    """Which clicks an image is trained with.

    Attributes:
        strategy: "robot" clicks one at a time into the largest error of the last prediction (Forte et al. 2020);
            "bundled" samples all clicks of an image from its mask alone, for one prediction (Xu et al. 2016).
        clicks: Clicks with a loss in each image; 1 for "bundled".
        warmup_clicks: At most so many clicks more come before those, without a loss, so that late clicks are met too.
        warmup_from: Share of the run after which they come; above 1 a number of images.
        damaged: Share of the images whose clicks begin with one on the object and its true mask, damaged, as the
            answer (`export.training.mask_noise`), so that errors are met that the network itself does not make; for
            "robot", as is all below.
        long: Share of the batches, from `warmup_from` on, with more clicks before those with a loss than
            `warmup_clicks`.
        long_clicks: So many clicks at most such a batch comes to, those with a loss counted.
        sampled: Share of the images whose first clicks are drawn from the mask, inside and outside, and placed at
            once, as RITM does (`export.training.sampled`); where `damaged` falls on the same image, its mask
            answers them.
        sampled_clicks: At most so many of those inside, and as many outside.
        random_first: Share of the images whose first click is anywhere inside of the object, not where it is deepest.
        carried: Share of the images that stand for a crop that serving looks at closer: they begin with sampled
            clicks and a damaged mask as a look from farther away hands it over
            (`export.training.mask_noise.before_zoom`). Those whose object is too small for that begin as the others
            do.
        two_passes: Share of the batches in which each click with a loss is predicted twice, and the first prediction is
            fed back for the second, which has the loss.
        loss_growth: Weight of a click's loss, in that of the click before; the mean weight is 1.
    """

    strategy: Literal["robot", "bundled"] = "robot"
    clicks: int = 3
    warmup_clicks: int = field(default=3, metadata={"was": "free_clicks"})
    warmup_from: float = field(default=0.1, metadata={"was": "free_from"})
    damaged: float = 0.0
    long: float = 0.0
    long_clicks: int = 20
    sampled: float = 0.0
    sampled_clicks: int = 24
    random_first: float = 0.0
    carried: float = 0.0
    two_passes: float = 0.0
    loss_growth: float = 1.0

    def __post_init__(self) -> None:
        if self.strategy == "bundled" and (self.clicks, self.warmup_clicks) != (1, 0):
            raise ValueError("clicks.strategy 'bundled' predicts once per image: set clicks to 1, warmup_clicks to 0")
        for name in SHARES:
            if self.strategy == "bundled" and getattr(self, name):
                given = f"clicks.{name} is {getattr(self, name)}"
                raise ValueError(f"{given}, but clicks.strategy 'bundled' has no next click: make it 0")
        if self.long and self.long_clicks <= self.warmup_clicks + self.clicks:
            raise ValueError(
                f"clicks.long_clicks is {self.long_clicks}, but batches that are not long come to as many as "
                f"{self.warmup_clicks + self.clicks}: make it larger, or clicks.long 0"
            )
