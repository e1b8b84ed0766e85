"""Text as the page shows it: Markdown, but never HTML.

The page renders Markdown, which may hold HTML. Outside code `<` becomes an entity where
a tag could begin, so that it is shown as text; inside code Markdown does that itself.
`unescape` reverses `escape`. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

OPENING = re.compile(r"<(?=[A-Za-z/!?])")
# A second line of defence, should a browser see the end of code elsewhere: tags that
# Markdown never makes, which the page writes as text after Markdown.
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
# A text that holds such an entity already gets one more `amp;`.
ENTITY = re.compile(r"&(?=(?:amp;)*lt;)")
WRITTEN = re.compile(r"&((?:amp;)*)lt;")
# Gradio renders these blocks by another library, with HTML in them.
DIAGRAM = re.compile(r"(`{3}|~{3})(?=mermaid)")


def escape(text: str) -> str:
    """Markdown that shows `text` and holds no HTML."""
    return DIAGRAM.sub(r"\1 ", _outside_code(text, _escape_tags))


def unescape(text: str) -> str:
    """The text from which `escape` made this one."""
    return _outside_code(text, _unescape_tags)


def _escape_tags(text: str) -> str:
    return OPENING.sub("&lt;", ENTITY.sub("&amp;", text))


def _unescape_tags(text: str) -> str:
    return WRITTEN.sub(lambda m: f"&{m[1][4:]}lt;" if m[1] else "<", text)


def _outside_code(text: str, change: Callable[[str], str]) -> str:
    return "".join(
        piece if is_code else change(piece) for is_code, piece in parts(text)
    )


def parts(text: str) -> Iterator[tuple[bool, str]]:
    """The text in pieces, with whether each is code: fenced blocks up to their end, and
    spans within one line. In one pass: a regular expression for all of it took time
    that grew with the square of a line.
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
    """The line without up to three spaces: four would make it a code block."""
    return line[min(3, len(line) - len(line.lstrip(" "))) :]


def _spans(line: str) -> Iterator[tuple[bool, str]]:
    """Spans are between two equally long runs of backticks with none in between; a run
    without a partner, or behind a backslash, stays text."""
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
