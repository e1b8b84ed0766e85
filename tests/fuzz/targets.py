"""The first readers of clients' bytes. Each check returns its outcome, and raises for
everything that must not happen."""

from __future__ import annotations

import signal
import struct
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from PIL import Image

from edge.errors import InvalidPicture, InvalidRequest, SetupError
from edge.gguf.header import read_header
from edge.images import Decoding, jail, normalise
from edge.images.claim import claim_of
from edge.images.container import check_jpeg, essential_png
from tests.fuzz.bodies import BODIES, GOOD_URL, OTHERS, check_body
from tests.fuzz.mutations import mutated, mutated_json
from tests.images.heif_files import irot, phone_photo
from tests.images.pdf_files import drawn, text_page
from tests.test_images import GOOD_EXIF, chunk, encode, halves
from ui.openai.data_url import decode_picture

MAX_TOKENS = 64


@dataclass(frozen=True)
class Target:
    """Inputs and the check of one, which returns one word for its outcome."""

    name: str
    inputs: st.SearchStrategy[Any]
    check: Callable[[Any], str]


def pictures() -> list[bytes]:
    """Small ones of all formats, in many forms."""
    colours = Image.linear_gradient("L").resize((24, 16)).convert("RGB")
    clear = colours.convert("RGBA")
    clear.putalpha(99)
    frames = {"save_all": True, "append_images": [colours.rotate(180)]}
    return [
        encode(colours, "JPEG", exif=GOOD_EXIF),
        encode(colours, "JPEG", progressive=True),
        encode(colours.convert("CMYK"), "JPEG"),
        encode(clear, "PNG", exif=GOOD_EXIF),
        encode(colours.convert("I;16"), "PNG"),
        encode(colours.convert("P"), "PNG", transparency=0),
        encode(colours, "PNG", **frames),
        encode(clear, "WEBP", lossless=True, exif=GOOD_EXIF),
        encode(colours, "WEBP"),
        encode(clear, "WEBP"),
        encode(colours, "WEBP", **frames),
        encode(colours, "GIF", **frames),
        encode(clear, "GIF", comment=b"a remark"),
        phone_photo(irot(1)),
        encode(clear, "HEIF", exif=GOOD_EXIF),
        encode(clear, "AVIF", exif=GOOD_EXIF),
        encode(colours, "AVIF", **frames),
        encode(colours, "TIFF", compression="tiff_lzw", **frames),
        encode(colours, "TIFF", compression="jpeg"),
        encode(colours.convert("1"), "TIFF", compression="group4"),
        encode(clear, "BMP"),
        encode(colours.convert("P"), "BMP"),
    ]


PICTURES = pictures()


def repaired(data: bytes) -> bytes:
    """With right checksums, if it is a PNG: so faults reach the decoder."""
    if not data.startswith(b"\x89PNG"):
        return data
    parts, at = [data[:8]], 8
    while len(data) - at >= 12:
        n_bytes = int.from_bytes(data[at : at + 4], "big")
        kind, content = data[at + 4 : at + 8], data[at + 8 : at + 8 + n_bytes]
        parts.append(chunk(kind, content))
        at += 12 + n_bytes
    return b"".join(parts)


MUTATED = mutated(PICTURES)
PICTURE_INPUTS = MUTATED | MUTATED.map(repaired)


def check_picture(encoded: bytes) -> str:
    """Through the real child, which must not ask for what the filter forbids."""
    decoding, start = Decoding(encoded, MAX_TOKENS), time.monotonic()
    try:
        picture = decoding.run()
    except InvalidPicture as refusal:
        assert refusal.message.endswith(".")
        assert decoding._child
        assert decoding._child.returncode != -signal.SIGSYS
        return "refused" if decoding._child.returncode == 0 else "ended"
    finally:
        assert time.monotonic() - start < jail.CHILD_SECONDS + 6
    assert 0 < picture.width * picture.height <= MAX_TOKENS * 1024
    assert len(picture.rgb) == 3 * picture.width * picture.height
    return "decoded"


