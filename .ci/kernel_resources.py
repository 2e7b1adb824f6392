"""What ptxas says of each kernel, its registers, stack and spills, against .ci/kernel_resources.txt.

    nvcc -Xptxas=-v ... 2>&1 | python .ci/kernel_resources.py            # fails, with a diff, where they differ
    nvcc -Xptxas=-v ... 2>&1 | python .ci/kernel_resources.py --write    # records them

The same release of nvcc has to give the same figures. With another one, kernels may take more registers than recorded
(the diff is printed), but no stack and no spills.
"""

from __future__ import annotations

import difflib
import re
import subprocess
import sys
from pathlib import Path

RECORDED = Path(__file__).with_suffix(".txt")
ARCHITECTURES = ("75", "80", "90", "120")
KERNEL = re.compile(
    r"Compiling entry function '(?P<name>\w+)' for 'sm_(?P<sm>\d+)a?'.*?(?P<stack>\d+) bytes stack frame, "
    r"(?P<stores>\d+) bytes spill stores, (?P<loads>\d+) bytes spill loads.*?Used (?P<registers>\d+) registers",
    re.DOTALL,
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
    found = [match for match in KERNEL.finditer(text) if match["sm"] in ARCHITECTURES]
    registers: dict[str, dict[str, str]] = {}
    stacked = []
    for name, match in zip(plain([match["name"] for match in found]), found, strict=True):
        spilled = int(match["stores"]) + int(match["loads"])
        cell = match["registers"]
        if int(match["stack"]) or spilled:
            cell += f" + {match['stack']} bytes of stack, {spilled} spilled"
            stacked.append(f"{name} for sm_{match['sm']}: {cell}")
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
    told = subprocess.run(["nvcc", "--version"], capture_output=True, text=True, check=True).stdout
    release = re.search(r"release ([\d.]+)", told)
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
    if lines[0] != recorded[0] and not stacked:
        return 0
    print("kernel_resources: where this is meant, record it: see the head of .ci/kernel_resources.py", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
