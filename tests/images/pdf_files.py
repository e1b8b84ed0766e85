"""PDF files, written object by object, so that each can be wrong in its own way."""

from __future__ import annotations

import io
import zlib
from collections.abc import Sequence

from PIL import Image

A4 = b"[0 0 595 842]"


def stream(data: bytes, entries: bytes = b"") -> bytes:
    return b"<<%s/Length %d>>stream\n%s\nendstream" % (entries, len(data), data)


def flate(data: bytes, entries: bytes = b"") -> bytes:
    return stream(zlib.compress(data, 9), entries + b"/Filter/FlateDecode")


def pdf(objects: Sequence[bytes], trailer: bytes = b"") -> bytes:
    """A file of these objects, numbered from 1; the first is the catalogue."""
    file, places = b"%PDF-1.7\n", []
    for i, content in enumerate(objects, 1):
        places.append(len(file))
        file += b"%d 0 obj\n%s\nendobj\n" % (i, content)
    n, table = len(objects) + 1, b"".join(b"%010d 00000 n \n" % at for at in places)
    return (
        file
        + b"xref\n0 %d\n0000000000 65535 f \n" % n
        + table
        + b"trailer<</Size %d/Root 1 0 R%s>>\n" % (n, trailer)
        + b"startxref\n%d\n%%%%EOF" % len(file)
    )


def one_page(
    content: bytes = b"",
    *,
    resources: bytes = b"",
    others: Sequence[bytes] = (),
    box: bytes = A4,
    catalogue: bytes = b"",
    page: bytes = b"",
    trailer: bytes = b"",
) -> bytes:
    """A page with this content; `others` are objects from number 5 on."""
    return pdf(
        [
            b"<</Type/Catalog/Pages 2 0 R%s>>" % catalogue,
            b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
            b"<</Type/Page/Parent 2 0 R/MediaBox%s/Contents 4 0 R/Resources<<%s>>%s>>"
            % (box, resources, page),
            stream(content),
            *others,
        ],
        trailer,
    )


def text_page(text: bytes, **more: bytes) -> bytes:
    """A page with a text layer, in a font that the file does not hold."""
    content = b"BT /F 24 Tf 72 700 Td (%s) Tj ET" % text
    font = b"/Font<</F<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>>>"
    return one_page(content, resources=font, **more)


def mapped_page(text: str) -> bytes:
    """A page whose text layer is `text`, of up to 26 characters."""
    letters = bytes(range(65, 65 + len(text)))
    pairs = zip(letters, text, strict=True)
    table = b"".join(
        b"<%02X><%s>\n" % (letter, c.encode("utf-16-be").hex().encode())
        for letter, c in pairs
    )
    cmap = b"begincmap 1 begincodespacerange <00><FF> endcodespacerange\n"
    cmap += b"%d beginbfchar\n%sendbfchar endcmap" % (len(text), table)
    font = b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/ToUnicode 5 0 R>>"
    content = b"BT /F 24 Tf 72 700 Td (%s) Tj ET" % letters
    return one_page(content, resources=b"/Font<</F %s>>" % font, others=[stream(cmap)])


def drawn(*pages: Image.Image, dpi: int = 144) -> bytes:
    """A PDF whose pages are pictures; at 144 dpi their pixels are those of the page."""
    file, (first, *others) = io.BytesIO(), pages
    first.save(file, "PDF", save_all=True, append_images=others, resolution=dpi)
    return file.getvalue()
