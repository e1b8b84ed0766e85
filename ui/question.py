"""What a client asks, before a picture of it is decoded: the same for API and page."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from edge.errors import InvalidRequest
from edge.images import Detail
from edge.request import PictureRef, Request, Wants
from ui.picture_hosts import Link

MAX_PICTURES = 8  # in one request, earlier turns included
MAX_OF_PROMPTS = 32  # in one with many prompts; above 8 they are small ones


@dataclass(frozen=True)
class SentPicture:
    """A picture file that a client sent: `load` gives its bytes, which may lie on the
    disk, and blocks meanwhile; `digest` names them (see `digest_of`). `param` is the
    field of the body that holds it, for errors."""

    digest: bytes
    load: Callable[[], bytes]
    detail: Detail = "auto"
    param: str | None = None


@dataclass(frozen=True)
class LinkedPicture:
    """A picture that a client named by an address on a listed host: it is fetched once
    the question has a reservation. `param` is the field with the address."""

    link: Link
    detail: Detail = "auto"
    param: str | None = None


class Question(Protocol):
    """What `ui.asking` needs to know of a question. `model` may be empty: any. `wants`
    says what is computed of it."""

    @property
    def model(self) -> str: ...

    @property
    def wants(self) -> Wants: ...

    @property
    def thinking_field(self) -> str:
        """The field of the body that asks the model to think; "" if none does."""
        ...

    @property
    def pictures(self) -> Sequence[SentPicture | LinkedPicture]: ...

    def request(self, refs: Sequence[PictureRef]) -> Request:
        """The request that names the decoded `pictures` by `refs`, in their order."""
        ...


def digest_of(encoded: bytes) -> bytes:
    """The name of a file's bytes, of 32 bytes. Computed once, where a file arrives."""
    return hashlib.blake2b(encoded, digest_size=32).digest()


def check_count(n_pictures: int, wants: Wants = "answer") -> None:
    """Raises InvalidRequest for more pictures than one request may have."""
    most = MAX_PICTURES if wants in ("answer", "count") else MAX_OF_PROMPTS
    if n_pictures > most:
        raise InvalidRequest(f"Send at most {most} pictures.")
