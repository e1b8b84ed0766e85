"""The page's shell: Gradio's document, theme and layout, with places for our modules.

    python -m ui.shell

prints it as JSON. The web process runs this once, as a child: Gradio takes 100 MB and
sees no request of anybody. Its own client-side events, and its HTML component, evaluate
strings as JavaScript, which the page's policy forbids (`ui.page_document`). So what a
person sees and does is in ui/page: modules that fill these columns with DOM nodes and
speak to /v1.
"""

from __future__ import annotations

import asyncio
import json
import sys

import gradio as gr
from fastapi import FastAPI
from starlette.types import ASGIApp, Message

from ui.page_files import ASSETS, address

THEME = gr.themes.Base(
    primary_hue="teal",
    neutral_hue="stone",
    font=["system-ui", "sans-serif"],
    font_mono=["ui-monospace", "monospace"],
)
STYLES = ("page.css", "talk.css", "stage.css", "history.css")
REQUEST = {
    "type": "http",
    "method": "GET",
    "path": "/",
    "query_string": b"",
    "headers": [(b"host", b"localhost")],
    "scheme": "http",
    "server": ("localhost", 80),
    "client": ("127.0.0.1", 1),
}


def build_shell() -> gr.Blocks:
    """The page without contents: one column for each module that fills one."""
    page = gr.Blocks(title="Edge-VL", analytics_enabled=False, fill_width=True)
    with page:
        gr.Column(elem_id="bar")
        with gr.Row(elem_id="work"):
            gr.Column(elem_id="history")
            gr.Column(elem_id="stage")
            with gr.Column(elem_id="right"):
                gr.Column(elem_id="talk")
                gr.Column(elem_id="composer")
        gr.Column(elem_id="server")
    return page


def head() -> str:
    """What the document's head needs: our styles and modules, KaTeX's address."""
    styles = [f'<link rel="stylesheet" href="{address(name)}">' for name in STYLES]
    [script] = ASSETS.glob("katex-*.js")
    [style] = ASSETS.glob("katex-*.css")
    return "".join(
        [
            '<meta name="theme-color" content="#faf9f6">',
            f'<meta name="edge-katex" content="assets/{script.name} '
            f'assets/{style.name}">',
            *styles,
            f'<script type="module" src="{address("main.js")}"></script>',
        ]
    )


def render() -> dict[str, str]:
    """`document` (HTML), `theme_css` and `theme_hash`, which the document names."""
    page = build_shell()
    served = gr.mount_gradio_app(
        FastAPI(),
        page,
        path="/",
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        mcp_server=False,
        pwa=False,
        enable_monitoring=False,
        theme=THEME,
        head=head(),
    )
    return {
        "document": asyncio.run(_get(served)).decode(),
        "theme_css": page.theme_css,
        "theme_hash": page.theme_hash,
    }


async def _get(app: ASGIApp) -> bytes:
    """The body of `app`'s answer to REQUEST."""
    pieces: list[bytes] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        assert message.get("status", 200) == 200, message
        pieces.append(message.get("body", b""))

    await app(dict(REQUEST), receive, send)
    return b"".join(pieces)


if __name__ == "__main__":
    json.dump(render(), sys.stdout)
