"""The words of the pages that the server writes, from those of the page."""

from __future__ import annotations

import json

from ui.page_files import FOLDER

TEXTS: dict[str, dict[str, str]] = {
    path.stem: json.loads(path.read_text())
    for path in sorted((FOLDER / "words").glob("*.json"))
}
# As in ui/page/words.js: beginnings of tags that mean one of these.
SAME = {
    "zh-hans": "zh-CN",
    "zh-sg": "zh-CN",
    "zh-hant-hk": "zh-HK",
    "zh-hant-mo": "zh-HK",
    "zh-hant": "zh-TW",
    "zh-mo": "zh-HK",
}


def language_of(accept_language: str) -> str:
    """The first language of an Accept-Language header that there are words for; else
    English."""
    for part in accept_language[:200].split(","):
        tag = part.partition(";")[0].strip().lower()
        exact = [name for name in TEXTS if name.lower() == tag]
        same = [name for start, name in SAME.items() if tag.startswith(start)]
        near = [name for name in TEXTS if name.partition("-")[0] == tag.split("-")[0]]
        if found := exact or same or near:
            return found[0]
    return "en"
