"""The old name of `tools.gpu_train`, kept for one version."""

from __future__ import annotations

import sys

from tools.gpu_train import main

if __name__ == "__main__":
    print("export.gpu_train is now called tools.gpu_train; the old name goes with version 0.4", file=sys.stderr)
    main()
