"""What a decoding child is told to make of a video: one line of JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from edge.qwen3vl.video import FRAMES_PER_SECOND, MOST_PAIR_TOKENS


@dataclass(frozen=True)
class VideoOrder:
    """`fps` frames of each second, in `budget_tokens` together, and `pair_tokens` for
    two frames at most. A video may come as a list of pictures: `sizes` are those of
    their files in bytes, and `times` their seconds, if they are known; else there are
    `fps` of them in a second."""

    budget_tokens: int = 0
    pair_tokens: int = MOST_PAIR_TOKENS
    fps: float = FRAMES_PER_SECOND
    sizes: tuple[int, ...] = ()
    times: tuple[float, ...] = ()

    def to_line(self) -> bytes:
        return json.dumps(asdict(self)).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> VideoOrder:
        fields = json.loads(line)
        lists = {name: tuple(fields[name]) for name in ("sizes", "times")}
        return cls(**fields | lists)
