"""A completion: one JSON body, or a stream of chunks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from edge.events import Finished, Retried, Token
from edge.logprobs import TokenLogprob
from edge.request import Answer
from ui.new_text import NewText
from ui.openai.logprobs import bytes_of, text_of
from ui.sse import Reply, ReplyChoice


class Completion(Reply):
    """The envelope of completions. `begin` is the text before each answer: the prompt,
    if the client wants it back."""

    name, kind, chunk_kind = "cmpl", "text_completion", "text_completion"

    def __init__(
        self,
        job_id: str,
        created: float,
        model: str,
        *,
        begin: str = "",
        n: int = 1,
        are_equal: bool = False,
    ) -> None:
        super().__init__(job_id, created, model, n=n, are_equal=are_equal)
        self._begin = begin

    def choice(self, index: int, skip: int = 0) -> ReplyChoice:
        return TextChoice(index, "" if skip else self._begin, skip)


class TextChoice:
    """See `ui.sse.ReplyChoice`. An answer's thoughts and calls are text here."""

    def __init__(self, index: int, begin: str = "", skip: int = 0) -> None:
        self.index = index
        self._begin = begin
        self._text = NewText(skip)

    @property
    def n_read(self) -> int:
        return self._text.n_read

    def whole(self, answer: Answer) -> dict[str, Any]:
        text = self._begin + answer.text
        return self._chunk(text, answer.logprobs, 0, answer.finish_reason)

    def begin(self) -> Iterator[dict[str, Any]]:
        if self._begin:
            yield self._chunk(self._begin)

    def read(self, event: Token | Finished | Retried) -> Iterator[dict[str, Any]]:
        at = self._text.n_read
        added = self._text.read(event)
        at += len(added.known)
        end = event.answer.finish_reason if isinstance(event, Finished) else None
        if added.new or added.logprobs or end:
            yield self._chunk(added.new, added.logprobs or None, at, end)

    def _chunk(
        self,
        text: str,
        logprobs: Iterable[TokenLogprob] | None = None,
        at: int = 0,
        finish_reason: str | None = None,
    ) -> dict[str, Any]:
        shown = None if logprobs is None else logprobs_object(logprobs, at)
        return {
            "index": self.index,
            "text": text,
            "logprobs": shown,
            "finish_reason": finish_reason,
        }


def logprobs_object(tokens: Iterable[TokenLogprob], at: int) -> dict[str, Any]:
    """The field `logprobs` of a choice, of tokens that begin at the character `at` of
    the answer. The alternatives include the token itself."""
    found: dict[str, list[Any]] = {
        "tokens": [],
        "token_logprobs": [],
        "top_logprobs": [],
        "text_offset": [],
    }
    n_begun = 0  # characters, in tokens before
    for one in tokens:
        begins = [byte & 0xC0 != 0x80 for byte in bytes_of(one.token)]
        is_inside = bool(begins) and not begins[0]  # a character of the token before
        found["tokens"].append(text_of(one.token))
        found["token_logprobs"].append(one.logprob)
        likeliest = {text_of(token): value for token, value in one.likeliest}
        found["top_logprobs"].append({text_of(one.token): one.logprob} | likeliest)
        found["text_offset"].append(at + max(0, n_begun - is_inside))
        n_begun += sum(begins)
    return found
