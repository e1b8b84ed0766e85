"""Encoded bytes to RGB, with Pillow and without protection: see `jail`."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

from PIL import ExifTags, Image, UnidentifiedImageError

from edge.errors import InvalidPicture
from edge.images.claim import Claim, Format, claim_of
from edge.images.container import check_jpeg, ended_jpegs, essential_png
from edge.images.picture import PIXELS_PER_TOKEN, Picture
from edge.marks import Orientation, SourceFile

FORMATS: tuple[Format, ...] = get_args(Format)
MAX_SOURCE_PIXELS = 1 << 26  # 8192 x 8192: a camera of 64 megapixels, 256 MB as RGBA
MAX_JPEG_PIXELS = 1 << 28  # a camera of over 200 megapixels, decoded at 1/2 to 1/8
# a phone of 50 megapixels; decoders of video codecs hold it four times
MAX_VIDEO_PIXELS = 8192 * 6144
_MOST = {
    "JPEG": MAX_JPEG_PIXELS,
    "MPO": MAX_JPEG_PIXELS,
    "WEBP": MAX_VIDEO_PIXELS,
    "HEIF": MAX_VIDEO_PIXELS,
    "AVIF": MAX_VIDEO_PIXELS,
}
# Others are for measurements: what is black and white in them is not known.
_MODES = {"1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBX", "RGBa", "CMYK"}
_MODES |= {"YCbCr", "I;16", "I;16L", "I;16B"}
MOST_FRAMES = 1000  # of a TIFF, which are found one after the other
# Of NewSubfileType (TIFF 6.0): a frame that is a smaller version of a page, or a mask.
_SUBFILE_TYPE, _NO_PAGE = 254, 0b101
_FAINT, _NEARLY_WHITE = 31, 224
_NEARLY_ALL = 0.98  # the text on a white page is more than the rest
MAX_ASPECT_RATIO = 200  # the bound of the model's own preprocessing


def normalise(
    encoded: bytes,
    max_tokens: int,
    size: tuple[int, int] | None = None,
    page: int | None = None,
) -> Picture:
    """The picture that `encoded` holds, at most `max_tokens` x 1024 pixels large; of
    several frames or pages the first, or of a TIFF page number `page`, from 0.

    It is resampled to `size`, before it is set upright, if the file is as large as its
    header claims; else to the largest size of its own shape that is allowed.
    Raises InvalidPicture for anything else.
    """
    claim = claim_of(encoded)
    if claim:
        _check_size(claim.format, claim.width, claim.height)
    kept = _KeptSize(max_tokens, claim, size)
    if claim and claim.format == "TIFF" and page is not None:
        return _decode(encoded, kept, page)
    if check_jpeg(encoded):
        return _decode(encoded, kept)
    first, *others = (_decode(one, kept) for one in ended_jpegs(encoded))
    if any(other != first for other in others):
        raise InvalidPicture("This picture is damaged: the file is cut off.")
    return first


@dataclass(frozen=True)
class _KeptSize:
    """How large a picture is kept: `size` was computed for what the header claims."""

    max_tokens: int
    claim: Claim | None
    size: tuple[int, int] | None

    def of(self, width: int, height: int) -> tuple[int, int]:
        claim = self.claim
        if self.size and claim:
            if (width, height) == (claim.width, claim.height):
                return self.size
            if (height, width) == (claim.width, claim.height):  # its reader turned it
                return self.size[::-1]
        most = self.max_tokens * PIXELS_PER_TOKEN
        scale = min(1.0, math.sqrt(most / (width * height)))
        return max(1, int(width * scale)), max(1, int(height * scale))


def count_frames(tiff: bytes) -> int:
    """How many pages a TIFF has. Raises InvalidPicture for a damaged one, and for more
    than MOST_FRAMES."""
    try:
        with Image.open(io.BytesIO(tiff), formats=("TIFF",)) as image:
            return len(_pages(image))
    except (OSError, SyntaxError, ValueError, RuntimeError) as damage:
        raise InvalidPicture(f"This TIFF is damaged: {damage}.") from None


def _pages(tiff: Image.Image) -> list[int]:
    """The frames of a TIFF that are pages: not thumbnails, if there is anything else.
    Raises InvalidPicture for more than MOST_FRAMES."""
    pages: list[int] = []
    for frame in range(MOST_FRAMES + 1):
        try:
            tiff.seek(frame)
        except EOFError:  # behind the last one
            return pages or [*range(frame)]
        if _is_page(tiff):
            pages.append(frame)
    raise InvalidPicture(f"This TIFF has more than {MOST_FRAMES} pages.")


def _first_page(tiff: Any) -> int:
    for frame in range(MOST_FRAMES):
        try:
            tiff.seek(frame)
        except EOFError:
            break
        if _is_page(tiff):
            return frame
    return 0


def _is_page(tiff: Any) -> bool:
    try:
        return not tiff.tag_v2.get(_SUBFILE_TYPE, 0) & _NO_PAGE
    except Exception:  # as for EXIF
        return True


def _decode(encoded: bytes, kept: _KeptSize, page: int | None = None) -> Picture:
    try:
        file = io.BytesIO(essential_png(encoded))
        # no other format can be without a claim
        formats = (kept.claim.format if kept.claim else "JPEG",)
        with Image.open(file, formats=formats) as image:
            if page is None and image.format == "TIFF":
                image.seek(_first_page(image))
            if page is not None:
                pages = _pages(image)
                if page >= len(pages):
                    raise InvalidPicture(
                        f"This TIFF has {len(pages)} pages, and no page {page + 1}."
                    )
                image.seek(pages[page])
            image.info.pop("xmp", None)  # has an orientation that browsers ignore
            _check_size(image.format, image.width, image.height)
            _check_shape(image.width, image.height)
            _check_mode(image.mode)
            stored = image.size  # a draft changes it
            size = kept.of(*stored)
            # JPEG can decode at 1/2, 1/4 or 1/8: ask for the size that is kept.
            draft = image.draft("RGB", size)
            image.load()  # before _orientation, which ignores errors
            orientation = _orientation(image)
            # a draft's last row and column may lie partly outside the picture
            flat = on_page(_shrink(image, size, draft[1] if draft else None))
            if orientation in _TURNS:
                flat = flat.transpose(_TURNS[orientation])
            # looking further may change what is loaded
            is_first = page is None and _has_more(image)
    except UnidentifiedImageError:
        raise InvalidPicture(
            "This is neither a picture in one of the formats "
            f"{', '.join(FORMATS)} nor a PDF."
        ) from None
    except (OSError, SyntaxError, ValueError, EOFError, RuntimeError) as damage:
        raise InvalidPicture(f"This picture is damaged: {damage}.") from None
    source = SourceFile(*stored, orientation)
    is_same = source == SourceFile(*flat.size)
    told = None if is_same else source
    return Picture(*flat.size, flat.tobytes(), is_first, source=told)


def _check_size(name: str | None, width: int, height: int) -> None:
    most = _MOST.get(name or "", MAX_SOURCE_PIXELS)
    if width * height > most:
        raise InvalidPicture(
            f"This picture has {width} x {height} pixels; send at most {most:,} in all."
        )


def _check_shape(width: int, height: int) -> None:
    if max(width, height) > MAX_ASPECT_RATIO * min(width, height):
        raise InvalidPicture(
            f"This picture is {width} x {height}: its longer side may be at most "
            f"{MAX_ASPECT_RATIO} times the shorter."
        )


def _check_mode(mode: str) -> None:
    if mode not in _MODES:
        raise InvalidPicture(
            f"This picture has pixels of the kind {mode}. Save it as a PNG or JPEG "
            "with 8 bits for each colour."
        )


def _has_more(image: Image.Image) -> bool:
    """Whether there are frames or pages behind the first, which are ignored. Damage
    there refuses no picture, and Pillow raises many kinds of exceptions for it. What is
    behind a JPEG is a preview or a map of depths."""
    if image.format in ("JPEG", "MPO"):
        return False
    try:
        if image.format == "TIFF":
            return len(_pages(image)) > 1
        return bool(getattr(image, "is_animated", False))
    except InvalidPicture:  # more than are counted
        return True
    except Exception:
        return False


def _orientation(image: Image.Image) -> Orientation:
    """Invalid EXIF does not refuse a picture, and Pillow raises many kinds of
    exceptions for it."""
    try:
        exif = Image.Exif()  # without the XMP that `getexif` reads too
        exif.load(image.info.get("exif", b""))
        found: Any = exif.get(ExifTags.Base.Orientation)
        return found if found in _TURNS else 1
    except Exception:
        return 1


# How to set a picture upright, by its orientation.
_TURNS: Mapping[Orientation, Image.Transpose] = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def _shrink(
    image: Image.Image,
    size: tuple[int, int],
    box: tuple[float, float, float, float] | None,
) -> Image.Image:
    """The picture, or the `box` of it, in the size that is kept. The first step,
    because each copy of 50 megapixels takes 200 MB of the child's memory."""
    if image.mode.startswith("I"):  # 16-bit grey, which convert() would clip to white
        image = image.point(lambda grey: grey * (1 / 256)).convert("L")
    elif image.mode in ("1", "P", "PA") or "transparency" in image.info:
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    return image.resize(size, Image.Resampling.BICUBIC, box)


def on_page(image: Image.Image) -> Image.Image:
    """In RGB, what is transparent on white, or on grey where nearly all that is drawn
    would not be seen on white."""
    if not image.has_transparency_data:
        return image.convert("RGB")
    layer = image.convert("RGBA")
    is_drawn = layer.getchannel("A").point(lambda alpha: alpha > _FAINT)
    shades = layer.convert("L").histogram(is_drawn)
    is_white = sum(shades[_NEARLY_WHITE:]) > _NEARLY_ALL * sum(shades)
    page = Image.new("RGBA", layer.size, "gray" if is_white else "white")
    return Image.alpha_composite(page, layer).convert("RGB")
