"""The guided filter in PyTorch against its specification in float64, and what it must do to a prediction."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from support import reference

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402

from export.models.guided_filter import (  # noqa: E402
    apply_coefficients,
    color_guide_statistics,
    color_guided_filter_coefficients,
    guided_filter_coefficients,
)

Pair = tuple[NDArray[np.float32], NDArray[np.float32]]


@pytest.fixture
def pair() -> Pair:
    """Colors that go together more than not, with an edge, and a soft prediction, on a grid of 23 x 31."""
    rng = np.random.default_rng(0)
    gray = 0.3 + 0.4 * (np.arange(31) > 14) + 0.05 * rng.standard_normal((23, 31))
    colors = gray + np.array([0.1, 0.0, -0.1])[:, None, None] + 0.01 * rng.standard_normal((3, 23, 31))
    return colors.clip(0, 1).astype(np.float32), rng.random((23, 31), np.float32)


def planes(values: NDArray[np.floating]) -> torch.Tensor:
    """Values (C, h, w) or (h, w) as a batch of one."""
    return torch.from_numpy(np.ascontiguousarray(values, np.float32)).reshape(1, -1, *values.shape[-2:])


def color_coefficients(colors: torch.Tensor, p: torch.Tensor, radius: int = 1, eps: float = 3e-4) -> torch.Tensor:
    return color_guided_filter_coefficients(colors, color_guide_statistics(colors, radius, eps), p, radius)


@pytest.mark.parametrize("shape", [(23, 31), (1, 1), (1, 9), (2, 3)])
@pytest.mark.parametrize(("radius", "eps"), [(0, 1e-3), (1, 1e-6), (1, 3e-4), (2, 1e-3), (4, 1e-1)])
def test_colors_as_specified(pair: Pair, shape: tuple[int, int], radius: int, eps: float) -> None:
    colors, p = pair[0][:, : shape[0], : shape[1]], pair[1][: shape[0], : shape[1]]
    expected_statistics = reference.color_guide_statistics(colors, radius, eps)
    expected = reference.color_guided_filter_coefficients(colors, expected_statistics, p, radius)
    statistics = color_guide_statistics(planes(colors), radius, eps)
    assert statistics.shape == (1, 6, *shape)
    assert statistics.dtype == torch.float32
    # An inverse rounds to its own size, which is up to 1 / eps.
    scale = np.abs(expected_statistics).max()
    np.testing.assert_allclose(statistics[0].numpy(), expected_statistics, rtol=1e-5, atol=1e-6 * scale)
    coefficients = color_guided_filter_coefficients(planes(colors), statistics, planes(p), radius)[0].numpy()
    np.testing.assert_allclose(coefficients, expected, rtol=1e-4, atol=1e-5 * max(1, np.abs(expected).max()))
    rgb = np.random.default_rng(1).integers(0, 256, (40, 50, 3), np.uint8)
    rendered = apply_coefficients(planes(expected), planes(rgb.transpose(2, 0, 1) / 255))
    np.testing.assert_allclose(
        rendered[0, 0].numpy(),
        reference.apply_color_coefficients(expected, rgb),
        atol=2e-6 * max(1, np.abs(expected).max()),
    )


@pytest.mark.parametrize("radius", [1, 2, 3])
def test_one_channel_as_specified(pair: Pair, radius: int) -> None:
    guide, p = pair[0][0] - pair[0][0].mean(), pair[1]
    averaged = guided_filter_coefficients(planes(guide), planes(p), radius, 1e-3)[0].numpy()
    expected = reference.guided_filter_coefficients(guide, p, radius, 1e-3)
    np.testing.assert_allclose(averaged, expected, atol=1e-4)
    residual = guided_filter_coefficients(planes(guide), planes(p), radius, 1e-3, "residual")[0].numpy()
    np.testing.assert_array_equal(residual[0], averaged[0])
    np.testing.assert_allclose(residual[1], p - residual[0] * guide, atol=1e-6)


@pytest.mark.parametrize("radius", [0, 1, 2])
def test_the_residual_form_keeps_the_prediction_on_the_grid(pair: Pair, radius: int) -> None:
    colors, p = map(planes, pair)
    found = apply_coefficients(color_coefficients(colors, p, radius), colors)
    torch.testing.assert_close(found, p, atol=1e-5, rtol=0)
    guide = colors[:, :1] - colors[:, :1].mean()
    found = apply_coefficients(guided_filter_coefficients(guide, p, radius, 1e-3, "residual"), guide)
    torch.testing.assert_close(found, p, atol=1e-5, rtol=0)


def test_the_coefficients_are_linear_in_the_prediction(pair: Pair) -> None:
    colors, p = map(planes, pair)
    other = planes(np.random.default_rng(2).random(pair[1].shape))
    for fit in (
        lambda x: color_coefficients(colors, x),
        lambda x: guided_filter_coefficients(colors[:, :1] - 0.5, x, 1, 1e-3, "residual"),
        lambda x: guided_filter_coefficients(colors[:, :1] - 0.5, x, 1, 1e-3),
    ):
        torch.testing.assert_close(fit(2 * p - 3 * other), 2 * fit(p) - 3 * fit(other), atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("value", [0.0, 0.37, 1.0])
def test_constants_stay(pair: Pair, value: float) -> None:
    """Whatever the image, also at the smallest eps there is."""
    colors, p = planes(pair[0]), torch.full((1, 1, 23, 31), value)
    coefficients = color_coefficients(colors, p, eps=1e-6)
    assert float(coefficients[:, :3].abs().max()) < 1e-6
    larger = F.interpolate(colors, scale_factor=3)
    torch.testing.assert_close(apply_coefficients(coefficients, larger), torch.full_like(larger[:, :1], value))


def test_the_gradient_is_that_of_the_prediction_alone(pair: Pair) -> None:
    colors, p = (x.double().requires_grad_() for x in map(planes, pair))
    statistics = color_guide_statistics(colors, 1, 1e-3)
    assert not statistics.requires_grad
    colors = colors.detach()

    def fit(x: torch.Tensor) -> torch.Tensor:
        return color_guided_filter_coefficients(colors, statistics, x, 1)

    weights = torch.randn(1, 4, 23, 31)
    (fit(p) * weights).sum().backward()
    step = torch.randn(p.shape, dtype=torch.float64)
    # Linear: the gradient along any step is the difference that it makes.
    expected = float((fit(p.detach() + step) * weights).sum() - (fit(p.detach()) * weights).sum())
    assert float((p.grad * step).sum()) == pytest.approx(expected, rel=1e-3)


def test_a_thin_line_between_grid_pixels_is_drawn_by_its_color() -> None:
    """Of a line one pixel wide, a grid pixel of 4 x 4 knows its quarter; the colors know where it is."""
    mask = np.zeros((64, 64), np.float32)
    mask[:, 29] = 1
    image = planes(np.stack([mask, 1 - mask, 0.5 * mask]))
    grid, p = F.avg_pool2d(image, 4), F.avg_pool2d(planes(mask), 4)
    alpha = apply_coefficients(color_coefficients(grid, p, eps=1e-6), image)[0, 0].numpy()
    assert alpha[8:-8, 29].min() > 0.9
    assert alpha[8:-8, [27, 28, 30, 31]].max() < 0.1
