"""The chat page: Gradio's layout around one asynchronous generator."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any

import gradio as gr

from edge.caller import Caller
from edge.errors import EdgeError
from edge.events import Failed, Finished, Retried, Token
from edge.images import Picture
from edge.jobs.submission import Submission
from edge.request import Request, SamplingParams
from ui.asker import asker_of, limits_of, longest_answer
from ui.boundary import log_failure
from ui.client import Client
from ui.components import Conversation, QuestionBox
from ui.handlers import Turn, conversation, notice, status, told, turns
from ui.markup import NEVER_TAGS
from ui.payloads import MOST_TEXT
from ui.sessions import LIVE
from ui.uploads import Uploads, media_type
from ui.vetting import Vetting, check_count
from ui.words import TEXTS, language_of

History = list[dict[str, Any]]  # Gradio's messages: role, and content in parts

# What a browser may call each language that we speak.
LOCALES = {"en": "en", "zh": "zh", "zh-CN": "zh", "zh-TW": "zh"}
I18N = gr.I18n(**{locale: TEXTS[language] for locale, language in LOCALES.items()})
FRAME_S = 0.05  # a browser renders the whole answer anew for each update

# One column that fits the window: the conversation scrolls, the question stays in
# sight. Share buttons, in every language the one after a download, would send pictures
# to a model hub.
CSS = """
.gradio-container { max-width: 880px !important; margin: auto; width: 100%; }
.gradio-container main { padding-bottom: 0; width: 100%; }
#title, #notice { text-align: center; }
#chat { height: calc(100dvh - 260px); min-height: 240px; }
#chat .placeholder-content { justify-content: center; }
#chat .message-buttons a + button { display: none; }
/* whatever an answer holds, it stays in its own place */
#chat .message { contain: layout paint; }
"""


def build_chat(client: Client, vetting: Vetting, uploads: Uploads) -> gr.Blocks:
    """The page. Its Stop button, or closing the tab, cancels the job.

    The conversation lives in the browser, which sends it with each question: there is
    no state to lose here, or to fill. Each function has a name and a shape in
    `ui.payloads`.
    """

    async def ask(
        message: Mapping[str, Any], history: History, http: gr.Request
    ) -> AsyncIterator[tuple[Any, Any]]:
        """A question from the box, behind what the conversation shows."""
        text, files = message["text"].strip(), message["files"]
        if not text and not files:
            said = TEXTS[_language(http)]["empty"]
            yield READY, [*history, {"role": "assistant", "content": said}]
            return
        kinds = [{"path": path, "mime_type": media_type(path)} for path in files]
        content: list[Any] = [{"type": "file", "file": kind} for kind in kinds]
        content += [{"type": "text", "text": text}] if text else []
        asked = {"role": "user", "content": content}
        async with aclosing(_shown([*history, asked], http)) as steps:
            async for box, shown in steps:
                yield {**box, "value": EMPTY}, shown

    async def retry(
        history: History, http: gr.Request
    ) -> AsyncIterator[tuple[Any, Any]]:
        """The last question again, without what was answered."""
        async with aclosing(_shown(_up_to_question(history), http)) as steps:
            async for step in steps:
                yield step

    def undo(history: History) -> tuple[History, dict[str, Any]]:
        """The last question goes from the conversation back into the box."""
        [*before, last] = _up_to_question(history) or [{"content": []}]
        files = [part["file"] for part in last["content"] if part["type"] == "file"]
        texts = [part["text"] for part in last["content"] if part["type"] == "text"]
        return before, gr.update(value={"text": "".join(texts), "files": files})

    async def _shown(
        history: History, http: gr.Request
    ) -> AsyncGenerator[tuple[Any, Any], None]:
        """States of box and conversation while the last question is answered."""
        yield BUSY, history
        now = history
        async with aclosing(_answer(history, http)) as texts:
            async for text in texts:
                now = [*history, {"role": "assistant", "content": text}]
                yield BUSY, now  # again: of two states a browser may draw the last only
        yield READY, now

    async def _answer(history: History, http: gr.Request) -> AsyncGenerator[str, None]:
        language, sender = _language(http), http.request
        assert sender is not None
        try:
            most = client.settings.answer_tokens
            max_tokens = longest_answer(None, most, limits_of(sender))
            asker = asker_of(sender, max_tokens=max_tokens)
            async with aclosing(_asked(asker, turns(history), language)) as texts:
                async for text in texts:
                    yield text
        except EdgeError as refusal:
            yield status(Failed.because(refusal), language) or ""
        except Exception as error:  # the page would stand still without a word
            log_failure(sender.scope, error)
            yield TEXTS[language]["failed"]

    async def _asked(
        asker: Submission, conversed: list[Turn], language: str
    ) -> AsyncGenerator[str, None]:
        with client.metrics.question() as watch:
            watch.of(asker.caller, "")
            meter = client.meter(asker)
            await meter.charge("requests", 1)
            n_pictures = sum(len(turn.files) for turn in conversed)
            await meter.check("image-tokens", n_pictures)
            async with client.place(asker, "", meter) as place:
                pictures = await _vet_files(conversed, vetting, uploads, asker.caller)
                refs = {path: picture.ref for path, picture in pictures.items()}
                messages = conversation(conversed, refs, language)
                sampling = SamplingParams(max_tokens=asker.max_tokens)
                scope = asker.caller.scope
                request = Request(messages, sampling, truncate=True, scope=scope)
                asked = await client.ask(place, request, [*pictures.values()], watch)
        text, shown_at = "", 0.0
        async with aclosing(asked.events) as events:
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
                        yield told(complete, language)
                    case _:
                        # Also in quiet seconds: Gradio notices a closed tab only when
                        # something is yielded.
                        news = status(event, language)
                        yield "\n\n".join(filter(None, (text, news)))

    async def about(http: gr.Request) -> Any:
        """What is said under the title: when the answers deserve no trust, and who has
        signed in, with the way out."""
        language = _language(http)
        try:
            models = {worker.model for worker in await client.workers()}
        except EdgeError:
            models = set()
        lines = [notice(models, language)]
        if http.request is not None and (key := http.request.state.key) is not None:
            lines.append(
                f"[{TEXTS[language]['login_as'].format(name=key.name)}](/login)"
            )
        text = "\n\n".join(filter(None, lines))
        return gr.Markdown(text, visible=bool(text))

    page = gr.Blocks(
        title="Edge-VL",
        analytics_enabled=False,
        fill_height=True,
    )
    with page:
        gr.Markdown(_translated("title"), elem_id="title")
        banner = gr.Markdown(elem_id="notice", visible=False)
        shown = Conversation(
            elem_id="chat",
            placeholder=_translated("hint"),
            show_label=False,
            buttons=["copy"],
            allow_tags=NEVER_TAGS,
            scale=1,
            height=None,  # the style sheet says it
        )
        box = QuestionBox(
            file_types=["image"],
            file_count="multiple",
            sources=["upload"],
            placeholder=_translated("placeholder"),
            show_label=False,
            max_plain_text_length=MOST_TEXT + 1,
            autofocus=True,
        )
        listening: dict[str, Any] = {
            "concurrency_limit": None,  # admission decides, not Gradio's queue
            "show_progress": "hidden",
            "api_visibility": "private",
        }
        both = [box, shown]
        asking = box.submit(ask, both, both, api_name="ask", **listening)
        again = shown.retry(retry, [shown], both, api_name="retry", **listening)
        shown.undo(undo, [shown], [shown, box], api_name="undo", **listening)
        box.stop(None, None, None, cancels=[asking, again], api_visibility="private")
        # after an answer has come to its end, or was stopped
        for event, name in ((asking, "rest"), (again, "rest_again")):
            event.then(lambda: READY, None, [box], api_name=name, **listening)
        page.load(about, outputs=banner, api_name="about", **listening)
    page.queue(max_size=64, default_concurrency_limit=None, api_open=False)
    # Gradio looks at no path before this; `ui.guard` has, already
    page.has_launched = True
    page.state_session_capacity = LIVE
    return page


READY = gr.update(interactive=True, submit_btn=True, stop_btn=False)
BUSY = gr.update(interactive=False, submit_btn=False, stop_btn=True)
EMPTY = {"text": "", "files": []}


def _language(http: gr.Request) -> str:
    return language_of(http.headers.get("accept-language", ""))


def _up_to_question(history: History) -> History:
    """A conversation without the answers at its end."""
    while history and history[-1]["role"] == "assistant":
        history = history[:-1]
    return history


def _translated(name: str) -> Any:
    """A text of ours in the browser's language. The browser puts it in, wherever Gradio
    sends a text, though Gradio's types say so only for some."""
    return I18N(name)


async def _vet_files(
    conversed: list[Turn], vetting: Vetting, uploads: Uploads, caller: Caller
) -> dict[str, Picture]:
    paths = dict.fromkeys(path for turn in conversed for path in turn.files)
    check_count(len(paths))
    read, owner = uploads.read, caller.name
    encoded = [await asyncio.to_thread(read, owner, path) for path in paths]
    return {
        path: await vetting.vet(data, "auto", caller)
        for path, data in zip(paths, encoded, strict=True)
    }
