"""A short run of what `make fuzz` does for minutes."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st

from tests.fuzz.bodies import BODIES, OTHERS, check_body
from tests.fuzz.run import fuzz
from tests.fuzz.targets import (
    GGUF,
    PICTURES,
    TARGETS,
    Target,
    check_header,
    check_picture,
)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_nothing_but_an_outcome_comes_of_it(target: Target) -> None:
    assert fuzz(target, seconds=1, first_seed=1).total() > 0


def test_unmutated_inputs_are_valid() -> None:
    """Or the first check would refuse all of it."""
    assert {check_picture(encoded) for encoded in PICTURES} == {"decoded"}
    assert {check_body(body) for body in BODIES} == {"accepted"}
    for bodies, read in OTHERS.values():
        assert {check_body(body, read) for body in bodies} == {"accepted"}
    assert check_header(GGUF) == "read"


def test_a_fault_is_found_and_reported() -> None:
    def check(n: int) -> str:
        assert n < 1000
        return "fine"

    with pytest.raises(AssertionError):
        fuzz(Target("faulty", st.integers(), check), seconds=5, first_seed=1)
