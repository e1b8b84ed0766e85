"""The default model: the first one, until another takes its place."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edge.errors import ModelNotFound, NotFound, Unavailable
from edge.events import Failed, Queued
from edge.jobs.fleet import FLEET, Fleet, Heart
from edge.jobs.record import SWITCH_S
from edge.jobs.refusal import PoolRetired
from edge.jobs.switching import SWITCH, Switch, Switching, Wish
from tests.conftest import wait_for
from tests.jobs.jobs_harness import PATIENCE_S, POOL, WORKER, JobsHarness

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
    harness.sync.zincrby(FLEET, -PATIENCE_S, OTHER.name)
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


async def test_a_stack_in_a_broker_of_others_leaves_a_default_that_is_served(
    harness: JobsHarness, hearts: list[Heart]
) -> None:
    one = Switching(harness.sync)
    one.activate("other")
    one.report("third", "loading", "By a stack that has died.")
    one.join_with("tiny")
    assert (await names(harness))[0] == ("other", "default")
    assert one.latest() is None
    hearts[1].leave()
    one.join_with("tiny")
    assert one.default() == "tiny"


async def test_a_model_that_becomes_the_default_again_takes_jobs(
    harness: JobsHarness, hearts: list[Heart]
) -> None:
    one = Switching(harness.sync)
    one.activate("other")
    one.drain("tiny")
    assert one.activate("tiny") == "moved"
    assert (await harness.admit()).is_new


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


# --- a model that has to be loaded ------------------------------------------------


@pytest.fixture
def switching(
    harness: JobsHarness, hearts: list[Heart], monkeypatch: pytest.MonkeyPatch
) -> Switching:
    """With an `edge up` that has looked once."""
    monkeypatch.setattr("edge.jobs.switching.SUPERVISOR_S", PATIENCE_S)
    one = Switching(harness.sync)
    assert one.take() is None
    return one


def test_a_served_model_needs_no_loading(switching: Switching) -> None:
    assert switching.switch_to("other").state == "done"
    assert switching.before() == "tiny"
    assert "already" in switching.switch_to("other").message
    assert switching.latest() is None


def test_without_a_supervisor_nothing_can_be_loaded(
    harness: JobsHarness, hearts: list[Heart]
) -> None:
    switching = Switching(harness.sync)
    with pytest.raises(ModelNotFound, match="EDGE_MODEL=new first"):
        switching.switch_to("new")
    with pytest.raises(NotFound, match="no other default model before"):
        switching.before()


def test_one_supervisor_takes_a_wish(switching: Switching) -> None:
    assert switching.switch_to("new", with_gap=True).state == "wished"
    assert switching.take() == Wish("new", with_gap=True)
    assert switching.take() is None
    assert switching.latest() == Switch("new", "loading", "`edge up` prepares it.")
    switching.report("new", "ending", "A sentence.")
    assert switching.latest() == Switch("new", "ending", "A sentence.")


def test_one_switch_at_a_time(switching: Switching) -> None:
    switching.switch_to("new")
    assert switching.switch_to("new").state == "wished"  # the same one
    with pytest.raises(Unavailable, match="A switch to new is under way"):
        switching.switch_to("newer")
    switching.take()
    switching.report("new", "failed", "It did not load.")
    assert switching.switch_to("newer").state == "wished"


def test_a_switch_is_forgotten_when_its_supervisor_has_died(
    harness: JobsHarness, switching: Switching
) -> None:
    """Else no other could begin, in a broker that outlives `edge up`."""
    steps = (
        lambda: switching.switch_to("new"),
        switching.take,
        lambda: switching.report("new", "loading", "It loads."),
    )
    for step in steps:
        step()
        assert 0 < harness.sync.ttl(SWITCH) <= SWITCH_S
        harness.sync.persist(SWITCH)
    harness.sync.pexpire(SWITCH, 1)
    wait_for(lambda: switching.latest() is None)
    assert switching.switch_to("newer").state == "wished"


async def test_a_retired_pool_takes_no_new_jobs(
    harness: JobsHarness, switching: Switching
) -> None:
    job_id = await harness.ask()
    assert not switching.retire(POOL)  # it has one to end
    with pytest.raises(PoolRetired):
        await harness.ask()
    await harness.client.cancel(job_id)
    assert switching.retire(POOL)
    switching.reopen(POOL)
    await harness.ask()


async def test_a_model_is_drained_when_its_jobs_have_ended(
    harness: JobsHarness, switching: Switching, hearts: list[Heart]
) -> None:
    job_id = await harness.ask()
    assert not switching.drain("tiny")
    with pytest.raises(PoolRetired):
        await harness.ask()
    harness.sync.zincrby(FLEET, -PATIENCE_S - 1, WORKER.name)  # it has died
    assert not switching.drain("tiny")
    await harness.client.cancel(job_id)
    assert switching.drain("tiny")
    assert switching.drain("other")


async def test_an_earlier_job_is_found_in_a_retired_pool(
    harness: JobsHarness, switching: Switching
) -> None:
    given = {"idempotency_key": "k", "body_hash": "b"}
    first = await harness.admit(**given)
    switching.retire(POOL)
    assert (await harness.admit(**given)).job_id == first.job_id


async def test_a_model_not_in_memory_never_becomes_the_default_alone(
    harness: JobsHarness, switching: Switching
) -> None:
    Heart(harness.sync, replace(OTHER, loading_s=4.0)).beat()
    assert switching.activate("other") == "absent"
    assert switching.activate("other", may_load=True) == "moved"


async def test_a_worker_replaces_what_stands_in_for_it(
    harness: JobsHarness, switching: Switching
) -> None:
    asleep = replace(OTHER, name="asleep-host", loading_s=4.0)
    Heart(harness.sync, asleep).beat()
    fleet = Fleet(harness.asynchronous)
    assert [w.name for w in await fleet.workers()] == [WORKER.name, OTHER.name]
    Heart(harness.sync, OTHER).leave()
    assert [w.name for w in await fleet.workers()] == [WORKER.name, "asleep-host"]


def test_a_switch_that_is_under_way_is_not_forgotten(
    harness: JobsHarness, switching: Switching
) -> None:
    switching.switch_to("new")
    harness.sync.expire(SWITCH, 5)
    switching.renew()
    assert harness.sync.ttl(SWITCH) > SWITCH_S - 60


async def test_jobs_of_a_paused_pool_end_or_wait(
    harness: JobsHarness, switching: Switching
) -> None:
    """Its worker leaves memory for another one, and comes back."""
    await harness.ask("first")
    claim = harness.claim()
    waiting = await harness.ask("second")
    assert not switching.pause(POOL)
    assert harness.worker.claim() is None
    harness.worker.end(claim, Failed("engine_error", "It failed."))
    assert switching.pause(POOL)
    switching.resume(POOL)
    assert harness.claim().job_id == waiting


async def test_a_question_waits_for_a_model_that_loads(harness: JobsHarness) -> None:
    asleep = replace(WORKER, loading_s=9.0, waits_for_room=True)
    Heart(harness.sync, asleep).beat()
    job_id = await harness.ask()
    waits = Queued(1, 9.0, 9.0, waits_for_room=True)
    assert await harness.client.position(job_id, POOL) == waits
    Heart(harness.sync, replace(WORKER, loading_s=6.0)).beat()
    assert await harness.client.position(job_id, POOL) == Queued(1, 6.0, 6.0)
    Heart(harness.sync, WORKER).beat()
    assert await harness.client.position(job_id, POOL) == Queued(1, 0.0)
