"""The figures of the last hour, and counters of a web process, read from a running
service over its own routes."""

from __future__ import annotations

import http.client
import json
import re
import time
from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Final

from edge.errors import SetupError
from edge.exposure import reached_at
from edge.settings import Settings
from edge.up.symptoms import Figures

TIMEOUT_S: Final = 5.0
MOST_BYTES: Final = 4_000_000
# A line of /metrics, in Prometheus's text format: name, labels if any, value.
SERIES: Final = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)
CODE: Final = re.compile(r'(?:^|,)code="([^"]*)"')


def runs(settings: Settings, port: int) -> bool:
    """Whether an Edge-VL answers on `port` of this machine. Everybody may read its
    OpenAPI document; others, such as llama-server, have the same /health."""
    try:
        document = json.loads(_read(settings, port, "/v1/openapi.json"))
        return bool(document["info"]["title"] == "Edge-VL")
    except (ValueError, LookupError, TypeError):
        return False


def read_figures(settings: Settings, port: int) -> Figures | None:
    """What the service on `port` of this machine tells; None if none answers there, or
    not to this machine."""
    metrics = _read(settings, port, "/metrics")
    if "edge_broker_up" not in metrics:  # no service, or not ours
        return None
    status = _read(settings, port, "/v1/status")  # with keys, not for everybody
    told = json.loads(status) if status else {}
    return figures(metrics, told, time.time())


def figures(metrics: str, status: Mapping[str, Any], now: float) -> Figures:
    """The figures in the text of /metrics and in the body of /v1/status, `now`, in Unix
    seconds."""
    total: dict[str, float] = defaultdict(float)
    ended: dict[str, int] = defaultdict(int)
    for name, labels, value in SERIES.findall(metrics):
        total[name] += float(value)
        if name == "edge_requests_total" and (code := CODE.search(labels)):
            ended[code[1]] += int(float(value))
    stages = status.get("latency") or {}
    n_decoded = total["edge_prepare_seconds_count"]
    return Figures(
        stage_s={name: stage["p50_s"] for name, stage in stages.items()},
        n_answers=stages.get("e2e", {}).get("n", 0),
        longest_queue_s=stages.get("queue", {}).get("p95_s", 0.0),
        decoding_s=total["edge_prepare_seconds_sum"] / n_decoded if n_decoded else 0.0,
        ended=ended,
        counted_s=now - total.get("process_start_time_seconds", now),
        n_workers=int(total.get("edge_workers", 1)),
        n_asleep=int(total["edge_models_asleep"]),
        n_running=int(total["edge_jobs_running"]),
        oldest_waiting_s=total["edge_oldest_waiting_seconds"],
        broker_is_up=total["edge_broker_up"] > 0,
        cache_is_up=total["edge_cache_up"] > 0,
        unloads=bool(status.get("idle_unload_s")),
    )


def _read(settings: Settings, port: int, path: str) -> str:
    """The body of a response of 200, else ""."""
    try:
        host = reached_at(settings.host)
    except SetupError:  # no address, so nothing listens there
        return ""
    connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        body = response.read(MOST_BYTES)
        return body.decode() if response.status == 200 else ""
    except (OSError, http.client.HTTPException, UnicodeDecodeError):
        return ""
    finally:
        connection.close()
