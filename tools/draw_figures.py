"""Draw the figures of docs/how-it-works.md and docs/accuracy.md, all from what the code computes.

    python -m tools.draw_figures docs/figures

The photograph is that of `pyiseg demo`; curves come from benchmarks/results. The diagrams are drawn by
`tools.draw_diagrams`. Needs matplotlib.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib import rc_context
from matplotlib.figure import Figure
from PIL import Image, ImageDraw

import pyiseg
from pyiseg import _core
from pyiseg.demo import CLICKS, PHOTO
from pyiseg.drawing import draw_clicks, over_checkerboard
from pyiseg.files import read_json
from pyiseg.pil_images import open_image
from tools.draw_diagrams import draw_network, draw_pipeline

ROOT = Path(__file__).resolve().parents[1]
FOREGROUND, BACKGROUND, INK = "#12805c", "#c8442c", "#22313a"
STYLE: Any = {"font.size": 11, "text.color": INK, "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK}
_MOST = 150_000  # bytes of a figure

Pixels = npt.NDArray[np.uint8]


def save(figure: Figure, path: Path, dpi: int = 130) -> None:
    """Write a figure as WebP, whole."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, facecolor="white")
    image = open_image(buffer, str(path)).convert("RGB")
    image.save(path, quality=88, method=6)
    if path.stat().st_size > _MOST:
        raise ValueError(f"{path} has {path.stat().st_size} bytes; draw it smaller, {_MOST} is the most")


def show(axes: Any, pixels: npt.NDArray[Any], title: str, **options: Any) -> None:
    """Show an image without its axes."""
    axes.imshow(pixels, **options)
    axes.set_title(title, fontsize=10.5)
    axes.set_axis_off()


def clicked(rgb: Pixels, clicks: Sequence[tuple[float, float, bool]], radius: int) -> Pixels:
    """Return an image with marks of clicks."""
    image = Image.fromarray(rgb)
    draw_clicks(image, clicks, radius)
    return np.asarray(image)


def shrunk(pixels: Pixels, width: int) -> Pixels:
    """Return an image at a width, box averages."""
    image = Image.fromarray(pixels)
    return np.asarray(image.resize((width, round(image.height * width / image.width)), Image.Resampling.BOX))


def draw_click_maps(path: Path) -> None:
    """Clicks as the network reads them: three Gaussians for each label, on the grid."""
    session, model = pyiseg.Session(PHOTO), pyiseg.load_model()
    view, sigmas = model.view(session.shape), model.click_params.sigmas
    clicks = [*CLICKS, pyiseg.Click(250, 250, True)]
    maps = np.empty((2 * len(sigmas), *view.grid), np.float32)
    _core.click_maps(view.grid_clicks(clicks), sigmas, maps)
    figure = Figure(figsize=(9.6, 2.95), layout="constrained")
    grid = figure.add_gridspec(2, 5)
    show(figure.add_subplot(grid[:, :2]), shrunk(clicked(session.image, clicks, 30), 520), "Three clicks on the image")
    for row, (label, colors, first) in enumerate((("selecting", "Greens", len(sigmas)), ("removing", "Reds", 0))):
        for column, sigma in enumerate(sigmas):
            axes = figure.add_subplot(grid[row, 2 + column])
            axes.imshow(maps[first + column], cmap=colors, vmin=0, vmax=1)
            axes.set(xticks=(), yticks=())
            if row == 0:
                axes.set_title(f"σ = {sigma:g} grid pixels", fontsize=9.5)
            if column == 0:
                axes.set_ylabel(label, fontsize=9.5)
    save(figure, path)


