"""Mutations of valid bytes and JSON values, to make parsers fail."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

EDGES = [0, 1, 0x7F, 0x80, 0xFF]
WORDS = [b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f"]
# Bytes of another length are refused soon: most inputs keep it, and get further.
CHANGES = ["set"] * 6 + ["word", "cut", "repeat", "insert", "end"]


@st.composite
def mutated(draw: st.DrawFn, originals: list[bytes]) -> bytes:
    """One of `originals` with a few bytes changed, cut out, repeated or put in."""
    data = bytearray(draw(st.sampled_from(originals)))
    for _ in range(draw(st.integers(1, 4))):
        # the beginning is where most of the structure is
        last = len(data) if draw(st.booleans()) else min(len(data), 64)
        at = draw(st.integers(0, last))
        n = draw(st.sampled_from([1, 1, 1, 2, 4, 8, 64]))
        match draw(st.sampled_from(CHANGES)):
            case "set":
                byte = draw(st.sampled_from(EDGES) | st.integers(0, 255))
                data[at : at + 1] = bytes([byte])
            case "word":
                data[at : at + 4] = draw(st.sampled_from(WORDS))
            case "cut":
                del data[at : at + n]
            case "repeat":
                data[at:at] = data[at : at + n] * draw(st.integers(1, 300))
            case "insert":
                data[at:at] = draw(st.binary(max_size=16))
            case "end":
                del data[at:]
    return bytes(data)


VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["user", "text", "image_url", "data:,", "\ud800", 2**64, 1e400]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=8,
)


@st.composite
def mutated_json(draw: st.DrawFn, originals: list[Any]) -> Any:
    """One of `originals` with a few of its values replaced, removed or doubled."""
    value = draw(st.sampled_from(originals))
    for _ in range(draw(st.integers(0, 3))):
        value = draw(_changed(value))
    return value


@st.composite
def _changed(draw: st.DrawFn, value: Any) -> Any:
    steps = list(value) if isinstance(value, dict) else []
    steps = list(range(len(value))) if isinstance(value, list) else steps
    if not steps or draw(st.integers(0, 5)) == 0:
        return draw(VALUES)
    step = draw(st.sampled_from(steps))
    copy = value.copy()
    match draw(st.sampled_from(["deeper", "deeper", "deeper", "remove", "add"])):
        case "deeper":
            copy[step] = draw(_changed(value[step]))
        case "remove":
            del copy[step]
        case "add" if isinstance(copy, list):
            copy.insert(step, value[step])
        case "add":
            copy[draw(st.text(max_size=8))] = draw(VALUES)
    return copy
