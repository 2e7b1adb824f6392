"""``python -m pyiseg``: the command line."""

from pyiseg.cli import main
from pyiseg.interrupts import end_as_told

code = main()
end_as_told()
raise SystemExit(code)
