"""What a decoding child is told to make of a file: one line of JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Order:
    """A picture of at most `max_tokens` x 1024 pixels, or of this `size` (see
    `decode.normalise`): page number `page`, from 0, of a file that has pages; None:
    what the file shows first. With `reads_text` its text layer too.

    With 0 tokens: only how many pages there are.
    """

    max_tokens: int
    size: tuple[int, int] | None = None
    page: int | None = None
    reads_text: bool = False

    @property
    def counts(self) -> bool:
        return self.max_tokens == 0

    def to_line(self) -> bytes:
        return json.dumps(asdict(self)).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> Order:
        fields = json.loads(line)
        size = fields["size"]
        return cls(**fields | {"size": tuple(size) if size else None})