def documents() -> list[bytes]:
    return [drawn(halves()), text_page(b"some words")]


def check_page(encoded: bytes) -> str:
    """As `check_picture`; without memory PDFium aborts, which the filter forbids."""
    decoding = Decoding(encoded, MAX_TOKENS, page=0, reads_text=True)
    try:
        page = decoding.run()
    except InvalidPicture as refusal:
        assert refusal.message.endswith(".")
        assert decoding._child
        return "refused" if decoding._child.returncode == 0 else "ended"
    assert 0 < page.width * page.height <= MAX_TOKENS * 1024
    return "drawn"


def check_pixels(encoded: bytes) -> str:
    """In this process, which is faster: nothing else is raised."""
    with as_in_the_child():
        try:
            normalise(encoded, MAX_TOKENS)
        except InvalidPicture as refusal:
            assert refusal.message.endswith(".")
            return "refused"
    return "decoded"


@contextmanager
def as_in_the_child() -> Iterator[None]:
    """Pillow's own bound is off in the child, and its warnings are not shown."""
    most, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = most


def check_container(encoded: bytes) -> str:
    claim = claim_of(encoded)
    assert claim is None or claim.n_pixels >= 0
    assert len(essential_png(encoded)) <= len(encoded)
    try:
        check_jpeg(encoded)
    except InvalidPicture:
        return "refused"
    return claim.format if claim else "unknown"


URLS = [GOOD_URL, "data:image/jpeg;base64,", "data:;base64,AAAA", "https://a/b.png"]


def check_url(url: bytes) -> str:
    try:
        decode_picture(url.decode(errors="surrogateescape"))
    except InvalidRequest as refusal:
        assert refusal.message.endswith((".", ","))
        return refusal.code
    return "decoded"


def gguf() -> bytes:
    """A small file with every kind of value, and one tensor."""

    def text(words: bytes) -> bytes:
        return struct.pack("<Q", len(words)) + words

    values = [
        text(b"general.architecture") + struct.pack("<I", 8) + text(b"qwen3vl"),
        text(b"general.alignment") + struct.pack("<II", 4, 32),
        *(
            text(b"n%d" % kind) + struct.pack(f"<I{code}", kind, 1)
            for kind, code in zip((*range(8), 10, 11), "BbHhIif?Qq", strict=True)
        ),
        text(b"ids") + struct.pack("<IIQ3I", 9, 4, 3, 1, 2, 3),
        text(b"tokenizer.ggml.tokens")
        + struct.pack("<IIQ", 9, 8, 2)
        + text(b"<|im_start|>")
        + text(b"\xffword"),
    ]
    tensor = text(b"weight") + struct.pack("<I2QIQ", 2, 32, 2, 0, 0)
    start = b"GGUF" + struct.pack("<IQQ", 3, 1, len(values))
    header = start + b"".join(values) + tensor
    return header + bytes(-len(header) % 32 + 256)


GGUF = gguf()


def check_header(data: bytes) -> str:
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        try:
            header = read_header(Path(file.name))
        except SetupError as refusal:
            assert refusal.message.endswith(".")
            return "refused"
    assert header.tensor_bytes >= 0
    return "read"


TARGETS = [
    Target("bodies", mutated_json(BODIES), check_body),
    *(
        Target(name, mutated_json(bodies), partial(check_body, read=read))
        for name, (bodies, read) in OTHERS.items()
    ),
    Target("data URLs", mutated([url.encode() for url in URLS]), check_url),
    Target("picture structure", PICTURE_INPUTS, check_container),
    Target("pictures", PICTURE_INPUTS, check_pixels),
    Target("picture jail", PICTURE_INPUTS, check_picture),
    Target("PDF jail", mutated(documents()), check_page),
    Target("GGUF headers", mutated([GGUF]), check_header),
]
