"""A question as its API body holds it, with pictures that nobody has vetted yet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from edge.caller import Caller
from edge.errors import EdgeError
from edge.images import Detail, Picture
from edge.request import Message, PictureRef, Request, Role
from ui import openai_schema as schema
from ui.decoding import PictureDecoder, check_count


@dataclass(frozen=True)
class Encoded:
    """The file of a picture, and where in the body it was."""

    data: bytes
    detail: Detail
    param: str


class ParsedQuestion:
    """What `caller` asks with `body`, for an answer of at most `max_tokens`; the body
    itself, which may be long, is not kept.

    Raises InvalidRequest for what is no data URL of a picture.
    """

    def __init__(self, body: schema.ChatBody, max_tokens: int, caller: Caller) -> None:
        self.model = body.model
        self.streams = body.stream
        options = body.stream_options or schema.StreamOptions()
        self.includes_usage = options.include_usage
        self.is_batch = body.service_tier == "flex"
        self.max_tokens = max_tokens
        self._caller = caller
        self._truncate = body.truncate == "auto"
        self._sampling = body.sampling(max_tokens)
        self._parts: list[tuple[Role, list[str | Encoded]]] = []
        self.pictures: list[Encoded] = []
        for i, message in enumerate(body.messages):
            content: list[str | Encoded] = []
            for j, part in enumerate(schema.parts_of(message)):
                if isinstance(part, schema.TextPart):
                    content.append(part.text)
                else:
                    param = f"messages[{i}].content[{j}].image_url"
                    content.append(self._decode(part.image_url, param))
            role: Role = "system" if message.role == "developer" else message.role
            self._parts.append((role, content))

    def recalled(self, decoder: PictureDecoder) -> Request | None:
        """The request, if all its pictures have been vetted before."""
        recall, caller = decoder.recall, self._caller
        refs = [recall(one.data, one.detail, caller) for one in self.pictures]
        known = [ref for ref in refs if ref is not None]
        return self._request(known) if len(known) == len(refs) else None

    async def vetted(self, decoder: PictureDecoder) -> tuple[Request, list[Picture]]:
        """The request and its pictures. Raises InvalidPicture, or QueueFull when too
        many pictures wait."""
        pictures = []
        for one in self.pictures:
            with _blamed(one.param):
                picture = await decoder.decode(one.data, one.detail, self._caller)
            pictures.append(picture)
        return self._request([picture.ref for picture in pictures]), pictures

    def forget_pictures(self) -> None:
        """Frees their bytes: an answer may take minutes."""
        self.pictures.clear()
        self._parts.clear()

    def _decode(self, image: schema.ImageUrl, param: str) -> Encoded:
        with _blamed(param):
            check_count(len(self.pictures) + 1)
            encoded = Encoded(schema.decode_data_url(image.url), image.detail, param)
        self.pictures.append(encoded)
        return encoded

    def _request(self, refs: Sequence[PictureRef]) -> Request:
        found = iter(refs)
        messages = tuple(
            Message(
                role, tuple(p if isinstance(p, str) else next(found) for p in content)
            )
            for role, content in self._parts
        )
        return Request(
            messages, self._sampling, self.model, self._truncate, self._caller.scope
        )


@contextmanager
def _blamed(param: str) -> Iterator[None]:
    """Says of an error which part of the body it is about."""
    try:
        yield
    except EdgeError as refusal:
        refusal.param = param
        raise
