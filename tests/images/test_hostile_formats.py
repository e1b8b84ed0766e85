"""Hostile HEIF, AVIF, TIFF and BMP files: each is refused, soon, and nothing else."""

from __future__ import annotations

import struct
import time
import warnings
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image

from edge.errors import InvalidPicture
from edge.images import Decoding, normalise, vet
from edge.images.claim import claim_of
from edge.images.limits import SMALL_SECONDS
from tests.images.heif_files import (
    Item,
    box,
    full_box,
    grid,
    heif,
    irot,
    ispe,
    phone_photo,
    tile,
)
from tests.test_images import children_cpu_s, encode, halves

TOKENS = 64
NOISE = Image.effect_noise((400, 300), 90).convert("RGB")


def ifd(*entries: tuple[int, int, int, int], after: int = 0) -> bytes:
    """A directory of a little-endian TIFF: tag, type, count, value; and the next."""
    packed = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return struct.pack("<H", len(entries)) + packed + struct.pack("<I", after)


def tiff(width: int, height: int, data: bytes, **tags: Any) -> bytes:
    """One page of 8-bit grey whose `data` comes first; `tags` change its directory."""
    after = tags.pop("after", 0)
    about = {
        256: (4, 1, width),
        257: (4, 1, height),
        258: (3, 1, 8),
        259: (3, 1, tags.pop("compression", 1)),
        262: (3, 1, 1),
        273: (4, 1, 8),
        277: (3, 1, 1),
        278: (4, 1, height),
        279: (4, 1, len(data)),
        **{int(tag[1:]): value for tag, value in tags.items()},
    }
    entries = [(tag, *value) for tag, value in sorted(about.items())]
    return (
        b"II*\0" + struct.pack("<I", 8 + len(data)) + data + ifd(*entries, after=after)
    )


def bmp(width: int, height: int, bits: int, compression: int, data: bytes) -> bytes:
    palette = bytes(4 * 256) if bits == 8 else b""
    start = 54 + len(palette)
    head = struct.pack("<2sIHHI", b"BM", start + len(data), 0, 0, start)
    about = struct.pack(
        "<IiiHHIIiiII", 40, width, height, 1, bits, compression, len(data), 1, 1, 0, 0
    )
    return head + about + palette + data


def moving_avif(n: int) -> bytes:
    frames = [Image.new("RGB", (16, 16), (i, 0, 0)) for i in range(n)]
    return encode(frames[0], "AVIF", save_all=True, append_images=frames[1:], speed=10)


def one_tile(side: int, claims: tuple[int, int]) -> bytes:
    """A square that is stored in another size than the file says."""
    of = tile("red", side, claims)
    return heif([Item(of.kind, of.data, of.properties)])


def many_references(n: int) -> bytes:
    """A grid of n x n tiles, all of them the same one."""
    size = (64 * n, 64 * n)
    return heif([grid(n, n, size, (2,) * (n * n)), tile("red")])


def pages(n: int) -> bytes:
    """A TIFF of n pages in 18 bytes each, the last of which leads to the first."""
    page = tiff(8, 8, bytes(64))
    at = len(page)
    chain = b"".join(ifd((256, 4, 1, 8), after=at + 18 * (i + 1)) for i in range(n))
    return page[:-4] + struct.pack("<I", at) + chain[:-4] + struct.pack("<I", 72)


ZEROS = 64 << 20
LOOP = heif([Item(b"grid", b"\0\1\0\0\0\1\0\1", (ispe(1, 1),), of=(1,))])
PROPERTIES = heif([Item(b"hvc1", b"", (irot(0),) * 9)]).replace(
    box(b"irot", b"\0"), box(b"ipco", irot(0) * 200_000)
)

