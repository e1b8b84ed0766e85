"""Hostile PDFs: each is refused soon or drawn harmlessly, and nothing else happens."""

from __future__ import annotations

import resource
import signal
from collections.abc import Callable

import pytest

from edge.errors import InvalidPicture
from edge.images import Counting, Decoding
from edge.images.limits import SMALL_SECONDS
from tests.images.pdf_files import A4, drawn, flate, one_page, pdf, stream, text_page
from tests.images.test_pdf import plain

TOKENS = 64
WHOLE = text_page(b"Some words, to be cut off somewhere")
ZEROS = 1 << 28


def forms(depth: int, width: int) -> bytes:
    """A form that draws `width` times a form that draws ..."""
    head = b"/Type/XObject/Subtype/Form/BBox[0 0 600 900]"
    inner = [
        stream(
            b"/X Do " * width,
            head + b"/Resources<</XObject<</X %d 0 R>>>>" % (6 + i),
        )
        for i in range(depth)
    ]
    last = stream(b"0 0 9 9 re f ", head)
    return one_page(b"/X Do", resources=b"/XObject<</X 5 0 R>>", others=[*inner, last])


def image(width: int, height: int, data: bytes, entries: bytes = b"") -> bytes:
    about = b"/Type/XObject/Subtype/Image/Width %d/Height %d" % (width, height)
    grey = b"/ColorSpace/DeviceGray/BitsPerComponent 8"
    return one_page(
        b"q 595 0 0 842 0 0 cm /I Do Q",
        resources=b"/XObject<</I 5 0 R>>",
        others=[stream(data, about + grey + entries)],
    )


def zeros(n: int) -> bytes:
    return flate(bytes(n)).split(b"stream\n", 1)[1].rsplit(b"\nendstream", 1)[0]


def pattern(step: bytes) -> bytes:
    cell = stream(
        b"0 0 1 1 re f",
        b"/Type/Pattern/PatternType 1/PaintType 1/TilingType 1/BBox[0 0 1 1]"
        b"/XStep %s/YStep %s/Resources<<>>" % (step, step),
    )
    return one_page(
        b"/Pattern cs /P scn 0 0 595 842 re f",
        resources=b"/Pattern<</P 5 0 R>>",
        others=[cell],
    )


def many_pages(n: int) -> bytes:
    kids = b" ".join(b"%d 0 R" % (3 + i) for i in range(n))
    page = b"<</Type/Page/Parent 2 0 R/MediaBox%s>>" % A4
    tree = b"<</Type/Pages/Kids[%s]/Count %d>>" % (kids, n)
    return pdf([b"<</Type/Catalog/Pages 2 0 R>>", tree, *[page] * n])


def deep_tree(n: int) -> bytes:
    levels = [b"<</Type/Pages/Kids[%d 0 R]/Count 1>>" % (3 + i) for i in range(n)]
    page = b"<</Type/Page/MediaBox%s>>" % A4
    return pdf([b"<</Type/Catalog/Pages 2 0 R>>", *levels, page])


def object_stream(n_bytes: int) -> bytes:
    """The catalogue is in a compressed stream of zeros."""
    head = b"%PDF-1.7\n"
    packed = flate(b" " * n_bytes, b"/Type/ObjStm/N 1/First 4")
    one = b"1 0 obj\n" + packed + b"\nendobj\n"
    rows = bytes([0, 0, 0, 255, 1, 0, len(head), 0, 2, 0, 1, 0])
    index = stream(rows, b"/Type/XRef/Size 3/W[1 2 1]/Root 2 0 R")
    body = head + one + b"9 0 obj\n" + index + b"\nendobj\n"
    return body + b"startxref\n%d\n%%%%EOF" % (len(head) + len(one))


