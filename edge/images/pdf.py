"""A page of a PDF to RGB, with PDFium and without protection: see `jail`.

PDFium is the library that the package pypdfium2 brings, built without JavaScript and
XFA. Its functions are called here: to import the package's binding would cost each
decoding child 35 ms and 4 MB. Sources: PDFium's public headers (fpdfview.h,
fpdf_formfill.h, fpdf_text.h).

No font of the system is used, so that a page looks the same on every machine: where a
PDF does not hold a font, PDFium's own ones stand in for it.
"""

from __future__ import annotations

import codecs
import ctypes
import math
from ctypes import (
    POINTER,
    c_char_p,
    c_float,
    c_int,
    c_size_t,
    c_uint,
    c_ulong,
    c_void_p,
)
from importlib.util import find_spec
from pathlib import Path

from edge.errors import InvalidPicture
from edge.images.decode import MAX_ASPECT_RATIO
from edge.images.picture import PIXELS_PER_TOKEN, TOKEN_PX, Picture

PX_PER_POINT = 2  # 144 dpi; a page with room for more tokens than that gets fewer
MOST_TEXT = 4000  # characters of one page

_PASSWORD = 4  # FPDF_ERR_PASSWORD
_BGR = 2  # FPDFBitmap_BGR
_FLAGS = 0x01 | 0x10  # FPDF_ANNOT, FPDF_REVERSE_BYTE_ORDER
_FORM_INFO_BYTES = 1024  # more than `FPDF_FORMFILLINFO` has: a version, then callbacks
_WHITE = 0xFFFFFFFF
_KEPT = "\n\u200c\u200d"  # the last two shape letters of some scripts


class _Config(ctypes.Structure):
    """`struct FPDF_LIBRARY_CONFIG_`, version 2."""

    _fields_ = (
        ("version", c_int),
        ("user_font_paths", POINTER(c_char_p)),
        ("isolate", c_void_p),
        ("v8_embedder_slot", c_uint),
    )


def _declared() -> ctypes.CDLL:
    """The library, with the types of what is called here."""
    package = find_spec("pypdfium2_raw")
    assert package is not None and package.origin
    found = ctypes.CDLL(str(Path(package.origin).with_name("libpdfium.so")))
    for name, result, arguments in (
        ("FPDF_InitLibraryWithConfig", None, (POINTER(_Config),)),
        ("FPDF_LoadMemDocument64", c_void_p, (c_char_p, c_size_t, c_char_p)),
        ("FPDF_GetLastError", c_ulong, ()),
        ("FPDF_GetPageCount", c_int, (c_void_p,)),
        ("FPDF_LoadPage", c_void_p, (c_void_p, c_int)),
        ("FPDF_GetPageWidthF", c_float, (c_void_p,)),
        ("FPDF_GetPageHeightF", c_float, (c_void_p,)),
        ("FPDFBitmap_CreateEx", c_void_p, (c_int, c_int, c_int, c_void_p, c_int)),
        ("FPDFBitmap_FillRect", c_int, (c_void_p, *[c_int] * 4, c_ulong)),
        ("FPDF_RenderPageBitmap", None, (c_void_p, c_void_p, *[c_int] * 6)),
        ("FPDFDOC_InitFormFillEnvironment", c_void_p, (c_void_p, c_void_p)),
        ("FPDF_FFLDraw", None, (c_void_p, c_void_p, c_void_p, *[c_int] * 6)),
        ("FPDFText_LoadPage", c_void_p, (c_void_p,)),
        ("FPDFText_GetText", c_int, (c_void_p, c_int, c_int, c_void_p)),
    ):
        function = getattr(found, name)
        function.restype, function.argtypes = result, arguments
    no_fonts = (c_char_p * 1)(None)
    found.FPDF_InitLibraryWithConfig(ctypes.byref(_Config(2, no_fonts, None, 0)))
    return found


_pdfium = _declared()
# version 1, without callbacks: nothing that a document wants done is done
_FORM_INFO = ctypes.create_string_buffer(b"\1", _FORM_INFO_BYTES)
_utf_16 = codecs.lookup("utf-16-le")  # Python loads it from a file


def count_pages(encoded: bytes) -> int:
    """How many pages a PDF has. Raises InvalidPicture for a damaged or encrypted one,
    and for one without pages."""
    return _open(encoded)[1]


