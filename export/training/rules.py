"""Optimizers by the name that `export.training.config.OptimizerConfig` has for them."""

from __future__ import annotations

from typing import Any

import torch

from export.training.config import OptimizerConfig

Groups = list[dict[str, Any]]


def optimizer_of(config: OptimizerConfig, groups: Groups) -> torch.optim.Optimizer:
    """Make the optimizer of a run.

    Args:
        config: Its ``name``, ``beta2`` and ``lr``.
        groups: Parameters with their "lr" and "weight_decay"; "matrix" says whether they are the weights of
            convolutions that mix channels. It is taken out.

    Raises:
        ValueError: The optimizer is of a package that is not installed.
    """
    matrices = [group.pop("matrix") for group in groups]
    betas = (0.9, config.beta2)
    if config.name == "adamw":
        return torch.optim.AdamW(groups, betas=betas)
    if config.name == "radam":
        # As in the RAdam of Liu et al. 2019 themselves; PyTorch's default puts the decay into the gradient.
        return torch.optim.RAdam(groups, betas=betas, decoupled_weight_decay=True)
    try:
        import pytorch_optimizer
    except ImportError:
        raise ValueError(f"optimizer.name '{config.name}' needs a package: pip install pytorch_optimizer") from None
    if config.name == "soap":
        # Eigenbases of channels only: those of a kernel's 3 or 5 rows and columns are not worth their time.
        return pytorch_optimizer.SOAP(groups, betas=(0.95, 0.95), max_precondition_dim=512)  # type: ignore[no-any-return]
    for group, matrix in zip(groups, matrices, strict=True):
        # Updates as large as AdamW's (Liu et al. 2025, Moonlight), so that both take the same rates.
        group |= {"use_muon": True, "use_adjusted_lr": True} if matrix else {"use_muon": False, "betas": betas}
    return pytorch_optimizer.Muon(groups)  # type: ignore[no-any-return]
