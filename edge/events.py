"""The events of a job: everything that flows back to its client.

    Accepted -> Queued* -> Started -> (Encoding* -> Embedded)* -> Prefilling* -> Token*
                  ^______________________ Retried _______________________________/
        -> Finished | Failed

Every job ends with exactly one `Finished` or `Failed`. A cancelled or expired job ends
with `Failed` and the code `cancelled` or `deadline_exceeded`.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, get_args

from edge import logprobs
from edge.errors import EdgeError, from_code
from edge.logprobs import TokenLogprob
from edge.request import Answer


@dataclass(frozen=True)
class Accepted:
    """A worker has checked that the prompt fits; its tokens include the pictures."""

    prompt_tokens: int
    image_tokens: int = 0


@dataclass(frozen=True)
class Queued:
    """The job waits; `position` 1 starts next, in about `starts_in_s` seconds. While
    the model is not in memory, `loading_s` of them pass until it is; at first it may
    wait for room there."""

    position: int
    starts_in_s: float | None = None
    loading_s: float | None = None
    waits_for_room: bool = False


@dataclass(frozen=True)
class Started:
    """The engine has accepted the prompt, of `prompt_tokens` tokens, `image_tokens` of
    which are pictures."""

    prompt_tokens: int
    image_tokens: int = 0


@dataclass(frozen=True)
class Encoding:
    """The vision encoder has computed `n_done` of the `n_stages` stages of a picture:
    number `picture`, from 0, of the `n_pictures` in the prompt."""

    picture: int
    n_pictures: int
    n_done: int
    n_stages: int


@dataclass(frozen=True)
class Embedded:
    """The vision encoder has encoded one picture."""

    image_tokens: int


@dataclass(frozen=True)
class Prefilling:
    """The prompt has a slot; `n_done` of its `n_tokens` tokens are computed."""

    n_done: int
    n_tokens: int


@dataclass(frozen=True)
class Token:
    """More text: whole characters, from one or several tokens, whose `logprobs` are
    here if they were asked for."""

    text: str
    logprobs: tuple[TokenLogprob, ...] = ()

    def __add__(self, other: Token) -> Token:
        return Token(self.text + other.text, self.logprobs + other.logprobs)


@dataclass(frozen=True)
class Retried:
    """The worker was lost. The text so far is void; another worker starts over."""


@dataclass(frozen=True)
class Finished:
    """The answer is complete."""

    answer: Answer


@dataclass(frozen=True)
class Failed:
    """The job ended without an answer. `code` is that of a class in `edge.errors`,
    `param` the field of the request that caused the error, if any."""

    code: str
    message: str
    param: str | None = None

    @classmethod
    def because(cls, error: EdgeError) -> Failed:
        return cls(error.code, error.message, error.param)

    @property
    def error(self) -> EdgeError:
        return from_code(self.code, self.message, self.param)


@dataclass(frozen=True)
class PageStarted:
    """The next page of a document, called `label`, is asked about by a job of its own.
    It is an event of the joined answer, and of no job."""

    label: str
    job_id: str


Progress = Accepted | Queued | Started | Encoding | Prefilling | PageStarted
Event = Progress | Embedded | Token | Retried | Finished | Failed
Terminal = Finished | Failed

_KINDS: dict[str, type[Event]] = {
    kind.__name__.lower(): kind for kind in get_args(Event)
}


def to_json(event: Event) -> str:
    """One line of JSON; `from_json` gives the same event back."""
    match event:
        case Token(text, tokens):
            fields: dict[str, Any] = {"text": text}
            if tokens:
                fields["logprobs"] = logprobs.to_json(tokens)
        case Finished(answer):
            fields = {"answer": answer.to_json()}
        case _:
            fields = asdict(event)
    return json.dumps({"kind": type(event).__name__.lower(), **fields})


def from_json(line: str | bytes) -> Event:
    fields = json.loads(line)
    kind = _KINDS[fields.pop("kind")]
    if kind is Finished:
        return Finished(Answer.from_json(fields["answer"]))
    if kind is Token:
        return Token(fields["text"], logprobs.from_json(fields.get("logprobs", ())))
    return kind(**fields)
