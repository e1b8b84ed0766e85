"""The default model: the first one, until another is activated."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edge.jobs.fleet import FLEET, Fleet, Heart
from edge.jobs.switching import Switching
from tests.jobs.jobs_harness import WORKER, JobsHarness

pytestmark = pytest.mark.redis

OTHER = replace(WORKER, name="host-0", model="other", fingerprint="o")


@pytest.fixture
def hearts(harness: JobsHarness) -> list[Heart]:
    """Of two workers; `tiny` beats first."""
    both = [Heart(harness.sync, info) for info in (WORKER, OTHER)]
    for heart in both:
        heart.beat()
    return both


async def names(harness: JobsHarness, **aliases: str) -> list[tuple[str, ...]]:
    return [w.names for w in await Fleet(harness.asynchronous, aliases).workers()]


async def test_the_first_model_that_beats_is_the_default(
    harness: JobsHarness, hearts: list[Heart]
) -> None:
    assert await names(harness) == [("tiny", "default"), ("other",)]


async def test_an_activated_model_is_the_default_at_once(
    harness: JobsHarness, hearts: list[Heart]
) -> None:
    assert Switching(harness.sync).activate("other") == "moved"
    assert await names(harness) == [("other", "default"), ("tiny",)]
    assert Switching(harness.sync).activate("other") == "already"
    hearts[0].beat()  # which changes nothing
    assert (await names(harness))[0] == ("other", "default")


async def test_what_no_live_worker_serves_cannot_be_activated(
    harness: JobsHarness, hearts: list[Heart]
) -> None:
    harness.sync.zincrby(FLEET, -60, OTHER.name)
    for model in ("other", "unknown"):
        assert Switching(harness.sync).activate(model) == "absent"
    assert await names(harness) == [("tiny", "default")]


async def test_without_a_worker_of_the_default_another_takes_its_place(
    harness: JobsHarness, hearts: list[Heart]
) -> None:
    hearts[0].leave()
    assert await names(harness) == [("other", "default")]
    hearts[0].beat()
    assert (await names(harness))[0] == ("tiny", "default")


async def test_a_stack_begins_with_the_default_of_its_operator(
    harness: JobsHarness, hearts: list[Heart]
) -> None:
    Switching(harness.sync).begin_with("other")
    assert (await names(harness))[0] == ("other", "default")


async def test_aliases_follow_a_model_or_the_default(
    harness: JobsHarness, hearts: list[Heart]
) -> None:
    aliases = {"fixed": "tiny", "moving": "default", "lost": "unknown"}
    assert await names(harness, **aliases) == [
        ("tiny", "default", "fixed", "moving"),
        ("other",),
    ]
    Switching(harness.sync).activate("other")
    assert await names(harness, **aliases) == [
        ("other", "default", "moving"),
        ("tiny", "fixed"),
    ]
