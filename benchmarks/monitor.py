"""`edge monitor`: asks one standard question again and again, and times the answers.

The question is always the same, about a picture of the same size. Its grain is new each
time, or the answer cache would answer.
"""

from __future__ import annotations

import secrets
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.history import KEPT, Health, History, Look
from benchmarks.load.chat import ChatClient, body, read_key
from benchmarks.load.exchange import Patience
from benchmarks.load.questions import picture
from benchmarks.report import charts
from edge.cli.errors import clear_errors
from edge.settings import Settings

ANSWER_TOKENS = 64
UNANSWERED, TOO_SLOW = 1, 2  # exit statuses

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def look(client: ChatClient, timeout_s: float, model: str = "") -> Look:
    """Asks the standard question now."""
    question = picture(secrets.token_hex(8), 0)
    at = datetime.now(UTC).isoformat(timespec="seconds")
    asked = body([question.message()], ANSWER_TOKENS, model)
    reply = client.ask(asked, Patience(timeout_s=timeout_s))
    return Look(at, reply.e2e_s, reply.answer.ttft_s, reply.outcome, reply.code)


@app.command()
def monitor(
    url: Annotated[str, typer.Option(help="The server.")] = "http://localhost:8080",
    every: Annotated[
        float, typer.Option(min=0.1, help="Seconds between two questions.")
    ] = 30.0,
    once: Annotated[
        bool, typer.Option("--once", help="Ask once and end, for cron.")
    ] = False,
    alert_p99: Annotated[
        float | None, typer.Option(help="Seconds; a P99 above them is an alert.")
    ] = None,
    window: Annotated[
        int, typer.Option(min=1, help="Newest questions that the alert looks at.")
    ] = 100,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds to wait.")] = 120.0,
    model: Annotated[str, typer.Option(help="The model to ask for.")] = "",
    keep: Annotated[int, typer.Option(min=1, help="Newest questions kept.")] = KEPT,
    history: Annotated[
        Path | None, typer.Option(help="JSON file; else in the data folder.")
    ] = None,
    as_csv: Annotated[
        Path | None, typer.Option("--csv", help="Also written here, as CSV.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Also drawn here, as PNG.")] = None,
    api_key_file: Annotated[
        Path | None, typer.Option(help="A file that holds the server's key.")
    ] = None,
) -> None:
    """Ask one standard question every 30 seconds, and tell P50, P90 and P99.

    Ends with status 1 when the last question had no answer, with 2 when the P99 is
    above --alert-p99, else with 0.
    """
    with clear_errors():
        path = history or Settings.load().data_dir / "monitor.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        seen = History(path, keep)
        client = ChatClient(url, read_key(api_key_file))
        status = 0
        try:
            while True:
                began = time.monotonic()
                status = _look_once(
                    seen, look(client, timeout, model), alert_p99, window
                )
                if once:
                    break
                time.sleep(max(0.0, began + every - time.monotonic()))
        except KeyboardInterrupt:
            print(file=sys.stderr)
        finally:
            client.close()
            if as_csv:
                seen.write_csv(as_csv)
            if plot:
                plot.write_bytes(charts.over_time([seen.as_run()], "latency"))
    raise typer.Exit(status)


def _look_once(seen: History, one: Look, alert_p99: float | None, window: int) -> int:
    """Keeps and tells one look; the exit status it stands for."""
    seen.add(one)
    health = Health.of(seen.looks[-window:])
    answered = one.outcome == "answered"
    told = f"{one.e2e_s:6.2f} s" if answered else f"{one.outcome} ({one.code})"
    print(f"{one.at}  {told}  {health.line()}", flush=True)
    if alert_p99 is not None and health.p99_s is not None and health.p99_s > alert_p99:
        print(
            f"{one.at}  ALERT P99 {health.p99_s:.2f} s is above {alert_p99:.2f} s",
            flush=True,
        )
        return TOO_SLOW
    return 0 if answered else UNANSWERED


if __name__ == "__main__":
    app(prog_name="edge monitor")
