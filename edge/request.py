"""Request and answer between client and engine: frozen, JSON in both directions.

Knows nothing about HTTP, Redis or inference. Pixels never appear here: a request names
a picture by its hash, and the pixels travel separately.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final, Literal

from edge import logprobs
from edge.cache_use import CacheUse
from edge.logprobs import TokenLogprob
from edge.marks import Mark, SourceFile
from edge.usage import Timings, Usage

# tool: what calls gave; raw: a text without a template, with which the answer goes on
Role = Literal["system", "user", "assistant", "tool", "raw"]
FinishReason = Literal["stop", "length"]
# count: of the tokens of the prompt; tokens: these, as numbers with spaces between;
# text: of such numbers, which are the last message; score: how well each document
# answers a query; embedding: of each input
Wants = Literal["answer", "count", "tokens", "text", "score", "embedding"]
NO_SLOT: Final = ("count", "tokens", "text")  # these need none


@dataclass(frozen=True)
class PictureRef:
    """A picture by its sha256 over width, height, mode and RGB pixels; size in px. With
    `n_frames` 2 it is a pair, two frames of a video. One that `is_first` is the first
    of several frames or pages of a file, which makes it no other picture; nor does the
    `source` it was decoded from, None if that is as large and upright."""

    sha256: str
    width: int
    height: int
    is_first: bool = field(default=False, compare=False)
    source: SourceFile | None = field(default=None, compare=False)
    n_frames: int = 1

    @property
    def is_pair(self) -> bool:
        return self.n_frames > 1

    @property
    def n_tokens(self) -> int:
        """Approximate number of image tokens: one per 32x32 pixels."""
        return max(1, round(self.width / 32)) * max(1, round(self.height / 32))

    def to_json(self) -> dict[str, Any]:
        fields = asdict(self)
        # a worker of an older version knows neither
        if self.source is None:
            del fields["source"]
        if not self.is_pair:
            del fields["n_frames"]
        return fields

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> PictureRef:
        source = data.get("source")
        return cls(**data | {"source": SourceFile(**source) if source else None})


def stills_in(pictures: Iterable[PictureRef]) -> tuple[PictureRef, ...]:
    """Without the pairs of videos."""
    return tuple(picture for picture in pictures if not picture.is_pair)


@dataclass(frozen=True)
class Message:
    """One message. `content` has texts and pictures in their original order."""

    role: Role
    content: tuple[str | PictureRef, ...]

    @property
    def pictures(self) -> tuple[PictureRef, ...]:
        return tuple(part for part in self.content if isinstance(part, PictureRef))

    def to_json(self) -> dict[str, Any]:
        parts = [p if isinstance(p, str) else p.to_json() for p in self.content]
        return {"role": self.role, "content": parts}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Message:
        parts = data["content"]
        read = (p if isinstance(p, str) else PictureRef.from_json(p) for p in parts)
        return cls(data["role"], tuple(read))


@dataclass(frozen=True)
class SamplingParams:
    """How tokens are chosen. The defaults are greedy: equal questions, equal answers.

    Ranges follow the OpenAI API; `top_k` 0, `min_p` 0 and `repeat_penalty` 1 are
    neutral. `logit_bias` has pairs of token and summand of its logit. If `grammar` is
    not empty, the answer fits it: a JSON schema as rewritten by `edge.schemas`, or a
    grammar in the notation of Lark or GBNF.

    As in vLLM, the first `min_tokens` tokens neither end the answer nor complete a
    stop string, with `ignore_eos` no end token of the model ends it, and each of the
    `stop_token_ids` does: its text is not part of the answer. With `logprobs` the
    answer has those of its tokens, and of as many alternatives to each. Thoughts end
    after `thinking_budget` tokens.
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
    grammar: str = ""
    seed: int | None = None
    stop: tuple[str, ...] = ()
    min_tokens: int = 0
    ignore_eos: bool = False
    stop_token_ids: tuple[int, ...] = ()
    logprobs: int | None = None
    thinking_budget: int | None = None

    @property
    def is_greedy(self) -> bool:
        return self.temperature == 0.0

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> SamplingParams:
        biases = tuple((token, bias) for token, bias in data["logit_bias"])
        tuples = {
            "stop": tuple(data["stop"]),
            "logit_bias": biases,
            # jobs queued by an older version lack it
            "stop_token_ids": tuple(data.get("stop_token_ids", ())),
        }
        return cls(**data | tuples)