REFUSED: dict[str, Callable[[], bytes]] = {
    "only a header": lambda: b"%PDF-1.7",
    "no object": lambda: pdf([]),
    "no page": lambda: pdf([b"<</Type/Catalog/Pages 2 0 R>>", b"<</Kids[]/Count 0>>"]),
    "a page tree that is its own child": lambda: pdf(
        [b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Kids[2 0 R]/Count 9>>"]
    ),
    "a page like a line": lambda: one_page(box=b"[0 0 100000 1]"),
    "an unknown encryption": lambda: one_page(trailer=b"/Encrypt<</Filter/X/V 99>>"),
    "forms in forms, 10^12 times": lambda: forms(12, 10),
    "20 million drawings": lambda: one_page(
        b"/X Do",
        resources=b"/XObject<</X 5 0 R>>",
        others=[
            flate(
                b"0 0 500 500 re f " * 5_000_000,
                b"/Type/XObject/Subtype/Form/BBox[0 0 600 900]",
            )
        ],
    ),
}
HARMLESS: dict[str, Callable[[], bytes]] = {
    "10,000 pages": lambda: many_pages(10_000),
    "a page of a square kilometre": lambda: one_page(box=b"[0 0 1e7 1e7]"),
    "a page of no area": lambda: one_page(box=b"[0 0 1e-30 1e-30]"),
    "a box that is none": lambda: one_page(box=b"[/a /b]"),
    "JavaScript": lambda: one_page(
        catalogue=b"/OpenAction<</S/JavaScript/JS(while\\(1\\){})>>"
        b"/Names<</JavaScript<</Names[(a)<</S/JavaScript/JS(app.alert\\(1\\))>>]>>>>"
    ),
    "a program to start": lambda: one_page(
        catalogue=b"/OpenAction<</S/Launch/F(/bin/sh)>>"
    ),
    "a page elsewhere": lambda: one_page(
        b"/X Do",
        resources=b"/XObject<</X 5 0 R>>",
        others=[
            b"<</Type/XObject/Subtype/Form/Ref<</F(/etc/passwd)/Page 0>>/Length 0>>"
            b"stream\n\nendstream"
        ],
    ),
    "a stream in a file": lambda: one_page(
        b"/X Do",
        resources=b"/XObject<</X 5 0 R>>",
        others=[stream(b"", b"/Subtype/Form/BBox[0 0 9 9]/F(/etc/passwd)")],
    ),
    "an attachment": lambda: one_page(
        others=[
            b"<</Type/Filespec/F(a.exe)/EF<</F 6 0 R>>>>",
            flate(b"MZ" * 10_000_000, b"/Type/EmbeddedFile"),
        ],
        catalogue=b"/Names<</EmbeddedFiles<</Names[(a.exe)5 0 R]>>>>",
    ),
    "XFA": lambda: one_page(
        others=[stream(b"<xdp:xdp><script>x()</script></xdp:xdp>")],
        catalogue=b"/AcroForm<</Fields[]/XFA 5 0 R>>/NeedsRendering true",
    ),
    "a form that draws itself": lambda: forms(1, 1).replace(b"/X 6 0 R", b"/X 5 0 R"),
    "a font that draws itself": lambda: one_page(
        b"BT /F 20 Tf 9 9 Td (aaa) Tj ET",
        resources=b"/Font<</F 5 0 R>>",
        others=[
            b"<</Type/Font/Subtype/Type3/FontBBox[0 0 9 9]/FontMatrix[1 0 0 1 0 0]"
            b"/FirstChar 97/LastChar 97/Widths[9]/Encoding<</Differences[97/a]>>"
            b"/CharProcs<</a 6 0 R>>/Resources<</Font<</F 5 0 R>>>>>>",
            stream(b"9 0 d0 BT /F 20 Tf (aaa) Tj ET"),
        ],
    ),
    "a million characters": lambda: text_page(b"x" * 1_000_000),
    "a tree of pages 10,000 deep": lambda: deep_tree(10_000),
    "an image of 2^31 pixels": lambda: image(1 << 16, 1 << 15, b""),
    "an image of zeros": lambda: image(
        1 << 14, 1 << 14, zeros(ZEROS), b"/Filter/FlateDecode"
    ),
    "zeros in zeros": lambda: image(
        8, 8, zeros(ZEROS), b"/Filter[/FlateDecode/FlateDecode]"
    ),
    "a stream of objects that are blanks": lambda: object_stream(ZEROS),
    "a pattern of tiny cells": lambda: pattern(b"0.0001"),
    "a loop of cross-references": lambda: WHOLE.replace(b"/Root", b"/Prev 9/Root"),
    "brackets, 1,000,000 deep": lambda: one_page(page=b"/A" + b"[" * 1_000_000),
}


def cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.parametrize("make", (REFUSED | HARMLESS).values(), ids=REFUSED | HARMLESS)
def test_it_costs_no_more_than_a_small_picture(
    request: pytest.FixtureRequest, make: Callable[[], bytes]
) -> None:
    name = request.node.callspec.id
    decoding, before = Decoding(make(), TOKENS, page=0, reads_text=True), cpu_s()
    try:
        page = decoding.run()
    except InvalidPicture as refusal:
        assert refusal.message.endswith(".")
    else:
        assert page.width * page.height <= TOKENS * 1024
        assert name not in REFUSED
    assert cpu_s() - before <= SMALL_SECONDS + 0.5
    assert decoding._child
    # out of time, or of memory: PDFium aborts then, which the filter answers itself
    assert decoding._child.returncode in (0, -signal.SIGXCPU, -signal.SIGSYS)


@pytest.mark.parametrize("make", (REFUSED | HARMLESS).values(), ids=REFUSED | HARMLESS)
def test_so_does_counting_its_pages(make: Callable[[], bytes]) -> None:
    before = cpu_s()
    try:
        assert 1 <= Counting(make()).run() <= 10_000
    except InvalidPicture as refusal:
        assert refusal.message.endswith(".")
    assert cpu_s() - before <= SMALL_SECONDS + 0.5


@pytest.mark.parametrize("whole", [WHOLE, drawn(*plain("red", "blue"))])
def test_a_file_cut_off_anywhere_is_drawn_or_refused(whole: bytes) -> None:
    for n_bytes in range(9, len(whole), max(1, len(whole) // 20)):
        try:
            Decoding(whole[:n_bytes], TOKENS, page=0).run()
        except InvalidPicture as refusal:
            assert refusal.message.endswith(".")
