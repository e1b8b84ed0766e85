"""A streamed answer as its client receives it: text, times, and how it ends.

Source: the OpenAI API reference, "The chat completion chunk object". Knows no network
and no clock: times are arguments, in seconds on any one clock.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

DONE = "[DONE]"
BAD_STREAM = "bad stream"  # the code of an event that is not a chunk
BAD_BODY = "bad body"  # the code of an answer in one piece that is none


@dataclass
class Answer:
    """One answer, which grows with each event."""

    asked_at: float
    pieces: list[str] = field(default_factory=list)  # of text, never empty
    first_at: float | None = None  # time of the first piece
    last_at: float | None = None
    gap_s: float | None = None  # the longest pause between two pieces
    usage_tokens: int | None = None  # as counted by the server
    timings: dict[str, float] = field(default_factory=dict)  # an addition of Edge-VL
    error_code: str = ""
    is_finished: bool = False  # the server has said that the answer is complete
    is_done: bool = False  # no further event follows

    def receive(self, data: str, now: float) -> None:
        """Adds the data of one event."""
        if data == DONE:
            self.is_finished = self.is_done = True
            return
        try:
            self._receive_chunk(json.loads(data), now)
        except (ValueError, TypeError, AttributeError):
            self.error_code = self.error_code or BAD_STREAM

    def receive_whole(self, body: bytes) -> None:
        """Reads an answer that is not streamed, and has no text: that of /v1/rerank."""
        try:
            results = json.loads(body)["results"]
            self.is_finished = bool(results)
        except (ValueError, TypeError, KeyError):
            self.error_code = BAD_BODY
        self.usage_tokens = 0

    def _receive_chunk(self, chunk: dict[str, Any], now: float) -> None:
        if chunk.get("error"):
            self.error_code = error_code(chunk, default="error")
            return
        if usage := chunk.get("usage"):
            self.usage_tokens = usage.get("completion_tokens", self.usage_tokens)
            if isinstance(timings := chunk.get("timings"), dict):
                self.timings = timings
        for choice in chunk.get("choices") or ():
            if piece := (choice.get("delta") or {}).get("content"):
                self._receive_piece(str(piece), now)
            if choice.get("finish_reason"):
                self.is_finished = True

    def _receive_piece(self, piece: str, now: float) -> None:
        self.pieces.append(piece)
        if self.last_at is None:
            self.first_at = now
        else:
            self.gap_s = max(self.gap_s or 0.0, now - self.last_at)
        self.last_at = now

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    @property
    def tokens(self) -> int:
        """As counted by the server; without its count, each piece is one token."""
        return len(self.pieces) if self.usage_tokens is None else self.usage_tokens

    def count(self, name: str) -> int:
        """A number of the server's timings; 0 from a server without it."""
        return int(self.timings.get(name, 0))

    @property
    def ttft_s(self) -> float | None:
        """Time to first token: until the first text, not the first role."""
        return None if self.first_at is None else self.first_at - self.asked_at

    @property
    def tpot_s(self) -> float | None:
        """Time per output token after the first; None for an answer in one piece."""
        if self.first_at is None or self.last_at is None:
            return None
        if len(self.pieces) < 2 or self.tokens < 2:
            return None
        return (self.last_at - self.first_at) / (self.tokens - 1)


def error_code(body: Any, default: str) -> str:
    """The code in an OpenAI error body, else its type, else `default`."""
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict):
        return default
    return str(error.get("code") or error.get("type") or default)
