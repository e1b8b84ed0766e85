"""Text as the page shows it: Markdown, but never HTML.

The page draws Markdown, which may hold HTML. Outside code `<` is written as an entity
where a tag could begin, so that it is shown and is no markup; inside code Markdown does
that itself. `meant` takes off again what `shown` put on. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

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
    return "".join(
        piece if is_code else change(piece) for is_code, piece in parts(text)
    )


def parts(text: str) -> Iterator[tuple[bool, str]]:
    """The text in pieces, code or not: fenced blocks up to their end, and spans within
    one line. In one pass: a regular expression for all of it took time that grew with
    the square of a line.
    """
    fence = ""
    for line in re.split("(?<=\n)", text):
        if fence:
            yield True, line
            fence = "" if _closes(line, fence) else fence
        elif fence := _opens(line):
            yield True, line
        else:
            yield from _spans(line)


def _opens(line: str) -> str:
    """The mark that opens a block in this line, at least three of ` or ~; else ""."""
    bare = _outdented(line)
    for mark in "`~":
        n = len(bare) - len(bare.lstrip(mark))
        if n >= 3 and "`" not in bare[n:] and line.endswith("\n"):
            return mark * n
    return ""


def _closes(line: str, fence: str) -> bool:
    bare = _outdented(line)
    return bare.startswith(fence) and not bare.rstrip().strip("`~")


def _outdented(line: str) -> str:
    """Without up to three spaces: with four it is no mark of a block."""
    return line[min(3, len(line) - len(line.lstrip(" "))) :]


def _spans(line: str) -> Iterator[tuple[bool, str]]:
    """Between two runs of as many backticks, with none in between; an odd one, or one
    behind a backslash, stays outside."""
    pieces = re.split("(`+)", line)  # text, run, text, run, ... text
    n = 0
    while n < len(pieces):
        is_span = (
            n % 2 == 1
            and n + 2 < len(pieces)
            and pieces[n] == pieces[n + 2]
            and pieces[n + 1].rstrip("\r\n") != ""
            and not pieces[n - 1].endswith("\\")
        )
        yield is_span, "".join(pieces[n : n + 3]) if is_span else pieces[n]
        n += 3 if is_span else 1
