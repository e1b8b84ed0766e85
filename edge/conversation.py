"""Shortens a conversation that is too long to its newest turns. Pure.

A turn is a question and the messages up to the next one. System messages stay, and so
does the last turn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from edge.errors import ContextLengthExceeded
from edge.request import Message, Request, stills_in

CHARS_PER_TOKEN = 16  # at most: English has 4 to 5
MOST_TOGETHER = 65_536  # tokens of all prompts of one request


def newest(
    messages: tuple[Message, ...], size: Callable[[Message], float], room: float
) -> tuple[Message, ...]:
    """The messages that remain when whole turns are left out, the oldest first, until
    their sizes add up to at most `room`. System messages and the last turn remain even
    if they do not fit.

    Calls `size` at most once for each message, from the newest backwards, and not for
    messages older than the first turn that does not fit.
    """
    questions = [n for n, message in enumerate(messages) if message.role == "user"]
    begins = questions[:0:-1]  # where the conversation may begin, newest first
    if not begins:
        return messages
    begin = begins[0]
    older, last = messages[:begin], messages[begin:]
    room -= sum(size(message) for message in older if message.role == "system")
    room -= sum(map(size, last))
    for earlier in (*begins[1:], 0):
        for message in messages[earlier:begin]:
            if room < 0:
                break
            if message.role != "system":
                room -= size(message)
        if room < 0:
            break
        begin = earlier
    kept = (message for message in messages[:begin] if message.role == "system")
    return (*kept, *messages[begin:])


def trim(request: Request, n_tokens: int | None) -> Request:
    """The request without turns that cannot fit a context of `n_tokens`, judged by
    their characters and pictures, if it may be truncated, and without tools that need
    not be called where these do not fit; its answer fits the context too.
    Unchanged where `n_tokens` is None, unknown.

    Raises ContextLengthExceeded when the rest is still too long.
    """
    if n_tokens is None or request.wants == "text":  # of tokens: not a prompt
        return request
    if request.has_many_prompts:
        n_together = 0.0
        for i, prompt in enumerate(request.prompts):
            with of_prompt(i):
                trim(prompt, n_tokens)
                n_together += sum(map(least_tokens, prompt.messages))
                check_together(n_together, i)
        return request
    kept = request.messages
    if request.truncate:
        kept = newest(kept, least_tokens, n_tokens)
    if sum(map(least_tokens, kept)) > n_tokens:
        if request.n_spare:
            return trim(request.without_tools(), n_tokens)
        n_characters, n_image = map(sum, zip(*map(_sizes, kept), strict=True))
        pictures = f" and {n_image:,} image tokens" if n_image else ""
        fewer = ", or fewer or smaller pictures or videos" if n_image else ""
        raise ContextLengthExceeded(
            f"This model's maximum context length is {n_tokens} tokens. Your messages "
            f"have {n_characters:,} characters of text{pictures}, which never fit. "
            f"Send less text{fewer}.",
            param="messages",
        )
    n_dropped = request.n_dropped + len(request.messages) - len(kept)
    max_tokens = min(request.sampling.max_tokens, n_tokens)
    sampling = replace(request.sampling, max_tokens=max_tokens)
    trimmed = replace(request, messages=kept, n_dropped=n_dropped, sampling=sampling)
    n_lost = len(stills_in(request.pictures)) - len(stills_in(trimmed.pictures))
    return replace(trimmed, n_dropped_pictures=request.n_dropped_pictures + n_lost)


@contextmanager
def of_prompt(i: int) -> Iterator[None]:
    """Says of a prompt that is too long which of the request's prompts it is."""
    try:
        yield
    except ContextLengthExceeded as refusal:
        refusal.param = f"messages[{i + 2}]"
        raise


def check_together(n_tokens: float, i: int) -> None:
    """Raises ContextLengthExceeded for more than MOST_TOGETHER tokens in the prompts up
    to number `i`."""
    if n_tokens > MOST_TOGETHER:
        raise ContextLengthExceeded(
            f"The prompts of one request may have {MOST_TOGETHER} tokens together, and "
            f"yours have more, from number {i} on. Send the rest in another request, "
            "or fewer or smaller pictures."
        )


def least_tokens(message: Message) -> float:
    """No message has fewer tokens than this: it is cheap to know, and comes before
    everything that reads texts or keeps pixels."""
    n_characters, n_image = _sizes(message)
    return n_characters / CHARS_PER_TOKEN + n_image


def _sizes(message: Message) -> tuple[int, int]:
    """Characters of text, and image tokens at least: the encoder rounds, but down where
    a picture would have too many."""
    n_characters = sum(len(part) for part in message.content if isinstance(part, str))
    n_image = (max(1, r.width // 32 * (r.height // 32)) for r in message.pictures)
    return n_characters, sum(n_image)
