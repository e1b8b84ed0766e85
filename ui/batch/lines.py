"""The lines of a batch, each of which is a request.

{"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": {...}}
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from edge.errors import EdgeError, InvalidRequest
from ui.body import parse
from ui.openai.values import Body

MOST_LINES = 50_000
MOST_LINE = 8 << 20  # bytes: a process may hold one for each line that it asks
Endpoint = Literal[
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/responses",
    "/v1/embeddings",
    "/v1/rerank",
]


class Line(Body):
    custom_id: Annotated[str, Field(min_length=1, max_length=200)]
    method: Literal["POST"] = "POST"
    url: str
    body: dict[str, Any]

    def request_body(self) -> bytes:
        """Of a request that lets other people's questions go first."""
        tier = {"service_tier": "flex", "stream": False}
        return json.dumps(self.body | tier).encode()


def read_lines(path: Path) -> Iterator[Line]:
    """The lines of a file, one after the other. Blocks.

    Raises InvalidRequest, with the number of the line.
    """
    with path.open("rb") as file:
        number = 0
        while data := file.readline(MOST_LINE + 1):
            number += 1
            if not data.strip():
                continue
            try:
                if len(data) > MOST_LINE:
                    raise InvalidRequest(
                        f"It is longer than {MOST_LINE >> 20} MiB. Send smaller "
                        "pictures."
                    )
                yield parse(Line, bytearray(data))
            except EdgeError as error:
                raise InvalidRequest(
                    f"Line {number}: {error.message}", param="input_file_id"
                ) from None


def count_lines(path: Path, endpoint: str) -> int:
    """How many requests to `endpoint` a file holds. Blocks.

    Raises InvalidRequest for a file that is not one of such lines.
    """
    known: set[str] = set()
    for line in read_lines(path):
        fault = ""
        if line.url != endpoint:
            fault = f"its url is not {endpoint}"
        elif line.custom_id in known:
            fault = "another line has the same custom_id"
        elif line.body.get("stream"):
            fault = "a batch cannot stream; leave stream out"
        elif line.body.get("background"):
            fault = "a batch waits by itself; leave background out"
        elif len(known) == MOST_LINES:
            fault = f"a batch has {MOST_LINES:,} lines at most"
        if fault:
            raise InvalidRequest(
                f"The line of {line.custom_id[:80]!r} is refused: {fault}.",
                param="input_file_id",
            )
        known.add(line.custom_id)
    if not known:
        raise InvalidRequest("This file has no lines.", param="input_file_id")
    return len(known)
