"""The addresses of this server, which it does not know: a proxy in front may serve it
below a path (`/vision/`), under another name and with TLS.

So every address in a response is relative, and the browser completes it. Only for the
preview of a link, which programs read, the proxy tells its path. Pure.
"""

from __future__ import annotations

import re

# Gradio's scripts make absolute addresses of this one, which the server has guessed.
ROOT = b"<script>gradio_config.root=new URL('.',location).href.slice(0,-1)</script>"
HEAD_END = b"</head>"
PREFIX = re.compile(r"[\w.~-]{1,64}(?:/[\w.~-]{1,64}){0,7}", re.ASCII)


def relative(path: str, target: str) -> str:
    """The address of `target` ("login"; "" is the page) in a response to `path`."""
    return "../" * (path.count("/") - 1) + (target or "./")


def base_url(server: str, prefix: str) -> str:
    """The address of the page: `server` ends with "/", and `prefix` is a client's
    X-Forwarded-Prefix, which is ignored unless it is a plain path."""
    path = prefix.strip("/")
    return f"{server}{path}/" if PREFIX.fullmatch(path) else server


def rooted(document: bytes) -> bytes:
    """Gradio's document with the address that its browser sees."""
    return document.replace(HEAD_END, ROOT + HEAD_END, 1)
