"""Pictures from clients: valid ones become RGB, others an error sentence."""

from __future__ import annotations

import base64
import hashlib
import io
import random
import re
import resource
import struct
import subprocess
import sys
import time
import warnings
import zipfile
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

import edge.images.heif  # noqa: F401 — which Pillow then knows, as in the child
from edge import images
from edge.errors import InvalidPicture, Unavailable
from edge.images import Decoding, Picture, jail, normalise, vet
from edge.images.claim import Claim, claim_of
from edge.images.container import check_jpeg, essential_png
from edge.images.limits import SMALL_MEMORY_BYTES, limits_for
from edge.images.order import Order
from tests.images.heif_files import heic

TOKENS = 64
RED, WHITE = (255, 0, 0), (255, 255, 255)
ORIENTATION = 0x0112
MIB = 1 << 20


def encode(image: Image.Image, name: str, **options: Any) -> bytes:
    if name == "HEIF":
        options.pop("save_all", None)
        if "exif" in options:
            options["exif"] = options["exif"].tobytes()
        return heic(image, *options.pop("append_images", ()), **options)
    file = io.BytesIO()
    image.save(file, name, **options)
    return file.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    check = struct.pack(">I", zlib.crc32(kind + data))
    return struct.pack(">I", len(data)) + kind + data + check


def clear(image: Image.Image) -> Image.Image:
    image = image.convert("RGBA")
    image.putalpha(99)
    return image


@cache
def black_png(
    width: int, height: int, bits: int = 1, colour: int = 0, extra: bytes = b""
) -> bytes:
    """A PNG of zeros: many pixels in few bytes. `colour` as in the PNG header."""
    channels = {0: 1, 2: 3, 4: 2, 6: 4}[colour]
    row = bytes(1 + (width * channels * bits + 7) // 8)
    packer = zlib.compressobj(1)
    packed = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + extra
        + chunk(b"IDAT", packed)
        + chunk(b"IEND", b"")
    )


def png_header(width: int, height: int) -> bytes:
    """A small PNG whose header claims another size."""
    small = black_png(8, 8)
    header = struct.pack(">II", width, height) + small[24:29]
    return small[:8] + chunk(b"IHDR", header) + small[33:]


def jpeg_header(width: int, height: int) -> bytes:
    small = encode(Image.new("L", (16, 16)), "JPEG")
    at = small.index(b"\xff\xc0") + 5
    return small[:at] + struct.pack(">HH", height, width) + small[at + 4 :]


def gif_header(width: int, height: int) -> bytes:
    small = encode(Image.new("L", (4, 4)), "GIF")
    return small[:6] + struct.pack("<HH", width, height) + small[10:]


def webp_header(width: int, height: int) -> bytes:
    small = encode(Image.new("RGB", (16, 16)), "WEBP", lossless=True)
    at = small.index(b"VP8L") + 9
    rest = int.from_bytes(small[at : at + 4], "little") >> 28 << 28
    size = rest | (width - 1) | (height - 1) << 14
    return small[:at] + size.to_bytes(4, "little") + small[at + 4 :]


def gif_of(n_frames: int) -> bytes:
    gif = encode(Image.new("L", (4, 4)), "GIF")
    start = 13 + 3 * 2 ** ((gif[10] & 7) + 1)
    return gif[:start] + gif[start:-1] * n_frames + b";"


def exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[ORIENTATION] = orientation
    return tags


def pixel(picture: Picture, x: int, y: int) -> tuple[int, ...]:
    at = 3 * (y * picture.width + x)
    return tuple(picture.rgb[at : at + 3])