def render_page(
    encoded: bytes, page: int, max_tokens: int, *, reads_text: bool = False
) -> Picture:
    """Page number `page`, from 0, at most `max_tokens` x 1024 pixels large, and with
    `reads_text` the beginning of its text layer.

    Its sides are multiples of 32 pixels, so that the model's own preprocessing changes
    nothing. Raises InvalidPicture for a page that cannot be rendered.
    """
    document, n_pages = _open(encoded)
    if page >= n_pages:
        raise InvalidPicture(f"This PDF has {n_pages} pages, and no page {page + 1}.")
    loaded = _pdfium.FPDF_LoadPage(document, page)
    if not loaded:
        raise InvalidPicture(f"Page {page + 1} of this PDF is damaged.")
    points = _pdfium.FPDF_GetPageWidthF(loaded), _pdfium.FPDF_GetPageHeightF(loaded)
    width, height = page_size(*points, max_tokens)
    rgb = ctypes.create_string_buffer(width * height * 3)
    bitmap = _pdfium.FPDFBitmap_CreateEx(width, height, _BGR, rgb, width * 3)
    if not bitmap:
        raise InvalidPicture(f"Page {page + 1} of this PDF cannot be drawn.")
    _pdfium.FPDFBitmap_FillRect(bitmap, 0, 0, width, height, _WHITE)
    whole_page = 0, 0, width, height, 0, _FLAGS
    _pdfium.FPDF_RenderPageBitmap(bitmap, loaded, *whole_page)
    if form := _pdfium.FPDFDOC_InitFormFillEnvironment(document, _FORM_INFO):
        _pdfium.FPDF_FFLDraw(form, bitmap, loaded, *whole_page)  # what is filled in
    text = _text_of(loaded) if reads_text else ""
    return Picture(width, height, rgb.raw, text=text)


def page_size(width: float, height: float, max_tokens: int) -> tuple[int, int]:
    """Width and height in pixels for a page of this size in points, about of its shape.

    Raises InvalidPicture for a page without area, or much longer than wide.
    """
    is_number = math.isfinite(width) and math.isfinite(height)
    if not is_number or min(width, height) <= 0:
        raise InvalidPicture("This page of the PDF has no area.")
    if max(width, height) > MAX_ASPECT_RATIO * min(width, height):
        raise InvalidPicture(
            f"This page is {width:.0f} x {height:.0f} points: its longer side may be "
            f"at most {MAX_ASPECT_RATIO} times the shorter."
        )
    most = max_tokens * PIXELS_PER_TOKEN
    scale = min(PX_PER_POINT, math.sqrt(most / (width * height))) / TOKEN_PX
    columns, rows = max(1, round(width * scale)), max(1, round(height * scale))
    if columns * rows > max_tokens:
        columns, rows = max(1, int(width * scale)), max(1, int(height * scale))
    # of a narrow page, whose shorter side was rounded up to one token
    columns, rows = min(columns, max_tokens), min(rows, max_tokens)
    return columns * TOKEN_PX, rows * TOKEN_PX


def _open(encoded: bytes) -> tuple[int, int]:
    """A document and the number of its pages. It is never closed: the child ends."""
    document = _pdfium.FPDF_LoadMemDocument64(encoded, len(encoded), None)
    if not document:
        if _pdfium.FPDF_GetLastError() == _PASSWORD:
            raise InvalidPicture(
                "This PDF is protected by a password. Save it without one and send it "
                "again."
            )
        raise InvalidPicture("This PDF is damaged or cut off. Save it again.")
    n_pages = _pdfium.FPDF_GetPageCount(document)
    if n_pages < 1:
        raise InvalidPicture("This PDF has no pages.")
    return document, n_pages


def _text_of(page: int) -> str:
    """The beginning of a page's text layer, without control characters, and with a
    blank for each kind of space: those between two numbers keep them apart."""
    layer = _pdfium.FPDFText_LoadPage(page)
    if not layer:
        return ""
    utf16 = ctypes.create_string_buffer(2 * MOST_TEXT + 2)
    n = _pdfium.FPDFText_GetText(layer, 0, MOST_TEXT, utf16)
    text, _ = _utf_16.decode(utf16.raw[: 2 * max(0, n - 1)], "replace")
    text = text.replace("\r\n", "\n").replace("\x02", "").replace("\ufffe", "")
    text = "".join(
        c if c.isprintable() or c in _KEPT else " " * c.isspace() for c in text
    )
    return text.strip()
