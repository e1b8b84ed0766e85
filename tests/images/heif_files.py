"""Writes HEIF files box by box: those of phones, which are grids of tiles, and liars.

Sources: ISO/IEC 14496-12 (boxes, `meta`), 23008-12 (grids, rotation, mirror).
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import pillow_heif
from PIL import Image


def heic(*images: Image.Image, **options: object) -> bytes:
    """Pictures in HEVC, as an encoder writes them."""
    file, pictures = io.BytesIO(), pillow_heif.HeifFile()
    for image in images:
        pictures.add_from_pillow(image)
    pictures.save(file, **options)
    return file.getvalue()


def box(kind: bytes, *contents: bytes) -> bytes:
    content = b"".join(contents)
    return struct.pack(">I4s", 8 + len(content), kind) + content


def full_box(kind: bytes, *contents: bytes, version: int = 0, flags: int = 0) -> bytes:
    return box(kind, struct.pack(">I", version << 24 | flags), *contents)


def ispe(width: int, height: int) -> bytes:
    return full_box(b"ispe", struct.pack(">II", width, height))


def irot(quarters: int) -> bytes:
    """Turns anticlockwise."""
    return box(b"irot", bytes([quarters]))


def imir(axis: int) -> bytes:
    """Mirrors about a vertical axis (0: top and bottom change) or a horizontal one."""
    return box(b"imir", bytes([axis]))


@dataclass(frozen=True)
class Item:
    """A picture in a file: `of` are the numbers, from 1, of the items it is made of."""

    kind: bytes
    data: bytes
    properties: tuple[bytes, ...]
    of: tuple[int, ...] = ()
    is_hidden: bool = False


def heif(items: Iterable[Item], primary: int = 1, brand: bytes = b"heic") -> bytes:
    """A file of `items`, which are numbered from 1."""
    items = list(items)
    properties = list(dict.fromkeys(p for item in items for p in item.properties))
    entries = b"".join(
        full_box(
            b"infe",
            struct.pack(">HH4sB", n, 0, item.kind, 0),
            version=2,
            flags=int(item.is_hidden),
        )
        for n, item in enumerate(items, 1)
    )
    references = b"".join(
        box(b"dimg", struct.pack(f">HH{len(item.of)}H", n, len(item.of), *item.of))
        for n, item in enumerate(items, 1)
        if item.of
    )
    associations = b"".join(
        struct.pack(
            f">HB{len(item.properties)}B",
            n,
            len(item.properties),
            *(1 + properties.index(p) for p in item.properties),
        )
        for n, item in enumerate(items, 1)
    )

    def meta(start: int) -> bytes:
        places, at = b"", start
        for n, item in enumerate(items, 1):
            places += struct.pack(">HHHII", n, 0, 1, at, len(item.data))
            at += len(item.data)
        return full_box(
            b"meta",
            full_box(b"hdlr", struct.pack(">I4s12xB", 0, b"pict", 0)),
            full_box(b"pitm", struct.pack(">H", primary)),
            full_box(b"iloc", struct.pack(">BBH", 0x44, 0, len(items)), places),
            full_box(b"iinf", struct.pack(">H", len(items)), entries),
            *([full_box(b"iref", references)] if references else []),
            box(
                b"iprp",
                box(b"ipco", *properties),
                full_box(b"ipma", struct.pack(">I", len(items)), associations),
            ),
        )

    head = box(b"ftyp", brand, bytes(4), b"mif1", b"heic")
    start = len(head) + len(meta(0)) + 8
    return head + meta(start) + box(b"mdat", *(item.data for item in items))


def inner(file: bytes, *path: bytes) -> bytes:
    """The content of the first box at a path of kinds."""
    for kind in path:
        at = file.index(kind) - 4
        file = file[at + 8 : at + int.from_bytes(file[at : at + 4], "big")]
    return file


@cache
def coded(colour: str, side: int = 64) -> tuple[bytes, bytes]:
    """A square in HEVC: its configuration box, and its data."""
    file = heic(Image.new("RGB", (side, side), colour), quality=90)
    return box(b"hvcC", inner(file, b"ipco", b"hvcC")), inner(file, b"mdat")


def tile(colour: str, side: int = 64, claims: tuple[int, int] | None = None) -> Item:
    """A hidden square; it `claims` another size."""
    configuration, data = coded(colour, side)
    size = ispe(*(claims or (side, side)))
    return Item(b"hvc1", data, (configuration, size), is_hidden=True)


def grid(
    rows: int, columns: int, size: tuple[int, int], of: tuple[int, ...], *more: bytes
) -> Item:
    """Tiles side by side, cropped to `size`."""
    data = struct.pack(">BBBBII", 0, 1, rows - 1, columns - 1, *size)
    return Item(b"grid", data, (ispe(*size), *more), of)


def phone_photo(*turns: bytes) -> bytes:
    """As phones write them: 120 x 60 in tiles of 64, the left half red, the rest blue;
    `turns` are applied on top."""
    of = (2, 3)
    return heif([grid(1, 2, (120, 60), of, *turns), tile("red"), tile("blue")])
