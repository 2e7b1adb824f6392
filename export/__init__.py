"""Making models: the network in PyTorch, its training and its export to ONNX. Run from a checkout, not installed."""

from __future__ import annotations

import sys
from types import TracebackType


def _told(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Ctrl-C is no fault to look for: one line, where it comes while PyTorch is imported, which takes seconds."""
    if issubclass(kind, KeyboardInterrupt):
        print("export: interrupted", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


# Of a command, as in python -m export.train, and where nobody else has a say in it.
if sys.argv[:1] == ["-m"] and sys.excepthook is sys.__excepthook__:
    sys.excepthook = _told
