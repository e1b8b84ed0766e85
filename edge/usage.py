"""What an answer took: tokens and time."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Usage:
    """Token counts. The prompt tokens include image tokens and the cached tokens, which
    an earlier question had already computed; all of them, if the answer was known.
    Those of the answer include the reasoning tokens, of thoughts before it. The
    embeddings of `memory_image_tokens` were in the worker's memory, and those of
    `stored_image_tokens` in the cache server: these pictures were not encoded."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    image_tokens: int = 0
    memory_image_tokens: int = 0
    stored_image_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


@dataclass(frozen=True)
class Timings:
    """Time of each stage of one answer inside the engine, in milliseconds, and how many
    steps of the language model it took less than it has tokens.

    The first four are consecutive stages up to the first token, or to the end of scores
    and embeddings, which are all prefill: their sum is `ttft_ms`. `tpot_ms` is the mean
    time per token after the first. Each of the `accepted_tokens` among the
    `drafted_tokens`, which were guessed, saved a step; the other `saved_steps` are
    those of tokens without an alternative in the schema.
    """

    prepare_ms: float = 0.0
    embed_ms: float = 0.0
    queue_ms: float = 0.0
    prefill_ms: float = 0.0
    ttft_ms: float = 0.0
    tpot_ms: float = 0.0
    e2e_ms: float = 0.0
    drafted_tokens: int = 0
    accepted_tokens: int = 0
    saved_steps: int = 0
