"""One data configuration for each layout that a data folder may have."""

from __future__ import annotations

from export.data.dataset import DataConfig

SBD = DataConfig(photographs="sbd", composed=0.0, augment="paper", order="epochs")
ALPHA = DataConfig(photographs="folder", composed=0.5)
INDEX = DataConfig(photographs="folder", masks="index", composed=0.0, augment="paper")
SYNTH = DataConfig(photographs="none", composed=1.0, order="epochs", augment="paper")
CONFIGS = {"mixed": DataConfig(), "sbd": SBD, "alpha": ALPHA, "index": INDEX, "synth": SYNTH}
