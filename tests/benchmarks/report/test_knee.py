"""The recommended number of users: examples and properties."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.record import Run, Stage
from benchmarks.report.knee import find_knee
from benchmarks.report.summary import Percentile, StageSummary, summarise

(NOT_MEASURED,) = summarise(Run("", "", "", stages=[Stage(1, 0, 0)]))


def stage(
    users: int, rate: float, p95: float = 1.0, failed: int = 0, refused: int = 0
) -> StageSummary:
    answered = 100 if rate else 0
    return replace(
        NOT_MEASURED,
        users=users,
        requests=answered + failed + refused,
        answered=answered,
        failed=failed,
        refused=refused,
        e2e_p95_s=Percentile(p95, True) if rate else None,
        requests_per_s=rate,
        error_share=failed / (answered + failed) if answered + failed else None,
        refused_share=refused / (answered + failed + refused or 1),
    )


ABORTED = replace(stage(2, 0.0), requests=5, aborted=5)
stages = st.builds(
    stage,
    users=st.sampled_from([1, 2, 4, 8, 16, 32]),
    rate=st.sampled_from([0.0, 0.1, 0.16, 0.28, 0.52, 0.93, 1.04]),
    p95=st.sampled_from([0.5, 2.0, 6.8, 10.5, 28.1]),
    failed=st.sampled_from([0, 0, 1, 35]),
    refused=st.sampled_from([0, 0, 7]),
)
curves = st.lists(stages, max_size=6, unique_by=lambda s: s.users)


@pytest.mark.parametrize(
    ("rates", "users"),
    [
        ([0.5], 1),
        ([1, 2, 4, 8], 8),  # still rising at the end
        ([1, 1.05, 1.02, 1.01], 1),  # flat
        ([2, 1.5, 1, 0.5], 1),  # falling
        ([1, 1.9, 2.0, 1.95], 2),
        ([1, 1.9, 1.8, 2.4], 8),  # a noisy dip does not hide a rise
        ([1, 1.06, 1.13, 1.2], 4),  # small steps count together
    ],
)
def test_shapes_of_throughput(rates: list[float], users: int) -> None:
    found = find_knee([stage(2**i, rate) for i, rate in enumerate(rates)])
    assert found.users == users


def test_the_published_table_has_its_knee_at_four() -> None:
    rows = [(1, 0.16, 6.8), (2, 0.28, 7.9), (4, 0.52, 10.5)]
    table = [stage(*row) for row in rows] + [stage(8, 0.93, 16.2, failed=7)]
    found = find_knee(table)
    assert found.users == 4
    assert found.reason == (
        "Best with 4 users at the same time: 0.520 requests/s, 85.7 % more than 2 "
        "users; with 8 users 6.54 % failed."
    )


@pytest.mark.parametrize(
    ("beyond", "why"),
    [
        ([], "more users were not tried"),
        ([stage(2, 2, failed=4)], "with 2 users 3.85 % failed"),
        ([stage(2, 2, refused=25)], "with 2 users 20.0 % were refused"),
        ([stage(2, 2, p95=7.0)], "with 2 users P95 is 7.00 s, limit 3.00 s"),
        ([stage(2, 1.02, p95=2.0)], "2 users added 2.00 %, and P95 was 2.00 s instead"),
        ([stage(2, 0.9, p95=2.0)], "2 users added nothing"),
        ([stage(2, 0, failed=9)], "with 2 users 100 % failed"),
        ([ABORTED], "with 2 users no request was answered"),
    ],
)
def test_the_reason_says_why_not_more(beyond: list[StageSummary], why: str) -> None:
    found = find_knee([stage(1, 1.0), *beyond])
    assert found.users == 1 and why in found.reason


def test_a_target_replaces_the_multiple() -> None:
    table = [stage(1, 1, 2.0), stage(2, 2, 4.0), stage(4, 4, 8.0)]
    assert find_knee(table, target_p95_s=4.0).users == 2
    assert find_knee(table, target_p95_s=60.0).users == 4
    nearest = find_knee(table, target_p95_s=1.0)
    assert nearest.users == 1 and "no stage kept it within 1.00 s" in nearest.reason


def test_a_p95_below_a_second_is_never_too_slow() -> None:
    assert find_knee([stage(1, 10, 0.01), stage(2, 19, 0.2)]).users == 2


def test_no_recommendation_without_answers() -> None:
    for table in ([], [NOT_MEASURED], [stage(1, 0, failed=3), stage(2, 0, refused=3)]):
        assert find_knee(table).users is None


def test_with_failures_in_every_stage_the_fewest_win() -> None:
    found = find_knee(
        [stage(1, 1, failed=9), stage(2, 2, failed=2), stage(4, 3, failed=5)]
    )
    assert found.users == 2 and "every stage had failures" in found.reason


@given(curves)
def test_a_stage_without_failures_is_preferred(
    table: list[StageSummary],
) -> None:
    found = find_knee(table)
    answered = {s.users: s for s in table if s.answered}
    assert (found.users is None) == (not answered)
    if found.users and any(not s.failed for s in answered.values()):
        assert not answered[found.users].failed
    if found.users and any(not s.failed + s.refused for s in answered.values()):
        assert not answered[found.users].refused


@given(curves.flatmap(lambda table: st.tuples(st.just(table), st.permutations(table))))
def test_the_order_of_stages_does_not_matter(
    tables: tuple[list[StageSummary], list[StageSummary]],
) -> None:
    one, other = tables
    assert find_knee(one) == find_knee(other)


@given(curves)
def test_the_reason_is_one_sentence(table: list[StageSummary]) -> None:
    reason = find_knee(table).reason
    assert reason.endswith(".") and ". " not in reason and "nan" not in reason


@given(stages, stages)
def test_a_repeated_stage_counts_with_its_worse_result(
    one: StageSummary, other: StageSummary
) -> None:
    both = [replace(one, users=4), replace(other, users=4), stage(1, 0.5)]
    if one.failed or other.failed:
        assert find_knee(both).users == 1
