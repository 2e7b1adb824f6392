"""The old name of `tools.weight_parts`, kept for one version."""

from __future__ import annotations

import sys

from tools.weight_parts import main

if __name__ == "__main__":
    print("export.weight_parts is now called tools.weight_parts; the old name goes with version 0.4", file=sys.stderr)
    main()
