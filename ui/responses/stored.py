"""Stored responses as their caller sees them: with the ends of their jobs."""

from __future__ import annotations

from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Any

from edge.caller import Caller
from edge.errors import NotFound, Unavailable, WorkerLost
from edge.events import Failed, Finished, Terminal, from_json
from ui.client import Client
from ui.event_streams import Events
from ui.responses.reply import Response

LOST = "The answer was not read in time, and is no longer kept. Ask again."


@dataclass(frozen=True)
class Found:
    """A response, and its `outcome`; one that has not ended has a `status`."""

    response: Response
    outcome: Terminal | None
    status: str = ""

    def body(self) -> dict[str, Any]:
        return self.response.body(self.outcome, self.status)


class Stored:
    """The responses of `caller`. See `ResponseStore` for what is raised."""

    def __init__(self, client: Client, caller: Caller) -> None:
        self.store = client.responses
        self._client = client
        self._caller = caller

    async def find(self, response_id: str) -> Found:
        response, outcome = await self.store.get(response_id, self._caller)
        if outcome is not None:
            return Found(response, outcome)
        try:
            job = (await self._client.job(response.job_id, self._caller)).record
        except NotFound:
            return Found(response, Failed.because(WorkerLost(LOST)))
        if job.outcome is None:
            status = "queued" if job.state == "waiting" else "in_progress"
            return Found(response, None, status)
        event = from_json(job.outcome)
        assert isinstance(event, Terminal)
        await self.store.end(response_id, event)
        return Found(response, event)

    async def put(self, response: Response, sent: str) -> None:
        """See `ResponseStore.put`."""
        await self.store.put(response, self._caller, sent)

    async def follow(self, found: Found) -> Events:
        """The events of a response, which may have ended. Raises the error that ends
        this stream alone, while the job goes on."""
        if found.outcome is not None:
            yield found.outcome
            return
        job_id = found.response.job_id
        # closing it ends no job
        async for event in self._client.subscriptions.follow(job_id):
            if isinstance(event, Failed) and await self._goes_on(job_id):
                raise event.error
            yield event

    async def _goes_on(self, job_id: str) -> bool:
        """Whether a job has not ended; nobody knows while the broker is lost."""
        try:
            job = (await self._client.job(job_id, self._caller)).record
        except NotFound:
            return False
        except Unavailable:
            return True
        return job.outcome is None

    async def keeping(
        self, response: Response, events: Events, *, stays: bool
    ) -> Events:
        """The same events; the answer is stored. Other ends are those of the client, or
        of this process: the job knows its own. Unless the response `stays`, it is
        deleted when its client leaves before the end."""
        kept = self._keeping(response, events, stays)
        await anext(kept)  # only one that has begun runs its `finally`
        return kept

    async def _keeping(self, response: Response, events: Events, stays: bool) -> Events:
        has_ended = False
        try:
            yield None
            async with aclosing(events):
                async for event in events:
                    has_ended = isinstance(event, Terminal)
                    if isinstance(event, Finished):
                        with suppress(Unavailable):
                            await self.store.end(response.id, event)
                    yield event
        finally:
            if not has_ended and not stays:
                self._client.go_on(self._forget(response.id))

    async def _forget(self, response_id: str) -> None:
        with suppress(Unavailable):
            await self.store.delete(response_id)

    async def cancel(self, found: Found) -> None:
        """Ends the job of a response, if it has not ended."""
        if found.outcome is None:
            await self._client.cancel(found.response.job_id)

    async def delete(self, found: Found) -> None:
        await self.cancel(found)
        await self.store.delete(found.response.id)
