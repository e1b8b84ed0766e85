"""Batches over a real Redis, with the stub behind it and files in a real folder."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from edge.jobs.fleet import CAPABILITIES
from edge.keys import create_key
from edge.limits import Limits
from edge.stubs.runtime import LONG_ANSWER
from tests.ui.api_harness import ApiHarness, api_harness, code_of
from tests.ui.batch.batch_harness import (
    CHAT,
    begin,
    ended,
    folders_of,
    line,
    results,
    running,
    upload,
)
from ui.batch import folders, internal_call, runner, work
from ui.batch.folders import Folders

pytestmark = pytest.mark.redis
SHORT = {"messages": [{"role": "user", "content": "a"}], "max_tokens": 2}
HARNESS = {"answer_cache": False}


async def test_all_lines_are_answered(web: ApiHarness) -> None:
    async with web.working(), running(web):
        batch = (await begin(web, *(line(f"{n}") for n in range(5)))).json()
        assert batch["status"] == "in_progress"
        batch = await ended(web, batch["id"])
    assert batch["status"] == "completed"
    counts = {"total": 5, "completed": 5, "failed": 0}
    assert (batch["request_counts"], batch["error_file_id"]) == (counts, None)
    found = await results(web, batch["output_file_id"])
    assert found.keys() == {f"{n}" for n in range(5)}
    for response in found.values():
        [choice] = response["body"]["choices"]
        assert choice["message"]["content"] == LONG_ANSWER[:5]
    listed = (await web.http.get("/v1/batches")).json()
    assert [one["id"] for one in listed["data"]] == [batch["id"]]


async def test_wrong_lines_fail_alone(web: ApiHarness) -> None:
    wrong = line("wrong", messages=[], temperature=9)
    async with web.working(), running(web):
        batch = (await begin(web, line("right"), wrong)).json()
        batch = await ended(web, batch["id"])
    assert batch["status"] == "completed"
    assert batch["request_counts"] == {"total": 2, "completed": 1, "failed": 1}
    failed = await results(web, batch["error_file_id"])
    assert failed["wrong"]["status_code"] == 400
    assert failed["wrong"]["body"]["error"]["param"] == "messages"
    assert "right" in await results(web, batch["output_file_id"])


@pytest.mark.parametrize(
    ("endpoint", "body", "expected"),
    [
        ("/v1/responses", {"input": "a", "max_output_tokens": 5}, LONG_ANSWER[:5]),
        ("/v1/completions", {"prompt": "a", "max_tokens": 5}, LONG_ANSWER[:5]),
        ("/v1/embeddings", {"input": ["hello", "you"]}, '"index": 1'),
        ("/v1/rerank", {"query": "a", "documents": ["b", "c"]}, '"index": 1'),
    ],
)
async def test_other_apis_are_answered(
    web: ApiHarness, endpoint: str, body: dict[str, Any], expected: str
) -> None:
    web.beat("here-1", n_slots=1, capabilities=CAPABILITIES)
    one = {"custom_id": "a", "method": "POST", "url": endpoint, "body": body}
    async with web.working(), running(web):
        batch = (await begin(web, one, endpoint=endpoint)).json()
        batch = await ended(web, batch["id"])
    found = await results(web, batch["output_file_id"])
    assert expected in json.dumps(found["a"]["body"])


async def test_another_process_goes_on(web: ApiHarness) -> None:
    """Behind the last whole result on the disk."""
    lines = [line(f"{n}") for n in range(4)]
    async with running(web):
        batch = (await begin(web, *lines)).json()
        await web.until(lambda: len(web.live) == 2)
    await web.until(lambda: not web.live)  # its jobs ended with the process
    root = web.client.settings.data_dir / "batches"
    about = json.loads((root / batch["id"] / "about.json").read_text())
    done = {"custom_id": "0", "response": {"status_code": 200, "body": {}}}
    output = root / about["output_file_id"] / "content"
    output.write_text(json.dumps(done) + '\n{"custom_id": "1", "resp')
    async with web.working(), running(web):
        batch = await ended(web, batch["id"])
    assert batch["request_counts"] == {"total": 4, "completed": 4, "failed": 0}
    found = await results(web, batch["output_file_id"])
    assert found.keys() == {"0", "1", "2", "3"}
    assert found["0"]["body"] == {}


async def test_a_batch_is_cancelled(web: ApiHarness) -> None:
    async with running(web):
        batch = (await begin(web, *(line(f"{n}") for n in range(9)))).json()
        await web.until(lambda: len(web.live) == 2)
        path = f"/v1/batches/{batch['id']}"
        reply = (await web.http.post(f"{path}/cancel")).json()
        assert reply["status"] == "cancelling"
        async with web.working():  # what runs is finished
            batch = await ended(web, batch["id"])
    assert batch["status"] == "cancelled"
    assert batch["request_counts"]["completed"] == 2
    assert len(await results(web, batch["output_file_id"])) == 2


async def test_a_full_queue_is_waited_for(web: ApiHarness) -> None:
    """Lines that are refused with 429 are asked again."""
    asked: list[str] = []

    async def ask(_: Any, one: Any) -> internal_call.Result:
        asked.append(one.custom_id)
        if len(asked) == 1:
            return internal_call.Result(429, {}, 1)
        return internal_call.Result(200, {})

    batch = (await begin(web, line("a"))).json()
    kept = folders_of(web)
    [folder] = kept.all("batch_")
    await work.Work(folder, kept, ask).run()
    assert asked == ["a", "a"]
    assert (await ended(web, batch["id"]))["request_counts"]["completed"] == 1


async def test_a_batch_whose_file_is_deleted_has_failed(web: ApiHarness) -> None:
    batch = (await begin(web, line("a"))).json()
    await web.http.delete(f"/v1/files/{batch['input_file_id']}")
    async with running(web):
        batch = await ended(web, batch["id"])
    [error] = batch["errors"]["data"]
    assert (batch["status"], error["code"]) == ("failed", "not_found")


async def test_a_full_disk_stops_a_batch_before_it_asks(
    web: ApiHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = (await begin(web, line("a"))).json()
    monkeypatch.setattr(folders, "LEFT_FREE", 1 << 60)
    assert code_of(await upload(web, "x")) == (503, "service_unavailable")
    async with web.working():
        async with running(web):
            await asyncio.sleep(0.3)
        assert not web.live
        monkeypatch.setattr(folders, "LEFT_FREE", 0)
        async with running(web):
            assert (await ended(web, batch["id"]))["status"] == "completed"


async def test_open_batches_are_bounded(web: ApiHarness) -> None:
    for _ in range(4):
        assert (await begin(web, line("a"))).status_code == 200
    assert code_of(await begin(web, line("a"))) == (429, "client_limit")


async def test_other_callers_find_nothing(web: ApiHarness) -> None:
    batch = (await begin(web, line("a"))).json()
    other = {"authorization": "Bearer other"}
    for method, path in [
        ("GET", f"files/{batch['input_file_id']}"),
        ("GET", f"files/{batch['input_file_id']}/content"),
        ("DELETE", f"files/{batch['input_file_id']}"),
        ("GET", f"batches/{batch['id']}"),
        ("POST", f"batches/{batch['id']}/cancel"),
    ]:
        reply = await web.http.request(method, f"/v1/{path}", headers=other)
        assert code_of(reply) == (404, "not_found"), path
    for kind in ("files", "batches"):
        assert (await web.http.get(f"/v1/{kind}", headers=other)).json()["data"] == []
    body = {"input_file_id": batch["input_file_id"], "endpoint": "/v1/completions"}
    reply = await web.http.post("/v1/batches", json=body, headers=other)
    assert code_of(reply) == (404, "not_found")


@pytest.mark.parametrize(
    "lines",
    [
        [],
        ["{"],
        ["[" * 100_000],
        [{"custom_id": "a"}],
        [line("a"), line("a")],
        [line("a", url="/v1/completions")],
        [line("a", url="/health")],
        [line("a", stream=True)],
        [line("a", background=True)],
    ],
)
async def test_files_of_other_lines_are_refused(
    web: ApiHarness, lines: list[Any]
) -> None:
    reply = await begin(web, *lines)
    assert code_of(reply) == (400, "invalid_request")
    assert reply.json()["error"]["param"] == "input_file_id"
    assert (await web.http.get("/v1/batches")).json()["data"] == []


async def test_files_have_bounds(
    web: ApiHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "MOST_BYTES", 800)
    file = (await upload(web, "x" * 200)).json()
    assert (file["bytes"], file["filename"]) == (200, "in.jsonl")
    assert code_of(await upload(web, "x" * 400)) == (429, "client_limit")
    deleted = (await web.http.delete(f"/v1/files/{file['id']}")).json()
    assert deleted == {"id": file["id"], "object": "file", "deleted": True}
    assert (await upload(web, "x" * 400)).status_code == 200
    reply = await web.http.post("/v1/files", json={"purpose": "batch"})
    assert reply.status_code == 415
    files = {"file": ("in.jsonl", b"{}")}
    for purpose in ({}, {"purpose": "fine-tune"}):
        reply = await web.http.post("/v1/files", files=files, data=purpose)
        assert reply.json()["error"]["param"] == "purpose"
    monkeypatch.setattr(folders, "KEEP_S", -1)
    assert (await web.http.get("/v1/files")).json()["data"] == []


# --- lines that cannot be answered now, or ever -----------------------------------


async def test_what_a_quota_never_allows_is_an_error_at_once(
    broker_url: str, tmp_path: Path
) -> None:
    keys_file = tmp_path / "keys.json"
    key = create_key(keys_file, "me", Limits.read("answer-tokens/day=3"))
    async with api_harness(broker_url, keys_file=str(keys_file), **HARNESS) as web:
        web.http.headers["authorization"] = f"Bearer {key}"
        async with web.working(), running(web):
            batch = (await begin(web, line("long"), line("short", **SHORT))).json()
            batch = await ended(web, batch["id"])
        failed = await results(web, batch["error_file_id"])
        direct = await web.http.post(CHAT, json=line("long")["body"])
    assert failed["long"]["status_code"] == 429
    assert batch["request_counts"] == {"total": 2, "completed": 1, "failed": 1}
    assert direct.headers["x-should-retry"] == "false"


async def test_a_line_that_is_always_too_late_is_given_up(
    web: ApiHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = 0

    async def post(*_: object) -> internal_call.Result:
        nonlocal asked
        asked += 1
        return internal_call.Result(504, {"error": {}}, 0.01)

    monkeypatch.setattr(runner, "post", post)
    async with running(web):
        batch = await ended(web, (await begin(web, line("late"))).json()["id"])
    assert (batch["request_counts"]["failed"], asked) == (1, work.MOST_LATE)


async def test_a_batch_that_waits_for_a_quota_can_be_cancelled(
    web: ApiHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def post(*_: object) -> internal_call.Result:
        return internal_call.Result(429, {"error": {}}, 86_400)

    monkeypatch.setattr(runner, "post", post)
    monkeypatch.setattr(work, "LOOK_S", 0.05)
    async with running(web):
        batch_id = (await begin(web, line("a"), line("b"), line("c"))).json()["id"]
        await asyncio.sleep(0.3)
        await web.http.post(f"/v1/batches/{batch_id}/cancel")
        assert (await ended(web, batch_id))["status"] == "cancelled"


async def test_files_that_are_deleted_meanwhile_are_not_listed(
    web: ApiHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, gone = [(await upload(web, line(name))).json()["id"] for name in "ab"]
    root = web.client.settings.data_dir / "batches"
    (root / gone / "content").unlink()  # as between two steps of another request
    listed = (await web.http.get("/v1/files")).json()
    assert [one["id"] for one in listed["data"]] == [kept]
    assert (await web.http.get(f"/v1/files/{gone}")).status_code == 404
    really = Folders.all

    def all_and_delete(self: Folders, prefix: str) -> Any:
        for folder in really(self, prefix):
            self.delete(folder)
            yield folder

    monkeypatch.setattr(Folders, "all", all_and_delete)
    assert (await upload(web, line("c"))).status_code == 200


async def test_a_refused_batch_leaves_no_files(
    web: ApiHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    file_id = (await upload(web, line("a"))).json()["id"]
    monkeypatch.setattr(folders, "MOST_FOLDERS", 2)  # room for one more
    body = {"input_file_id": file_id, "endpoint": CHAT, "completion_window": "24h"}
    assert (await web.http.post("/v1/batches", json=body)).status_code == 429
    listed = (await web.http.get("/v1/files")).json()
    assert [one["id"] for one in listed["data"]] == [file_id]
