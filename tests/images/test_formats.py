"""Pictures of phones, scanners and old programs: read as they are meant."""

from __future__ import annotations

import base64
import struct
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edge.errors import InvalidPicture
from edge.images import Decoding, Picture, vet
from edge.images.claim import Claim, claim_of
from edge.qwen3vl.picture_bounds import PictureBounds
from tests.images.heif_files import (
    Item,
    coded,
    grid,
    heic,
    heif,
    imir,
    irot,
    ispe,
    phone_photo,
    tile,
)
from tests.test_images import FORMS, GOOD_EXIF, exif, halves, normalise
from tests.test_images import encode as encoded
from ui.openai.data_url import decode_picture

TOKENS = 64
RED, BLUE = (254, 0, 0), (0, 0, 254)


def corners(picture: Picture) -> list[tuple[int, ...]]:
    """The colours near the upper left and the lower right corner."""
    pixels = np.frombuffer(picture.rgb, np.uint8)
    pixels = pixels.reshape(picture.height, picture.width, 3)
    return [tuple(map(int, pixels[5, 5])), tuple(map(int, pixels[-6, -6]))]


# --- what a phone does ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("turns", "size", "seen"),
    [
        ((), (120, 60), [RED, BLUE]),
        ((irot(1),), (60, 120), [BLUE, RED]),
        ((irot(2),), (120, 60), [BLUE, RED]),
        ((irot(3),), (60, 120), [RED, BLUE]),
        ((imir(1),), (120, 60), [BLUE, RED]),
        ((irot(1), imir(0)), (60, 120), [RED, BLUE]),
    ],
)
def test_a_grid_of_tiles_is_put_together_and_set_upright(
    turns: tuple[bytes, ...], size: tuple[int, int], seen: list[tuple[int, ...]]
) -> None:
    photo = phone_photo(*turns)
    picture = vet(photo, TOKENS)
    assert (picture.width, picture.height) == size
    assert corners(picture) == seen
    assert not picture.is_first  # tiles do not count as pictures
    assert claim_of(photo) == Claim("HEIF", 120, 60)


def test_the_orientation_in_the_exif_of_a_heif_turns_nothing_twice() -> None:
    """Encoders write it as `irot`, and phones leave it in the EXIF too."""
    turned = encoded(halves(), "HEIF", exif=exif(6))
    assert b"irot" in turned
    at = turned.index(b"\x01\x12\0\x03") + 8
    both = turned[:at] + b"\0\x06" + turned[at + 2 :]
    picture = vet(both, TOKENS)
    assert (picture.width, picture.height) == (20, 40)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8, 2, 5, 7])
@pytest.mark.parametrize("name", ["AVIF", "TIFF", "HEIF"])
def test_other_formats_are_set_upright_as_a_jpeg_is(
    name: str, orientation: int
) -> None:
    image = halves().resize((160, 80))
    tags = {"exif": exif(orientation)}
    if name == "TIFF":
        tags = {"tiffinfo": exif(orientation)}
    there = vet(encoded(image, name, **tags), TOKENS)
    jpeg = vet(encoded(image, "JPEG", exif=exif(orientation), quality=95), TOKENS)
    assert (there.width, there.height) == (jpeg.width, jpeg.height)
    difference = np.frombuffer(there.rgb, np.uint8).astype(int) - np.frombuffer(
        jpeg.rgb, np.uint8
    )
    assert np.abs(difference).mean() < 8


@pytest.mark.parametrize("name", ["HEIF", "AVIF", "TIFF"])
def test_a_large_photo_on_its_side_gets_the_size_of_its_grid(name: str) -> None:
    """So it is resampled once, as any other."""
    image = halves().resize((1600, 800))
    tags = {"tiffinfo" if name == "TIFF" else "exif": exif(6)}
    photo = encoded(image, name, **tags)
    size = PictureBounds(TOKENS, 4).grid_size(photo)
    picture = Decoding(photo, TOKENS, size).run()
    assert size
    assert (picture.width, picture.height) in (size, size[::-1])
    assert picture.height > picture.width


def test_the_primary_picture_is_read_and_the_others_are_told_of() -> None:
    burst = heif(
        [
            Item(b"hvc1", coded("red")[1], (coded("red")[0], ispe(64, 64))),
            Item(b"hvc1", coded("blue")[1], (coded("blue")[0], ispe(64, 64))),
        ],
        primary=2,
    )
    picture = vet(burst, TOKENS)
    assert (corners(picture), picture.is_first) == ([BLUE, BLUE], True)


@pytest.mark.parametrize("brand", [b"heic", b"mif1", b"heix", b"msf1"])
def test_the_brands_of_phones_are_known(brand: bytes) -> None:
    photo = heif([grid(1, 1, (64, 64), (2,)), tile("red")], brand=brand)
    assert corners(vet(photo, TOKENS)) == [RED, RED]