def children_cpu_s() -> float:
    """CPU seconds of the children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def halves() -> Image.Image:
    """40 x 20: red on the left, white on the right."""
    image = Image.new("RGB", (40, 20), WHITE)
    image.paste(RED, (0, 0, 20, 20))
    return image


GOOD_EXIF = exif(6)
GOOD_EXIF[0x010F] = "Edge Camera Works"
GOOD_EXIF.get_ifd(0x8769)[0x9000] = b"0220"
GOOD_EXIF.get_ifd(0x8825)[1] = "N"
PHOTO = encode(Image.linear_gradient("L"), "JPEG")
DRAWING = encode(Image.linear_gradient("L"), "PNG")


# --- what is accepted ---------------------------------------------------------


@pytest.mark.parametrize("take", [vet, normalise])
@pytest.mark.parametrize("name", images.FORMATS)
def test_every_format_becomes_rgb(
    name: str, take: Callable[[bytes, int], Picture]
) -> None:
    picture = take(encode(halves(), name), TOKENS)
    assert (picture.width, picture.height) == (40, 20)
    assert len(picture.rgb) == 40 * 20 * 3
    for x, colour in ((5, RED), (35, WHITE)):
        assert pixel(picture, x, 10) == pytest.approx(colour, abs=12)


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (2, 1), (1, 200), (200, 1)])
def test_tiny_pictures_are_accepted(size: tuple[int, int]) -> None:
    picture = normalise(encode(Image.new("RGB", size, RED), "PNG"), TOKENS)
    assert (picture.width, picture.height) == size
    assert picture.rgb == bytes(RED) * (size[0] * size[1])


@pytest.mark.parametrize(
    ("mode", "colour", "seen"),
    [
        ("1", 1, WHITE),
        ("L", 77, (77, 77, 77)),
        ("P", 0, (0, 0, 0)),
        ("RGB", RED, RED),
        ("LA", (77, 255), (77, 77, 77)),
        ("LA", (77, 0), WHITE),
        ("RGBA", (255, 0, 0, 255), RED),
        ("RGBA", (255, 0, 0, 0), WHITE),
        ("RGBA", (0, 0, 0, 51), (204, 204, 204)),
    ],
)
def test_every_kind_of_pixel_is_put_on_white(
    mode: str, colour: Any, seen: tuple[int, ...]
) -> None:
    picture = normalise(encode(Image.new(mode, (3, 2), colour), "PNG"), TOKENS)
    assert picture.rgb == bytes(seen) * 6


@pytest.mark.parametrize("name", ["PNG", "GIF", "WEBP"])
def test_transparency_becomes_white_in_every_format(name: str) -> None:
    clear = Image.new("RGBA", (40, 20), (0, 0, 0, 0))
    clear.paste((255, 0, 0, 255), (0, 0, 20, 20))
    picture = normalise(encode(clear, name), TOKENS)
    assert pixel(picture, 5, 10) == pytest.approx(RED, abs=12)
    assert pixel(picture, 35, 10) == pytest.approx(WHITE, abs=12)


@pytest.mark.parametrize("mode", ["L", "RGB", "P", "1"])
def test_a_colour_named_transparent_is_white(mode: str) -> None:
    key = (0, 0, 0) if mode == "RGB" else 0
    encoded = encode(Image.new(mode, (3, 2)), "PNG", transparency=key)
    assert normalise(encoded, TOKENS).rgb == bytes(WHITE) * 6


def test_sixteen_bit_grey_keeps_its_shades() -> None:
    image = Image.new("I;16", (3, 1))
    for x, shade in enumerate((0, 0x4000, 0x8000)):
        image.putpixel((x, 0), shade)
    picture = normalise(encode(image, "PNG"), TOKENS)
    for x, shade in enumerate((0, 0x40, 0x80)):
        assert pixel(picture, x, 0) == pytest.approx((shade,) * 3, abs=2)


def test_four_ink_pictures_are_accepted() -> None:
    inks = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    seen = pixel(normalise(encode(inks, "JPEG"), TOKENS), 8, 8)
    assert seen == pytest.approx(RED, abs=12)


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize(
    ("orientation", "size", "red_at"),
    [
        (1, (40, 20), (5, 10)),
        (2, (40, 20), (35, 10)),
        (3, (40, 20), (35, 10)),
        (4, (40, 20), (5, 10)),
        (5, (20, 40), (10, 5)),
        (6, (20, 40), (10, 5)),
        (7, (20, 40), (10, 35)),
        (8, (20, 40), (10, 35)),
    ],
)
def test_a_picture_is_turned_by_its_exif_orientation(
    name: str, orientation: int, size: tuple[int, int], red_at: tuple[int, int]
) -> None:
    picture = normalise(encode(halves(), name, exif=exif(orientation)), TOKENS)
    assert (picture.width, picture.height) == size
    opposite = (size[0] - 1 - red_at[0], size[1] - 1 - red_at[1])
    assert pixel(picture, *red_at) == pytest.approx(RED, abs=12)
    assert pixel(picture, *opposite) == pytest.approx(WHITE, abs=12)


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF"])
def test_an_orientation_in_xmp_turns_nothing_as_in_browsers(name: str) -> None:
    remark = {"tiffinfo": {700: XMP}} if name == "TIFF" else {"xmp": XMP}
    if name == "PNG":
        remark = {"pnginfo": PngInfo()}
        remark["pnginfo"].add_itxt("XML:com.adobe.xmp", XMP.decode())
    encoded = encode(halves(), name, **remark)
    assert b"Orientation" in encoded
    assert normalise(encoded, TOKENS).width == 40


@pytest.mark.parametrize("name", ["PNG", "WEBP", "GIF"])
@pytest.mark.parametrize(
    ("drawing", "ground"),
    [
        ((255, 255, 255, 255), (128, 128, 128)),
        ((236, 255, 230, 255), (128, 128, 128)),
        ((0, 0, 0, 255), WHITE),
        ((255, 0, 0, 255), WHITE),
    ],
)
def test_what_is_drawn_on_transparency_is_seen(
    name: str, drawing: tuple[int, ...], ground: tuple[int, ...]
) -> None:
    logo = Image.new("RGBA", (40, 20), (255, 255, 255, 0))
    logo.paste(drawing, (0, 0, 20, 20))
    picture = normalise(encode(logo, name), TOKENS)
    assert pixel(picture, 5, 10) == pytest.approx(drawing[:3], abs=12)
    assert pixel(picture, 35, 10) == pytest.approx(ground, abs=12)


def test_of_a_moving_picture_the_first_frame_is_taken() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in (RED, WHITE)]
    for name in ("GIF", "PNG", "WEBP", "AVIF", "TIFF", "HEIF"):
        encoded = encode(frames[0], name, save_all=True, append_images=frames[1:])
        picture = normalise(encoded, TOKENS)
        assert pixel(picture, 4, 4) == pytest.approx(RED, abs=12)
        assert picture.is_first, name
        assert not normalise(encode(frames[0], name), TOKENS).is_first


XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><a tiff:Orientation="6"/></x:xmpmeta>'
FRAMES = {"save_all": True, "append_images": [halves().rotate(180)]}
FORMS = {
    "JPEG with EXIF": encode(halves(), "JPEG", exif=GOOD_EXIF),
    "JPEG with XMP": encode(halves(), "JPEG", xmp=XMP),
    "JPEG of another subsampling": encode(halves(), "JPEG", subsampling=0),
    "JPEG, progressive": encode(halves(), "JPEG", progressive=True),
    "JPEG, grey": encode(halves().convert("L"), "JPEG"),
    "JPEG, four inks": encode(halves().convert("CMYK"), "JPEG"),
    "JPEG with a profile": encode(halves(), "JPEG", icc_profile=bytes(100_000)),
    "JPEG of two pictures": encode(halves(), "MPO", **FRAMES),
    "PNG with EXIF": encode(halves(), "PNG", exif=GOOD_EXIF),
    "PNG, one bit": encode(halves().convert("1"), "PNG"),
    "PNG, sixteen bits": encode(Image.new("I;16", (40, 20), 9999), "PNG"),
    "PNG, palette": encode(halves().convert("P"), "PNG", transparency=1),
    "PNG, grey and clear": encode(halves().convert("LA"), "PNG"),
    "PNG, clear": encode(clear(halves()), "PNG"),
    "PNG that moves": encode(halves(), "PNG", **FRAMES),
    "WebP with EXIF": encode(halves(), "WEBP", exif=GOOD_EXIF),
    "WebP, lossless": encode(clear(halves()), "WEBP", lossless=True),
    "WebP, clear": encode(clear(halves()), "WEBP"),
    "WebP that moves": encode(halves(), "WEBP", **FRAMES),
    "GIF, clear": encode(clear(halves()), "GIF"),
    "GIF, interlaced": encode(halves(), "GIF", interlace=1, comment=b"a remark"),
    "GIF that moves": encode(halves(), "GIF", **FRAMES),
    "twelve megapixels": encode(Image.new("RGB", (4032, 3024)), "JPEG"),
}


@pytest.mark.parametrize("encoded", FORMS.values(), ids=FORMS)
def test_a_confined_child_sees_what_a_free_process_sees(encoded: bytes) -> None:
    assert vet(encoded, TOKENS) == normalise(encoded, TOKENS)


def test_a_picture_that_is_also_an_archive_is_a_picture() -> None:
    file = io.BytesIO(PHOTO)
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("evil.js", "alert(1)")
    assert zipfile.is_zipfile(file)
    assert vet(file.getvalue(), TOKENS) == vet(PHOTO, TOKENS)


# --- how large it may be ------------------------------------------------------


@settings(max_examples=60)
@given(st.integers(1, 700), st.integers(1, 700), st.integers(1, 64))
def test_a_picture_fits_its_tokens_and_keeps_its_shape(
    width: int, height: int, max_tokens: int
) -> None:
    assume(max(width, height) <= images.MAX_ASPECT_RATIO * min(width, height))
    picture = normalise(black_png(width, height), max_tokens)
    budget = max_tokens * 1024
    assert picture.width * picture.height <= budget
    assert len(picture.rgb) == 3 * picture.width * picture.height
    if width * height <= budget:
        assert (picture.width, picture.height) == (width, height)
        return
    # Each side was rounded down by less than a pixel, and none was wasted.
    assert -height <= picture.width * height - picture.height * width <= width
    assert (picture.width + 1) * (picture.height + 1) >= budget


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("size", [(3000, 2000), (1999, 1001), (1025, 1023)])
def test_a_photo_that_is_shrunk_while_decoding_keeps_its_shape(
    size: tuple[int, int], orientation: int
) -> None:
    encoded = encode(Image.new("L", size, 128), "JPEG", exif=exif(orientation))
    picture = normalise(encoded, TOKENS)
    kept = (picture.width, picture.height)
    width, height = size if orientation == 1 else size[::-1]
    assert 0.98 * TOKENS * 1024 < kept[0] * kept[1] <= TOKENS * 1024
    assert kept[0] / kept[1] == pytest.approx(width / height, rel=0.01)


@pytest.mark.parametrize("side", [8001, 4001])
def test_a_photo_that_is_shrunk_while_decoding_is_not_moved(side: int) -> None:
    """As a PNG of it is resampled, in one step."""
    image = Image.new("L", (side, side))
    near_corner = (side - side // 20, side - side // 20, side, side - side // 40)
    image.paste(255, near_corner)
    photo, drawing = (
        np.frombuffer(normalise(encode(image, name), TOKENS).rgb, np.uint8).astype(int)
        for name in ("JPEG", "PNG")
    )
    assert np.abs(photo - drawing).max() < 60


@pytest.mark.parametrize("max_tokens", [1, 16, 1024])
def test_the_largest_shape_of_all_still_fits(max_tokens: int) -> None:
    picture = normalise(black_png(1400, 7), max_tokens)
    assert picture.width * picture.height <= max_tokens * 1024
    assert picture.height >= 1


@pytest.mark.parametrize("size", [(8160, 6144), (8192, 6144), (9248, 6936)])
def test_pictures_of_cameras_with_many_megapixels_are_decoded(
    size: tuple[int, int],
) -> None:
    kept = vet(black_png(*size), 256)
    assert kept.width / kept.height == pytest.approx(size[0] / size[1], rel=0.01)
    photo = vet(encode(Image.new("L", size), "JPEG"), 256)
    assert photo.width / photo.height == pytest.approx(size[0] / size[1], rel=0.01)


def test_a_video_codec_s_photo_of_50_megapixels_is_decoded() -> None:
    photo = Image.new("RGB", (8192, 6144))
    assert vet(encode(photo, "WEBP", lossless=True, method=0), 256).width == 591


@pytest.mark.parametrize("progressive", [False, True])
def test_a_photo_of_200_megapixels_is_decoded(progressive: bool) -> None:
    photo = encode(Image.new("L", (16320, 12240)), "JPEG", progressive=progressive)
    assert vet(photo, 1024).width == 1182


def test_a_picture_as_large_as_we_promise_is_decoded() -> None:
    side = int(images.MAX_SOURCE_PIXELS**0.5)
    picture = vet(black_png(side, side, bits=8, colour=6), 1024)
    assert (picture.width, picture.height) == (1024, 1024)


# --- its name -----------------------------------------------------------------


def test_the_name_of_a_picture_is_stable() -> None:
    picture = Picture(2, 1, b"\x00\x01\x02\x03\x04\x05")
    by_hand = hashlib.sha256(b"2x1 RGB\n\x00\x01\x02\x03\x04\x05").hexdigest()
    assert picture.ref.sha256 == by_hand
    assert (picture.ref.width, picture.ref.height) == (2, 1)


def test_a_pair_of_frames_is_another_picture_than_a_still_of_its_bytes() -> None:
    still, pair = Picture(1, 2, b"RGBrgb"), Picture(1, 1, b"RGBrgb", n_frames=2)
    assert pair.ref.is_pair and not still.ref.is_pair
    names = {still.ref.sha256, pair.ref.sha256, Picture(1, 1, b"RGBrgb").ref.sha256}
    assert len(names) == 3


def test_equal_bytes_of_another_shape_have_another_name() -> None:
    tall, wide = (
        normalise(encode(Image.new("RGB", size, RED), "PNG"), TOKENS)
        for size in ((30, 100), (100, 30))
    )
    assert tall.rgb == wide.rgb
    assert tall.ref.sha256 != wide.ref.sha256


def test_equal_pixels_have_equal_hashes() -> None:
    lossless = [
        encode(halves(), "PNG"),
        encode(halves(), "PNG", compress_level=0),
        encode(halves(), "WEBP", lossless=True),
        encode(halves().convert("RGBA"), "PNG"),
    ]
    names = {normalise(encoded, TOKENS).ref for encoded in lossless}
    assert names == {vet(lossless[0], TOKENS).ref}


def test_one_changed_pixel_is_another_picture() -> None:
    other = halves()
    other.putpixel((39, 19), (255, 255, 254))
    refs = {normalise(encode(i, "PNG"), TOKENS).ref for i in (halves(), other)}
    assert len(refs) == 2


# --- what is refused ----------------------------------------------------------


def flipped(at: int) -> bytes:
    """The drawing with one wrong byte."""
    return DRAWING[:at] + bytes([DRAWING[at] ^ 0xFF]) + DRAWING[at + 1 :]


def without(kind: bytes) -> bytes:
    at = DRAWING.index(kind) - 4
    n_bytes = 12 + int.from_bytes(DRAWING[at : at + 4], "big")
    return DRAWING[:at] + DRAWING[at + n_bytes :]


NO_PICTURES = {
    "nothing": b"",
    "one byte": b"\x89",
    "text": b"I am a picture, believe me.",
    "HTML": b"<!doctype html><html><img src=x onerror=alert(1)></html>",
    "SVG": b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>',
    "PDF": b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog >>\nendobj\n",
    "EPS": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
    "FITS": b"SIMPLE  =                    T".ljust(2880),
    "WAV": b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(28),
    "MP4": b"\x00\x00\x00\x20ftypisom" + bytes(20),
    "ICO": encode(halves(), "ICO", sizes=[(16, 16)]),
    "PNG magic alone": DRAWING[:8],
    "PNG with a bad check of its header": flipped(29),
    "PNG of no width": png_header(0, 8),
    "PNG of no size": png_header(0, 0),
    "JPEG of no height": jpeg_header(16, 0),
}
DAMAGED = {
    "half a PNG": DRAWING[: len(DRAWING) // 2],
    "half a JPEG": PHOTO[: len(PHOTO) // 2],
    "half a GIF": encode(Image.linear_gradient("L"), "GIF")[:5000],
    "half a WebP": encode(Image.linear_gradient("L"), "WEBP")[:150],
    "PNG with a wrong byte": flipped(DRAWING.index(b"IDAT") + 20),
    "PNG without pixels": without(b"IDAT"),
}


def why_not(take: Callable[[bytes, int], Picture], encoded: bytes) -> str:
    with pytest.raises(InvalidPicture) as caught:
        take(encoded, TOKENS)
    return caught.value.message


@pytest.mark.parametrize("encoded", NO_PICTURES.values(), ids=NO_PICTURES)
def test_an_unknown_format_is_refused_with_the_known_ones(encoded: bytes) -> None:
    assert why_not(normalise, encoded) == (
        "This is neither a picture in one of the formats JPEG, PNG, WEBP, GIF, HEIF, "
        "AVIF, TIFF, BMP nor a PDF."
    )


@pytest.mark.parametrize("encoded", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_picture_is_refused_as_damaged(encoded: bytes) -> None:
    damage = why_not(normalise, encoded)
    assert re.fullmatch(r"This picture is damaged: .+[^.]\.", damage)


@pytest.mark.parametrize(
    "encoded", [NO_PICTURES["nothing"], NO_PICTURES["SVG"], DAMAGED["half a PNG"]]
)
def test_the_child_gives_the_same_reason(encoded: bytes) -> None:
    assert why_not(vet, encoded) == why_not(normalise, encoded)


@pytest.mark.parametrize("encoded", [DRAWING, PHOTO], ids=["PNG", "JPEG"])
def test_a_picture_cut_off_anywhere_is_decoded_or_refused(
    encoded: bytes,
) -> None:
    n_refused = 0
    for n_bytes in range(0, len(encoded), 7):
        try:
            whole = normalise(encoded[:n_bytes], TOKENS)
            assert (whole.width, whole.height) == (256, 256)
        except InvalidPicture as refusal:
            n_refused += 1
            assert refusal.message.endswith(".")
    assert n_refused > 0.9 * len(encoded) / 7


@pytest.mark.parametrize("encoded", [DRAWING, PHOTO], ids=["PNG", "JPEG"])
def test_an_overwritten_picture_is_decoded_or_refused(
    encoded: bytes,
) -> None:
    dice = random.Random(7)
    for _ in range(150):
        broken = bytearray(encoded)
        for _ in range(dice.randint(1, 6)):
            # not the length of the sides: Pillow itself would warn of a bomb
            broken[dice.randrange(200, len(broken))] = dice.randrange(256)
        try:
            normalise(bytes(broken), TOKENS)
        except InvalidPicture as refusal:
            assert refusal.message.endswith(".")


# --- bombs --------------------------------------------------------------------

TOO_MANY_PIXELS = {
    "PNG 26700 x 26700": lambda: black_png(26700, 26700),
    "PNG 10000 x 10000": lambda: png_header(10000, 10000),
    "PNG 2^31 wide": lambda: png_header(2**31, 1),
    "PNG as large as can be written": lambda: png_header(2**32 - 1, 2**32 - 1),
    "JPEG 65535 x 65535": lambda: jpeg_header(65535, 65535),
    "GIF 65535 x 65535": lambda: gif_header(65535, 65535),
    "a pixel too many": lambda: png_header(2**26 + 1, 1),
    "a JPEG of a pixel too many": lambda: jpeg_header(2**14 + 1, 2**14),
    "WebP 16383 x 16383": lambda: webp_header(16383, 16383),
    "a WebP of a pixel too many": lambda: webp_header(8192, 6145),
}
TOO_LONG = {
    "100000 x 1": (100_000, 1),
    "1 x 65500": (1, 65500),
    "52800 x 44": (52800, 44),
    "28 x 5601": (28, 5601),
    "201 x 1": (201, 1),
}


@pytest.mark.parametrize("bomb", TOO_MANY_PIXELS.values(), ids=TOO_MANY_PIXELS)
def test_too_many_pixels_are_refused_from_the_header(
    bomb: Callable[[], bytes],
) -> None:
    encoded, before = bomb(), children_cpu_s()
    with pytest.raises(InvalidPicture, match=r"send at most [0-9,]+ in all"):
        vet(encoded, TOKENS)
    assert children_cpu_s() - before < 3


@pytest.mark.parametrize("size", TOO_LONG.values(), ids=TOO_LONG)
def test_a_picture_too_long_for_its_width_is_refused(size: tuple[int, int]) -> None:
    start = time.thread_time()
    told = why_not(normalise, black_png(*size))
    assert told.startswith(f"This picture is {size[0]} x {size[1]}: its longer side")
    assert time.thread_time() - start < 3


REMARKS = {
    "zTXt": chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(64 * MIB))),
    "iTXt": chunk(b"iTXt", b"k\0\1\0\0\0" + zlib.compress(bytes(64 * MIB))),
    "iCCP": chunk(b"iCCP", b"k\0\0" + zlib.compress(bytes(64 * MIB))),
    "tEXt": chunk(b"tEXt", b"k\0" + b"x" * 10 * MIB),
    "eXIf": chunk(b"eXIf", b"MM\0*\0\0\0\x08" + b"\xff" * 10 * MIB),
    "20000 chunks": b"".join(chunk(b"tEXt", b"k%d\0v" % i) for i in range(20_000)),
}


@pytest.mark.parametrize("extra", REMARKS.values(), ids=REMARKS)
def test_huge_remarks_in_a_picture_cost_no_time(extra: bytes) -> None:
    start = time.thread_time()
    try:
        assert normalise(black_png(8, 8, extra=extra), TOKENS).width == 8
    except InvalidPicture as refusal:
        assert refusal.message.endswith(".")
    assert time.thread_time() - start < 3


WRONG = bytes(4)  # no checksum of anything below
NO_PIXELS = {
    "a long text": REMARKS["zTXt"],
    "a colour profile of 64 MB": REMARKS["iCCP"],
    "a text with a wrong checksum": chunk(b"tEXt", b"k\0v")[:-4] + WRONG,
    "a brightness with a wrong checksum": chunk(b"gAMA", b"\0\0\xb1\x8f")[:-4] + WRONG,
    "an orientation with a wrong checksum": chunk(b"eXIf", b"MM\0*\0\0")[:-4] + WRONG,
    "a transparent colour with a wrong checksum": chunk(b"tRNS", b"\0\0")[:-4] + WRONG,
    "an unknown chunk": chunk(b"abCd", b"?"),
    "frames that move": chunk(b"acTL", struct.pack(">II", 2**31, 0)),
}


@pytest.mark.parametrize("extra", NO_PIXELS.values(), ids=NO_PIXELS)
def test_chunks_without_pixels_are_skipped(extra: bytes) -> None:
    found = normalise(black_png(8, 8, extra=extra), TOKENS)
    assert found.ref.sha256 == normalise(black_png(8, 8), TOKENS).ref.sha256


def test_a_transparent_colour_and_an_orientation_are_not_skipped() -> None:
    clear = encode(Image.new("L", (3, 2)), "PNG", transparency=0)
    assert normalise(clear, TOKENS).rgb == bytes(WHITE) * 6
    turned = encode(Image.new("L", (3, 2)), "PNG", exif=exif(6))
    assert normalise(turned, TOKENS).width == 2


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("size", [(256, 256), (1999, 1001), (17, 9)])
def test_a_photo_without_its_end_marker_is_whole(
    size: tuple[int, int], progressive: bool
) -> None:
    image = Image.linear_gradient("L").resize(size)
    whole = encode(image, "JPEG", progressive=progressive)
    assert normalise(whole[:-2], TOKENS) == normalise(whole, TOKENS)
    assert normalise(whole[:-1], TOKENS) == normalise(whole, TOKENS)
    for n_missing in (len(whole) // 4, len(whole) // 2):
        with pytest.raises(InvalidPicture):
            normalise(whole[:-n_missing], TOKENS)


@settings(max_examples=60)
@given(
    st.sampled_from(images.FORMATS),
    st.integers(1, 900),
    st.integers(1, 900),
    st.data(),
)
def test_the_size_in_a_header_is_the_size_that_pillow_finds(
    name: Any, width: int, height: int, data: st.DataObject
) -> None:
    options = {}
    if name == "JPEG":
        options["progressive"] = data.draw(st.booleans())
        options["exif"] = GOOD_EXIF
    if name == "WEBP":
        options["lossless"] = data.draw(st.booleans())
        if data.draw(st.booleans()):  # which makes it an extended one
            options["exif"] = GOOD_EXIF
    encoded = encode(Image.new("RGB", (width, height)), name, **options)
    claim = claim_of(encoded)
    if name == "HEIF":  # stored in whole blocks, and cropped
        assert claim and claim.width >= width and claim.height >= height
        return
    assert claim == Claim(name, width, height)


@given(
    st.sampled_from([b"\xff\xd8", b"\x89PNG\r\n\x1a\n", b"GIF89a", b""]), st.binary()
)
def test_inspecting_any_bytes_raises_nothing_else(start: bytes, rest: bytes) -> None:
    encoded = start + rest
    claim = claim_of(encoded)
    assert claim is None or claim.n_pixels >= 0
    assert essential_png(encoded).startswith(start)
    check_jpeg(encoded)


def test_limits_grow_with_the_size_that_is_claimed() -> None:
    small, phone = (
        limits_for(png_header(2048, 2048)),
        limits_for(png_header(4000, 3000)),
    )
    largest = limits_for(png_header(8192, 8192))
    assert (small.cpu_s, small.is_large) == (2, False)
    assert (phone.cpu_s, phone.is_large) == (3, True)
    assert (largest.cpu_s, largest.memory_bytes) == (10, images.CHILD_MEMORY_BYTES)
    assert limits_for(jpeg_header(65535, 65535)) == largest
    assert limits_for(b"no picture") == limits_for(b"\xff\xd8" + bytes(9)) == small


def test_more_pixels_than_the_header_promised_are_not_decoded() -> None:
    packed = zlib.compress(bytes(64 * MIB))
    small = black_png(8, 8)
    lying = small[:33] + chunk(b"IDAT", packed) + chunk(b"IEND", b"")
    picture = vet(lying, TOKENS)
    assert (picture.width, picture.height) == (8, 8)


def test_ten_thousand_frames_cost_no_more_than_one() -> None:
    film = gif_of(10_000)
    many, one = vet(film, TOKENS), vet(gif_of(1), TOKENS)
    assert (many.rgb, many.is_first, one.is_first) == (one.rgb, True, False)
    start = time.thread_time()
    normalise(film, TOKENS)
    assert time.thread_time() - start < 0.05  # all frames take 0.2, the first 0.0006


# --- junk in EXIF -------------------------------------------------------------


def with_exif(junk: bytes) -> bytes:
    return encode(Image.new("RGB", (8, 4)), "JPEG", exif=junk)


def sized_or_refused(encoded: bytes) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of what it skips
        try:
            picture = normalise(encoded, TOKENS)
        except InvalidPicture as refusal:
            assert refusal.message.endswith(".")
        else:
            assert sorted((picture.width, picture.height)) == [4, 8]


TURNED = "011200030000000100060000"  # orientation 6
IFD = b"Exif\0\0MM\0*\0\0\0\x08".hex()
JUNK = {
    "a directory that contains itself": f"{IFD}0002 8769000400000001 00000008 {TURNED}",
    "a loop of directories": f"{IFD}0001 {TURNED} 00000008",
    "a directory beyond the end": f"{IFD}0002 8769000400000001 7fffffff {TURNED}",
    "text where an offset belongs": f"{IFD}0002 8769000200000004 61626300 {TURNED}",
    "two offsets where one belongs": f"{IFD}0002 8769000300000002 00080008 {TURNED}",
    "two offsets of GPS": f"{IFD}0002 {TURNED} 8825000300000002 00080008",
    "three orientations": f"{IFD}0001 0112000300000003 00060006",
    "orientation as text": f"{IFD}0001 0112000200000002 36000000",
    "orientation 99": f"{IFD}0001 0112000300000001 00630000",
    "orientation 1/0": f"{IFD}0001 0112000500000001 00000008",
    "an unknown type": f"{IFD}0001 0112ffff00000001 00060000",
    "65535 entries": f"{IFD}ffff {TURNED}",
    "a header alone": "457869660000 4d4d002a00",
    "no header": "457869660000 deadbeefdeadbeef",
    "nothing": "457869660000",
}


@pytest.mark.parametrize("junk", JUNK.values(), ids=JUNK)
def test_invalid_exif_is_ignored(junk: str) -> None:
    sized_or_refused(with_exif(bytes.fromhex(junk)))


@pytest.mark.parametrize("seed", range(8))
def test_overwritten_exif_is_ignored(seed: int) -> None:
    dice = random.Random(seed)
    for _ in range(60):
        junk = bytearray(GOOD_EXIF.tobytes())
        for _ in range(dice.randint(1, 8)):
            values = (0, 1, 2, 5, 10, 255, dice.randrange(256))
            junk[dice.randrange(len(junk))] = dice.choice(values)
        sized_or_refused(with_exif(bytes(junk[: dice.randint(8, 2 * len(junk))])))


# --- the child ----------------------------------------------------------------

WATCHED = """
import base64, resource, sys
import edge.images.heif  # noqa: F401 — which Pillow then knows, as in the child
from edge import images
from edge.errors import InvalidPicture
for line in sys.stdin:
    try:
        images.vet(base64.b64decode(line), 64)
    except InvalidPicture:
        pass
    print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)
