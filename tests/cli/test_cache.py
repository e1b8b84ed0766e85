"""`edge cache` shows and clears the caches of a running service."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing

import numpy as np
import pytest
import redis

from edge.jobs import cache_keys, embeddings, keys
from edge.jobs.embeddings import Entry
from edge.redis_clients import sync_client

pytestmark = pytest.mark.redis
ENTRY = Entry("f", "s", "p", rows=10, columns=20, width=100)
N_ANSWERS = 1200  # more than one SCAN returns


def edge_cache(*words: str, url: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "edge.cli.cache", *words],
        env=os.environ
        | {"EDGE_BROKER_URL": url, "EDGE_CACHE_URL": url, "COLUMNS": "100"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def server(broker_url: str) -> Iterator[redis.Redis]:
    """One with cached answers, a picture, a stored response, and keys of others."""
    with closing(sync_client(broker_url)) as client:
        for i in range(N_ANSWERS):
            client.set(cache_keys.ANSWER(f"{i:064}"), "x" * 100)
        embeddings.put(client, ENTRY, np.ones(ENTRY.shape, np.float16))
        client.hset(cache_keys.RESPONSE("resp_1"), "owner", "me")
        client.set("somebody:elses", "x")
        client.hset(keys.JOB("1"), "state", "waiting")
        yield client


def test_stats_say_what_is_there(server: redis.Redis, broker_url: str) -> None:
    said = edge_cache("stats", url=broker_url)
    assert said.returncode == 0, said.stderr
    rows = [line.split() for line in said.stdout.splitlines()]
    assert ["answers", "cache", "server", "1,200"] in [row[:4] for row in rows]
    assert ["responses", "cache", "server", "1"] in [row[:4] for row in rows]
    [picture] = [row for row in rows if row[:2] == ["pictures", "cache"]]
    assert picture[3] == "1" and picture[5] == "kB"


@pytest.mark.parametrize("what", ["answers", "pictures", "all"])
def test_clear_deletes_its_kind_and_nothing_else(
    server: redis.Redis, broker_url: str, what: str
) -> None:
    said = edge_cache("clear", what, url=broker_url)
    assert said.returncode == 0, said.stderr
    n_answers = sum(1 for _ in server.scan_iter(cache_keys.ANSWER("*")))
    assert n_answers == (0 if what in ("answers", "all") else N_ANSWERS)
    assert server.exists(ENTRY.key) == (what == "answers")
    for other in (cache_keys.RESPONSE("resp_1"), "somebody:elses", keys.JOB("1")):
        assert server.exists(other)


def test_a_server_that_is_away_is_named(broker_url: str) -> None:
    said = edge_cache("clear", url="redis://127.0.0.1:1/0")
    assert said.returncode != 0
    assert "The cache cannot be reached" in said.stderr
    assert "Traceback" not in said.stderr


def test_without_a_service_it_says_what_to_do() -> None:
    said = edge_cache("stats", "--port", "1", url="")
    assert said.returncode != 0
    assert "--port" in said.stderr and "EDGE_CACHE_URL" in said.stderr
