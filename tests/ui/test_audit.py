"""The audit log: one line for each question, without its text."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from edge.keys import create_key, read_keys
from edge.limits import NO_LIMITS
from tests.ui.api_harness import ApiHarness, api_harness

pytestmark = pytest.mark.redis

SECRET = "My salary is 4000"


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Any:
    caplog.set_level(logging.INFO)

    def read() -> list[dict[str, Any]]:
        found = [r for r in caplog.records if r.name == "edge.audit"]
        return [json.loads(record.getMessage()) for record in found]

    return read


async def ask_all(web: ApiHarness, key: str = "") -> None:
    """Questions that end in each way, the last in front of the door."""
    async with web.working():
        await web.post(SECRET, key=key)
        await web.post(SECRET, key=key)  # known
        await web.post(SECRET, key=key, model="x\n{}")
        await web.post(SECRET, key=key, temperature=9)
        await web.post(SECRET * 9_000, key=key)


async def test_each_question_is_audited_with_tenant_and_usage(
    broker_url: str, tmp_path: Path, lines: Any, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "keys.json"
    key = create_key(path, "alice", NO_LIMITS)
    [entry] = read_keys(path)
    async with api_harness(broker_url, keys_file=str(path)) as web:
        await ask_all(web, key)
    ends = [
        (line["outcome"], line["code"], line.get("answer_tokens")) for line in lines()
    ]
    assert ends == [
        ("finished", "", 10),
        ("finished", "", 10),
        ("refused", "model_not_found", None),
        ("refused", "invalid_request", None),
        ("failed", "context_length_exceeded", None),
    ]
    for line in lines():
        assert (line["tenant"], line["address"]) == (entry.id, "127.0.0.1")
        assert line["time"].startswith("20") and line["seconds"] >= 0
    assert [line["model"] for line in lines()] == ["stub", "stub", "x\n{}", "", "stub"]
    assert SECRET not in caplog.text
    assert key not in caplog.text and key[-43:] not in caplog.text
    assert all("\n" not in r.getMessage() for r in caplog.records)


async def test_an_invalid_key_is_audited(
    broker_url: str, tmp_path: Path, lines: Any
) -> None:
    path = tmp_path / "keys.json"
    create_key(path, "alice", NO_LIMITS)
    async with api_harness(broker_url, keys_file=str(path)) as web:
        await web.post(key="guess", address="10.0.0.9")
    [line] = lines()
    assert (line["tenant"], line["address"]) == ("", "10.0.0.9")
    assert (line["outcome"], line["code"]) == ("refused", "invalid_api_key")


async def test_it_can_be_switched_off(
    broker_url: str, tmp_path: Path, lines: Any
) -> None:
    async with api_harness(broker_url, data_dir=tmp_path, audit=False) as web:
        await ask_all(web)
    assert lines() == []
