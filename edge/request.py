"""The words of a conversation between client and engine: frozen, JSON both ways.

Knows nothing about HTTP, Redis or llama.cpp. Pixels never appear here: a picture is
named by its hash and travels beside the request.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Role = Literal["system", "user", "assistant"]
FinishReason = Literal["stop", "length"]


@dataclass(frozen=True)
class PictureRef:
    """A picture by name: sha256 over width, height, mode and RGB pixels; size in px."""

    sha256: str
    width: int
    height: int

    @property
    def n_tokens(self) -> int:
        """About how many tokens it becomes: one for each 32x32 pixels."""
        return max(1, round(self.width / 32)) * max(1, round(self.height / 32))


@dataclass(frozen=True)
class Message:
    """One turn. `content` keeps texts and pictures in the order they were given."""

    role: Role
    content: tuple[str | PictureRef, ...]

    @property
    def pictures(self) -> tuple[PictureRef, ...]:
        return tuple(part for part in self.content if isinstance(part, PictureRef))

    def to_json(self) -> dict[str, Any]:
        parts = [p if isinstance(p, str) else asdict(p) for p in self.content]
        return {"role": self.role, "content": parts}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Message:
        parts = (p if isinstance(p, str) else PictureRef(**p) for p in data["content"])
        return cls(data["role"], tuple(parts))


@dataclass(frozen=True)
class SamplingParams:
    """How tokens are chosen. The defaults are greedy: equal questions, equal answers.

    Ranges follow the OpenAI API; `top_k` 0, `min_p` 0, `repeat_penalty` 1 do nothing.
    `logit_bias` pairs tokens with what is added to their logits. Unless `json_schema`
    is empty, the answer is JSON that fits it; `edge.schemas` writes it.
    """

    max_tokens: int = 512
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    repeat_penalty: float = 1.0
    logit_bias: tuple[tuple[int, float], ...] = ()
    json_schema: str = ""
    seed: int | None = None
    stop: tuple[str, ...] = ()

    @property
    def is_greedy(self) -> bool:
        return self.temperature == 0.0

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> SamplingParams:
        biases = tuple((token, bias) for token, bias in data["logit_bias"])
        return cls(**{**data, "stop": tuple(data["stop"]), "logit_bias": biases})


@dataclass(frozen=True)
class Request:
    """What a client asked. `model` is the served name it was asked of.

    With `truncate` the oldest turns of a conversation that is too long are left out;
    `n_dropped` of its messages have been already.
    What was computed for a request may be used again for those of the same `scope`
    (see `edge.caller`) and for no others.
    """

    messages: tuple[Message, ...]
    sampling: SamplingParams = field(default_factory=SamplingParams)
    model: str = ""
    truncate: bool = False
    scope: str = ""
    n_dropped: int = 0

    @property
    def pictures(self) -> tuple[PictureRef, ...]:
        """All pictures in prompt order; the same one may appear twice."""
        return tuple(p for message in self.messages for p in message.pictures)

    def to_json(self) -> dict[str, Any]:
        return {
            "messages": [message.to_json() for message in self.messages],
            "sampling": asdict(self.sampling),
            "model": self.model,
            "truncate": self.truncate,
            "scope": self.scope,
            "n_dropped": self.n_dropped,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Request:
        return cls(
            messages=tuple(Message.from_json(m) for m in data["messages"]),
            sampling=SamplingParams.from_json(data["sampling"]),
            model=data["model"],
            truncate=data["truncate"],
            scope=data["scope"],
            n_dropped=data.get("n_dropped", 0),  # jobs queued by an older version
        )


@dataclass(frozen=True)
class Usage:
    """Token counts; pictures count among the prompt tokens, and so do the `cached`
    ones, which were computed for a question before."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


@dataclass(frozen=True)
class Timings:
    """Where the time of one answer went inside the engine, in milliseconds.

    The first four follow one another and end at the first token: their sum is
    `ttft_ms`. `tpot_ms` is the mean time per token after the first.
    """

    prepare_ms: float = 0.0
    embed_ms: float = 0.0
    queue_ms: float = 0.0
    prefill_ms: float = 0.0
    ttft_ms: float = 0.0
    tpot_ms: float = 0.0
    e2e_ms: float = 0.0


@dataclass(frozen=True)
class Answer:
    """A complete answer; `n_dropped` messages of the conversation did not fit."""

    text: str
    finish_reason: FinishReason
    usage: Usage = field(default_factory=Usage)
    timings: Timings = field(default_factory=Timings)
    n_dropped: int = 0

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Answer:
        return cls(
            text=data["text"],
            finish_reason=data["finish_reason"],
            usage=Usage(**data["usage"]),
            timings=Timings(**data["timings"]),
            n_dropped=data["n_dropped"],
        )
