"""The environment variables that the extension reads, checked where an error can name them."""

from __future__ import annotations

import os
import re

from pyiseg.errors import SettingError

NUM_THREADS = "PYISEG_NUM_THREADS"
MOST_THREADS = 256


def check_num_threads() -> None:
    """Refuse a number of threads that the extension refuses, too.

    The extension reads the variable when it is imported, and an import can fail with an `ImportError` only.

    Raises:
        SettingError: PYISEG_NUM_THREADS is neither empty nor a whole number from 1 to 256.
    """
    value = os.environ.get(NUM_THREADS, "")
    number = int(value) if re.fullmatch(r"\s*[+-]?[0-9]{1,18}", value) else 0
    if value and not 1 <= number <= MOST_THREADS:
        raise SettingError(
            f"{NUM_THREADS} is {value!r}; it may be a whole number from 1 to {MOST_THREADS}, or unset, for ONNX "
            "Runtime's own number of threads and at most eight for the rest"
        )
