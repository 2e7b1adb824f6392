"""What a click is trained with: its losses, and a click stage that is the one that serves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import toy_model

torch = pytest.importorskip("torch")

from export.data.dataset import Sample  # noqa: E402
from export.models.config import NetworkConfig  # noqa: E402
from export.training.interaction import Episode, Episodes  # noqa: E402
from export.training.losses import click_error, soft_iou  # noqa: E402
from pyiseg import Image  # noqa: E402
from pyiseg.runtime.guide import ImageGuide  # noqa: E402
from pyiseg.runtime.ort import Networks, networks_of  # noqa: E402
from pyiseg.runtime.resample import NUMPY  # noqa: E402
from pyiseg.runtime.scratch import Scratch  # noqa: E402


def test_losses_by_hand() -> None:
    alpha = torch.tensor([[[[0.5, 1.0, 0.0]]]])
    truth = torch.tensor([[[[1.0, 0.0, 0.0]]]])
    valid = torch.tensor([[[[1.0, 1.0, 0.0]]]])
    assert soft_iou(alpha, truth, valid).item() == pytest.approx(1 - 0.5 / 2)
    clicks = torch.tensor([[[[1.0, -1.0, 0.0]]]])
    assert click_error(alpha, clicks).item() == pytest.approx((0.25 + 1.0) / 2)
    assert click_error(alpha, clicks, summed=True).item() == pytest.approx(0.25 + 1.0)


@pytest.mark.parametrize("kind", [{}, {"form": "residual"}, {"form": "residual", "color": True}], ids=str)
def test_training_goes_through_what_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: dict[str, Any]
) -> None:
    """Given the guide and the network outputs of a session, training feeds back and renders what the session does."""
    folder, rgb = toy_model.build(tmp_path / "toy", **kind), toy_model.photo(64, 64)
    image = Image(rgb, model=folder)
    rules, pipeline, networks = image.model.click_params, image.encoded.pipeline(), networks_of(image.model)
    served: list[tuple[Any, Any, Any]] = []
    run = Networks.click

    def spy(self: Networks, inputs: Any, alpha: Any) -> None:
        run(self, inputs, alpha)
        served.append((inputs["click_maps"].copy(), inputs["previous_alpha"].copy(), torch.from_numpy(alpha.copy())))

    monkeypatch.setattr(Networks, "click", spy)
    config = replace(
        NetworkConfig(),
        grid_stride=2,
        sigmas=tuple(2 * sigma for sigma in rules.sigmas),
        radius=rules.radius,
        eps=rules.eps,
        clean_margin=rules.margin,
        filter_form=rules.form,
        filter_guide=rules.guide,
    )
    truth = np.zeros((64, 64), np.uint8)
    truth[16:32, 32:] = 255
    episode = Episode(config, Sample(rgb, truth, np.ones_like(truth), np.zeros_like(truth)))
    episodes = Episodes([episode], lambda call, items: [call(i) for i in items])
    guides: tuple[Any, ...] = ()
    if networks.learned_guide:
        guide = ImageGuide(NUMPY, image.encoded.view, networks.guide(64 * 64, Scratch()), rgb, np.empty)
        guides = tuple(torch.from_numpy(x)[None, None] for x in (guide.at_image(), guide.on_grid(None)))
    previous = None
    for _ in range(4):
        episode.click()
        previous = pipeline.predict(episode.clicks, previous)
        maps, fed_back, output = served[-1]
        np.testing.assert_array_equal(episode.click_stage.maps, maps)
        np.testing.assert_array_equal(episode.click_stage.previous, fed_back)
        episodes.postprocess(output, guides)
        np.testing.assert_array_equal(episode.selected, pipeline.on_grid(episode.clicks, previous))
        np.testing.assert_array_equal(episode.alpha, pipeline.matte(episode.clicks, previous))
    assert len(episode.clicks) == 4
