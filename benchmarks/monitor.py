"""`edge monitor`: asks one standard question at intervals and measures the answers.

The question and the size of its picture never change. The grain of the picture is new
each time, because the answer cache would answer a picture that it knows. That of a
reranker is the same to the byte, and asks for no cache.
"""

from __future__ import annotations

import secrets
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.history import KEPT, Health, History, Probe
from benchmarks.load import rerank
from benchmarks.load.chat import CHAT, ChatClient, read_api_key, request_body
from benchmarks.load.exchange import Patience
from benchmarks.load.questions import picture
from benchmarks.report import charts
from edge.cli.errors import clear_errors
from edge.settings import Settings

ANSWER_TOKENS = 64
UNANSWERED, TOO_SLOW = 1, 2  # exit statuses

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def chat_question(model: str) -> bytes:
    """The standard question about a picture, as a body of /v1/chat/completions."""
    question = picture(secrets.token_hex(8), 0)
    return request_body([question.message()], ANSWER_TOKENS, model)


def rerank_question(model: str) -> bytes:
    """The standard question of a reranker, as a body of /v1/rerank."""
    return rerank.rerank_body(rerank.STANDARD, model, {"cache": "no-store"})


def probe(client: ChatClient, body: bytes, timeout_s: float) -> Probe:
    """Asks the question `body` now."""
    at = datetime.now(UTC).isoformat(timespec="seconds")
    reply = client.ask(body, Patience(timeout_s=timeout_s))
    return Probe(at, reply.e2e_s, reply.answer.ttft_s, reply.outcome, reply.code)


@app.command()
def monitor(
    url: Annotated[
        str, typer.Option(help="Address of the server.")
    ] = "http://localhost:8080",
    every: Annotated[
        float, typer.Option(min=0.1, help="Seconds between two questions.")
    ] = 30.0,
    once: Annotated[
        bool, typer.Option("--once", help="Ask one question and exit, for cron.")
    ] = False,
    alert_p99: Annotated[
        float | None, typer.Option(help="Alert when the P99 exceeds these seconds.")
    ] = None,
    window: Annotated[
        int, typer.Option(min=1, help="Number of newest questions in the P99.")
    ] = 100,
    timeout: Annotated[
        float, typer.Option(min=0.1, help="Seconds to wait for an answer.")
    ] = 120.0,
    model: Annotated[str, typer.Option(help="The model to ask for.")] = "",
    reranks: Annotated[
        bool, typer.Option("--rerank", help="Ask /v1/rerank: texts and pictures.")
    ] = False,
    keep: Annotated[
        int, typer.Option(min=1, help="Number of newest questions to keep.")
    ] = KEPT,
    history: Annotated[
        Path | None,
        typer.Option(
            help="History file; default: monitor.json in the data folder, or "
            "monitor-rerank.json."
        ),
    ] = None,
    as_csv: Annotated[
        Path | None, typer.Option("--csv", help="Also write the history as CSV.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Also draw the history as PNG.")
    ] = None,
    api_key_file: Annotated[
        Path | None, typer.Option(help="File with the API key of the server.")
    ] = None,
) -> None:
    """Ask one standard question every 30 seconds and print P50, P90 and P99.

    Exit status: 1 when the last question was not answered, 2 when the P99 exceeds
    --alert-p99, else 0.
    """
    with clear_errors():
        name = "monitor-rerank.json" if reranks else "monitor.json"
        path = history or Settings.load().data_dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        kept = History(path, keep)
        route = rerank.ROUTE if reranks else CHAT
        question = rerank_question if reranks else chat_question
        client = ChatClient(url, read_api_key(api_key_file), route)
        status = 0
        try:
            while True:
                began = time.monotonic()
                kept.add(probe(client, question(model), timeout))
                status = _report(kept, alert_p99, window)
                if once:
                    break
                time.sleep(max(0.0, began + every - time.monotonic()))
        except KeyboardInterrupt:
            print(file=sys.stderr)
        finally:
            client.close()
            if as_csv:
                kept.write_csv(as_csv)
            if plot:
                plot.write_bytes(charts.over_time([kept.as_run()], "latency"))
    raise typer.Exit(status)


def _report(history: History, alert_p99: float | None, window: int) -> int:
    """Prints the newest probe; returns the exit status that it means."""
    newest = history.probes[-1]
    health = Health.of(history.probes[-window:])
    is_answered = newest.outcome == "answered"
    result = f"{newest.e2e_s:6.2f} s"
    if not is_answered:
        result = f"{newest.outcome} ({newest.code})"
    print(f"{newest.at}  {result}  {health.line()}", flush=True)
    if alert_p99 is not None and health.p99_s is not None and health.p99_s > alert_p99:
        print(
            f"{newest.at}  ALERT P99 {health.p99_s:.2f} s is above {alert_p99:.2f} s",
            flush=True,
        )
        return TOO_SLOW
    return 0 if is_answered else UNANSWERED


if __name__ == "__main__":
    app(prog_name="edge monitor")