REFUSED: dict[str, Callable[[], bytes]] = {
    "half a HEIF": lambda: encode(NOISE, "HEIF")[:9000],
    "half an AVIF": lambda: encode(NOISE, "AVIF")[:5000],
    "half a TIFF": lambda: encode(NOISE, "TIFF")[:99_000],
    "half an LZW TIFF": lambda: encode(NOISE, "TIFF", compression="tiff_lzw")[:9000],
    "half a BMP": lambda: encode(NOISE, "BMP")[:99_000],
    "the head of a HEIF": lambda: phone_photo()[:40],
    "the head of an AVIF": lambda: encode(NOISE, "AVIF")[:40],
    "the head of a TIFF": lambda: b"II*\0\x08\0\0\0",
    "the head of a BMP": lambda: bmp(8, 8, 8, 0, b"")[:54],
    "HEIF 65535 x 65535": lambda: one_tile(64, (65535, 65535)),
    "HEIF of 2^32 x 2^32": lambda: one_tile(64, (2**32 - 1, 2**32 - 1)),
    "HEIF of no width": lambda: one_tile(64, (0, 64)),
    "HEIF, a grid that claims to be small": lambda: heif(
        [
            Item(
                b"grid",
                struct.pack(">BBBBII", 0, 1, 0, 0, 60_000, 60_000),
                (ispe(64, 64),),
                (2,),
            ),
            tile("red"),
        ]
    ),
    "HEIF, tiles of other sizes": lambda: heif(
        [grid(1, 2, (120, 60), (2, 3)), tile("red"), tile("blue", 512)]
    ),
    "HEIF, a grid without its tiles": lambda: heif([grid(8, 8, (512, 512), (2,))]),
    "HEIF, a grid of itself": lambda: LOOP,
    "HEIF, 65,536 tiles": lambda: many_references(255),
    "HEIF, 200,000 properties": lambda: PROPERTIES,
    "HEIF, stored larger than it says": lambda: one_tile(1024, (8, 8)),
    "HEIF, 10,000 pictures": lambda: heif(
        [tile("red")] * 10_000
    ),
    "HEIF, a picture of text": lambda: heif([Item(b"mime", b"<svg/>", ())]),
    "AVIF 65535 x 65535": lambda: encode(NOISE, "AVIF").replace(
        ispe(400, 300), ispe(65535, 65535)
    ),
    "TIFF 65535 x 65535": lambda: tiff(65535, 65535, b""),
    "TIFF of 2^32 x 2^32": lambda: tiff(2**32 - 1, 2**32 - 1, b""),
    "TIFF, a tile of 4 GB": lambda: tiff(
        64, 64, bytes(9), t322=(4, 1, 65520), t323=(4, 1, 65520), t324=(4, 1, 8),
        t325=(4, 1, 9), compression=5,
    ),
    "TIFF, 2^31 strips": lambda: tiff(64, 64, bytes(9), t273=(4, 2**31, 8)),
    "TIFF, a directory far away": lambda: b"II*\0" + struct.pack("<I", 2**32 - 1),
    "TIFF of 32 bits": lambda: tiff(8, 8, bytes(256), t258=(3, 1, 32)),
    "BMP 65535 x 65535": lambda: bmp(65535, 65535, 24, 0, b""),
    "BMP of 2^31": lambda: bmp(2**31 - 1, -(2**31 - 1), 1, 0, b""),
    "BMP, packed runs that end": lambda: bmp(2000, 2000, 8, 1, b"\xff\x01" * 99),
}  # fmt: skip
HARMLESS: dict[str, Callable[[], bytes]] = {
    "AVIF, another size": lambda: encode(NOISE, "AVIF").replace(
        ispe(400, 300), ispe(40, 30)
    ),
    "AVIF, 300 frames": lambda: moving_avif(300),
    "TIFF, 100,000 pages in a loop": lambda: pages(100_000),
    "TIFF, zeros": lambda: tiff(
        64, 64, zlib.compress(bytes(ZEROS)), compression=8, t278=(4, 1, 64)
    ),
    "BMP, packed runs": lambda: bmp(
        2000, 2000, 8, 1, (b"\xff\x01" * 8 + b"\0\0") * 2000 + b"\0\1"
    ),
}


@pytest.mark.parametrize("make", REFUSED.values(), ids=REFUSED)
def test_it_is_refused_for_the_price_of_a_small_picture(
    make: Callable[[], bytes],
) -> None:
    hostile = make()
    decoding, before = Decoding(hostile, TOKENS), children_cpu_s()
    with pytest.raises(InvalidPicture) as refusal:
        decoding.run()
    assert refusal.value.message.endswith(".")
    assert children_cpu_s() - before <= SMALL_SECONDS + 0.5
    assert decoding._child
    assert decoding._child.returncode in (0, -24), refusal.value.message  # SIGXCPU


@pytest.mark.parametrize("make", HARMLESS.values(), ids=HARMLESS)
def test_it_costs_no_more_than_its_first_picture(make: Callable[[], bytes]) -> None:
    before = children_cpu_s()
    assert vet(make(), TOKENS).width <= 2000
    assert children_cpu_s() - before <= SMALL_SECONDS


@pytest.mark.parametrize(
    "hostile",
    [
        PROPERTIES,
        b"II*\0\x08\0\0\0" + b"\xff" * (1 << 20),
        struct.pack(">I4s4s", 12, b"ftyp", b"heic") + box(b"free") * 500_000,
        struct.pack(">I4s4s", 12, b"ftyp", b"heic")
        + full_box(b"meta", box(b"iprp", box(b"ipco", ispe(1, 1) * 200_000))),
        struct.pack(">I4s", 1 << 31, b"ftyp") + b"mif1" * 250_000,
    ],
)
def test_the_event_loop_reads_its_claim_at_once(hostile: bytes) -> None:
    times = []
    for _ in range(5):
        start = time.thread_time()
        claim_of(hostile)
        times.append(time.thread_time() - start)
    assert min(times) < 0.02  # the others may have been interrupted


@pytest.mark.parametrize("name", ["HEIF", "AVIF", "TIFF", "BMP"])
def test_a_file_cut_off_anywhere_is_decoded_or_refused(name: str) -> None:
    whole = phone_photo() if name == "HEIF" else encode(halves(), name)
    for n_bytes in range(0, len(whole), max(1, len(whole) // 200)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # as in the child
            try:
                normalise(whole[:n_bytes], TOKENS)
            except InvalidPicture as refusal:
                assert refusal.message.endswith(".")
