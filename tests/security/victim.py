"""A client that asks new questions one by one, and knows the answers."""

from __future__ import annotations

import base64
import json
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import httpx

from tests.security.test_bodies import PATH, talk
from tests.stack.conftest import drawing

PAUSE_S = 0.1  # between two questions, so that nginx takes them for no flood
PATIENCE_S = 60.0
COLOURS = ("red", "green", "blue", "black", "purple")
ONLY = "I only know simple shapes, colours and numbers."


@dataclass
class Asked:
    """What became of a victim's questions."""

    seconds: list[float] = field(default_factory=list)
    endings: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def at(self, part: float) -> float:
        return sorted(self.seconds)[min(int(len(self.seconds) * part), -1 + self.n)]

    @property
    def n(self) -> int:
        return len(self.seconds)

    def __str__(self) -> str:
        n_right = self.n - len(self.wrong)
        return (
            f"{n_right} of {self.n} right, P50 {self.at(0.5):.2f} s, "
            f"P95 {self.at(0.95):.2f} s, longest {self.at(1):.2f} s, "
            f"{dict(self.endings)}"
        )


class Victim:
    """At 127.0.0.1; a third of the questions have no picture, a third are streamed."""

    def __init__(self, url: str) -> None:
        kind = {"content-type": "application/json"}
        self._client = httpx.Client(base_url=url, headers=kind, timeout=PATIENCE_S)
        self._numbers = count()

    def ask_for(self, seconds: float) -> Asked:
        asked, end = Asked(), time.monotonic() + seconds
        while time.monotonic() < end:
            self._ask(asked)
            time.sleep(PAUSE_S)
        return asked

    def _ask(self, asked: Asked) -> None:
        n = next(self._numbers)
        body, right = self._question(n)
        start = time.monotonic()
        try:
            status, text = self._answer(body)
        except httpx.HTTPError as error:
            status, text = type(error).__name__, ""
        asked.seconds.append(time.monotonic() - start)
        asked.endings[str(status)] += 1
        if status != 200 or not text.startswith(right):
            asked.wrong.append(f"{status} {text[:200]!r}, not {right!r}")

    def _question(self, n: int) -> tuple[dict[str, Any], str]:
        """The body, and how the right answer begins. The seed makes it a new one."""
        colour = COLOURS[n % len(COLOURS)]
        shape = ("circle", "square")[n // 2 % 2]
        kind = n % 3
        text = (
            "What is the capital of France?",
            "What shape is this, and which colour?",
            "Describe this picture.",
        )[kind]
        parts: list[dict[str, Any]] = [{"type": "text", "text": text}]
        if kind:
            encoded = base64.b64encode(drawing(colour, n, shape=shape)).decode()
            url = f"data:image/jpeg;base64,{encoded}"
            parts.insert(0, {"type": "image_url", "image_url": {"url": url}})
        body = {"messages": [{"role": "user", "content": parts}], "seed": n}
        kinds = (ONLY, f"A {colour} {shape}.", f"The picture shows a {colour} {shape}")
        return body | {"stream": kind == 2}, kinds[kind]

    def _answer(self, body: dict[str, Any]) -> tuple[int, str]:
        if not body["stream"]:
            got = self._client.post(PATH, json=body)
            if got.status_code != 200:
                return got.status_code, got.text
            assert got.headers["x-cache"] == "miss"
            return 200, got.json()["choices"][0]["message"]["content"]
        with self._client.stream("POST", PATH, json=body) as got:
            if got.status_code != 200:
                return got.status_code, got.read().decode()
            lines = [line[6:] for line in got.iter_lines() if line.startswith("data: ")]
        if lines[-1] != "[DONE]":
            return got.status_code, "cut: " + lines[-1]
        chunks = [json.loads(line) for line in lines[:-1]]
        pieces = [c["choices"][0]["delta"] for c in chunks if c.get("choices")]
        return 200, "".join(piece.get("content") or "" for piece in pieces)

    def warm_up(self) -> None:
        """Starts what runs from the first need of it on, and fills the context: the
        memory that a busy service takes is not what we look for."""
        schema = {"name": "a", "schema": {"type": "object"}}
        wanted = {"type": "json_schema", "json_schema": schema}
        message = {"role": "user", "content": "Hello"}
        body = {"messages": [message], "response_format": wanted, "max_tokens": 9}
        assert self._answer(body | {"stream": False})[0] == 200
        long = [talk(999, f"{n} word " * 120, truncate="auto") for n in range(4)]
        with ThreadPoolExecutor(4) as pool:
            asked = [pool.submit(self._client.post, PATH, content=b) for b in long]
            assert [one.result().status_code for one in asked] == [200] * 4
            for one in [pool.submit(self._ask, Asked()) for _ in range(40)]:
                one.result()
        self.ask_for(5)

    def close(self) -> None:
        self._client.close()
