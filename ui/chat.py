"""The chat page: Gradio's layout around one asynchronous generator."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any

import gradio as gr

from edge.errors import EdgeError
from edge.events import Failed, Finished, Retried, Token
from edge.images import Picture
from edge.jobs.client_side import Asker
from edge.request import Request, SamplingParams
from ui.asker import asker_of, limits_of, longest_answer
from ui.client import Client
from ui.handlers import Turn, conversation, notice, status, told, turns
from ui.vetting import Vetting, check_count
from ui.words import TEXTS, language_of

# What a browser may call each language that we speak.
LOCALES = {"en": "en", "zh": "zh", "zh-CN": "zh", "zh-TW": "zh"}
I18N = gr.I18n(**{locale: TEXTS[language] for locale, language in LOCALES.items()})
FRAME_S = 0.05  # a browser renders the whole answer anew for each update
MAX_TEXT = 4000  # characters of a paste; more becomes a file, which we refuse

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
"""


def build_chat(client: Client, vetting: Vetting) -> gr.Blocks:
    """The page. Its Stop button, or closing the tab, cancels the job."""

    async def answer(
        message: Mapping[str, Any], history: list[dict[str, Any]], http: gr.Request
    ) -> AsyncIterator[str]:
        language = language_of(http.headers.get("accept-language", ""))
        now = Turn("user", message["text"].strip(), tuple(message["files"]))
        if not now.text and not now.files:
            yield TEXTS[language]["empty"]
            return
        assert http.request is not None
        try:
            most = client.settings.answer_tokens
            max_tokens = longest_answer(None, most, limits_of(http.request))
            asker = asker_of(http.request, max_tokens=max_tokens)
            async for text in _answer(asker, [*turns(history), now], language):
                yield text
        except EdgeError as refusal:
            yield status(Failed.because(refusal), language) or ""

    async def _answer(
        asker: Asker, conversed: list[Turn], language: str
    ) -> AsyncIterator[str]:
        with client.metrics.question() as watch:
            watch.of(asker.caller, "")
            meter = client.meter(asker)
            await meter.charge("requests", 1)
            async with client.place(asker, "", meter) as place:
                pictures = await _vet_files(conversed, vetting)
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
        """The line under the title when the answers deserve no trust."""
        language = language_of(http.headers.get("accept-language", ""))
        try:
            models = {worker.model for worker in await client.workers()}
        except EdgeError:
            models = set()
        text = notice(models, language)
        return gr.Markdown(text, visible=bool(text))

    page = gr.Blocks(
        title="Edge-VL",
        analytics_enabled=False,
        fill_height=True,
        delete_cache=(600, 3600),  # uploads older than an hour go, each ten minutes
    )
    with page:
        gr.Markdown(_translated("title"), elem_id="title")
        banner = gr.Markdown(elem_id="notice", visible=False)
        gr.ChatInterface(
            answer,
            multimodal=True,
            chatbot=gr.Chatbot(
                elem_id="chat",
                placeholder=_translated("hint"),
                show_label=False,
                buttons=["copy"],
                allow_tags=False,
                height=None,  # the style sheet says it
            ),
            textbox=gr.MultimodalTextbox(
                file_types=["image"],
                file_count="multiple",
                sources=["upload"],
                placeholder=_translated("placeholder"),
                show_label=False,
                stop_btn=True,
                max_plain_text_length=MAX_TEXT,
                autofocus=True,
            ),
            concurrency_limit=None,  # admission decides, not Gradio's queue
            show_progress="hidden",
            api_visibility="private",
        )
        page.load(about, outputs=banner, queue=False, api_visibility="private")
    page.queue(max_size=64, default_concurrency_limit=None, api_open=False)
    return page


def _translated(name: str) -> Any:
    """A text of ours in the browser's language. The browser puts it in, wherever Gradio
    sends a text, though Gradio's types say so only for some."""
    return I18N(name)


async def _vet_files(conversed: list[Turn], vetting: Vetting) -> dict[str, Picture]:
    paths = dict.fromkeys(path for turn in conversed for path in turn.files)
    check_count(len(paths))
    encoded = [await asyncio.to_thread(Path(path).read_bytes) for path in paths]
    return {
        path: await vetting.vet(data) for path, data in zip(paths, encoded, strict=True)
    }
