"""The chat page: how it looks, and which function of `ui.chat_functions` each event of
it calls."""

from __future__ import annotations

from typing import Any

import gradio as gr

from ui.chat_functions import READY, ChatFunctions
from ui.client import Client
from ui.components import Conversation, QuestionBox
from ui.i18n import TEXTS
from ui.markup import NEVER_TAGS
from ui.payloads import MOST_TEXT
from ui.sessions import LIVE
from ui.uploads import Uploads

# The names that a browser may use for each language of the page.
LOCALES = {"en": "en", "zh": "zh", "zh-CN": "zh", "zh-TW": "zh"}
I18N = gr.I18n(**{locale: TEXTS[language] for locale, language in LOCALES.items()})

LOOK_S = 0.05  # the most that a call of one of the page's functions waits
WAITING_CALLS = 512  # more than can come in that time
NO_PROGRESS_S = 60.0

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


def build_chat(client: Client, uploads: Uploads) -> gr.Blocks:
    """The page. Its Stop button, or closing the tab, cancels the job."""
    functions = ChatFunctions(client, uploads)
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
        asking = box.submit(functions.ask, both, both, api_name="ask", **listening)
        again = shown.retry(
            functions.retry, [shown], both, api_name="retry", **listening
        )
        shown.undo(functions.undo, [shown], [shown, box], api_name="undo", **listening)
        box.stop(None, None, None, cancels=[asking, again], api_visibility="private")
        # after an answer has come to its end, or was stopped
        for event, name in ((asking, "rest"), (again, "rest_again")):
            event.then(lambda: READY, None, [box], api_name=name, **listening)
        page.load(functions.about, outputs=banner, api_name="about", **listening)
    page.queue(max_size=WAITING_CALLS, default_concurrency_limit=None, api_open=False)
    # By default Gradio looks for calls of functions a thousand times a second, and for
    # their progress, which no function here shows, a hundred times: 4 % of a core.
    page._queue.sleep_when_free = LOOK_S
    page._queue.progress_update_sleep_when_free = NO_PROGRESS_S
    # Gradio checks no path without this; `ui.guard` already has
    page.has_launched = True
    page.state_session_capacity = LIVE
    return page


def _translated(name: str) -> Any:
    """A text of `ui.i18n` that the browser puts in, in its language. That works
    wherever Gradio sends a text, but Gradio's types allow it only for some."""
    return I18N(name)