def draw_guided_filter(path: Path) -> None:
    """One edge: what the network predicts, the same enlarged, and what the guided filter makes of it."""
    image = pyiseg.Image(PHOTO)
    pipeline, clicks = image.encoded.pipeline(), np.array(CLICKS, np.int32)
    prediction = None
    for count in range(1, len(clicks) + 1):
        prediction = pipeline.predict(clicks[:count], prediction)
    grid, alpha = pipeline.on_grid(clicks, prediction), pipeline.matte(clicks, prediction)
    height, width = image.shape
    top, left, size = 230, 50, 190
    window = (slice(top, top + size), slice(left, left + size))
    on_grid = Image.fromarray(grid)
    panels = [("The image", image.rgb[window])]
    for name, way in (
        ("The prediction, on its grid", Image.Resampling.NEAREST),
        ("Enlarged without a guide", Image.Resampling.BILINEAR),
    ):
        panels.append((name, np.asarray(on_grid.resize((width, height), way))[window]))
    panels.append(("Rendered by the guided filter", alpha[window]))
    cut = over_checkerboard(image.rgb[window], alpha[window])
    panels.append(("The cut-out", cut))
    figure = Figure(figsize=(9.6, 4.9), layout="constrained")
    spec = figure.add_gridspec(2, 6)
    whole = image.rgb.copy()
    frame = Image.fromarray(whole)
    ImageDraw.Draw(frame).rectangle((left, top, left + size, top + size), outline=(255, 255, 255), width=10)
    show(figure.add_subplot(spec[0, :2]), shrunk(np.asarray(frame), 480), "Where this is")
    places = [spec[0, 2:4], spec[0, 4:], spec[1, :2], spec[1, 2:4], spec[1, 4:]]
    for place, (name, pixels) in zip(places, panels, strict=True):
        show(figure.add_subplot(place), pixels, name, cmap="gray", interpolation="nearest")
    save(figure, path)


def draw_clicks_over_time(path: Path) -> None:
    """A session, click by click: the clicks so far and the cut-out after each."""
    session = pyiseg.Session(PHOTO)
    clicks = (pyiseg.Click(145, 200, True), *CLICKS)
    notes = (
        "1: on the head, selects the front half",
        "2: on the body, the rest comes along",
        "3: takes the grass away",
    )
    figure = Figure(figsize=(9.6, 2.4), layout="constrained")
    for index, (click, note) in enumerate(zip(clicks, notes, strict=True)):
        alpha = session.click(*click)
        rgb = clicked(over_checkerboard(session.image, alpha), clicks[: index + 1], 30)
        show(figure.add_subplot(1, len(clicks), index + 1), shrunk(rgb, 480), note)
    save(figure, path)


def draw_zoom(path: Path) -> None:
    """A small selection: what the network sees of it in the whole image and in the crop it zooms in on."""
    session, model = pyiseg.Session(PHOTO), pyiseg.load_model()
    clicks = ((1280, 520, True), (1000, 500, False), (1330, 500, True), (1200, 560, True))
    for x, y, fg in clicks[:-1]:
        session.click(x, y, fg)
    before = session.alpha
    after = session.click(*clicks[-1])
    rect = session.crop
    if rect.shape == session.shape:
        raise ValueError("the session does not zoom in at its fourth click any more: choose other clicks")
    framed = Image.fromarray(clicked(session.image, clicks, 24))
    ImageDraw.Draw(framed).rectangle((rect.left, rect.top, rect.right, rect.bottom), outline=(255, 255, 255), width=8)
    whole = np.asarray(Image.fromarray(session.image).resize(model.view(session.shape).working[::-1]))
    scale = whole.shape[1] / session.shape[1]
    rows, columns = (slice(*(round(end * scale) for end in ends)) for ends in ((rect[0], rect[2]), (rect[1], rect[3])))
    coarse = whole[rows, columns]
    fine = np.asarray(Image.fromarray(session.image[rect.slices]).resize(model.view(rect.shape).working[::-1]))
    figure = Figure(figsize=(9.6, 4.7), layout="constrained")
    spec = figure.add_gridspec(2, 3, width_ratios=(1.5, 1, 1))
    show(figure.add_subplot(spec[:, 0]), shrunk(np.asarray(framed), 520), "The tail is wanted; the frame is the crop")
    local = [(x - rect.left, y - rect.top, fg) for x, y, fg in clicks]
    for row, (pixels, title, alpha, count) in enumerate(
        ((coarse, "Clicks 1 to 3 see", before, 3), (fine, "Click 4 sees", after, 4))
    ):
        size = f"{title} {pixels.shape[1]}×{pixels.shape[0]} pixels"
        show(figure.add_subplot(spec[row, 1]), pixels, size, interpolation="nearest")
        cut = over_checkerboard(session.image[rect.slices], alpha[rect.slices])
        show(figure.add_subplot(spec[row, 2]), clicked(cut, local[:count], 10), f"After click {count}")
    save(figure, path, dpi=115)


