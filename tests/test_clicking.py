"""What a click is trained with: its losses, and a chain that is the one that serves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import toy_model

torch = pytest.importorskip("torch")

from export.clicking import Sequence  # noqa: E402
from export.config import COMPACT, NetworkConfig  # noqa: E402
from export.data import Sample  # noqa: E402
from export.losses import click_error, soft_iou  # noqa: E402
from pyiseg import Session, load_model  # noqa: E402


def test_losses_by_hand() -> None:
    alpha = torch.tensor([[[[0.5, 1.0, 0.0]]]])
    truth = torch.tensor([[[[1.0, 0.0, 0.0]]]])
    valid = torch.tensor([[[[1.0, 1.0, 0.0]]]])
    assert soft_iou(alpha, truth, valid).item() == pytest.approx(1 - 0.5 / 2)
    clicks = torch.tensor([[[[1.0, -1.0, 0.0]]]])
    assert click_error(alpha, clicks).item() == pytest.approx((0.25 + 1.0) / 2)
    assert click_error(alpha, clicks, summed=True).item() == pytest.approx(0.25 + 1.0)


def test_training_goes_through_what_serves(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given the session's guide and the answers of its network, training feeds back and draws what the session does."""
    session = Session(toy_model.PHOTO, model=toy)
    model, pipeline = load_model(toy), session._parts.whole.pipeline
    networks, chain = vars(pipeline)["_networks"], vars(pipeline)["_chain"]
    answers = []
    run_click = networks.run_click

    def spy(binding: object) -> None:
        run_click(binding)
        answers.append(chain.answer[0, 0].copy())

    monkeypatch.setattr(networks, "run_click", spy)
    rules, guide = model.rules, vars(pipeline)["_guide"].grid
    config: NetworkConfig = replace(
        COMPACT,
        grid_stride=2,
        sigmas=tuple(2 * sigma for sigma in rules.sigmas),
        radius=rules.radius,
        eps=rules.eps,
        clean_margin=rules.margin,
    )
    height, width = guide.shape
    truth = np.zeros((2 * height, 2 * width), np.uint8)
    truth[height // 2 : height, width // 2 :] = 255
    blank = np.zeros((*truth.shape, 3), np.uint8)
    sequence = Sequence(config, Sample(blank, truth, np.ones_like(truth), np.zeros_like(truth)))
    full = np.repeat(np.repeat(guide, 2, axis=0), 2, axis=1)
    lines = None
    for _ in range(4):
        sequence.click()
        expected = pipeline.predict(sequence.clicks, lines)
        np.testing.assert_array_equal(sequence.chain.maps, chain.maps)
        np.testing.assert_array_equal(sequence.chain.previous, chain.previous)
        sequence.answer(answers[-1], full, guide)
        np.testing.assert_array_equal(sequence.lines, expected)
        lines = expected
    assert len(sequence.clicks) == 4
