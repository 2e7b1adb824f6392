"""Damaged files and values of any kind for Hypothesis, and how many of them are tried.

PYISEG_FUZZ_TIMES multiplies the numbers of examples. Without PYISEG_FUZZ_SEED the same examples are made each time;
with it, those of pytest's ``--hypothesis-seed``, as .ci/nightly sets both.
"""

from __future__ import annotations

import json
import os
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

TIMES = int(os.environ.get("PYISEG_FUZZ_TIMES", "1"))


def examples(count: int) -> settings:
    """Settings for a test of so many examples."""
    return settings(
        max_examples=count * TIMES,
        deadline=None,
        derandomize="PYISEG_FUZZ_SEED" not in os.environ,
        database=None,
        print_blob=True,
        suppress_health_check=[
            HealthCheck.function_scoped_fixture,
            HealthCheck.too_slow,
            HealthCheck.data_too_large,
            HealthCheck.filter_too_much,
        ],
    )


ODD = [b"1e999", b"NaN", b"[" * 2000, b"\xff", b"-"]
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["../a", "/a", "a\0b", "NaN", "click.onnx", "\ud800", 1 << 62, -1, 0, 1e308, 10**400])
)
ANY = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def damaged(draw: st.DrawFn, whole: bytes) -> bytes:
    """A file with bytes changed, cut out, put in, or its end cut off."""
    content = bytearray(whole)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, max(0, len(content) - 1)))
        kind = draw(st.sampled_from(["change", "cut", "insert", "end"]))
        if kind == "change" and content:
            content[at] = draw(st.integers(0, 255))
        elif kind == "cut":
            del content[at : at + draw(st.integers(1, 40))]
        elif kind == "insert":
            content[at:at] = draw(st.binary(max_size=8) | st.sampled_from(ODD))
        else:
            del content[at:]
    return bytes(content)


@st.composite
def changed(draw: st.DrawFn, whole: Any) -> Any:
    """Values as JSON has them with one, anywhere among them, of another kind or gone."""
    content = json.loads(json.dumps(whole))
    for _ in range(draw(st.integers(1, 2))):
        place = content
        while True:
            keys = list(place) if isinstance(place, dict) else range(len(place))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            if isinstance(place[key], (dict, list)) and place[key] and draw(st.integers(0, 3)):
                place = place[key]
                continue
            if draw(st.integers(0, 4)) or isinstance(place, list):
                place[key] = draw(ANY)
            else:
                del place[key]
            break
    return content


def altered(whole: Any) -> st.SearchStrategy[bytes]:
    """The same as JSON."""
    return changed(whole).map(lambda content: json.dumps(content).encode())


def both(whole: bytes) -> st.SearchStrategy[bytes]:
    """A file of JSON, damaged or altered."""
    return damaged(whole) | altered(json.loads(whole))
