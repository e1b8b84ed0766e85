"""Pages of PDF and TIFF files, through the real decoding child."""

from __future__ import annotations

import pytest
from PIL import Image

from edge.errors import InvalidPicture
from edge.images import Counting, Picture, Spares, vet
from edge.images.claim import is_pdf, may_have_pages
from edge.images.pdf import MOST_TEXT, page_size
from edge.qwen3vl.preprocess import grid
from tests.images.pdf_files import drawn, mapped_page, one_page, pdf, stream, text_page
from tests.test_images import encode

TOKENS = 256
COLOURS = ("red", "lime", "blue")


def plain(*colours: str, size: tuple[int, int] = (128, 96)) -> list[Image.Image]:
    return [Image.new("RGB", size, colour) for colour in colours]


def middle(picture: Picture) -> tuple[int, ...]:
    at = 3 * (picture.height // 2 * picture.width + picture.width // 2)
    return tuple(picture.rgb[at : at + 3])


def is_near(found: tuple[int, ...], expected: tuple[int, ...]) -> bool:
    return all(abs(a - b) < 8 for a, b in zip(found, expected, strict=True))


def test_each_page_is_a_picture_of_its_own() -> None:
    file = drawn(*plain(*COLOURS))
    assert Counting(file).run() == 3
    pages = [vet(file, TOKENS, page=n) for n in range(3)]
    assert [(page.width, page.height) for page in pages] == [(128, 96)] * 3
    for page, colour in zip(
        pages, ((255, 0, 0), (0, 255, 0), (0, 0, 255)), strict=True
    ):
        assert is_near(middle(page), colour)
        assert not page.is_first


def test_so_is_each_page_of_a_tiff() -> None:
    red, *others = plain(*COLOURS)
    file = encode(red, "TIFF", save_all=True, append_images=others)
    assert Counting(file).run() == 3
    assert middle(vet(file, TOKENS, page=2)) == (0, 0, 255)
    assert vet(file, TOKENS).is_first
    with pytest.raises(InvalidPicture, match="3 pages, and no page 4"):
        vet(file, TOKENS, page=3)


def test_a_thumbnail_in_a_tiff_is_not_a_page() -> None:
    """Nor a smaller version or a mask: bits of NewSubfileType."""
    frames = plain("red", "gray", "lime", "gray", "blue")
    for frame, kind in zip(frames, (0, 1, 2, 4, 2), strict=True):
        frame.encoderinfo = {"tiffinfo": {254: kind}}
    file = encode(frames[0], "TIFF", save_all=True, append_images=frames[1:])
    assert Counting(file).run() == 3
    pages = [middle(vet(file, TOKENS, page=n)) for n in range(3)]
    assert pages == [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    # of which the first is the only page
    pair = encode(frames[0], "TIFF", save_all=True, append_images=frames[1:2])
    assert not vet(pair, TOKENS).is_first
    frames[1].encoderinfo, frames[0].encoderinfo = [
        {"tiffinfo": {254: kind}} for kind in (1, 0)
    ]
    behind = encode(
        frames[1].resize((8, 8)),
        "TIFF",
        save_all=True,
        append_images=frames[:1],
        tiffinfo={254: 1},
    )
    assert middle(vet(behind, TOKENS)) == middle(vet(behind, TOKENS, page=0))
    assert middle(vet(behind, TOKENS)) == (255, 0, 0)
    alone = encode(plain("red")[0], "TIFF", tiffinfo={254: 1})
    assert Counting(alone).run() == 1
    assert middle(vet(alone, TOKENS, page=0)) == (255, 0, 0)


def test_a_picture_counts_as_one_page_and_costs_no_child() -> None:
    assert Counting(encode(plain("red")[0], "PNG")).run() == 1


@pytest.mark.parametrize("n_tokens", [64, 256, 1024, 2048])
@pytest.mark.parametrize(
    "points", [(595, 842), (842, 595), (3, 599), (2000, 10), (1e6, 1e6), (20, 20)]
)
def test_a_page_has_a_size_that_the_model_does_not_change(
    points: tuple[float, float], n_tokens: int
) -> None:
    width, height = page_size(*points, n_tokens)
    assert width % 32 == height % 32 == 0
    assert width * height <= n_tokens * 1024
    assert grid(width, height, 1, n_tokens) == (height // 32, width // 32)


def test_a4_uses_nearly_all_tokens_that_it_may_have() -> None:
    width, height = page_size(595, 842, 1024)
    assert 0.9 * 1024 < width * height / 1024 <= 1024


def test_the_text_layer_comes_along_if_it_is_asked_for() -> None:
    file = text_page(b"Total 42.50 EUR")
    assert vet(file, TOKENS, page=0, reads_text=True).text == "Total 42.50 EUR"
    assert vet(file, TOKENS, page=0).text == ""
    assert vet(drawn(*plain("red")), TOKENS, page=0, reads_text=True).text == ""


def test_spaces_of_every_kind_keep_words_apart() -> None:
    written = "3\u00a04\u202f5\u20036\u30007\t8 \u2028a\u200db\u200cc\u00add\x01e"
    text = vet(mapped_page(written), TOKENS, page=0, reads_text=True).text
    assert text == "3 4 5 6 7 8  a\u200db\u200ccde"


def test_a_font_that_the_file_lacks_is_drawn_all_the_same() -> None:
    assert min(vet(text_page(b"Total"), TOKENS, page=0).rgb) < 100


def test_a_long_text_layer_is_cut() -> None:
    text = vet(text_page(b"word " * 4000), TOKENS, page=0, reads_text=True).text
    assert MOST_TEXT - 10 < len(text) <= MOST_TEXT


def test_a_filled_form_shows_what_was_filled_in() -> None:
    look = stream(
        b"1 0 0 rg 0 0 400 400 re f",
        b"/Type/XObject/Subtype/Form/BBox[0 0 400 400]",
    )
    widget = (
        b"<</Type/Annot/Subtype/Widget/FT/Tx/T(a)/V(x)/Rect[97 221 497 621]/F 4"
        b"/AP<</N 6 0 R>>>>"
    )
    file = one_page(
        others=[widget, look],
        page=b"/Annots[5 0 R]",
        catalogue=b"/AcroForm<</Fields[5 0 R]>>",
    )
    assert is_near(middle(vet(file, TOKENS, page=0)), (255, 0, 0))


def test_a_waiting_child_reads_documents_too() -> None:
    spares = Spares(1)
    try:
        spares.refill()
        assert Counting(drawn(*plain(*COLOURS)), spares).run() == 3
    finally:
        spares.close()


@pytest.mark.parametrize(
    ("file", "page", "reason"),
    [
        (drawn(*plain("red")), 1, "This PDF has 1 pages, and no page 2."),
        (pdf([b"<</Type/Catalog/Pages 2 0 R>>", b"<</Kids[]/Count 0>>"]), 0, "pages"),
        (one_page(box=b"[0 0 1 600]"), 0, "200 times"),
        (
            one_page(
                trailer=b"/ID[<00><00>]/Encrypt<</Filter/Standard/V 1/R 2/P -4"
                b"/O<%s>/U<%s>>>" % (b"aa" * 32, b"bb" * 32)
            ),
            0,
            "password",
        ),
        (b"%PDF-1.7\nnothing", 0, "damaged"),
        (drawn(*plain("red")), None, 'type "file"'),
    ],
)
def test_what_cannot_be_read_is_refused_in_a_sentence(
    file: bytes, page: int | None, reason: str
) -> None:
    with pytest.raises(InvalidPicture) as refusal:
        vet(file, TOKENS, page=page)
    assert reason in refusal.value.message
    assert refusal.value.message.endswith(".")


def test_a_file_is_known_by_its_first_bytes() -> None:
    assert is_pdf(drawn(*plain("red")))
    assert is_pdf(b"\n" * 1000 + b"%PDF-1.4")
    assert not is_pdf(b"\n" * 1024 + b"%PDF-1.4")
    assert may_have_pages(encode(plain("red")[0], "TIFF"))
    assert not may_have_pages(encode(plain("red")[0], "PNG") + b"%PDF-")
