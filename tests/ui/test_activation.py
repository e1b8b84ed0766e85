"""`POST /v1/models/{model}/activate`, and questions while a model is replaced."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from edge import keys
from edge.errors import ModelNotFound
from edge.jobs.fleet import FLEET, Heart, WorkerInfo
from edge.jobs.record import KEEP_S
from edge.jobs.submission import Submission
from edge.jobs.switching import Switching
from edge.keys import create_key
from edge.limits import Limits
from tests.jobs.jobs_harness import PATIENCE_S, caller
from tests.ui.api_harness import POOL, ApiHarness, PictureQuestion, api_harness

pytestmark = pytest.mark.redis


@pytest.fixture(autouse=True)
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "LOOK_S", 0.0)


@pytest.fixture
async def web(broker_url: str, tmp_path: Path) -> AsyncIterator[ApiHarness]:
    path = str(tmp_path / "keys.json")
    async with api_harness(broker_url, keys_file=path) as one:
        Heart(one.sync, WorkerInfo("here-2", "other", "o", "stub", n_slots=1)).beat()
        yield one


@pytest.fixture
def admin(web: ApiHarness, tmp_path: Path) -> dict[str, str]:
    key = create_key(tmp_path / "keys.json", "root", Limits(), is_admin=True)
    return {"authorization": f"Bearer {key}"}


@pytest.fixture
def guest(web: ApiHarness, tmp_path: Path) -> dict[str, str]:
    key = create_key(tmp_path / "keys.json", "guest", Limits())
    return {"authorization": f"Bearer {key}"}


async def models(web: ApiHarness, headers: dict[str, str]) -> list[str]:
    found = await web.http.get("/v1/models", headers=headers)
    return [one["id"] for one in found.json()["data"]]


async def test_an_admin_moves_the_default(
    web: ApiHarness, admin: dict[str, str]
) -> None:
    assert await models(web, admin) == ["stub", "other"]
    reply = await web.http.post("/v1/models/other/activate", headers=admin)
    assert (reply.status_code, reply.json()["state"]) == (200, "done")
    assert await models(web, admin) == ["other", "stub"]


async def test_others_may_not(web: ApiHarness, guest: dict[str, str]) -> None:
    reply = await web.http.post("/v1/models/other/activate", headers=guest)
    assert reply.status_code == 403
    assert (await web.http.post("/v1/models/other/activate")).status_code == 401
    assert await models(web, guest) == ["stub", "other"]


async def test_without_keys_nobody_may(broker_url: str, tmp_path: Path) -> None:
    async with api_harness(broker_url, data_dir=tmp_path) as web:
        reply = await web.http.post("/v1/models/stub/activate")
        assert (reply.status_code, "edge switch" in reply.text) == (403, True)


async def test_a_model_that_loads_answers_202_until_it_is_there(
    web: ApiHarness, admin: dict[str, str]
) -> None:
    path, body = "/v1/models/new/activate", {"with_gap": True}
    assert (await web.http.post(path, headers=admin)).status_code == 404
    switching = Switching(web.sync)
    switching.take()  # as `edge up` does twice a second
    reply = await web.http.post(path, headers=admin, json=body)
    assert (reply.status_code, reply.json()["state"]) == (202, "wished")
    wish = switching.take()
    assert wish and wish.with_gap
    assert (await web.http.get(path, headers=admin)).json()["state"] == "loading"
    switching.report("new", "failed", "It did not load.")
    reply = await web.http.post("/v1/models/newer/activate", headers=admin)
    assert reply.status_code == 202


async def test_the_reason_of_a_failed_switch_is_told_again_and_again(
    web: ApiHarness, admin: dict[str, str], guest: dict[str, str]
) -> None:
    """And to look begins none."""
    path, switching = "/v1/models/new/activate", Switching(web.sync)
    assert (await web.http.get(path, headers=admin)).status_code == 404
    switching.take()
    await web.http.post(path, headers=admin)
    switching.take()
    assert (await web.http.get(path, headers=admin)).status_code == 202
    switching.report("new", "failed", "It did not load.")
    for _ in range(2):
        reply = await web.http.get(path, headers=admin)
        assert reply.status_code == 200
        assert reply.json() == {
            "object": "model.switch",
            "model": "new",
            "state": "failed",
            "message": "It did not load.",
        }
    assert switching.take() is None
    assert (await web.http.get(path, headers=guest)).status_code == 403


async def test_the_default_model_is_told_as_done(
    web: ApiHarness, admin: dict[str, str]
) -> None:
    """A former one is not, whatever the latest switch was."""
    Switching(web.sync).report("other", "done", "other is the default model now.")
    reply = await web.http.get("/v1/models/stub/activate", headers=admin)
    assert (reply.status_code, reply.json()["state"]) == (200, "done")
    reply = await web.http.get("/v1/models/other/activate", headers=admin)
    assert reply.status_code == 404


async def test_a_question_for_a_model_that_leaves_goes_to_the_next(
    web: ApiHarness,
) -> None:
    """It was decided for `stub` a moment before `other` took its place."""
    Switching(web.sync).retire(POOL)
    submission = Submission(caller("me"), max_tokens=8)
    question = PictureQuestion("hello", scope=submission.caller.scope)
    with web.client.metrics.question() as watch:
        meter = web.client.meter(submission)
        asked = await web.client.ask(submission, question, meter, watch)
    assert asked.model == "other"
    await web.client.cancel(asked.job.job_id)
    with web.client.metrics.question() as watch, pytest.raises(ModelNotFound):
        named = replace(question, model="stub")
        await web.client.ask(submission, named, meter, watch)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "hello"}]}),
        ("/v1/rerank", {"query": "a", "documents": ["b"]}),
        ("/tokenize", {"prompt": "hello"}),
        ("/v1/messages/count_tokens", {"messages": [{"role": "user", "content": "a"}]}),
    ],
)
async def test_a_model_whose_worker_died_is_not_unknown(
    web: ApiHarness, guest: dict[str, str], path: str, body: dict[str, object]
) -> None:
    """It is started again, and clients ask again after a 503, but not after a 404."""
    body = {**body, "model": "other:latest"}
    for silent_s, status in ((PATIENCE_S + 5, 503), (KEEP_S, 404)):
        web.sync.zincrby(FLEET, -silent_s, "here-2")
        reply = await web.http.post(path, json=body, headers=guest)
        assert (reply.status_code, "retry-after" in reply.headers) == (
            status,
            status == 503,
        )


async def test_a_key_does_not_see_that_another_model_has_died(
    web: ApiHarness, tmp_path: Path
) -> None:
    key = create_key(tmp_path / "keys.json", "guest", Limits(models=("stub",)))
    web.sync.zincrby(FLEET, -PATIENCE_S - 5, "here-2")
    reply = await web.http.get(
        "/v1/models/other", headers={"authorization": f"Bearer {key}"}
    )
    assert reply.status_code == 404
