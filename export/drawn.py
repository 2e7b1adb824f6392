"""The old name of `export.random_model`, kept for one version."""

from __future__ import annotations

import sys

from export.random_model import main

if __name__ == "__main__":
    print("export.drawn is now called export.random_model; the old name goes with version 0.4", file=sys.stderr)
    main()
