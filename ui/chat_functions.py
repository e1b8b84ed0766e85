"""The functions that the page calls: ask, retry, undo and about.

Each has a name and a shape in `ui.payloads`, and `ui.chat` connects it to the page. The
conversation lives in the browser, which sends it with each question: there is no state
to lose here, or to fill.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any

import gradio as gr
from starlette.requests import Request

from edge.errors import EdgeError
from edge.events import Failed, Finished, Retried, Token
from ui.boundary import log_failure
from ui.chat_turns import notice, render, status, turns
from ui.client import Client
from ui.event_streams import Events
from ui.i18n import TEXTS, language_of
from ui.page_question import PageQuestion
from ui.request_caller import caller_of, limits_of, longest_answer, submission_of
from ui.uploads import Uploads, media_type

History = list[dict[str, Any]]  # Gradio's messages: role, and content in parts

FRAME_S = 0.05  # a browser renders the whole answer again for each update

READY = gr.update(interactive=True, submit_btn=True, stop_btn=False)
BUSY = gr.update(interactive=False, submit_btn=False, stop_btn=True)
EMPTY = {"text": "", "files": []}


class ChatFunctions:
    """A page's functions over `client` and `uploads`."""

    def __init__(self, client: Client, uploads: Uploads) -> None:
        self._client = client
        self._uploads = uploads

    async def ask(
        self, message: Mapping[str, Any], history: History, http: gr.Request
    ) -> AsyncIterator[tuple[Any, Any]]:
        """Adds the question in the box to the conversation, and answers it."""
        text, files = message["text"].strip(), message["files"]
        if not text and not files:
            hint = TEXTS[_language(http)]["empty"]
            yield READY, [*history, {"role": "assistant", "content": hint}]
            return
        kinds = [{"path": path, "mime_type": media_type(path)} for path in files]
        content: list[Any] = [{"type": "file", "file": kind} for kind in kinds]
        content += [{"type": "text", "text": text}] if text else []
        question = {"role": "user", "content": content}
        async with aclosing(self._show_answer([*history, question], http)) as states:
            async for box, shown in states:
                yield {**box, "value": EMPTY}, shown

    async def retry(
        self, history: History, http: gr.Request
    ) -> AsyncIterator[tuple[Any, Any]]:
        """Answers the last question again, without its answer so far."""
        history = _up_to_question(history)
        async with aclosing(self._show_answer(history, http)) as states:
            async for state in states:
                yield state

    def undo(self, history: History) -> tuple[History, dict[str, Any]]:
        """Moves the last question from the conversation back into the box."""
        [*before, last] = _up_to_question(history) or [{"content": []}]
        files = [part["file"] for part in last["content"] if part["type"] == "file"]
        texts = [part["text"] for part in last["content"] if part["type"] == "text"]
        return before, gr.update(value={"text": "".join(texts), "files": files})

    async def about(self, http: gr.Request) -> Any:
        """The lines under the title: a warning about a test model, and the name of the
        key that has signed in, with a link to sign out."""
        language = _language(http)
        try:
            models = {worker.model for worker in await self._client.workers()}
        except EdgeError:
            models = set()
        lines = [notice(models, language)]
        if http.request is not None and (key := http.request.state.key) is not None:
            lines.append(
                f"[{TEXTS[language]['login_as'].format(name=key.name)}](login)"
            )
        text = "\n\n".join(filter(None, lines))
        return gr.Markdown(text, visible=bool(text))

    async def _show_answer(
        self, history: History, http: gr.Request
    ) -> AsyncGenerator[tuple[Any, Any], None]:
        """States of box and conversation while the last question is answered."""
        yield BUSY, history
        shown = history
        async with aclosing(self._texts(history, http)) as texts:
            async for text in texts:
                shown = [*history, {"role": "assistant", "content": text}]
                yield BUSY, shown  # with the box: a browser may draw only one state
        yield READY, shown

    async def _texts(
        self, history: History, http: gr.Request
    ) -> AsyncGenerator[str, None]:
        """The text of the answer as it grows; an error is a text too."""
        language, sender = _language(http), http.request
        assert sender is not None
        try:
            events = await self._ask(history, sender, language)
            async with aclosing(events), aclosing(_render(events, language)) as texts:
                async for text in texts:
                    yield text
        except EdgeError as refusal:
            yield status(Failed.because(refusal), language) or ""
        except Exception as error:  # the page would show nothing
            log_failure(sender.scope, error)
            yield TEXTS[language]["failed"]

    async def _ask(self, history: History, sender: Request, language: str) -> Events:
        client, caller = self._client, caller_of(sender)
        default_tokens = client.settings.answer_tokens
        max_tokens = longest_answer(None, default_tokens, limits_of(sender))
        submission = submission_of(sender, max_tokens=max_tokens)
        with client.metrics.question() as watch:
            watch.of(caller, "")
            meter = client.meter(submission)
            await meter.charge("requests", 1)
            question = PageQuestion(
                turns(history), self._uploads, caller, language, max_tokens
            )
            return (await client.ask(submission, question, meter, watch)).events


async def _render(events: Events, language: str) -> AsyncGenerator[str, None]:
    text, shown_at = "", 0.0
    async for event in events:
        match event:
            case Token(more):
                text += more
                if time.monotonic() - shown_at >= FRAME_S:
                    shown_at = time.monotonic()
                    yield text
            case Retried():
                text = ""
                yield status(event, language) or ""
            case Finished(complete):
                yield render(complete, language)
            case _:
                # Also in quiet seconds: Gradio notices a closed tab only when
                # something is yielded.
                news = status(event, language)
                yield "\n\n".join(filter(None, (text, news)))


def _language(http: gr.Request) -> str:
    return language_of(http.headers.get("accept-language", ""))


def _up_to_question(history: History) -> History:
    """A conversation without the answers at its end."""
    while history and history[-1]["role"] == "assistant":
        history = history[:-1]
    return history
