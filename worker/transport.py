"""Celery's transport to Redis, for a queue whose content is not trusted.

A message only says that a job waits. One that names the task is replaced by a message
that is made here, and all others are dropped: Celery would end the whole worker for a
message that is not JSON or lacks a key.
"""

from __future__ import annotations

import base64
import json
import logging
import uuid
from queue import Empty
from typing import Any

from kombu.transport import TRANSPORT_ALIASES, redis

from edge.jobs.queue import TASK
from edge.redis_clients import UNREACHABLE, ServerError

log = logging.getLogger(__name__)

_NO_ARGUMENTS = base64.b64encode(json.dumps([[], {}, {}]).encode()).decode()


class Channel(redis.Channel):  # type: ignore[misc]
    """Drops messages that it cannot read."""

    def _brpop_read(self, **options: Any) -> Any:
        try:
            return super()._brpop_read(**options)
        except (Empty, *UNREACHABLE):
            raise
        except Exception:
            log.warning("an unreadable message is dropped", exc_info=True)
            raise Empty from None


class Transport(redis.Transport):  # type: ignore[misc]
    Channel = Channel
    # Celery reconnects, after pauses, on these errors, and ends on a server's refusal.
    # A server whose disk is full refuses everything until there is room.
    connection_errors = (*redis.Transport.connection_errors, ServerError)

    def _deliver(self, message: Any, queue: str) -> None:
        if not _calls(message):
            log.warning("a message that does not name the task is dropped")
            return
        super()._deliver(_call(queue), queue)


def use_for_redis() -> None:
    """Makes Celery use this transport for every Redis in this process."""
    where = f"{Transport.__module__}:{Transport.__qualname__}"
    TRANSPORT_ALIASES.update(redis=where, rediss=where)


def _calls(message: Any) -> bool:
    headers = message.get("headers") if isinstance(message, dict) else None
    return isinstance(headers, dict) and headers.get("task") == TASK


def _call(queue: str) -> dict[str, Any]:
    """A message of Celery's protocol 2: our task, without arguments, at once."""
    name = str(uuid.uuid4())
    return {
        "body": _NO_ARGUMENTS,
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {"lang": "py", "task": TASK, "id": name, "root_id": name},
        "properties": {
            "body_encoding": "base64",
            "correlation_id": name,
            "delivery_info": {"exchange": "", "routing_key": queue},
            "delivery_mode": 2,
            "delivery_tag": name,
            "priority": 0,
        },
    }
