"""The HTTP API of jobs: /v1/jobs/{id}. Other callers than its own get 404."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from edge.errors import InvalidRequest
from edge.events import Failed, Finished, from_json
from ui.client import Client, JobView
from ui.event_streams import together
from ui.openai.answers import Job
from ui.openapi import documented
from ui.request_caller import caller_of
from ui.sse import Reply, event_stream


def job_routes(client: Client) -> APIRouter:
    """The API over `client`."""
    router = APIRouter()

    @router.get("/v1/jobs/{job_id}")
    @documented(answer=Job)
    async def job(job_id: str, http: Request) -> dict[str, Any]:
        return _render(job_id, await client.job(job_id, caller_of(http)))

    @router.delete("/v1/jobs/{job_id}")
    @documented(answer=Job)
    async def cancel(job_id: str, http: Request) -> dict[str, Any]:
        """Ends the job unless it has ended; the job as it is then."""
        await client.job(job_id, caller_of(http))
        await client.cancel(job_id)
        return _render(job_id, await client.job(job_id, caller_of(http)))

    @router.get("/v1/jobs/{job_id}/events")
    @documented(stream="text/event-stream")
    async def follow_again(
        job_id: str, http: Request, include_usage: bool = False
    ) -> Response:
        """The stream of its answer again: all of it, or the part after the chunk that
        `Last-Event-ID` names."""
        job = (await client.job(job_id, caller_of(http))).record
        reply = Reply(job_id, job.created, job.model, has_tools=job.has_tools)
        events = together([client.subscriptions.follow(job_id)])  # ends no job
        return event_stream(reply.stream(events, include_usage, last_event_id(http)))

    return router


def last_event_id(http: Request) -> int:
    """How many characters of the answer the client has. Raises InvalidRequest."""
    given = http.headers.get("last-event-id", "0")
    if not (given.isascii() and given.isdigit() and len(given) < 10):
        raise InvalidRequest(
            "Last-Event-ID must be the id of a chunk of this stream, a whole number."
        )
    return int(given)


def _render(job_id: str, view: JobView) -> dict[str, Any]:
    job, queued = view.record, view.queued
    outcome = from_json(job.outcome) if job.outcome else None
    reply = Reply(job_id, job.created, job.model, has_tools=job.has_tools)
    return {
        "id": job_id,
        "object": "job",
        "status": job.state,
        "created": int(job.created),
        "attempt": job.attempt,
        "position": queued.position if queued else None,
        "starts_in_s": queued.starts_in_s if queued else None,
        "answer": reply.complete([outcome.answer])
        if isinstance(outcome, Finished)
        else None,
        "error": outcome.error.body()["error"] if isinstance(outcome, Failed) else None,
    }
