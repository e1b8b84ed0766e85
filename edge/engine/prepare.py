"""From a request to a sequence: template, tokens, picture grids, and what fits.

Runs on the caller's thread, so that tokenising never delays a step. Its time has a
bound: each message is tokenised once, and none that has too many characters to fit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache

from edge.conversation import check_together, newest, of_prompt, trim
from edge.engine.constraints import constrain
from edge.engine.protocols import Runtime, Tokenizer, VisionTower
from edge.engine.sequence import PicturePiece, Piece, Sequence, Siblings, TextPiece
from edge.errors import Cancelled, ContextLengthExceeded
from edge.logprobs import MOST_LOGPROBS
from edge.qwen3vl.chat import CLOSING, OPENING, Part, Template, render_message
from edge.qwen3vl.encode_cost import encode_tokens
from edge.qwen3vl.thoughts import NONE, OPENED
from edge.request import (
    Message,
    PictureRef,
    Request,
    SamplingParams,
    stills_in,
)

Tokens = list[int]


@dataclass(frozen=True, eq=False)
class Prepared:
    """A request with its sequences, for one `Engine.submit`: they are live state.

    Any thread may keep it. It takes about 50 bytes for each token that it holds, and
    the memory of the compiled schema. What several prompts begin with is computed once,
    and held by each.
    """

    request: Request
    n_prompt: int  # tokens to compute, image tokens included
    n_held: int
    n_image: int  # image tokens
    n_encode: float  # the same, weighed by what it costs to encode them
    _unused: list[tuple[Sequence, ...]]

    @classmethod
    def of(cls, request: Request, sequences: tuple[Sequence, ...]) -> Prepared:
        first, *others = sequences
        n_held = sum(sequence.n_prompt for sequence in sequences)
        n_prompt = first.n_prompt + sum(
            other.n_prompt - (other.siblings.n_common if other.siblings else 0)
            for other in others
        )
        pictures = {
            piece.ref: piece.n_tokens
            for sequence in sequences
            for piece in sequence.pieces
            if isinstance(piece, PicturePiece)
        }
        n_encode = sum(map(encode_tokens, pictures.values()))
        n_image = sum(pictures.values())
        return cls(request, n_prompt, n_held, n_image, n_encode, [sequences])

    def take(self, request: Request) -> tuple[Sequence, ...] | None:
        """The sequences, once, and only for an equal request."""
        if request != self.request:
            return None
        with suppress(IndexError):  # one of several threads gets it: `pop` is atomic
            return self._unused.pop()
        return None


def prepare_all(
    request: Request,
    runtime: Runtime,
    tower: VisionTower,
    is_wanted: Callable[[], bool] = lambda: True,
    *,
    thinks: bool = False,
) -> tuple[Sequence, ...]:
    """The sequences of all prompts of a request, as `prepare`: of an answer one. Raises
    ContextLengthExceeded for more than MOST_TOGETHER tokens of several prompts."""
    if not request.has_many_prompts:
        return (prepare(request, runtime, tower, is_wanted, thinks=thinks),)
    sequences: list[Sequence] = []
    n_tokens = 0
    for i, prompt in enumerate(request.prompts):
        with of_prompt(i):
            sequence = prepare(prompt, runtime, tower, is_wanted, thinks=thinks)
            n_tokens += sequence.n_prompt
            check_together(n_tokens, i)
        sequence.reads_state = True
        sequences.append(sequence)
    first = sequences[0]
    siblings = Siblings(min(first.match_prefix(each.content) for each in sequences))
    for sequence in sequences:
        sequence.siblings = siblings
    return tuple(sequences)


def prepare(
    request: Request,
    runtime: Runtime,
    tower: VisionTower,
    is_wanted: Callable[[], bool] = lambda: True,
    *,
    thinks: bool = False,
) -> Sequence:
    """A sequence in phase EMBED, without its embeddings. Its answer has as many tokens
    as were asked for, or as the prompt leaves of the runtime's cells. That of a model
    that `thinks` begins with thoughts, unless the request wants none.

    Raises ContextLengthExceeded, with the numbers, when the prompt leaves none; a
    request may ask to leave out its oldest messages instead, which then leave room for
    the whole answer, up to half of the cells. Tools that need not be called are left
    out first. Raises InvalidRequest when the model cannot sample in this way. Calls
    `is_wanted` before each message; raises Cancelled when it is False.
    """
    n_cells = runtime.n_cells
    is_thinking = thinks and request.thinks and not request.continues
    constraint = constrain(request.sampling, runtime, is_thinking=is_thinking)
    trimmed = trim(request, n_cells)

    @cache
    def encoded(message: Message) -> list[Tokens | PicturePiece]:
        if not is_wanted():
            raise Cancelled("No client waits for this answer any more.")
        return [_encode(part, runtime, tower) for part in render_message(message)]

    def size(message: Message) -> int:
        return sum(_n_tokens(part) for part in encoded(message))

    ending = CLOSING if request.continues else _opening(thinks, is_thinking)
    end = _encode(ending, runtime, tower)
    # a last message that goes on has no end, which is part of its size
    n_end = -_n_tokens(end) if request.continues else _n_tokens(end)
    n_answer = min(request.sampling.max_tokens, max(1, n_cells // 2))
    # the last token of an answer is never fed back: it needs no cell
    room = n_cells - n_end - (n_answer - 1)
    if trimmed.n_spare and sum(map(size, trimmed.messages)) > room:
        trimmed = trimmed.without_tools()
    kept = trimmed.messages
    if request.truncate:
        kept = newest(kept, size, room)
    n_prompt = sum(map(size, kept)) + n_end
    if n_prompt > n_cells:
        # litellm knows this error by the first words
        raise ContextLengthExceeded(
            f"This model's maximum context length is {n_cells} tokens, and your "
            f"messages have {n_prompt}. Send less text, or fewer or smaller pictures "
            "or videos.",
            param="messages",
        )
    sampling = _bounded(request.sampling, n_cells - n_prompt + 1)
    parts = [part for message in kept for part in encoded(message)]
    parts = parts[:-1] if request.continues else [*parts, end]
    written = OPENED if is_thinking else ""
    sequence = Sequence(_pieces(parts), sampling, request.scope, written)
    ends = () if sampling.ignore_eos else runtime.ends
    sequence.ends = frozenset((*ends, *sampling.stop_token_ids))
    sequence.constraint = constraint
    sequence.cache = request.cache
    sequence.dropped_tools = trimmed.dropped_tools
    sequence.n_dropped = trimmed.n_dropped + len(trimmed.messages) - len(kept)
    n_lost = len(stills_in(trimmed.pictures)) - len(stills_in(sequence.pictures))
    sequence.n_dropped_pictures = trimmed.n_dropped_pictures + n_lost
    sequence.n_first = sum(ref.is_first for message in kept for ref in message.pictures)
    return sequence


def _opening(thinks: bool, is_thinking: bool) -> Template:
    """The beginning of the answer of a model that `thinks`, or does not."""
    if not thinks:
        return OPENING
    return Template(OPENING.text + (OPENED if is_thinking else NONE))


def _bounded(sampling: SamplingParams, n_left: int) -> SamplingParams:
    """For an answer of at most `n_left` tokens, and not too many probabilities."""
    if sampling.logprobs is not None:
        n_left = min(n_left, MOST_LOGPROBS // (1 + sampling.logprobs))
    return replace(sampling, max_tokens=min(sampling.max_tokens, n_left))


def _encode(
    part: Part, tokenizer: Tokenizer, tower: VisionTower
) -> Tokens | PicturePiece:
    if isinstance(part, PictureRef):
        grid = tower.grid(part.width, part.height, part.n_frames)
        return PicturePiece(part, *grid)
    return tokenizer.tokenize(part.text, special=isinstance(part, Template))


def _n_tokens(part: Tokens | PicturePiece) -> int:
    return part.n_tokens if isinstance(part, PicturePiece) else len(part)


def _pieces(parts: Iterable[Tokens | PicturePiece]) -> tuple[Piece, ...]:
    """Joins neighbouring texts."""
    pieces: list[Piece] = []
    run: Tokens = []
    for part in parts:
        if isinstance(part, PicturePiece):
            pieces += [TextPiece(tuple(run)), part]
            run = []
        else:
            run += part
    return (*pieces, TextPiece(tuple(run)))
