"""The pictures and pages of the files that `edge ask` is given."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edge import images
from edge.documents import layer_part, page_label, selected
from edge.errors import EdgeError, SetupError
from edge.images.claim import may_have_pages
from edge.qwen3vl.picture_bounds import PictureBounds
from edge.request import PictureRef


@dataclass(frozen=True)
class Page:
    """Page number `page`, from 0, of a file; None: a picture."""

    encoded: bytes
    page: int | None
    label: str

    def picture(self, bounds: PictureBounds) -> images.Picture:
        """Blocks while it is decoded. Raises InvalidPicture."""
        size = bounds.grid_size(self.encoded)
        return images.vet(
            self.encoded, bounds.most, size, page=self.page, reads_text=True
        )


def pages_of(files: Sequence[Path], pages: str) -> Iterator[Page]:
    """The pages of files, of documents those that `pages` selects; see
    `edge.documents`.

    Raises SetupError where there is no file, InvalidPicture for one that is neither a
    picture nor a document, InvalidRequest for pages that there are not.
    """
    for path in files:
        if not path.is_file():
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


@contextmanager
def named(label: str) -> Iterator[None]:
    """Begins the sentence of an EdgeError with the name of the file."""
    try:
        yield
    except EdgeError as error:
        error.message = f"{label}: {error.message}"
        raise


def content_of(
    shown: Sequence[tuple[Page, images.Picture]], question: str
) -> tuple[str | PictureRef, ...]:
    """The content of a message about these pages; several are named."""
    content: list[str | PictureRef] = []
    for page, picture in shown:
        content += [f"{page.label}:\n"] if len(shown) > 1 else []
        content += [picture.ref]
        content += [layer_part(picture.text)] if picture.text else []
    return (*content, question)