"""


def peak_mib(pictures: list[bytes]) -> int:
    """The most memory that any of their decoding children held."""
    lines = b"\n".join(base64.b64encode(encoded) for encoded in pictures)
    command = [sys.executable, "-I", "-c", WATCHED]
    watched = subprocess.run(command, input=lines, capture_output=True, check=True)
    peaks = [int(line) for line in watched.stdout.split()]
    assert len(peaks) == len(pictures)
    return max(peaks)


def test_refusing_a_bomb_takes_no_memory() -> None:
    bombs = [bomb() for bomb in TOO_MANY_PIXELS.values()]
    bombs += [gif_of(10_000)]
    bombs += [black_png(8, 8, extra=extra) for extra in REMARKS.values()]
    assert peak_mib(bombs) < 120


def test_decoding_the_largest_picture_stays_below_the_limit() -> None:
    side = int(images.MAX_SOURCE_PIXELS**0.5)
    largest = black_png(side, side, bits=8, colour=6)
    assert peak_mib([largest]) * MIB <= images.CHILD_MEMORY_BYTES


def test_the_child_has_hard_limits_before_it_reads() -> None:
    words = [str(word) for word in (2, SMALL_MEMORY_BYTES)]
    child = subprocess.Popen(
        [sys.executable, "-I", "-m", "edge.images.child", *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={},
    )
    wanted = {
        "Max address space": [str(SMALL_MEMORY_BYTES)] * 2,
        "Max cpu time": ["2", "3"],
        "Max core file size": ["0", "0"],
        "Max file size": ["0", "0"],
        "Max processes": ["0", "0"],
        "Max open files": ["0", "0"],
    }
    give_up = time.monotonic() + 60
    while time.monotonic() < give_up:
        lines = Path(f"/proc/{child.pid}/limits").read_text().splitlines()
        rows = [re.split("  +", line) for line in lines]
        found = {row[0]: row[1:3] for row in rows if row[0] in wanted}
        if found == wanted:
            break
        time.sleep(0.02)
    said, _ = child.communicate(Order(64).to_line() + b"no picture")
    assert found == wanted
    assert b"error" in said


def test_a_child_that_takes_too_long_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jail, "WALL_SECONDS", 0.001)
    with pytest.raises(InvalidPicture, match="takes too long"):
        vet(PHOTO, TOKENS)


def child_that(monkeypatch: pytest.MonkeyPatch, path: Path, script: str) -> None:
    """Another program in the child's stead."""
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(path))


