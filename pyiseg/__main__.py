"""``python -m pyiseg``: the command line."""

from pyiseg.cli import main

raise SystemExit(main())
