"""What ptxas says of each kernel, its registers, stack and spills, against .ci/kernel_resources.txt.

    nvcc -Xptxas=-v ... 2>&1 | python .ci/kernel_resources.py            # fails, with a diff, where they differ
    nvcc -Xptxas=-v ... 2>&1 | python .ci/kernel_resources.py --write    # records them

The same version of nvcc has to give the same figures. With another one, kernels may take other registers than recorded
(the diff is printed), but have to be the same kernels, without stack and spills. CUDACXX names another nvcc.
"""

from __future__ import annotations

import difflib
import os
import re
import subprocess
import sys
from pathlib import Path

RECORDED = Path(__file__).with_suffix(".txt")
ARCHITECTURES = ("75", "80", "90", "120")
KERNEL = re.compile(
    r"Compiling entry function '(?P<name>\w+)' for 'sm_(?P<sm>\d+)a?'\n"
    r"ptxas info +: Function properties for (?P=name)\n"
    r" +(?P<stack>\d+) bytes stack frame, (?P<stores>\d+) bytes spill stores, (?P<loads>\d+) bytes spill loads\n"
    r"ptxas info +: Used (?P<registers>\d+) registers"
)


def plain(names: list[str]) -> list[str]:
    """Return functors' names as they stand in the source, from those of the kernels that run them."""
    run = subprocess.run(["c++filt", *names], capture_output=True, text=True, check=True)
    found = []
    for name in run.stdout.splitlines():
        inner = re.search(r"each<(.*)>\(int", name)
        found.append(re.sub(r"\(anonymous namespace\)::|pyiseg::", "", inner[1] if inner else name).strip())
    return found


def table(release: str, text: str) -> tuple[list[str], list[str]]:
    """Return the lines of the table, and those kernels that have a stack or spill."""
    found = list(KERNEL.finditer(text))
    if len(found) != text.count("Compiling entry function"):
        raise SystemExit("kernel_resources: what ptxas said cannot be read, or is mixed up: build anew")
    registers: dict[str, dict[str, str]] = {}
    stacked = []
    for name, match in zip(plain([match["name"] for match in found]), found, strict=True):
        spilled = int(match["stores"]) + int(match["loads"])
        cell = match["registers"]
        if int(match["stack"]) or spilled:
            cell += f" + {match['stack']} bytes of stack, {spilled} spilled"
            stacked.append(f"{name} for sm_{match['sm']}: {cell}")
        if match["sm"] not in ARCHITECTURES:
            continue
        registers.setdefault(name, {})[match["sm"]] = cell
    width = max(map(len, registers), default=0)
    lines = [
        f"Registers of each kernel, no stack and no spills unless it says so; nvcc {release}. See kernel_resources.py.",
        "".join([" " * width, *(f"  sm_{sm:<4}" for sm in ARCHITECTURES)]).rstrip(),
    ]
    for name, cells in sorted(registers.items()):
        lines.append("".join([f"{name:{width}}", *(f"  {cells.get(sm, '-'):<7}" for sm in ARCHITECTURES)]).rstrip())
    return lines, stacked


def main() -> int:
    """Compare or record; return the exit code."""
    nvcc = os.environ.get("CUDACXX", "nvcc")
    told = subprocess.run([nvcc, "--version"], capture_output=True, text=True, check=True).stdout
    release = re.search(r"V([\d.]+)", told)
    lines, stacked = table(release[1] if release else "?", sys.stdin.read())
    if len(lines) <= 2:
        print("kernel_resources: no kernel in what ptxas said; compile with -Xptxas=-v", file=sys.stderr)
        return 1
    if "--write" in sys.argv:
        RECORDED.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return 0
    recorded = RECORDED.read_text(encoding="utf-8").splitlines()
    if lines == recorded:
        print(f"kernel_resources: {len(lines) - 2} kernels as recorded")
        return 0
    print(*difflib.unified_diff(recorded, lines, "recorded", "now", lineterm="", n=0), sep="\n")
    if stacked:
        print("stack or spills:", *stacked, sep="\n")
    same = [line.split("  ")[0] for line in lines[2:]] == [line.split("  ")[0] for line in recorded[2:]]
    if lines[0] != recorded[0] and same and not stacked and not any(" - " in line for line in lines):
        return 0
    print("kernel_resources: where this is meant, record it: see the head of .ci/kernel_resources.py", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
