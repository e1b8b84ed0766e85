"""A question as the page asks it: a whole conversation, whose pictures are uploads."""

from __future__ import annotations

from collections.abc import Sequence

from edge.caller import Caller
from edge.request import PictureRef, Request, SamplingParams
from ui.chat_turns import Turn, conversation
from ui.question import check_count
from ui.uploads import Uploads


class PageQuestion:
    """The last of `turns`, for an answer of at most `max_tokens`. What no longer fits
    is left out, the oldest first.

    Raises InvalidRequest for too many pictures, NotFound for one that is not here.
    """

    model = ""  # any that the caller's key allows

    def __init__(
        self,
        turns: Sequence[Turn],
        uploads: Uploads,
        caller: Caller,
        language: str,
        max_tokens: int,
    ) -> None:
        self._turns = turns
        self._language = language
        self._scope = caller.scope
        self._sampling = SamplingParams(max_tokens=max_tokens)
        self._paths = list(dict.fromkeys(path for turn in turns for path in turn.files))
        check_count(len(self._paths))
        self.pictures = [uploads.sent(caller.name, path) for path in self._paths]

    def request(self, refs: Sequence[PictureRef]) -> Request:
        """See `Question.request`."""
        pictures = dict(zip(self._paths, refs, strict=True))
        messages = conversation(self._turns, pictures, self._language)
        return Request(messages, self._sampling, truncate=True, scope=self._scope)
