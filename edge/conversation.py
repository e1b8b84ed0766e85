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

# At most this many characters make a token: English has 4 to 5. Counting characters is
# cheap, so it comes before everything that reads them.
CHARS_PER_TOKEN = 16


def newest(
    messages: tuple[Message, ...], size: Callable[[Message], int], room: int
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
    their characters alone, if it may be truncated, and without tools that need not be
    called where these do not fit; its answer fits the context too.
    Unchanged where `n_tokens` is None, unknown.

    Raises ContextLengthExceeded when the rest is still too long.
    """
    if n_tokens is None:
        return request
    if request.has_many_prompts:
        for i, prompt in enumerate(request.prompts):
            with of_prompt(i):
                trim(prompt, n_tokens)
        return request
    room = CHARS_PER_TOKEN * n_tokens
    kept = request.messages
    if request.truncate:
        kept = newest(kept, n_characters, room)
    n_chars = sum(map(n_characters, kept))
    if n_chars > room and request.n_spare:
        return trim(request.without_tools(), n_tokens)
    if n_chars > room:
        raise ContextLengthExceeded(
            f"This model's maximum context length is {n_tokens} tokens. Your messages "
            f"have {n_chars:,} characters of text, and more than {room:,} never fit. "
            "Send less text.",
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


def n_characters(message: Message) -> int:
    return sum(len(part) for part in message.content if isinstance(part, str))
