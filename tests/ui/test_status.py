"""`GET /v1/status`, and the limits in `/v1/models/{id}`."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from edge.jobs.fleet import FLEET, Heart, WorkerInfo
from edge.keys import create_key
from edge.limits import NO_LIMITS, Limits
from tests.ui.api_harness import BLACK, ApiHarness, api_harness, code_of
from tests.ui.pictures import part
from ui import latency, status
from ui.bench_curve import read_curve
from ui.latency import RecentLatencies

pytestmark = pytest.mark.redis
HARNESS = {"step_s": 0.002}


@pytest.fixture(autouse=True)
def always_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "FRESH_S", 0.0)


async def read(web: ApiHarness, key: str = "") -> dict[str, Any]:
    headers = {"authorization": f"Bearer {key}"} if key else {}
    reply = await web.http.get("/v1/status", headers=headers)
    assert reply.status_code == 200
    return dict(reply.json())


async def test_an_idle_server_starts_at_once(web: ApiHarness) -> None:
    found = await read(web)
    assert (found["slots"], found["running"], found["waiting"]) == (1, 0, 0)
    assert (found["latency"], found["bench"], found["key"]) == ({}, None, None)
    [model] = found["models"]
    assert (model["id"], model["starts_in_s"]) == ("stub", 0.0)
    assert set(model["pace"]) > {"image_s", "prompt_s", "answer_s", "answer_tokens"}


async def test_waiting_questions_delay_the_next(web: ApiHarness) -> None:
    tasks = [web.asking(f"question {n}") for n in range(3)]
    await web.until(lambda: len(web.waiting) == 3)
    found = await read(web)
    assert (found["running"], found["waiting"]) == (0, 3)
    assert found["models"][0]["starts_in_s"] > 0
    web.sync.zrem(FLEET, "here-1")  # they wait for the next worker
    found = await read(web)
    assert (found["models"], found["waiting"]) == ([], 3)
    for task in tasks:
        task.cancel()


async def test_the_stages_of_answers_are_measured(web: ApiHarness) -> None:
    async with web.working():
        await web.post("without a picture", n=20)
        content = [part(BLACK), {"type": "text", "text": "with one"}]
        await web.post(messages=[{"role": "user", "content": content}])
        await web.post("without a picture", n=20)  # from the cache
    found = await read(web)
    stages = found["latency"]
    assert {name: stage["n"] for name, stage in stages.items()} == {
        "queue": 2,
        "encode": 1,
        "prefill": 2,
        "decode": 2,
        "e2e": 2,
    }
    assert 0 < stages["decode"]["p50_s"] <= stages["e2e"]["p95_s"]
    assert found["caches"] == {"answers": 1, "image_tokens": 0}
    assert found["models"][0]["pace"]["n_jobs"] == 2


async def test_a_tenant_sees_the_latency_of_its_own_answers(
    broker_url: str, tmp_path: Path
) -> None:
    keys_file = str(tmp_path / "keys.json")
    path = Path(keys_file)
    mine, other, admin = (
        create_key(path, name, NO_LIMITS, is_admin=name == "admin")
        for name in ("mine", "other", "admin")
    )
    narrow = create_key(path, "narrow", Limits(models=("none",)))
    async with api_harness(broker_url, keys_file=keys_file, data_dir=tmp_path) as web:
        async with web.working():
            assert (await web.post(key=mine)).status_code == 200
        assert (await read(web, mine))["latency"]["e2e"]["n"] == 1
        assert (await read(web, other))["latency"] == {}
        assert (await read(web, admin))["latency"]["e2e"]["n"] == 1
        assert (await read(web, narrow))["models"] == []
        assert (await read(web, other))["key"] == "other"
        assert code_of(await web.http.get("/v1/status"))[0] == 401


def test_latencies_grow_old() -> None:
    now = 0.0
    recent = RecentLatencies(lambda: now)
    for _ in range(latency.MOST + 10):
        recent.add("me", {"e2e": 1.0})
    now = latency.WINDOW_S
    recent.add("me", {"e2e": 2.0})
    assert recent.by_stage("me")["e2e"]["n"] == latency.MOST
    now += 1
    assert recent.by_stage("me") == {"e2e": {"n": 1, "p50_s": 2.0, "p95_s": 2.0}}
    assert recent.by_stage("another") == {}


def test_percentiles_are_of_what_was_measured() -> None:
    recent = RecentLatencies(time.monotonic)
    for n in range(1, 101):
        recent.add("me", {"e2e": float(n)})
    assert recent.by_stage(None)["e2e"] == {"n": 100, "p50_s": 51.0, "p95_s": 96.0}


def test_a_recorded_curve_is_read() -> None:
    run = Path(__file__).parents[2] / "benchmarks/results/ours/run.json"
    curve = read_curve(run)
    assert curve and curve["machine"] and curve["models"]
    levels = {one["concurrency"]: one["answers_per_s"] for one in curve["levels"]}
    assert list(levels) == [1, 2, 4]
    assert 0.1 < levels[1] < levels[4] < 1


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "null", '{"schema": 2}', '{"schema": 1, "samples": 3}']
)
def test_a_file_without_a_run_gives_no_curve(tmp_path: Path, text: str) -> None:
    path = tmp_path / "latest.json"
    assert read_curve(path) is None
    path.write_text(text)
    assert read_curve(path) is None


async def test_a_new_curve_is_shown(broker_url: str, tmp_path: Path) -> None:
    run = {
        "schema": 1,
        "began_at": "2026-11-29T08:00:00+00:00",
        "fingerprint": {"cpu": "Zen 5", "server": {"models": ["stub"]}},
        "stages": [{"users": 2, "began_s": 10.0, "ended_s": 20.0}],
        "samples": [{"users": 2, "outcome": word} for word in ("answered", "refused")],
    }
    async with api_harness(broker_url, data_dir=tmp_path) as web:
        assert (await read(web))["bench"] is None
        (tmp_path / "bench").mkdir()
        (tmp_path / "bench" / "latest.json").write_text(json.dumps(run))
        curve = (await read(web))["bench"]
    assert curve["levels"] == [{"concurrency": 2, "answers_per_s": 0.1}]


async def test_a_model_tells_its_limits_and_its_sampling(web: ApiHarness) -> None:
    info = WorkerInfo("here-2", "wide", "g", "stub", 1, "", 8192, 64, 4096)
    Heart(web.sync, info).beat()
    web.sync.zincrby(FLEET, 600, info.name)
    found = (await web.http.get("/v1/models/wide")).json()
    assert found["limits"]["context_tokens"] == 8192
    assert found["limits"]["image_tokens"] == {
        "min": 64,
        "max": 2048,
        "details": {"low": 256, "auto": 1024, "high": 2048},
        "floor": 1024,
        "attention": 900,
    }
    assert found["limits"]["pictures"] == 8
    assert "jpeg" in found["limits"]["formats"]
    async with web.working():
        reply = await web.post("sampled", **found["sampling"], seed=1, model="stub")
    assert reply.status_code == 200
