"""How Celery calls workers: settings that both ends share, as plain data.

A message says only that a job waits in a pool; `claim.lua` chooses the job at the
moment when a slot is free. So a surplus message does no harm, and a lost one is
replaced by the next, or by `reconcile`.

Measured choices: early acknowledgement with prefetch off (a late one loses the worker
when Redis restarts), no result backend (publishing would block when Redis is gone).
"""

from __future__ import annotations

import ssl
from typing import Any

from edge.jobs import keys

TASK = "edge.answer"


def queue_of(pool: str) -> str:
    """The Celery queue, and so the Redis list, of a pool."""
    return keys.QUEUE(pool)


def celery_settings(
    broker_url: str, socket_timeout_s: float | None = None
) -> dict[str, Any]:
    """The configuration of the Celery app at either end of the queue. A worker waits
    for tasks without a limit; the web process, which sends them, has a time-out."""
    # kombu's default does not check a server's certificate
    checked = {"ssl_cert_reqs": ssl.CERT_REQUIRED}
    return {
        "broker_use_ssl": checked if broker_url.startswith("rediss://") else None,
        # kombu spells a Unix socket differently from redis-py
        "broker_url": broker_url.replace("unix://", "redis+socket://", 1),
        "task_serializer": "json",
        "accept_content": ["json"],
        "task_ignore_result": True,
        "result_backend": None,
        "task_acks_late": False,
        "worker_prefetch_multiplier": 1,
        "worker_disable_prefetch": True,
        "worker_hijack_root_logger": False,
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "worker_enable_remote_control": False,  # unused
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_transport_options": {
            "visibility_timeout": 3600,
            "socket_connect_timeout": 2,
            "socket_timeout": socket_timeout_s,
            "socket_keepalive": True,
            "health_check_interval": 25,
            "max_retries": 1,
        },
    }
