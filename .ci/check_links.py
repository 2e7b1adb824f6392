"""Check that every relative link in the Markdown files leads somewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path


def main() -> int:
    """Print what is broken; return the exit code."""
    names = subprocess.run(["git", "ls-files", "*.md"], capture_output=True, text=True, check=True).stdout.split()
    broken = [
        f"{name}: {link}"
        for name in names
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", Path(name).read_text())
        if not (Path(name).parent / link).exists()
    ]
    print("\n".join(broken) or f"links of {len(names)} files lead somewhere")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
