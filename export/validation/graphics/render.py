"""Render the screenshots and icons of the validation list, and their wanted alphas, in a browser.

    python export/validation/graphics/render.py            # needs chromium and Pillow; validating needs neither

Each page of ``pages/``, and each line of :data:`ICONS`, gives NAME.png, and NAME.WANTED.png for each word in an
element's ``data-want``: the same page with that element white and all else black, so that anti-aliasing is its alpha.
``data-as="ink"`` wants the element's letters or strokes instead of its box (SVG: always what is filled or stroked),
``data-over`` names what the element hides. Words that end in "several" want all of their elements as one. The
Tabler Icons 3.52.0 in ``icons/`` are under the MIT license that lies beside them; the pages were written for this list.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from PIL import Image

HERE = Path(__file__).parent
SIZE = (640, 400)

TRUTH = """<script>(() => {
const name = %r, shapes = 'path,circle,rect,ellipse,line,polyline,polygon,text,tspan';
const all = [...document.querySelectorAll('html,body,body *')];
const svg = e => e instanceof SVGElement && e.tagName !== 'svg';
const marked = kind => [...document.querySelectorAll(`[data-${kind}~="${name}"]`)];
const jobs = [...marked('want').map(e => [e, 'white']), ...marked('over').map(e => [e, 'black'])];
const paint = [];
for (const [root, color] of jobs) {
  const ink = root.dataset.as === 'ink' || svg(root) || root.tagName === 'svg';
  for (const e of ink ? [root, ...root.querySelectorAll('*')] : [root]) {
    const s = getComputedStyle(e);
    paint.push([e, color, ink, s.fill !== 'none', s.stroke !== 'none', e.matches(shapes)]);
  }
}
const set = (e, style) => { for (const k in style) e.style.setProperty(k, style[k], 'important'); };
for (const e of all) set(e, {visibility: 'hidden', 'box-shadow': 'none', opacity: 1, filter: 'none'});
for (const e of [document.documentElement, document.body]) set(e, {background: 'black'});
for (const [e, color, ink, fill, stroke, shape] of paint) {
  set(e, {visibility: 'visible'});
  if (shape) set(e, {fill: fill ? color : 'none', stroke: stroke ? color : 'none',
                     'fill-opacity': 1, 'stroke-opacity': 1});
  else if (ink) set(e, {color, background: 'none', 'border-color': 'transparent'});
  else set(e, {background: color, 'border-color': color, color: 'transparent'});
}
})()</script>"""


class Icons(NamedTuple):
    """One image of icons: which, how large in pixels, their color, and what they lie on, as CSS."""

    icons: str
    size: int
    color: str
    ground: str
    turn: int = 0


def _noise(seed: int, frequency: float, matrix: str) -> str:
    """Return smooth color noise, which stands for an unsharp photograph, as a CSS background."""
    svg = (
        f"<svg xmlns='http://www.w3.org/2000/svg' width='400' height='300'><filter id='n' x='0' y='0' width='1' "
        f"height='1'><feTurbulence type='fractalNoise' baseFrequency='{frequency}' numOctaves='2' seed='{seed}'/>"
        f"<feColorMatrix values='{matrix} 0 0 0 0 1'/></filter><rect width='400' height='300' "
        "filter='url(#n)'/></svg>"
    )
    return 'url("data:image/svg+xml,' + svg.replace("#", "%23").replace("<", "%3C").replace(">", "%3E") + '")'


WARM = ".9 .2 0 0 .1 .3 .6 .1 0 .05 .1 .2 .4 0 0"
COOL = ".3 .2 .1 0 0 .2 .6 .2 0 .1 .1 .3 .9 0 .1"
LEAFY = ".5 .2 .1 0 0 .4 .6 .1 0 .1 .2 .1 .3 0 0"
GRAY = ".5 .3 .1 0 .1 .5 .3 .1 0 .1 .5 .3 .1 0 .1"

ICONS = {
    "icon-01": Icons("heart-filled", 190, "#e11d48", "#fde68a"),
    "icon-02": Icons("bike", 220, "#0f172a", "linear-gradient(#a5f3fc,#f0fdfa)"),
    "icon-03": Icons("star-filled", 150, "#facc15", _noise(2, 0.01, COOL), 15),
    "icon-04": Icons("butterfly", 200, "#7e22ce", "#f5f3ff", 20),
    "icon-05": Icons("bug-filled", 120, "#14532d", _noise(5, 0.012, LEAFY), 40),
    "icon-06": Icons("spider", 210, "#f8fafc", "#334155"),
    "icon-07": Icons("cloud-filled", 210, "#ffffff", "linear-gradient(#60a5fa,#dbeafe)"),
    "icon-08": Icons("key", 170, "#b45309", _noise(9, 0.008, WARM), -30),
    "icon-09": Icons("umbrella", 180, "#0369a1", "repeating-linear-gradient(45deg,#fff 0 12px,#e0f2fe 12px 24px)"),
    "icon-10": Icons("ghost-filled", 160, "#e9d5ff", "#1e1b4b"),
    "icon-11": Icons("plant-2", 200, "#166534", "linear-gradient(120deg,#fef9c3,#d9f99d)"),
    "icon-12": Icons("bell-filled", 34, "#dc2626", "#e5e7eb"),
    "icon-13": Icons("bolt-filled", 40, "#fde047", _noise(12, 0.014, GRAY)),
    "icon-14": Icons("anchor", 180, "#1e3a8a", _noise(14, 0.01, COOL), 10),
    "icon-15": Icons("star-filled " * 6, 60, "#f59e0b", "#312e81"),
    "icon-16": Icons("leaf-filled droplet-filled leaf-filled droplet-filled leaf-filled", 70, "#15803d", "#ecfccb", 12),
    "icon-17": Icons("heart-filled " * 9, 44, "#be123c", _noise(17, 0.009, WARM)),
    "icon-18": Icons("home-filled user-filled bell-filled flag-filled", 64, "#0f766e", "linear-gradient(#fff,#ccfbf1)"),
    "icon-19": Icons("scissors", 190, "#6b7280", "#4b5563"),
    "icon-20": Icons("coffee heart " * 3, 68, "#78350f", "repeating-linear-gradient(#fffbeb 0 20px,#fef3c7 20px 40px)"),
}


def icon_page(page: Icons) -> str:
    """Return the HTML of an image of icons: the first one is wanted, and all of them are where there are several."""
    icons = []
    for i, name in enumerate(page.icons.split()):
        text = (HERE / "icons" / f"{name}.svg").read_text().split("<svg", 1)[1]
        style = (
            f"width:{page.size}px;height:{page.size}px;color:{page.color};transform:rotate({page.turn * (i + 1)}deg)"
        )
        several = "icons-several" if len(page.icons.split()) > 1 else ""
        wanted = f"icon {several}" if i == 0 else several
        icons.append(f'<svg data-want="{wanted}" style="{style}" {text}')
    body = (
        "margin:0;height:300px;display:flex;flex-wrap:wrap;gap:26px;align-items:center;align-content:center;"
        f"padding:0 40px;justify-content:center;background:{page.ground}"
    )
    return f"<style>body{{{body}}}html{{overflow:hidden}}*{{box-sizing:border-box}}</style>{''.join(icons)}"


def screenshot(page: str, size: tuple[int, int], folder: Path, browser: str) -> Image.Image:
    """Render a page to RGB.

    Raises:
        RuntimeError: The browser made no image.
    """
    source, target = folder / "page.html", folder / "page.png"
    frame = (
        f"html,body{{width:{size[0]}px;height:{size[1]}px;overflow:hidden}}"
        "html{margin:0}body{position:relative;box-sizing:border-box}"
    )
    source.write_text(f"<!doctype html><meta charset=utf-8><style>{frame}</style>{page}")
    target.unlink(missing_ok=True)
    # Higher than wanted, for some versions take the window's frame off the page's height.
    window = f"--window-size={size[0]},{size[1] + 200}"
    options = ["--headless", "--no-sandbox", "--hide-scrollbars", "--disable-gpu", "--force-device-scale-factor=1"]
    command = [browser, *options, "--disable-lcd-text", window, f"--screenshot={target}", source.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True)
    if not target.exists():
        raise RuntimeError(f"{browser} made no image: {done.stderr[-500:]}")
    with Image.open(target, formats=("PNG",)) as image:
        page_alone: Image.Image = image.convert("RGB").crop((0, 0, *size))
        return page_alone


def main() -> None:
    """Render all pages, or those that are named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--browser", default="chromium")
    args = parser.parse_args()
    pages = {path.stem: (path.read_text(), SIZE) for path in sorted((HERE / "pages").glob("*.html"))}
    pages |= {name: (icon_page(page), (400, 300)) for name, page in ICONS.items()}
    if unknown := set(args.names) - set(pages):
        sys.exit(f"no page {', '.join(sorted(unknown))}")
    with tempfile.TemporaryDirectory() as folder:
        for name in args.names or pages:
            page, size = pages[name]
            # Colors are kept as far as 255 of them go, which is all of them but for noise.
            image = screenshot(page, size, Path(folder), args.browser)
            image.quantize(255, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(
                HERE / f"{name}.png", optimize=True
            )
            words = {w for value in re.findall(r'data-want="?([\w -]+?)["\s/>]', _plain(page)) for w in value.split()}
            for word in sorted(words):
                alpha = screenshot(page + TRUTH % word, size, Path(folder), args.browser).convert("L")
                alpha.save(HERE / f"{name}.{word}.png", optimize=True)


def _plain(page: str) -> str:
    """Return the page with quoted lists of wanted words only, so that one expression finds both forms."""
    return re.sub(r"data-want=([\w-]+)", r'data-want="\1"', page)


if __name__ == "__main__":
    main()
