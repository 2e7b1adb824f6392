"""What each kernel is given when it is measured, and how many bytes it moves.

Bytes are those that must move, as the comments in csrc count them: in each pass over the data every input read once and
every output written once; windows and clicks, which stay in cache, are left out.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from PIL import Image

from pyiseg import _core
from pyiseg.runtime.engine import GUIDE_STRIP
from pyiseg.runtime.resample import fixed_windows, windows

Size = tuple[int, int]
Array = np.ndarray[Any, Any]

SIGMAS = (3.52, 14.08, 28.16)  # the default model's, on its grid


@dataclasses.dataclass(frozen=True)
class Case:
    """One kernel at one size.

    Attributes:
        name, size: What it is called in reports.
        bytes: That it moves.
        inputs: Of the op.
        outputs: What its outputs hold before; the last one is compared.
        call: Calls the op: of `_core` with numpy arrays, or of a stream with its own.
        tolerance: Largest difference to the CPU.
        rotate: Whether it is to be measured out of the card's memory and not its caches.
    """

    name: str
    size: str
    bytes: int
    inputs: tuple[Array, ...]
    outputs: tuple[Array, ...]
    call: Callable[[Any, Sequence[Any], Sequence[Any]], None]
    tolerance: float = 0.0
    rotate: bool = True


def cases(grids: Sequence[Size], images: Sequence[Size], large: Size) -> Iterator[Case]:
    """All kernels.

    Args:
        grids: Of the click's kernels as they are in a click, where all lies in cache.
        images: Of those that work at the image's resolution; the last one is given to all of them.
        large: The same kernels as on the grids, at a size that no cache holds.
    """
    for size in (*grids, large):
        yield from _on_grid(size, rotate=size == large)
    for size in images:
        yield _apply_coefficients(size, grids[0])
        yield _apply_color_coefficients(size, grids[0])
    yield from _resizing(images[-1], grids[0])
    yield from _strips(images[-1], grids[0])
    yield from _of_values(images[-1])


def _on_grid(size: Size, rotate: bool) -> Iterator[Case]:
    """Kernels of a click that work on the grid."""
    h, w = size
    pixels, text = h * w, _text(size)
    clicks = np.array([(w // 2, h // 2, 1), (w // 5, h // 4, 1), (w // 3, h // 5, 0), (w // 7, h // 2, 0)], np.int32)
    alpha, guide = _smooth(size, 1), _guide(size)
    labels, coefficients = np.zeros(size, np.int32), np.zeros((2, h, w), np.float32)

    def case(name: str, per_pixel: int, *arguments: Any) -> Case:
        return Case(name, text, per_pixel * pixels, *arguments, rotate=rotate)

    maps = np.zeros((2 * len(SIGMAS), h, w), np.float16)
    yield case("click_maps, FP16", 12, (clicks,), (maps,), lambda ops, i, o: ops.click_maps(i[0], SIGMAS, o[0]), 1e-3)
    # Labels are written, joined (read; written where regions meet), resolved (read, written), and read with alpha.
    yield case(
        "keep_clicked_components, FP16",
        8 + 4 + 8 + 10,
        (alpha, clicks),
        (labels, np.zeros(size, np.float16)),
        lambda ops, i, o: ops.keep_clicked_components(*i, 0, *o),
    )
    # And, for the margin, read and written along rows, read twice and written along columns.
    yield case(
        "keep_clicked_components, margin 4",
        8 + 4 + 8 + 8 + 12 + 12,
        (alpha, clicks),
        (labels, np.zeros(size, np.float32)),
        lambda ops, i, o: ops.keep_clicked_components(*i, 4, *o),
    )
    yield case(
        "guided_filter_coefficients, radius 2",
        16 + 16,
        (guide, alpha),
        (np.zeros_like(coefficients), coefficients),
        lambda ops, i, o: ops.guided_filter_coefficients(*i, 2, 1e-3, False, *o),
        1e-5,
    )
    yield case(
        "zero_coefficients", 24, (alpha, alpha), (coefficients,), lambda ops, i, o: ops.zero_coefficients(*i, o[0])
    )
    colors, statistics = np.stack([_smooth(size, seed) for seed in range(7, 10)]), np.zeros((6, h, w), np.float32)
    yield case(
        "color_guide_statistics, radius 1",
        12 + 24,
        (colors,),
        (statistics,),
        lambda ops, i, o: ops.color_guide_statistics(*i, 1, 3e-4, *o),
        1.0,  # of inverses that are up to 3e3
    )
    made = np.zeros_like(statistics)
    _core.color_guide_statistics(colors, 1, 3e-4, made)
    yield case(
        "color_guided_filter_coefficients, radius 1",
        (12 + 24 + 4 + 12) + (12 + 12 + 4 + 16),
        (colors, made, alpha),
        (np.zeros((3, h, w), np.float32), np.zeros((4, h, w), np.float32)),
        lambda ops, i, o: ops.color_guided_filter_coefficients(*i, 1, *o),
        1e-4,
    )


def _apply_coefficients(size: Size, grid: Size) -> Case:
    coefficients = np.stack([_smooth(grid, 2) - 0.5, _smooth(grid, 3)])
    nbytes = (4 + 1) * size[0] * size[1] + coefficients.nbytes
    return Case(
        "apply_coefficients, learned guide, uint8",
        _text(size),
        nbytes,
        (coefficients, _guide(size)),
        (np.zeros(size, np.uint8),),
        lambda ops, i, o: ops.apply_coefficients(*i, o[0]),
        1.0,
    )


def _apply_color_coefficients(size: Size, grid: Size) -> Case:
    # 0.1 keeps them from being 0 anywhere: there the kernel reads no image.
    coefficients = np.stack([*(_smooth(grid, seed) - 0.4 for seed in (2, 3, 4)), _smooth(grid, 5) + 0.1])
    rgb = np.random.default_rng(4).integers(0, 256, (*size, 3), dtype=np.uint8)
    return Case(
        "apply_coefficients, color guide, uint8",
        _text(size),
        rgb.nbytes + size[0] * size[1] + coefficients.nbytes,
        (coefficients, rgb),
        (np.zeros(size, np.uint8),),
        lambda ops, i, o: ops.apply_coefficients(*i, o[0]),
        1.0,
    )


def _resizing(size: Size, grid: Size) -> Iterator[Case]:
    """What makes the working image and the grid's guide, at the sizes that these steps have; see `working_image`."""
    (h, w), (rows, columns), text = size, grid, _text(size)
    rgb = np.random.default_rng(4).integers(0, 256, (h, w, 3), dtype=np.uint8)
    fx, fy = max(1, w // columns // 3), max(1, h // rows // 3)
    reduced = np.zeros((-(-h // fy), -(-w // fx), 3), np.uint8)
    _core.reduce_rgb(rgb, fx, fy, reduced)

    def reduce(ops: Any, inputs: Any, outputs: Any) -> None:
        ops.reduce_rgb(*inputs, fx, fy, *outputs)

    sizes = f"{text}, boxes of {fy}x{fx}"
    yield Case("reduce_rgb", sizes, rgb.nbytes + reduced.nbytes, (rgb,), (np.zeros_like(reduced),), reduce)
    samples = np.zeros((min(h - 2, 256), min(w - 2, 256), 3), np.int32)
    nbytes = 27 * samples.size // 3 + samples.nbytes
    yield Case("noise_samples", text, nbytes, (rgb,), (samples,), lambda ops, i, o: ops.noise_samples(*i, *o))
    smooth = np.zeros_like(rgb)
    yield Case("reduce_noise", text, 2 * rgb.nbytes, (rgb,), (smooth,), lambda ops, i, o: ops.reduce_noise(*i, 3e4, *o))
    on_grid = [windows("area" if grid[i] < size[i] else "bilinear", size[i], grid[i]) for i in (0, 1)]
    planes = np.zeros((3, *grid), np.float32)
    yield Case(
        "rgb_on_grid",
        f"{text} to {_text(grid)}",
        rgb.nbytes + planes.nbytes,
        (rgb, *(x for made in on_grid for x in (made.starts, made.weights))),
        (planes,),
        lambda ops, i, o: ops.rgb_on_grid(*i, *o),
        1e-6,
    )
    guide, (less, fewer) = _guide(size)[None], reduced.shape[:2]
    for name, axis, lanczos, box in (
        ("x", 1, (less, columns), (h, columns)),
        ("y", 0, (rows, fewer), (rows, w)),
    ):
        made = fixed_windows("lanczos", (less, fewer)[axis], lanczos[axis])
        small = np.zeros((*lanczos, 3), np.uint8)
        yield Case(
            f"resample_rgb_{name}",
            f"{less}x{fewer} to {_text(lanczos)}",
            reduced.nbytes + small.nbytes,
            (reduced, made.starts, made.weights),
            (small,),
            lambda ops, i, o, op=f"resample_rgb_{name}": getattr(ops, op)(*i, *o),
        )
        made, plane = windows("box", size[axis], box[axis]), np.zeros((1, *box), np.float32)
        yield Case(
            f"resample_{name}",
            f"{text} to {_text(box)}",
            guide.nbytes + plane.nbytes,
            (guide, made.starts, made.weights),
            (plane,),
            lambda ops, i, o, op=f"resample_{name}": getattr(ops, op)(*i, *o),
            1e-6,
        )


def _strips(size: Size, grid: Size) -> Iterator[Case]:
    """What the guide's engine is fed with."""
    (h, w), (rows, _) = size, grid
    length = min(GUIDE_STRIP, h * w)
    rgb = np.random.default_rng(4).integers(0, 256, (h, w, 3), dtype=np.uint8)
    image, maps = np.zeros((1, 3, 1, length), np.float32), np.zeros((1, 2, 1, length), np.float32)
    wide, down = np.stack([_smooth((rows, w), 5)] * 2), windows("bilinear", rows, h)
    planes = np.stack([_smooth(size, 5)] * 2)
    yield Case(
        "hwc_to_chw",
        f"{length} pixels",
        15 * length,
        (rgb,),
        (image,),
        lambda ops, i, o: ops.hwc_to_chw(*i, 0, *o),
    )
    yield Case(
        "resample_strip",
        f"2 x {length} pixels",
        maps.nbytes,
        (wide, down.starts, down.weights),
        (maps,),
        lambda ops, i, o: ops.resample_strip(*i, 0, *o),
        1e-6,
    )
    yield Case(
        "copy_strip",
        f"2 x {length} values",
        2 * maps.nbytes,
        (planes,),
        (maps,),
        lambda ops, i, o: ops.copy_strip(*i, 0, *o),
    )


def _of_values(size: Size) -> Iterator[Case]:
    """The small helpers."""
    text, guide, mean = _text(size), _guide(size), np.zeros(1, np.float32)
    yield Case(
        "mean",
        text,
        guide.nbytes,
        (guide,),
        (np.zeros(_core.mean_scratch, np.float64), mean),
        lambda ops, i, o: ops.mean(*i, *o),
        1e-6,
    )
    yield Case("subtract", text, 2 * guide.nbytes, (mean + 0.5,), (guide,), lambda ops, i, o: ops.subtract(*i, *o))


def _smooth(size: Size, seed: int) -> Array:
    """Soft blotches in 0..1, as alphas are: about half of it above 0.5."""
    coarse = np.random.default_rng(seed).random((8, 10)).astype(np.float32)
    enlarged = np.asarray(Image.fromarray(coarse).resize(size[::-1], Image.Resampling.BICUBIC))
    return np.clip(4 * enlarged - 1.5, 0, 1).astype(np.float32)


def _guide(size: Size) -> Array:
    """A guide centered on 0, with noise in it."""
    noise = np.random.default_rng(0).standard_normal((512, 512), dtype=np.float32)
    noise = np.tile(noise, (size[0] // 512 + 1, size[1] // 512 + 1))[: size[0], : size[1]]
    return _smooth(size, 6) - np.float32(0.5) + np.float32(0.01) * noise


def _text(size: Size) -> str:
    return "{}x{}".format(*size)
