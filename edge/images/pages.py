"""Files with pages (PDF, TIFF) and pictures without: one way to both, for the child."""

from __future__ import annotations

from edge.errors import InvalidPicture
from edge.images import pdf
from edge.images.claim import claim_of, is_pdf
from edge.images.decode import count_frames, normalise
from edge.images.order import Order
from edge.images.picture import Picture


def count_pages(encoded: bytes) -> int:
    """How many pages a PDF or TIFF has. Raises InvalidPicture."""
    return pdf.count_pages(encoded) if _is_pdf(encoded) else count_frames(encoded)


def decode_page(encoded: bytes, order: Order) -> Picture:
    """The picture or page that is ordered. Raises InvalidPicture."""
    if not _is_pdf(encoded):
        return normalise(encoded, order.max_tokens, order.size, order.page)
    if order.page is None:
        raise InvalidPicture('This is a PDF. Send it as a part of type "file".')
    return pdf.render_page(
        encoded, order.page, order.max_tokens, reads_text=order.reads_text
    )


def _is_pdf(encoded: bytes) -> bool:
    return claim_of(encoded) is None and is_pdf(encoded)