def test_a_general_brand_that_holds_av1_is_an_avif() -> None:
    avif = encoded(halves(), "AVIF")
    assert avif[8:12] == b"avif"
    general = avif[:8] + b"mif1" + avif[12:]
    claim = claim_of(general)
    assert claim and claim.format == "AVIF"
    assert vet(general, TOKENS) == vet(avif, TOKENS)


def test_the_base64_of_a_photo_alone_is_enough() -> None:
    for photo in (phone_photo(), encoded(halves(), "AVIF")):
        assert decode_picture(base64.b64encode(photo).decode()) == photo


# --- forms ----------------------------------------------------------------------------

GREY16 = Image.fromarray(np.full((20, 40), 0x8000, np.uint16))
NEW_FORMS: dict[str, bytes] = {
    "HEIF, grid": phone_photo(irot(1)),
    "HEIF, clear": heic(halves().convert("RGBA")),
    "HEIF, grey": heic(halves().convert("L")),
    "HEIF, ten bits": heic(Image.fromarray(np.full((64, 64), 0x8000, np.uint16))),
    "HEIF with EXIF": encoded(halves(), "HEIF", exif=GOOD_EXIF),
    "AVIF with EXIF": encoded(halves(), "AVIF", exif=GOOD_EXIF),
    "AVIF, clear": encoded(halves().convert("RGBA"), "AVIF"),
    "AVIF, grey": encoded(halves().convert("L"), "AVIF"),
    "AVIF that moves": encoded(
        halves(), "AVIF", save_all=True, append_images=[halves().rotate(180)]
    ),
    "TIFF, palette": encoded(halves().convert("P"), "TIFF"),
    "TIFF, four inks": encoded(halves().convert("CMYK"), "TIFF"),
    "TIFF, one bit": encoded(halves().convert("1"), "TIFF", compression="group4"),
    "TIFF, clear": encoded(halves().convert("RGBA"), "TIFF"),
    "TIFF, sixteen bits": encoded(GREY16, "TIFF"),
    **{
        f"TIFF, {how}": encoded(halves(), "TIFF", compression=how)
        for how in ("tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits", "zstd")
    },
    "TIFF of pages": encoded(
        halves(), "TIFF", save_all=True, append_images=[halves().rotate(180)]
    ),
    "BigTIFF": encoded(halves(), "TIFF", big_tiff=True),
    "BMP, palette": encoded(halves().convert("P"), "BMP"),
    "BMP, one bit": encoded(halves().convert("1"), "BMP"),
    "BMP, clear": encoded(halves().convert("RGBA"), "BMP"),
}


@pytest.mark.parametrize("form", NEW_FORMS.values(), ids=NEW_FORMS)
def test_a_confined_child_sees_what_a_free_process_sees(form: bytes) -> None:
    assert vet(form, TOKENS) == normalise(form, TOKENS)


def test_only_files_with_more_pictures_are_first_ones() -> None:
    """The second picture of a JPEG is none to be asked about."""
    for name, form in (FORMS | NEW_FORMS).items():
        has_more = "moves" in name or "pages" in name
        assert normalise(form, TOKENS).is_first == has_more, name


def test_sixteen_bits_of_a_scanner_keep_their_shade() -> None:
    picture = vet(NEW_FORMS["TIFF, sixteen bits"], TOKENS)
    assert set(picture.rgb) <= {127, 128, 129}


@pytest.mark.parametrize("kind", [np.float32, np.int32])
def test_measurements_are_refused_with_what_to_do(kind: Any) -> None:
    tiff = encoded(Image.fromarray(np.ones((8, 8), kind)), "TIFF")
    with pytest.raises(InvalidPicture, match=r"Save it as a PNG or JPEG with 8 bits"):
        vet(tiff, TOKENS)


def test_a_bitmap_that_begins_at_its_top_claims_its_height() -> None:
    bmp = encoded(halves(), "BMP")
    upside_down = bmp[:22] + struct.pack("<i", -20) + bmp[26:]
    assert claim_of(upside_down) == Claim("BMP", 40, 20)
    assert vet(upside_down, TOKENS).height == 20


def test_damage_behind_the_first_frame_does_no_harm() -> None:
    moving = FORMS["GIF that moves"]
    still = normalise(FORMS["GIF, interlaced"], TOKENS)
    for n_bytes in range(moving.index(b"\x21\xf9\x04") + 1, len(moving)):
        picture = normalise(moving[:n_bytes], TOKENS)
        assert (picture.width, picture.height) == (still.width, still.height)
        assert corners(picture) == corners(still)