@pytest.mark.parametrize("signal", ["SEGV", "KILL", "SYS", "ABRT"])
def test_a_child_that_dies_is_a_refusal(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, signal: str
) -> None:
    child_that(monkeypatch, tmp_path / "python", f"kill -{signal} $$")
    with pytest.raises(InvalidPicture, match="within the limits on memory and time"):
        vet(PHOTO, TOKENS)


LIES = {
    "nothing": "",
    "no JSON": "echo picture",
    "no object": "echo 7",
    "a nest": "head -c 4000 /dev/zero | tr '\\0' '['; echo",
    "no size": """echo '{"missing": []}'""",
    "an endless size": """echo '{"missing": [], "width": 1e999, "height": 1}'""",
    "too few pixels": """echo '{"missing": [], "width": 9, "height": 9}'""",
    "a negative size": """echo '{"missing": [], "width": -1, "height": -1}'; echo ab""",
    "more than was asked for": (
        """echo '{"missing": [], "width": 999, "height": 999}'
        head -c 2994003 /dev/zero"""
    ),
    "without an end": "cat /dev/zero",
}


@pytest.mark.parametrize("script", LIES.values(), ids=LIES)
def test_a_hostile_child_is_not_believed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str
) -> None:
    child_that(monkeypatch, tmp_path / "python", script)
    with pytest.raises(InvalidPicture, match="could not be decoded"):
        vet(PHOTO, TOKENS)