def draw_accuracy(path: Path) -> None:
    """Mean IoU over clicks, with the middle half of the images, on both evaluation sets."""
    with rc_context(STYLE):
        figure = Figure(figsize=(9.2, 3.7), layout="constrained")
        left, right = figure.subplots(1, 2)
        for name, title, color in (("grabcut", "GrabCut", FOREGROUND), ("berkeley", "Berkeley", BACKGROUND)):
            report = read_json(ROOT / "benchmarks" / "results" / f"{name}.json")
            mean = report["summary"]["mean_iou"]
            count = np.arange(1, len(mean) + 1)
            runs = [run["ious"] for run in report["runs"]]
            ious = np.array([[*run, *[run[-1]] * (len(mean) - len(run))] for run in runs])
            low, high = np.quantile(ious, (0.25, 0.75), axis=0)
            left.fill_between(count, low, high, color=color, alpha=0.15, linewidth=0)
            left.plot(count, mean, color=color, marker="o", markersize=3.5, label=f"{title}, {len(runs)} selections")
            for clicks, style in ((1, ":"), (5, "--"), (20, "-")):
                levels = np.arange(0.80, 1.0, 0.005)
                share = [100 * float((ious[:, clicks - 1] > level).mean()) for level in levels]
                label = f"{title}, {clicks} click" + "s" * (clicks > 1)
                right.plot(100 * levels, share, style, color=color, label=label)
        left.set(xlabel="clicks", ylabel="IoU", xticks=(1, 5, 10, 15, 20), ylim=(0.7, 1.0))
        left.set_title("Mean; shaded: the middle half of the selections", fontsize=10.5)
        left.legend(loc="lower right", frameon=False)
        right.set(xlabel="IoU above, %", ylabel="share of selections, %", ylim=(0, 101))
        right.set_title("How many are that good", fontsize=10.5)
        right.legend(loc="lower left", frameon=False, fontsize=9)
        for axes in (left, right):
            axes.grid(color="#d8dee2", linewidth=0.7)
            axes.spines[["top", "right"]].set_visible(False)
        save(figure, path)


def draw_favicon(path: Path) -> None:
    """The site's icon: a mark of a click."""
    image = Image.new("RGB", (64, 64), (255, 255, 255))
    draw_clicks(image, [(31.5, 31.5, True)], 30)
    image.save(path, optimize=True)


def main() -> None:
    """Draw and write them all, or those that are named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="draw these alone, as click-maps.webp")
    options = parser.parse_args()
    figures = {
        "click-maps.webp": draw_click_maps,
        "guided-filter.webp": draw_guided_filter,
        "click-by-click.webp": draw_clicks_over_time,
        "zoom.webp": draw_zoom,
        "accuracy.webp": draw_accuracy,
        "favicon.png": draw_favicon,
        "pipeline.svg": draw_pipeline,
        "network.svg": draw_network,
    }
    options.folder.mkdir(parents=True, exist_ok=True)
    for name in options.only or figures:
        if name not in figures:
            parser.error(f"there is no figure {name}; there are {', '.join(figures)}")
        figures[name](options.folder / name)
        print(f"wrote {options.folder / name}, {(options.folder / name).stat().st_size} bytes")


if __name__ == "__main__":
    main()