@dataclass(frozen=True)
class Request:
    """What a client asked of the served model named `model`.

    With `truncate` a conversation that is too long loses its oldest messages;
    `n_dropped` have been dropped already, with `n_dropped_pictures` stills. The last
    `n_spare` characters of the first message offer tools that need not be called: where
    the conversation would not fit with them they are left out, and `dropped_tools` is
    True then. With `continues` the
    last message is the beginning of the answer. A model that thinks does so if the
    request `thinks`. `wants` says what is computed; see `prompts`. Results computed for
    a request may be reused only for requests with the same `scope` (see `edge.caller`).
    """

    messages: tuple[Message, ...]
    sampling: SamplingParams = field(default_factory=SamplingParams)
    model: str = ""
    truncate: bool = False
    scope: str = ""
    n_dropped: int = 0
    n_dropped_pictures: int = 0
    n_spare: int = 0
    dropped_tools: bool = False
    continues: bool = False
    thinks: bool = True
    wants: Wants = "answer"
    cache: CacheUse = CacheUse.DEFAULT

    @property
    def pictures(self) -> tuple[PictureRef, ...]:
        """All pictures in prompt order; a picture may appear twice."""
        return tuple(p for message in self.messages for p in message.pictures)

    @property
    def has_many_prompts(self) -> bool:
        return self.wants in ("score", "embedding")

    @property
    def answer_tokens(self) -> int:
        """The most of its answer; 0 where there is none."""
        return 0 if self.has_many_prompts else self.sampling.max_tokens

    @property
    def prompts(self) -> tuple[Request, ...]:
        """The requests whose prompts are computed. For scores and embeddings one for
        each message from the third on, a document or an input: the first message is the
        system's, and the second the beginning of each prompt."""
        if not self.has_many_prompts:
            return (self,)
        system, beginning, *others = self.messages
        users = (
            Message("user", (*beginning.content, *other.content)) for other in others
        )
        return tuple(
            replace(self, messages=(system, user), wants="answer", thinks=False)
            for user in users
        )

    def without_tools(self) -> Request:
        """The request without the tools that need not be called."""
        if not self.n_spare:
            return self
        first, *others = self.messages
        text = "".join(map(str, first.content))[: -self.n_spare]
        system = (replace(first, content=(text,)),) if text else ()
        messages = (*system, *others)
        return replace(self, messages=messages, n_spare=0, dropped_tools=True)

    def to_json(self) -> dict[str, Any]:
        return {
            "messages": [message.to_json() for message in self.messages],
            "sampling": asdict(self.sampling),
            "model": self.model,
            "truncate": self.truncate,
            "scope": self.scope,
            "n_dropped": self.n_dropped,
            "n_dropped_pictures": self.n_dropped_pictures,
            "n_spare": self.n_spare,
            "dropped_tools": self.dropped_tools,
            "continues": self.continues,
            "thinks": self.thinks,
            "wants": self.wants,
            "cache": self.cache,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Request:
        return cls(
            messages=tuple(Message.from_json(m) for m in data["messages"]),
            sampling=SamplingParams.from_json(data["sampling"]),
            model=data["model"],
            truncate=data["truncate"],
            scope=data["scope"],
            # jobs queued by an older version lack these
            n_dropped=data.get("n_dropped", 0),
            n_dropped_pictures=data.get("n_dropped_pictures", 0),
            n_spare=data.get("n_spare", 0),
            dropped_tools=data.get("dropped_tools", False),
            continues=data.get("continues", False),
            thinks=data.get("thinks", True),
            wants=data.get("wants", "count" if data.get("counts_only") else "answer"),
            cache=CacheUse(data.get("cache", "default")),
        )


@dataclass(frozen=True)
class Answer:
    """A complete answer; `n_dropped` messages of the conversation were dropped, and
    with `dropped_tools` its tools; of `n_first` pictures only the first frame or page
    was read. It could have `max_tokens` at most: fewer than were asked for, if the
    context left fewer. The stop string `stop` ended it; "" if none did. `logprobs` are
    those of its tokens, None if they were not asked for. `marks` are the boxes and
    points that it names. `scores` are probabilities, and `embeddings` vectors of length
    1 (see `edge.qwen3vl.embedding`), in the order of the request's prompts."""

    text: str
    finish_reason: FinishReason
    usage: Usage = field(default_factory=Usage)
    timings: Timings = field(default_factory=Timings)
    n_dropped: int = 0
    n_first: int = 0
    dropped_tools: bool = False
    max_tokens: int = 0
    stop: str = ""
    logprobs: tuple[TokenLogprob, ...] | None = None
    marks: tuple[Mark, ...] = ()
    scores: tuple[float, ...] = ()
    embeddings: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        fields = asdict(replace(self, logprobs=None))
        if self.logprobs is not None:
            fields["logprobs"] = logprobs.to_json(self.logprobs)
        return fields

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Answer:
        return cls(
            text=data["text"],
            finish_reason=data["finish_reason"],
            usage=Usage(**data["usage"]),
            timings=Timings(**data["timings"]),
            n_dropped=data["n_dropped"],
            # an older version lacks these
            n_first=data.get("n_first", 0),
            dropped_tools=data.get("dropped_tools", False),
            max_tokens=data.get("max_tokens", 0),
            stop=data.get("stop", ""),
            logprobs=None
            if data.get("logprobs") is None
            else logprobs.from_json(data["logprobs"]),
            marks=tuple(map(Mark.from_json, data.get("marks", ()))),
            scores=tuple(data.get("scores", ())),
            embeddings=tuple(data.get("embeddings", ())),
        )
