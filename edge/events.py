"""What happens to a job, as it happens: the only thing that flows back to a client.

    Accepted -> Queued* -> Started -> Embedded* -> Token* -> Finished | Failed
                  ^____________ Retried __________/

Exactly one of the last two ends every job. A cancelled or expired job ends in `Failed`
with the code `cancelled` or `deadline_exceeded`.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import get_args

from edge.errors import EdgeError, from_code
from edge.request import Answer


@dataclass(frozen=True)
class Accepted:
    """A worker has found that the prompt, so many tokens with its pictures, fits."""

    prompt_tokens: int


@dataclass(frozen=True)
class Queued:
    """Waiting; `position` 1 is the next to start, in about `starts_in_s` seconds."""

    position: int
    starts_in_s: float | None = None


@dataclass(frozen=True)
class Started:
    """The engine has accepted the prompt, which is `prompt_tokens` long."""

    prompt_tokens: int


@dataclass(frozen=True)
class Embedded:
    """The vision tower has read one picture."""

    image_tokens: int


@dataclass(frozen=True)
class Token:
    """More text. Always whole characters; may stand for several tokens."""

    text: str


@dataclass(frozen=True)
class Retried:
    """The worker is gone; what it has told is void, and another begins anew."""


@dataclass(frozen=True)
class Finished:
    """The answer is complete."""

    answer: Answer


@dataclass(frozen=True)
class Failed:
    """There will be no answer; `code` names a class in `edge.errors`, `param` the field
    of the request that is at fault, where it is one."""

    code: str
    message: str
    param: str | None = None

    @classmethod
    def because(cls, error: EdgeError) -> Failed:
        return cls(error.code, error.message, error.param)

    @property
    def error(self) -> EdgeError:
        return from_code(self.code, self.message, self.param)


Event = Accepted | Queued | Started | Embedded | Token | Retried | Finished | Failed
Terminal = Finished | Failed

_KINDS: dict[str, type[Event]] = {
    kind.__name__.lower(): kind for kind in get_args(Event)
}


def to_json(event: Event) -> str:
    """One line of JSON; `from_json` gives the same event back."""
    return json.dumps({"kind": type(event).__name__.lower(), **asdict(event)})


def from_json(line: str | bytes) -> Event:
    fields = json.loads(line)
    kind = _KINDS[fields.pop("kind")]
    if kind is Finished:
        return Finished(Answer.from_json(fields["answer"]))
    return kind(**fields)
