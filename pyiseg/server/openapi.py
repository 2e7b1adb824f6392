"""The description of the HTTP API in OpenAPI 3.1."""

from __future__ import annotations

from typing import Any

import pyiseg
from pyiseg.server.limits import Limits


def description(limits: Limits) -> dict[str, Any]:
    """Return the description."""
    return {"openapi": "3.1.0", "info": {"title": "pyiseg", "version": pyiseg.__version__}, "paths": {}}
