"""Text as the page shows it: Markdown, but never HTML.

The page draws Markdown, which may hold HTML. Outside code `<` is written as an entity
where a tag could begin, so that it is shown and is no markup; inside code Markdown does
that itself. `meant` takes off again what `shown` put on. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable

# A fenced block up to its end, or a span within one line; an odd mark stays outside.
CODE = re.compile(
    r"(?P<fence>^(?P<indent> {0,3})(?P<mark>`{3,}|~{3,})(?P<info>[^\n`]*)\n"
    r"(?:.*\n)*?(?: {0,3}(?P=mark)[`~]*[ \t]*$|.*\Z))"
    r"|(?P<span>(?<![`\\])(?P<ticks>`+)(?!`)[^`\n]+(?<!`)(?P=ticks)(?!`))",
    re.MULTILINE,
)
OPENING = re.compile(r"<(?=[A-Za-z/!?])")
# Should a browser see the end of code elsewhere: tags that Markdown makes none of. The
# page writes them as text when Markdown is done.
NEVER_TAGS = [
    "animate",
    "applet",
    "area",
    "audio",
    "base",
    "body",
    "canvas",
    "details",
    "dialog",
    "embed",
    "fieldset",
    "font",
    "foreignobject",
    "form",
    "frame",
    "frameset",
    "head",
    "html",
    "iframe",
    "image",
    "keygen",
    "label",
    "legend",
    "link",
    "map",
    "marquee",
    "math",
    "menu",
    "meta",
    "noscript",
    "object",
    "optgroup",
    "option",
    "output",
    "picture",
    "plaintext",
    "portal",
    "script",
    "select",
    "set",
    "slot",
    "source",
    "style",
    "summary",
    "template",
    "textarea",
    "title",
    "track",
    "use",
    "video",
    "xmp",
]
# What looks like our entity already gets one more `amp;`.
ENTITY = re.compile(r"&(?=(?:amp;)*lt;)")
WRITTEN = re.compile(r"&((?:amp;)*)lt;")
# Gradio draws these blocks by a program of their own, with HTML in them.
DIAGRAM = re.compile(r"(`{3}|~{3})(?=mermaid)")


def shown(text: str) -> str:
    """Markdown without HTML that shows what `text` says."""
    return DIAGRAM.sub(r"\1 ", _outside_code(text, _escape))


def meant(text: str) -> str:
    """The text of which `shown` made this one."""
    return _outside_code(text, _unescape)


def _escape(text: str) -> str:
    return OPENING.sub("&lt;", ENTITY.sub("&amp;", text))


def _unescape(text: str) -> str:
    return WRITTEN.sub(lambda m: f"&{m[1][4:]}lt;" if m[1] else "<", text)


def _outside_code(text: str, change: Callable[[str], str]) -> str:
    pieces, end = [], 0
    for code in CODE.finditer(text):
        pieces += [change(text[end : code.start()]), code[0]]
        end = code.end()
    return "".join([*pieces, change(text[end:])])
