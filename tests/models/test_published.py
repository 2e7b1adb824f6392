"""The paper's network as a configuration of our classes, against recorded outputs of the authors' implementation."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from support.paths import GOLDEN  # noqa: E402
from support.published import assert_as_recorded  # noqa: E402

from export.models.network import Network  # noqa: E402
from export.models.presets import PAPER  # noqa: E402
from export.models.published import our_state  # noqa: E402
from export.random_model import random_weights  # noqa: E402
from pyiseg import _core  # noqa: E402


@pytest.fixture(scope="module")
def network() -> Network:
    network = Network(PAPER).eval()
    missing, unexpected = network.load_state_dict(our_state(random_weights()), strict=False)
    assert set(missing) == {"guide.hidden.mean", "guide.hidden.std"}
    assert not unexpected
    return network


@pytest.mark.parametrize("case", [0, 1])
def test_the_published_network(network: Network, case: int) -> None:
    with np.load(GOLDEN / "published_network.npz") as recorded:
        golden = {name[2:]: recorded[name] for name in recorded if name.startswith(f"{case}_")}
    image = torch.from_numpy(golden["image_rgb_uint8"]).permute(2, 0, 1)[None].float() / 255
    clicks = np.ascontiguousarray(golden["clicks_x_y_fg"], np.int32)
    maps = np.zeros((6, *image.shape[2:]), np.float32)
    _core.click_maps(clicks, PAPER.click_params.sigmas, maps)
    np.testing.assert_allclose(maps, golden["click_maps_bg3_fg3"], atol=5e-4)  # recorded in FP16

    with torch.no_grad():
        click_maps, previous = torch.from_numpy(maps)[None], torch.from_numpy(golden["prev_alpha"])[None, None]
        features = network.image(image, click_maps)
        interaction = network.click.interaction(torch.cat([click_maps, previous], dim=1))
        alpha = network.click.activate(network.click(click_maps, previous, features))[0, 0].numpy()
        guide = network.guide(image, click_maps)[0, 0].numpy()
    tight = {"rtol": 1e-4, "atol": 1e-4}
    layer4 = features["image_8"]
    np.testing.assert_allclose([layer4.mean(), layer4.std()], golden["layer4_mean_std"], **tight)
    # After 53 convolutions FP32 itself is coarser than 1e-4: the recording is 2.0e-4 from this network in float64.
    np.testing.assert_allclose(layer4[0, :8, :4, :4], golden["layer4_corner"], atol=5e-4)
    np.testing.assert_allclose(interaction[8][0, :8, :4, :4], golden["interaction_corner"], **tight)
    np.testing.assert_allclose(guide, golden["guide"], atol=1e-4)
    np.testing.assert_allclose(alpha, golden["alpha_before_guided_filter"], atol=1e-4)

    centered = np.ascontiguousarray(guide - guide.mean(dtype=np.float64), np.float32)
    _core.force_clicks(clicks, alpha)
    lines, scratch, final = (np.empty((n, *alpha.shape), np.float32) for n in (2, 2, 1))
    _core.guided_filter_coefficients(centered, alpha, PAPER.radius, PAPER.eps, False, scratch, lines)
    _core.apply_coefficients(lines, centered, final[0])
    assert_as_recorded(final[0], golden["alpha"])
