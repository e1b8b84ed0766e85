"""A job's events in the form of the OpenAI API: one JSON body or a stream of chunks."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any, Protocol

from fastapi.responses import StreamingResponse

from edge.events import Failed, Finished, Progress, Retried, Token
from edge.request import Answer
from edge.usage import Usage
from ui.choice import Choice
from ui.event_streams import NumberedEvents
from ui.paged_answer import PagedAnswer
from ui.progress import progress_comment

DONE = "data: [DONE]\n\n"
# Comments, which every SSE client skips.
KEEP_ALIVE = ": still working\n"  # as `progress_comment`


class ReplyChoice(Protocol):
    """One answer of a reply, in the shape of an API."""

    index: int

    @property
    def n_read(self) -> int:
        """How many characters the answer has so far."""
        ...

    def whole(self, answer: Answer) -> dict[str, Any]:
        """The answer in one piece, of which nothing was read before."""
        ...

    def begin(self) -> Iterator[dict[str, Any]]:
        """What comes before all events of a stream."""
        ...

    def read(self, event: Token | Finished | Retried) -> Iterator[dict[str, Any]]:
        """What an event gives."""
        ...


class Reply:
    """The envelope of `n` answers: id, time and model are equal in all its chunks, also
    when it is read again. Answers that have tools may hold calls of functions.

    If they `are_equal`, one job gives them all.
    """

    name, kind, chunk_kind = "chatcmpl", "chat.completion", "chat.completion.chunk"

    def __init__(
        self,
        job_id: str,
        created: float,
        model: str,
        *,
        has_tools: bool = False,
        n: int = 1,
        are_equal: bool = False,
    ) -> None:
        self._job_id = job_id
        self._has_tools = has_tools
        self._created = int(created)
        self._model = model
        self._n = n
        self._are_equal = are_equal

    def complete(self, answers: Sequence[Answer]) -> dict[str, Any]:
        """The body of a non-streamed reply, with the answer of each job."""
        if self._are_equal:
            answers = [answers[0]] * self._n
        choices = [self.choice(i).whole(answer) for i, answer in enumerate(answers)]
        return self._envelope(self.kind, choices) | measured(answers)

    async def stream(
        self, numbered: NumberedEvents, include_usage: bool, skip: int = 0
    ) -> AsyncIterator[str]:
        """The lines of a streamed reply, by the events of each job; of a single answer
        without its first `skip` characters. A failure becomes an error frame and ends
        all: a stream that merely stopped would look like a complete answer.

        The id of each chunk of a single answer is the number of characters that the
        model had written, from which a client can resume.
        """
        choices = [self.choice(i, skip) for i in range(self._n)]
        of_stream = [choices] if self._are_equal else [[one] for one in choices]
        answers: dict[int, Answer] = {}
        for choice in choices:
            for chunk in choice.begin():
                yield self._chunk(chunk, at=skip)
        async with aclosing(numbered) as events:
            async for i, event in events:
                match event:
                    case Token() | Finished() | Retried():
                        for choice in of_stream[i]:
                            for chunk in choice.read(event):
                                yield self._chunk(chunk, at=choice.n_read)
                    case Failed():
                        yield frame(event.error.body())
                        break
                    case None:
                        yield KEEP_ALIVE
                if isinstance(event, Finished):
                    answers |= {choice.index: event.answer for choice in of_stream[i]}
                if isinstance(event, Progress | Retried) and i == 0:
                    yield progress_comment(event)
        if include_usage and len(answers) == self._n:
            last = self._envelope(self.chunk_kind, [])
            yield frame(last | measured([answers[i] for i in range(self._n)]))
        yield DONE

    def choice(self, index: int, skip: int = 0) -> ReplyChoice:
        """The answer of this number."""
        name = f"{self._job_id}_{index}" if index else self._job_id
        return Choice(index, name, has_tools=self._has_tools, skip=skip)

    def _chunk(self, choice: dict[str, Any], *, at: int) -> str:
        text = frame(self._envelope(self.chunk_kind, [choice]))
        return f"id: {at}\n{text}" if self._n == 1 else text

    def _envelope(self, kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "id": f"{self.name}-{self._job_id}",
            "object": kind,
            "created": self._created,
            "model": self._model,
            "choices": choices,
        }


def event_stream(
    lines: AsyncIterator[str],
    headers: dict[str, str] | None = None,
    media_type: str = "text/event-stream",
) -> StreamingResponse:
    """A response that sends `lines` as they come."""
    return StreamingResponse(
        lines,
        media_type=media_type,
        # proxies must neither store nor buffer a stream
        headers={"cache-control": "no-cache", "x-accel-buffering": "no"}
        | (headers or {}),
    )


def measured(answers: Sequence[Answer]) -> dict[str, Any]:
    """OpenAI's usage; beside it timings, those of the slowest answer, the number of
    messages left out, whether the tools were, the number of pictures that are the first
    of several in their file, and the most tokens that an answer could have."""
    slowest = max(answers, key=lambda answer: answer.timings.e2e_ms)
    usage = replace(
        answers[0].usage,
        completion_tokens=sum(one.usage.completion_tokens for one in answers),
        reasoning_tokens=sum(one.usage.reasoning_tokens for one in answers),
    )
    return {
        "usage": _usage(usage),
        "timings": vars(slowest.timings),
        "dropped_messages": slowest.n_dropped,
        "dropped_tools": slowest.dropped_tools,
        "first_only_pictures": slowest.n_first,
        "max_tokens": slowest.max_tokens,
        **({"pages": slowest.per_page()} if isinstance(slowest, PagedAnswer) else {}),
    }


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {
            "cached_tokens": usage.cached_tokens,
            "image_tokens": usage.image_tokens,
            "memory_image_tokens": usage.memory_image_tokens,
            "stored_image_tokens": usage.stored_image_tokens,
        },
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }


def frame(body: dict[str, Any]) -> str:
    """One event of a stream."""
    return f"data: {json.dumps(body, ensure_ascii=False)}\n\n"
