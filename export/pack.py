"""The old name of `tools.pack`, kept for one version."""

from __future__ import annotations

import sys

from tools.pack import main

if __name__ == "__main__":
    print("export.pack is now called tools.pack; the old name goes with version 0.4", file=sys.stderr)
    main()
