"""The pictures, pages and videos of the files that `edge ask` is given."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edge import images
from edge.documents import layer_part, page_label, selected
from edge.errors import EdgeError, SetupError
from edge.images.claim import claim_of, may_have_pages
from edge.qwen3vl.picture_bounds import PictureBounds
from edge.qwen3vl.video import MOST_PAIR_TOKENS
from edge.request import PictureRef
from edge.videos import Clip, VideoDecoding, VideoOrder
from edge.videos.kind import kind_of


@dataclass(frozen=True)
class Page:
    """Page number `page`, from 0, of a file; None: a picture or a video."""

    encoded: bytes
    page: int | None
    label: str

    @property
    def is_video(self) -> bool:
        """A GIF or WebP is a picture: its first frame."""
        return kind_of(self.encoded) in ("mp4", "matroska")

    def check(self, most_tokens: int) -> None:
        """Raises InvalidPicture for a video that is too long or damaged, and for what
        is neither a picture nor a document."""
        if self.is_video:
            VideoDecoding(self.encoded, VideoOrder(most_tokens)).run()
        elif self.page is None and claim_of(self.encoded) is None:
            images.vet(self.encoded, most_tokens)

    def decoded(
        self, bounds: PictureBounds, video_tokens: int
    ) -> images.Picture | Clip:
        """Blocks while it is decoded. Raises InvalidPicture."""
        if self.is_video:
            order = VideoOrder(video_tokens, min(MOST_PAIR_TOKENS, bounds.most))
            return VideoDecoding(self.encoded, order).run()
        size = bounds.grid_size(self.encoded)
        return images.vet(
            self.encoded, bounds.most, size, page=self.page, reads_text=True
        )


def pages_of(files: Sequence[Path], pages: str) -> Iterator[Page]:
    """The pages of files, of documents those that `pages` selects; see
    `edge.documents`.

    Raises SetupError where there is no file, InvalidPicture for one that is neither a
    picture, a document nor a video, InvalidRequest for pages that there are not.
    """
    for path in files:
        if not is_file(path):
            raise SetupError(f"There is no file {path}.")
        encoded = path.read_bytes()
        if not encoded:
            raise SetupError(f"{path} is empty. Choose another file.")
        if not may_have_pages(encoded):
            yield Page(encoded, None, path.name)
            continue
        with named(path.name):
            n_pages = images.Counting(encoded).run()
            chosen = selected(pages, n_pages)
        for page in chosen:
            yield Page(encoded, page, page_label(path.name, page, n_pages))


def is_file(path: Path) -> bool:
    """Also for words that are too long for a name, for which pathlib raises."""
    try:
        return path.is_file()
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            return False
        raise


@contextmanager
def named(label: str) -> Iterator[None]:
    """Begins the sentence of an EdgeError with the name of the file."""
    try:
        yield
    except EdgeError as error:
        error.message = f"{label}: {error.message}"
        raise


def content_of(
    shown: Sequence[tuple[Page, images.Picture | Clip]], question: str
) -> tuple[str | PictureRef, ...]:
    """The content of a message about these pages; several are named."""
    content: list[str | PictureRef] = []
    for page, seen in shown:
        content += [f"{page.label}:\n"] if len(shown) > 1 else []
        if isinstance(seen, Clip):
            content += seen.ref.content
            continue
        content += [seen.ref]
        content += [layer_part(seen.text)] if seen.text else []
    return (*content, question)
