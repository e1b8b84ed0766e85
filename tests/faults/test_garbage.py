"""Anything may lie in Celery's queue: the worker drops what it cannot use."""

from __future__ import annotations

import hashlib
import json
import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.jobs import keys
from edge.jobs.queue import TASK
from tests.conftest import wait_for
from tests.faults.asking import answered
from tests.faults.conftest import Start
from tests.faults.service import Service

pytestmark = [pytest.mark.redis, pytest.mark.faults]


def call(**changed: Any) -> Any:
    """A message as Celery writes it."""
    message = {
        "body": "W1tdLCB7fSwge31d",
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {"lang": "py", "task": TASK, "id": "a", "root_id": "a"},
        "properties": {
            "body_encoding": "base64",
            "delivery_info": {"exchange": "", "routing_key": "x"},
            "delivery_tag": "a",
        },
    }
    return message | changed


GARBAGE: dict[str, Any] = {
    "nothing": b"",
    "random bytes": random.Random(1).randbytes(1000),
    "half": json.dumps(call())[:50],
    "a pickle": b"\x80\x05\x95\x0b\x00\x00\x00\x00\x00\x00\x00K\x01.",
    "deep": "[" * 100_000,
    "a number": "5",
    "a list": "[]",
    "null": "null",
    "an empty message": "{}",
    "headers that are none": call(headers=[1]),
    "another task": call(headers={"task": "os.system", "id": "a"}),
    "a task that is a list": call(headers={"task": [TASK], "id": "a"}),
    "no properties": call(properties=None),
    "no tag": call(properties={}),
    "a tag that is a list": call(properties={"delivery_tag": [1]}),
    "pickled arguments": call(**{"content-type": "application/x-python-serialize"}),
    "another coding": call(**{"content-encoding": "no such"}),
    "no body": call(body=None),
    "a body that is none": call(body="%%%"),
    "arguments": call(body="W1sxXSwge30sIHt9XQ=="),
    "tomorrow": call(headers={"task": TASK, "id": "a", "eta": "2999-01-01T00:00:00"}),
    "never": call(headers={"task": TASK, "id": "a", "eta": "never"}),
    "an id that is none": call(headers={"task": TASK, "id": {}}),
    "8 MB": "x" * (8 << 20),
}


def push(service: Service, item: Any) -> None:
    client = service.broker.client
    [worker] = client.hvals(keys.FLEET_INFO())
    pool = hashlib.sha256(json.loads(worker)["fingerprint"].encode())
    queue = keys.QUEUE(pool.hexdigest()[:16])
    client.lpush(queue, item if isinstance(item, bytes | str) else json.dumps(item))
    wait_for(lambda: not client.exists(queue))  # it has been taken


@pytest.fixture(scope="module")
def served(start: Start):
    with start() as service:
        yield service


@pytest.mark.parametrize("what", GARBAGE)
async def test_garbage_in_the_queue_ends_nothing(served: Service, what: str) -> None:
    pid = served.pid("worker0")
    for _ in range(3):  # more than there are slots
        push(served, GARBAGE[what])
    for n in range(3):
        assert (await answered(served.url, f"after {what} {n}", n=5)).is_right
    assert served.pid("worker0") == pid


SCALARS = st.none() | st.booleans() | st.integers() | st.text(max_size=9)
VALUES = st.recursive(
    SCALARS,
    lambda x: st.lists(x, max_size=3) | st.dictionaries(st.text(), x, max_size=3),
)
PARTS = st.sampled_from(["body", "headers", "properties", "content-type"])


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changed=st.dictionaries(PARTS, VALUES))
def test_no_part_of_a_message_matters(served: Service, changed: Any) -> None:
    pid = served.pid("worker0")
    push(served, call(**changed))
    assert served.children["worker0"].is_alive
    assert served.pid("worker0") == pid


async def test_after_all_that_both_slots_still_work(served: Service) -> None:
    pid = served.pid("worker0")
    for n in range(6):
        assert (await answered(served.url, f"at last {n}", n=5)).is_right
    assert served.pid("worker0") == pid
    assert "is dropped" in served.log("worker0")
