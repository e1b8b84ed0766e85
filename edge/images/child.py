"""The child that decodes one picture: the order on stdin, the result on stdout.

    python -I -m edge.images.child CPU_S MEMORY_BYTES

The order is one line (`order.Order`), then the encoded bytes. The child has no rights
any more when it reads it, so it may be started long before. The result is one line of
JSON, then raw RGB. Pillow imports some of its modules only for files that need them:
here they are imported first, because later no file can be opened.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Callable
from dataclasses import astuple
from typing import NoReturn

from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    JpegImagePlugin,
    MpoImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from edge.errors import InvalidPicture
from edge.images import heif
from edge.images.limits import Limits
from edge.images.lockdown import limit, lock_down
from edge.images.order import Order
from edge.images.pages import count_pages, decode_page

READERS = (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    JpegImagePlugin,
    MpoImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,  # EXIF is written in it
    WebPImagePlugin,
    heif,
)
Obey = Callable[[bytes, bytes], tuple[dict[str, object], bytes]]
STDIN, STDOUT = 0, 1
PIECE = 1 << 20


def run(obey: Obey) -> NoReturn:
    """The whole life of a child that does what `obey` makes of an order and bytes."""
    exit_code = 1
    try:
        cpu_s, memory_bytes = map(int, sys.argv[1:])
        _answer(Limits(cpu_s, memory_bytes), obey)
        exit_code = 0
    finally:
        os._exit(exit_code)  # an interpreter that ends makes more system calls


def _answer(limits: Limits, obey: Obey) -> None:
    limit(limits)
    Image.preinit()
    Image.MAX_IMAGE_PIXELS = None  # our own bound is stricter, and an error
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # this one
    warnings.simplefilter("ignore")  # to show one, Python would read source files
    missing = lock_down()
    line, _, encoded = _read().partition(b"\n")
    try:
        result, rgb = obey(line, encoded)
    except InvalidPicture as refusal:
        result, rgb = {"error": refusal.message}, b""
    _write(json.dumps(result | {"missing": missing}).encode() + b"\n")
    _write(rgb)


def _obey(line: bytes, encoded: bytes) -> tuple[dict[str, object], bytes]:
    """The fields of the result, and pixels. Raises InvalidPicture."""
    order = Order.from_line(line)
    if order.counts:
        return {"n_pages": count_pages(encoded)}, b""
    picture = decode_page(encoded, order)
    shown = {"width": picture.width, "height": picture.height}
    source = picture.source and astuple(picture.source)
    told = {"is_first": picture.is_first, "text": picture.text, "source": source}
    return shown | told, picture.rgb


def _read() -> bytes:
    """All of stdin; Python's own file object would make more system calls."""
    pieces = []
    while piece := os.read(STDIN, PIECE):
        pieces.append(piece)
    return b"".join(pieces)


def _write(data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(STDOUT, left[:PIECE]) :]


if __name__ == "__main__":
    run(_obey)
