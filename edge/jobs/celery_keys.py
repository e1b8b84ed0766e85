"""The keys that Celery keeps in the broker."""

from __future__ import annotations

from typing import Final

from edge.jobs.key_pattern import Key

ROWS: Final = (
    Key(
        "binding",
        "_kombu.binding.{queue}",
        "set",
        "Celery's list of the queues that it knows",
        "none",
        "Celery",
    ),
    Key(
        "binding_permanent",
        "_kombu.binding_permanent.{queue}",
        "set",
        "Celery's list of the queues that do not expire",
        "none",
        "Celery",
    ),
    Key("unacked", "unacked", "hash", "messages being delivered", "moments", "Celery"),
    Key("unacked_index", "unacked_index", "zset", "their times", "moments", "Celery"),
    Key("unacked_mutex", "unacked_mutex", "string", "a lock", "300 s", "Celery"),
)
