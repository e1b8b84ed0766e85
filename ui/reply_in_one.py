"""A reply whose answer comes in one piece, such as scores: a JSON body, or a stream of
progress with that body at its end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from edge.errors import EdgeError
from edge.events import Failed, Finished, Progress, Retried
from edge.request import Answer
from ui.event_streams import NumberedEvents
from ui.field_names import FieldNames
from ui.progress import progress_comment
from ui.sse import DONE, KEEP_ALIVE, frame


@dataclass(frozen=True)
class ReplyInOne:
    """What `render` makes of an answer. `names` are those of the fields in errors."""

    render: Callable[[Answer], dict[str, Any]]
    names: FieldNames

    def complete(self, answers: Sequence[Answer]) -> dict[str, Any]:
        return self.render(answers[0])

    async def stream(
        self, numbered: NumberedEvents, include_usage: bool, skip: int = 0
    ) -> AsyncIterator[str]:
        async with aclosing(numbered) as events:
            async for _, event in events:
                match event:
                    case Finished(answer):
                        yield self._last(answer)
                    case Failed():
                        yield frame(self.names.rename(event.error).body())
                    case None:
                        yield KEEP_ALIVE
                if isinstance(event, Progress | Retried):
                    yield progress_comment(event)
        yield DONE

    def _last(self, answer: Answer) -> str:
        try:
            return frame(self.render(answer))
        except EdgeError as error:
            return frame(error.body())
