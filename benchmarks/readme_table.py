"""Write the tables of the README and the model card from benchmarks/results: no figure there is typed by hand.

python benchmarks/readme_table.py            # write
python benchmarks/readme_table.py --check    # fail if a page says anything else
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import peers_table

from pyiseg.files import read_json
from pyiseg.model import load_model

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"


def pages() -> dict[str, dict[str, str]]:
    """What stands in which page, by the name of the block that it is written into."""
    peers, times = _read("peers.json"), _read("benchmark.json")
    return {
        "README.md": {"results": table(), "peers": peers_table.short(peers, times)},
        "docs/model-card.md": {"peers": peers_table.long(peers, times)},
    }


def written(text: str, name: str, content: str) -> str:
    """Return a page's text with the content of a block replaced.

    Raises:
        ValueError: It has no such block, or more than one.
    """
    begin, end = f"<!-- {name}: written by benchmarks/readme_table.py -->", f"<!-- end of {name} -->"
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise ValueError(f"the lines {begin!r} and {end!r} are to stand in it once each, in that order")
    before, rest = text.split(begin)
    _, after = rest.split(end)
    return f"{before}{begin}\n{content}\n{end}{after}"


def table() -> str:
    """Return the tables as Markdown."""
    session = _read("session.json")
    grabcut, berkeley = _read("grabcut.json")["summary"], _read("berkeley.json")["summary"]
    memory = _read("memory.json")
    small, large, machine = session["640x480"], session["4000x3000"], session["machine"]
    rows = [
        "| | GrabCut | Berkeley |",
        "| --- | --- | --- |",
        *(
            f"| mean clicks to {t} % IoU (NoC@{t}) | {grabcut[f'noc{t}']:.2f} | {berkeley[f'noc{t}']:.2f} |"
            for t in (85, 90)
        ),
        "| not at 90 % after 20 clicks | "
        + " | ".join(f"{s['failures90']} of {s['cases']}" for s in (grabcut, berkeley))
        + " |",
        *(
            f"| mean IoU, clicks: {n} | {grabcut['mean_iou'][n - 1]:.3f} | {berkeley['mean_iou'][n - 1]:.3f} |"
            for n in (1, 3, 5, 20)
        ),
        "",
        "| time (median), memory | 640×480 | 4000×3000 |",
        "| --- | --- | --- |",
        f"| `Session(image)` | {_ms(small, 'session')} | {_ms(large, 'session')} |",
        f"| `.click(x, y)` | {_ms(small, 'click')} | {_ms(large, 'click')} |",
        f"| `.click` that zooms in on a small selection | {_ms(small, 'zooming_click')} "
        f"| {_ms(large, 'zooming_click')} |",
        f"| later clicks on the crop | {_ms(small, 'click_in_crop')} | {_ms(large, 'click_in_crop')} |",
        *(
            f"| memory of {what} | {_mb(memory, '640x480', key)} | {_mb(memory, '4000x3000', key)} |"
            for what, key in (
                ("a session, with its image, after a click", "session_bytes"),
                ("another session on the same `pyiseg.Image`", "shared_bytes"),
                ("another one that has zoomed in", "zoomed_bytes"),
            )
        ),
        "",
        f"Times on {machine['cores']} cores ({machine['processor']}, {machine['vectors']}), "
        f"onnxruntime {machine['versions']['onnxruntime']}.",
    ]
    return "\n".join(rows)


def main() -> int:
    """Write or check; return the exit code."""
    model = load_model()
    own = [(name, _read(name)["model"]) for name in ("grabcut.json", "berkeley.json")]
    own.append(("peers.json", _read("peers.json")["methods"]["pyiseg"]))
    for name, measured in own:
        if measured["sha256"] != model.sha256 or measured["serving"] != model.serving:
            print(f"benchmarks/results/{name} was measured with another model than the one that ships", file=sys.stderr)
            return 1
    wrong = 0
    for name, blocks in pages().items():
        path = ROOT / name
        text = wanted = path.read_text()
        for block, content in blocks.items():
            wanted = written(wanted, block, content)
        if "--check" not in sys.argv:
            path.write_text(wanted)
        elif wanted != text:
            print(f"{name} differs from benchmarks/results: run python benchmarks/readme_table.py", file=sys.stderr)
            wrong = 1
    return wrong


def _read(name: str) -> dict[str, Any]:
    content: dict[str, Any] = read_json(RESULTS / name)
    return content


def _ms(part: dict[str, Any], name: str) -> str:
    return f"{part[name]['median_ms']:.0f} ms"


def _mb(memory: dict[str, Any], size: str, key: str) -> str:
    megabytes = memory[size][key] / 1e6
    return f"{megabytes:.0f} MB" if megabytes >= 10 else f"{megabytes:.1f} MB"


if __name__ == "__main__":
    sys.exit(main())
