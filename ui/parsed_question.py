"""A question as its API body holds it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from edge.caller import Caller
from edge.errors import EdgeError
from edge.request import Message, PictureRef, Request, Role
from ui import openai_schema as schema
from ui.question import SentPicture, check_count, digest_of


class ParsedQuestion:
    """A question of `caller` for an answer of at most `max_tokens`; the body itself,
    which may be long, is not kept. `body_hash` is its sha256 where a client named the
    question with an Idempotency-Key.

    Raises InvalidRequest for a picture that is not a data URL of one.
    """

    def __init__(
        self,
        body: schema.ChatBody,
        max_tokens: int,
        caller: Caller,
        body_hash: str = "",
    ) -> None:
        self.model = body.model
        self.streams = body.stream
        options = body.stream_options or schema.StreamOptions()
        self.includes_usage = options.include_usage
        self.is_batch = body.service_tier == "flex"
        self.max_tokens = max_tokens
        self.body_hash = body_hash
        self._scope = caller.scope
        self._truncate = body.truncate == "auto"
        self._sampling = body.sampling(max_tokens)
        self._parts: list[tuple[Role, list[str | SentPicture]]] = []
        self.pictures: list[SentPicture] = []
        for i, message in enumerate(body.messages):
            content: list[str | SentPicture] = []
            for j, part in enumerate(schema.parts_of(message)):
                if isinstance(part, schema.TextPart):
                    content.append(part.text)
                else:
                    param = f"messages[{i}].content[{j}].image_url"
                    content.append(self._add_picture(part.image_url, param))
            role: Role = "system" if message.role == "developer" else message.role
            self._parts.append((role, content))

    def request(self, refs: Sequence[PictureRef]) -> Request:
        """See `Question.request`."""
        found = iter(refs)
        messages = tuple(
            Message(
                role, tuple(p if isinstance(p, str) else next(found) for p in content)
            )
            for role, content in self._parts
        )
        return Request(
            messages, self._sampling, self.model, self._truncate, self._scope
        )

    def _add_picture(self, image: schema.ImageUrl, param: str) -> SentPicture:
        with _blaming(param):
            check_count(len(self.pictures) + 1)
            encoded = schema.decode_data_url(image.url)
        digest = digest_of(encoded)
        sent = SentPicture(digest, lambda: encoded, image.detail, param)
        self.pictures.append(sent)
        return sent


@contextmanager
def _blaming(param: str) -> Iterator[None]:
    """Says of an error which part of the body it is about."""
    try:
        yield
    except EdgeError as refusal:
        refusal.param = param
        raise