def test_no_child_is_an_error_that_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(Unavailable):
        vet(PHOTO, TOKENS)


def test_a_decoding_can_be_ended_from_another_thread() -> None:
    decoding = Decoding(black_png(8000, 8000, bits=8, colour=6), TOKENS)
    with ThreadPoolExecutor(1) as pool:
        outcome = pool.submit(decoding.run)
        while decoding._child is None:
            time.sleep(0.01)
        decoding.kill()
        with pytest.raises(InvalidPicture):
            outcome.result()
    assert decoding.was_ended
    assert decoding._child.returncode == -9


def test_a_decoding_that_was_ended_before_it_began_starts_no_child() -> None:
    decoding = Decoding(PHOTO, TOKENS)
    decoding.kill()
    with pytest.raises(InvalidPicture):
        decoding.run()
    assert decoding._child is None


def test_four_bad_pictures_at_once_leave_a_good_one_unharmed() -> None:
    def refused(encoded: bytes) -> bool:
        try:
            vet(encoded, TOKENS)
        except InvalidPicture:
            return True
        return False

    bad = [
        black_png(26700, 26700),
        jpeg_header(65535, 65535),
        DAMAGED["half a PNG"],
        NO_PICTURES["HTML"],
    ]
    good = vet(PHOTO, TOKENS)
    with ThreadPoolExecutor(5) as pool:
        verdicts = [pool.submit(refused, encoded) for encoded in bad]
        beside = pool.submit(vet, PHOTO, TOKENS)
    assert [verdict.result() for verdict in verdicts] == [True] * 4
    assert beside.result() == vet(PHOTO, TOKENS) == good
