"""The photograph that is measured on, and clicks on it: those of the tests, the same in all versions."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent / "tests"))  # behind all else

from support.cat import CLICKS, PHOTO

__all__ = ["CLICKS", "PHOTO"]
