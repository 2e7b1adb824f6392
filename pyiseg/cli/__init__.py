"""The command line."""

from pyiseg.cli.main import main

__all__ = ["main"]
