"""A script: the page, answering each question with its own words. PORT on argv."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import uvicorn

from edge.events import Finished, Token
from edge.jobs.logins import Logins
from edge.request import Answer
from edge.settings import Settings
from ui.app import build
from ui.client import Client
from ui.question import Question

NOWHERE = "redis://127.0.0.1:1/0"


class NoLogins(Logins):
    """Without a broker."""

    async def secret(self) -> bytes:
        return bytes(32)


class Echo(Client):
    """No queue and no worker: what the last message says is the answer."""

    async def run(self) -> None: ...

    def meter(self, *_: Any) -> Any:
        async def count(*_: Any) -> None: ...

        return SimpleNamespace(charge=count)

    async def ask(self, _submission: Any, question: Question, *_: Any) -> Any:
        [*_, message] = question.request(()).messages
        text = "".join(str(part) for part in message.content)
        if text == "fail":
            raise ValueError("a programming error")

        async def events() -> AsyncIterator[Any]:
            for n in range(len(text)):  # as it grows, half a tag at a time
                yield Token(text[n])
            yield Finished(Answer(text, "stop"))

        return SimpleNamespace(events=events())


if __name__ == "__main__":
    client = Echo(Settings(broker_url=NOWHERE, cache_url=NOWHERE))
    client.logins = NoLogins(client._broker)
    app = build(client)
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="error")
