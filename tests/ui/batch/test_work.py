"""How one batch is worked on when room is short, and what its files are meanwhile."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.ui.api_harness import ApiHarness, code_of
from tests.ui.batch.batch_harness import begin, folders_of, line, upload
from ui.batch import folders, work
from ui.batch.internal_call import Result
from ui.batch.work import Work, known_ids

pytestmark = pytest.mark.redis


@pytest.fixture(autouse=True)
def frequent_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "ROOM_S", 0.0)


class Asked:
    """Answers lines with texts of 1,000 characters, as soon as `go` is set."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.go = asyncio.Event()

    async def __call__(self, _: Any, asked: Any) -> Result:
        self.ids.append(asked.custom_id)
        await self.go.wait()
        return Result(200, {"text": "x" * 1000})

    async def work(self, web: ApiHarness) -> None:
        kept = folders_of(web)
        [batch] = kept.all(work.PREFIX)
        await Work(batch, kept, self).run()


async def read(web: ApiHarness, batch_id: str) -> dict[str, Any]:
    found: dict[str, Any] = (await web.http.get(f"/v1/batches/{batch_id}")).json()
    return found


async def test_results_that_exceed_the_room_of_their_client_wait(
    web: ApiHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that the client has counts, not this batch alone."""
    batch_id = (await begin(web, *(line(f"{n}") for n in range(20)))).json()["id"]
    file_id = (await upload(web, "x" * 50_000)).json()["id"]
    n_bytes = sum(one.n_bytes() for one in folders_of(web).all(""))
    monkeypatch.setattr(folders, "MOST_BYTES", n_bytes + 5000)
    asked = Asked()
    asked.go.set()
    await asked.work(web)
    batch = await read(web, batch_id)
    [error] = batch["errors"]["data"]
    assert (batch["status"], error["code"]) == ("in_progress", "client_limit")
    assert "Delete some" in error["message"]
    assert 2 < batch["request_counts"]["completed"] < 8
    assert (await web.http.delete(f"/v1/files/{file_id}")).status_code == 200
    await asked.work(web)
    batch = await read(web, batch_id)
    assert (batch["status"], batch["errors"]) == ("completed", None)
    assert batch["request_counts"]["completed"] == 20


async def test_a_full_disk_lets_begun_lines_finish(
    web: ApiHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch_id = (await begin(web, *(line(f"{n}") for n in range(4)))).json()["id"]
    asked = Asked()
    working = asyncio.create_task(asked.work(web))
    await web.until(lambda: len(asked.ids) == 2)
    monkeypatch.setattr(folders, "LEFT_FREE", 1 << 60)
    asked.go.set()
    await working
    batch = await read(web, batch_id)
    [error] = batch["errors"]["data"]
    assert (batch["status"], error["code"]) == ("in_progress", "service_unavailable")
    assert (batch["request_counts"]["completed"], len(asked.ids)) == (2, 2)
    monkeypatch.setattr(folders, "LEFT_FREE", 0)
    await asked.work(web)
    assert (await read(web, batch_id))["status"] == "completed"
    assert sorted(asked.ids) == ["0", "1", "2", "3"]


async def test_a_batch_that_waits_for_the_disk_reads_no_results(
    web: ApiHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch_id = (await begin(web, line("a"))).json()["id"]
    monkeypatch.setattr(folders, "LEFT_FREE", 1 << 60)
    with monkeypatch.context() as patch:
        patch.setattr(work, "known_ids", None)
        await Asked().work(web)
    assert (await read(web, batch_id))["status"] == "in_progress"
    await web.http.post(f"/v1/batches/{batch_id}/cancel")
    await Asked().work(web)
    assert (await read(web, batch_id))["status"] == "cancelled"


async def test_results_are_hidden_until_the_end_of_their_batch(
    web: ApiHarness,
) -> None:
    """A response of a known length cannot send what still grows."""
    batch_id = (await begin(web, line("a"))).json()["id"]
    asked = Asked()
    working = asyncio.create_task(asked.work(web))
    await web.until(lambda: asked.ids)
    [batch] = folders_of(web).all(work.PREFIX)
    path = f"/v1/files/{batch.about['output_file_id']}"
    for reply in (
        await web.http.get(path),
        await web.http.get(f"{path}/content"),
        await web.http.delete(path),
    ):
        assert code_of(reply) == (404, "not_found")
    assert len((await web.http.get("/v1/files")).json()["data"]) == 1
    asked.go.set()
    await working
    assert (await web.http.get(f"{path}/content")).status_code == 200
    assert len((await web.http.get("/v1/files")).json()["data"]) == 3
    assert (await read(web, batch_id))["status"] == "completed"


def test_half_a_line_is_cut_off_with_what_follows(tmp_path: Path) -> None:
    """As when the disk was full while one line of two was written."""
    whole = [json.dumps({"custom_id": name}) + "\n" for name in "abc"]
    path = tmp_path / "content"
    path.write_text(whole[0] + whole[1][:9] + whole[1] + whole[2])
    assert known_ids(path) == {"a"}
    assert path.read_text() == whole[0]
