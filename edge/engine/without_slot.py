"""What is answered without a slot: the tokens of a prompt, how many they are,
and the text of tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from edge.engine.engine import Engine
from edge.engine.protocols import Tokenizer
from edge.engine.sequence import Sequence, TextPiece
from edge.errors import InvalidRequest
from edge.qwen3vl.chat import pad
from edge.request import Answer, Request
from edge.usage import Usage

MOST_BYTES = 1 << 17  # of a text; that of 16,384 usual tokens has half


def answer_without_slot(
    engine: Engine, request: Request, is_wanted: Callable[[], bool]
) -> Answer:
    """The answer to a request that needs no slot; see `Wants`. Raises as
    `Engine.check`, and InvalidRequest for tokens that there are not."""
    if request.wants == "text":
        return Answer(_text(request, engine.tokenizer), "stop")
    prepared = engine.check(request, is_wanted)
    text = ""
    if request.wants == "tokens":
        for sequence in prepared.take(request) or ():
            text = " ".join(map(str, _tokens(sequence, engine.tokenizer)))
    return Answer(text, "stop", Usage(prepared.n_prompt))


def _tokens(sequence: Sequence, tokenizer: Tokenizer) -> Iterator[int]:
    """Those of the prompt. A picture has a placeholder for each image token, as in the
    input of Qwen's own processor."""
    for piece in sequence.pieces:
        if isinstance(piece, TextPiece):
            yield from piece.tokens
        else:
            placeholder = tokenizer.tokenize(pad(piece.ref), special=True)
            yield from placeholder * piece.n_tokens


def _text(request: Request, tokenizer: Tokenizer) -> str:
    """Control tokens are their names, and bytes that are not UTF-8 become U+FFFD."""
    numbers = "".join(map(str, request.messages[-1].content)).split()
    tokens = [int(number) for number in numbers]
    if max(tokens, default=0) >= tokenizer.n_vocab:
        raise InvalidRequest(
            f"The model has {tokenizer.n_vocab:,} tokens, numbered from 0, and "
            f"{max(tokens)} is not one of them.",
            param="messages",
        )
    text = b"".join(map(tokenizer.label, tokens))
    if len(text) > MOST_BYTES:
        raise InvalidRequest(
            f"The text of these tokens has {len(text):,} bytes, and it may have "
            f"{MOST_BYTES:,}. Send them in several requests.",
            param="messages",
        )
    return text.decode(errors="replace")
