"""What a decoding child makes of a file, checked: a picture, or a number of pages."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, cast, get_args

from edge.errors import MAX_MESSAGE, InvalidPicture
from edge.images.claim import may_have_pages
from edge.images.jail import Jail
from edge.images.limits import limits_for
from edge.images.order import Order
from edge.images.picture import PIXELS_PER_TOKEN, Picture
from edge.images.spares import Spares
from edge.marks import Orientation, SourceFile

# The words that `lockdown.lock_down` may report.
_MISSING = {
    "user": "Root cannot become another user here: pictures are decoded as root.",
    "filter": "This kernel filters no system calls (seccomp): pictures are decoded "
    "within limits on memory, time, files and processes only.",
}
_NO_RESULT = (ValueError, TypeError, KeyError, OverflowError)
_SMALLEST = bytes.fromhex(  # a GIF of one pixel
    "4749463839610100010080000000000000000021f90401000000002c00000000010001000002024401003b"
)


class Decoding(Jail):
    """One picture; see `order.Order` for the arguments."""

    def __init__(
        self,
        encoded: bytes,
        max_tokens: int,
        size: tuple[int, int] | None = None,
        spares: Spares | None = None,
        *,
        page: int | None = None,
        reads_text: bool = False,
    ) -> None:
        order = Order(max_tokens, size, page, reads_text).to_line()
        self._most_pixels = max_tokens * PIXELS_PER_TOKEN
        super().__init__(
            encoded, order, 3 * self._most_pixels, limits_for(encoded), spares=spares
        )

    def run(self) -> Picture:
        """Raises as `Jail.output`."""
        result, rgb = self.output()
        with suppress(*_NO_RESULT):
            return self._checked(result, rgb)
        raise self.fault("returned no picture")

    def _checked(self, result: dict[str, Any], rgb: bytes) -> Picture:
        self.missing = [word for word in _MISSING if word in result["missing"]]
        if "error" in result:
            raise InvalidPicture(str(result["error"])[:MAX_MESSAGE])
        width, height = int(result["width"]), int(result["height"])
        n_pixels = width * height
        if min(width, height) < 1 or n_pixels > self._most_pixels:
            raise ValueError("not a size that was asked for")
        if len(rgb) != 3 * n_pixels:
            raise ValueError("pixels of another size")
        is_first, text = bool(result["is_first"]), str(result["text"])
        text.encode()  # a ValueError for half a character
        source = _source(result["source"])
        picture = Picture(width, height, rgb, is_first, text, source)
        _ = picture.ref  # hashed here: the caller's thread may be an event loop
        return picture


def _source(result: list[int] | None) -> SourceFile | None:
    if result is None:
        return None
    width, height, orientation = map(int, result)
    is_size = 1 <= min(width, height) <= max(width, height) < 1 << 31
    if not is_size or orientation not in get_args(Orientation):
        raise ValueError("neither a size nor an orientation")
    return SourceFile(width, height, cast(Orientation, orientation))


class Counting(Jail):
    """The number of pages of a file; 1 for a picture that has none to choose from."""

    def __init__(self, encoded: bytes, spares: Spares | None = None) -> None:
        order = Order(max_tokens=0).to_line()
        super().__init__(encoded, order, 0, limits_for(encoded), spares=spares)

    def run(self) -> int:
        """Raises as `Jail.output`."""
        if not may_have_pages(self._encoded):
            return 1
        result, _ = self.output()
        if "error" in result:
            raise InvalidPicture(str(result["error"])[:MAX_MESSAGE])
        with suppress(*_NO_RESULT):
            return int(result["n_pages"])
        raise self.fault("returned no number of pages")


def vet(
    encoded: bytes,
    max_tokens: int,
    size: tuple[int, int] | None = None,
    *,
    page: int | None = None,
    reads_text: bool = False,
) -> Picture:
    """The picture that `encoded` holds, in one of the formats of `claim.Format`, or a
    page of a PDF; see `order.Order`. Blocks for as long as the child runs.

    Raises InvalidPicture for anything else, within WALL_SECONDS.
    """
    return Decoding(encoded, max_tokens, size, page=page, reads_text=reads_text).run()


def confinement() -> list[str]:
    """The protections that this machine lacks for a decoder, a sentence each."""
    decoding = Decoding(_SMALLEST, 1)
    decoding.run()
    return [_MISSING[word] for word in decoding.missing]
