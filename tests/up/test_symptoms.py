"""The table of symptom, cause and remedy: each row for its figures, none for others."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from edge.settings import Settings
from edge.up import doctor
from edge.up.last_hour import figures, read_figures, runs
from edge.up.parts import free_port
from edge.up.symptoms import TABLE, Figures, applying

STAGES = {"queue": 0.1, "encode": 1.7, "prefill": 1.1, "decode": 2.4, "e2e": 5.2}
WELL = Figures(stage_s=STAGES, n_answers=40, decoding_s=0.04, ended={"": 400})


def slow(**stages: float) -> Figures:
    return replace(WELL, stage_s=STAGES | stages)


def ended(**codes: int) -> Figures:
    return replace(WELL, ended={"": 90} | codes)


# In the order of the table.
ILL = [
    ("The broker does not answer", replace(WELL, broker_is_up=False, n_workers=0)),
    ("No worker runs", replace(WELL, n_workers=0)),
    ("A worker died", ended(worker_lost=1)),
    ("longer than EDGE_DEADLINE_S", ended(deadline_exceeded=1)),
    ("More clients ask", ended(queue_full=6, client_limit=4)),
    ("claim no jobs", replace(WELL, oldest_waiting_s=130.0)),
    ("had left memory", replace(WELL, unloads=True, longest_queue_s=6.0)),
    ("All slots are busy", slow(queue=9.0, e2e=14.0)),
    ("wait for a decoder", replace(WELL, decoding_s=1.5)),
    ("many image tokens", slow(encode=6.0, e2e=10.0)),
    ("documents are long", slow(prefill=6.0, e2e=10.0)),
    ("Answers are long", slow(decode=20.0, e2e=23.0)),
    ("cache server does not answer", replace(WELL, cache_is_up=False)),
]


@pytest.mark.parametrize(("said", "found"), ILL)
def test_a_symptom_has_one_row(said: str, found: Figures) -> None:
    [row] = applying(found)
    assert said in row.message()


def test_every_row_is_tested() -> None:
    assert [row for _, ill in ILL for row in applying(ill)] == list(TABLE)


@pytest.mark.parametrize(
    "found",
    [
        WELL,
        Figures(),
        ended(worker_lost=1, queue_full=9, cancelled=900),
        replace(slow(queue=9.0, e2e=14.0), n_answers=4),  # too few to judge
        replace(WELL, ended={"worker_lost": 1}),
        replace(WELL, oldest_waiting_s=130.0, n_running=4),  # busy, not stuck
        replace(WELL, longest_queue_s=6.0),
        replace(WELL, n_workers=0, n_asleep=2),  # both models sleep
    ],
)
def test_a_healthy_hour_has_no_row(found: Figures) -> None:
    assert applying(found) == []


METRICS = """# TYPE edge_requests_total counter
edge_requests_total{code="",outcome="finished"} 90.0
edge_requests_total{code="queue_full",outcome="refused"} 10.0
edge_requests_created{code="",outcome="finished"} 1.79e+09
edge_prepare_seconds_bucket{le="+Inf"} 4.0
edge_prepare_seconds_count 4.0
edge_prepare_seconds_sum 2.0
edge_broker_up 1.0
edge_cache_up 0.0
edge_workers 2.0
edge_models_asleep 1.0
process_start_time_seconds 1000.0
edge_jobs_running 3.0
edge_oldest_waiting_seconds 1.5
"""


def test_figures_are_read_from_both_routes() -> None:
    stage = {"n": 7, "p50_s": 2.0, "p95_s": 3.0}
    status = {"latency": {"queue": stage, "e2e": stage}, "idle_unload_s": 600}
    assert figures(METRICS, status, now=8200.0) == Figures(
        stage_s={"queue": 2.0, "e2e": 2.0},
        n_answers=7,
        longest_queue_s=3.0,
        decoding_s=0.5,
        ended={"": 90, "queue_full": 10},
        counted_s=7200.0,
        n_workers=2,
        n_asleep=1,
        n_running=3,
        oldest_waiting_s=1.5,
        cache_is_up=False,
        unloads=True,
    )


def test_while_the_broker_is_away_its_figures_are_missing() -> None:
    found = figures("edge_broker_up 0.0\nedge_cache_up 1.0\n", {}, now=0.0)
    [row] = applying(found)
    assert row.cause == "The broker does not answer."


@pytest.mark.parametrize("hours", [0.5, 30.0])
def test_counters_older_than_an_hour_are_called_so(hours: float) -> None:
    """They begin with the web process, and the other figures an hour ago."""
    found = replace(ended(worker_lost=5, queue_full=9), counted_s=hours * 3600)
    found = replace(found, cache_is_up=False)
    lost, refused, cache = doctor.last_hour(Settings(), 8080, found)
    for finding in (lost, refused):
        assert ("started, 30 h ago" in finding.message) == (hours > 1)
    assert "ago" not in cache.message


def test_without_a_service_nothing_is_judged(tmp_path: Path) -> None:
    port, settings = free_port(), Settings(data_dir=tmp_path)
    assert read_figures(settings, port) is None
    [finding] = doctor.last_hour(settings, port, None)
    assert (finding.level, str(port) in finding.message) == ("ok", True)


@pytest.mark.parametrize(
    ("document", "is_ours"),
    [
        ({"info": {"title": "Edge-VL"}}, True),
        ({"info": {"title": "Another"}}, False),
        ([], False),
        (None, False),
    ],
)
def test_a_service_is_known_without_its_figures(
    tmp_path: Path, document: object, is_ours: bool
) -> None:
    class Service(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            is_there = self.path == "/v1/openapi.json" and document is not None
            self.send_response(200 if is_there else 403)
            self.end_headers()
            self.wfile.write(json.dumps(document).encode())

    settings = Settings(data_dir=tmp_path)
    with HTTPServer(("127.0.0.1", 0), Service) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        assert runs(settings, server.server_port) == is_ours
        assert read_figures(settings, server.server_port) is None
        server.shutdown()


def test_a_service_is_asked_where_it_listens(tmp_path: Path) -> None:
    class Service(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            if self.path == "/metrics":
                self.wfile.write(b"edge_broker_up 1.0\nedge_cache_up 1.0\n")

    with HTTPServer(("127.0.0.2", 0), Service) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port, elsewhere = server.server_port, Settings(data_dir=tmp_path)
        assert read_figures(elsewhere, port) is None
        assert read_figures(replace(elsewhere, host="127.0.0.2"), port)
        server.shutdown()
