"""The text of a key's limits: read, written, refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import SetupError
from edge.limits import COUNTED, NO_LIMITS, PRIORITIES, WINDOWS_S, Limits, Quota

quotas = st.lists(
    st.builds(
        Quota,
        st.sampled_from(COUNTED),
        st.sampled_from(list(WINDOWS_S)),
        st.integers(1, 10**12 - 1),
    ),
    unique_by=lambda quota: quota[:2],
).map(tuple)
limits = st.builds(
    Limits,
    jobs=st.integers(0, 1000),
    weight=st.sampled_from([0.1, 1.0, 2.5, 100.0]),
    priority=st.sampled_from(PRIORITIES),
    max_tokens=st.integers(0, 100_000),
    models=st.lists(st.from_regex("[a-z0-9.-]{1,9}", fullmatch=True)).map(tuple),
    quotas=quotas,
)


@given(limits)
def test_written_limits_read_back_the_same(one: Limits) -> None:
    assert Limits.read(str(one)) == one


def test_an_empty_text_limits_nothing() -> None:
    assert Limits.read("") == Limits.read(" , ") == NO_LIMITS
    assert str(NO_LIMITS) == ""


@pytest.mark.parametrize(
    "text",
    [
        "jobs=0",
        "jobs=-1",
        "jobs=x",
        "jobs=9999999999999",
        "max-tokens=1.5",
        "weight=0",
        "weight=1e9",
        "weight=nan",
        "priority=urgent",
        "requests=5",
        "requests/hour=5",
        "apples/day=5",
        "requests/day=5, requests/day=6",
        "tokens",
    ],
)
def test_an_invalid_limit_is_refused(text: str) -> None:
    with pytest.raises(SetupError, match=r"\.$"):
        Limits.read(text)
