"""faults.py's faults still fit the code that they are to break; that they are noticed is a nightly check."""

from __future__ import annotations

import pytest
from standin.faults import BEGIN, DOCUMENT, END, FAULTS, Fault, changed, table
from support.paths import ROOT


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.what)
def test_each_fault_changes_its_file(fault: Fault) -> None:
    text = (ROOT / fault.file).read_text(encoding="utf-8")
    assert changed(text, fault) != text


def test_a_fault_that_fits_no_more_says_so() -> None:
    with pytest.raises(ValueError, match=r"csrc/math/labels.h has 0 places like 'atomicMax', not one"):
        changed("atomicMin", Fault("", "csrc/math/labels.h", "atomicMax", ""))


def test_the_table_in_the_documentation_has_every_fault() -> None:
    written = DOCUMENT.read_text(encoding="utf-8").split(BEGIN)[1].split(END)[0].strip().splitlines()
    assert [row.split("|")[1] for row in written[2:]] == [f" {fault.what} " for fault in FAULTS]
    assert "not noticed" not in "".join(written)
    assert written[:2] == table([]).splitlines()
