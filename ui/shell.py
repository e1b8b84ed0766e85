"""The page's shell: Gradio's document, theme and layout, with places for our modules.

Gradio's own client-side events, and its HTML component, evaluate strings as JavaScript,
which the page's policy forbids (`ui.page_document`). So what a person sees and does is
in ui/page: modules that fill these columns with DOM nodes and speak to /v1.
"""

from __future__ import annotations

import gradio as gr

from ui.page_files import ASSETS, address

THEME = gr.themes.Base(
    primary_hue="teal",
    neutral_hue="stone",
    font=["system-ui", "sans-serif"],
    font_mono=["ui-monospace", "monospace"],
)
STYLES = ("page.css", "talk.css", "stage.css", "history.css")


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
