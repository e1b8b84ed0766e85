"""What a client asks, before a picture of it is decoded: the same for API and page."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from edge.documents import page_label
from edge.errors import InvalidRequest
from edge.images import Detail
from edge.request import PictureRef, Request, Wants
from edge.videos import ClipRef, VideoOrder
from ui.picture_hosts import Link

MAX_PICTURES = 8  # in one prompt, earlier turns included
MAX_COMPARED = 32  # to score or to embed; above MAX_PICTURES they are small ones
MAX_PAGES = 100  # each of which is asked about by itself

# Whether the text layer of a page is given along, or in place of its picture.
TextLayer = Literal["auto", "never", "only"]
# Addresses, each with the field of the body that has it.
Links = Sequence[tuple[str | None, Link]]


@dataclass(frozen=True)
class SentPicture:
    """A picture file that a client sent: `load` gives its bytes, which may lie on the
    disk, and blocks meanwhile; `digest` names them (see `digest_of`). `param` is the
    field of the body that holds it, for errors. It may be a `page`, from 0, of a
    document, whose `label` names it where there are several."""

    digest: bytes
    load: Callable[[], bytes]
    detail: Detail = "auto"
    param: str | None = None
    page: int | None = None
    label: str = ""
    text_layer: TextLayer = "never"


@dataclass(frozen=True, eq=False)
class SentDocument:
    """A file with pages that a client sent, as a `SentPicture`; `pages` says which of
    them (see `edge.documents`)."""

    digest: bytes
    load: Callable[[], bytes]
    detail: Detail
    param: str
    filename: str
    pages: str
    text_layer: TextLayer

    def page(self, i: int, n_pages: int) -> SentPicture:
        """Page number `i`, from 0, of `n_pages`."""
        return SentPicture(
            self.digest,
            self.load,
            self.detail,
            self.param,
            i,
            page_label(self.filename, i, n_pages),
            self.text_layer,
        )


@dataclass(frozen=True)
class LinkedPicture:
    """A picture that a client named by an address on a listed host: it is fetched once
    the question has a reservation. `param` is the field with the address."""

    link: Link
    detail: Detail = "auto"
    param: str | None = None
    label: str = ""

    @property
    def links(self) -> Links:
        return [(self.param, self.link)]

    def fetched(self, encoded: bytes) -> SentPicture:
        return SentPicture(digest_of(encoded), lambda: encoded, self.detail, self.param)


@dataclass(frozen=True)
class SentVideo:
    """A video that a client sent, as a `SentPicture`; the budget of its `order` is not
    known yet, and `digest` names the other parts of that too."""

    digest: bytes
    load: Callable[[], bytes]
    order: VideoOrder
    detail: Detail
    param: str
    label: str = ""

    @classmethod
    def of(
        cls, encoded: bytes, order: VideoOrder, detail: Detail, param: str
    ) -> SentVideo:
        digest = digest_of(order.to_line() + digest_of(encoded))
        return cls(digest, lambda: encoded, order, detail, param)


@dataclass(frozen=True)
class LinkedVideo:
    """A video that a client named by an address, as a `LinkedPicture`."""

    link: Link
    order: VideoOrder
    detail: Detail
    param: str
    label: str = ""

    @property
    def links(self) -> Links:
        return [(self.param, self.link)]

    def fetched(self, encoded: bytes) -> SentVideo:
        return SentVideo.of(encoded, self.order, self.detail, self.param)


@dataclass(frozen=True)
class Frames:
    """A video as a list of pictures: files, and addresses as in a `LinkedPicture`."""

    files: tuple[bytes | Link, ...]
    order: VideoOrder
    detail: Detail
    param: str
    label: str = ""

    @property
    def links(self) -> Links:
        numbered = enumerate(self.files)
        return [(f"{self.param}[{i}]", f) for i, f in numbered if isinstance(f, Link)]

    def fetched(self, *encoded: bytes) -> SentVideo:
        """With the files of all `links`, in their order."""
        came = iter(encoded)
        files = [next(came) if isinstance(f, Link) else f for f in self.files]
        order = replace(self.order, sizes=tuple(map(len, files)))
        return SentVideo.of(b"".join(files), order, self.detail, self.param)


Linked = LinkedPicture | LinkedVideo | Frames
Video = SentVideo | LinkedVideo | Frames
Sent = SentPicture | SentVideo | Linked


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
    def pictures(self) -> Sequence[Sent]: ...

    def request(
        self, refs: Sequence[PictureRef | ClipRef], texts: Sequence[str] = ()
    ) -> Request:
        """The request that names the decoded `pictures` by `refs`, in their order;
        `texts` are their text layers, if there are any."""
        ...


def digest_of(encoded: bytes) -> bytes:
    """The name of a file's bytes, of 32 bytes. Computed once, where a file arrives."""
    return hashlib.blake2b(encoded, digest_size=32).digest()


def check_count(n_pictures: int, most: int = MAX_PICTURES) -> None:
    """Raises InvalidRequest for more pictures, each file with pages being one at least,
    than one request may have."""
    if n_pictures > most:
        raise InvalidRequest(f"Send at most {most} pictures, pages and videos.")
