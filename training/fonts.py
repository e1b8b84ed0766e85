"""The fonts of printed lines: some for training, others only for tests.

All come from packages of the extra `train`, so every machine has the same ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Final

from PIL import ImageFont

# Weights too thin for small pictures, and files that are not text fonts.
UNFIT: Final = ("Thin", "ExtraLight", "Variable", "STIX", "cm", "Display")
LEARNT: Final = {
    "font_roboto": "files",
    "font_source_sans_pro": "files",
    "font_source_serif_pro": "files",
    "font_fredoka_one": "files",
    "font_hanken_grotesk": "files",
    "font_manrope": "files",
    "matplotlib": "mpl-data/fonts/ttf",  # DejaVu
}
HELD_OUT: Final = {"font_caladea": "files", "font_lato": "files"}


@dataclass(frozen=True)
class Font:
    """A font file; an empty path is the font inside Pillow (Aileron)."""

    path: str


BUILT_IN: Final = Font("")  # part of Pillow, not used in training


@cache
def training_fonts() -> tuple[Font, ...]:
    return tuple(_every(LEARNT))


@cache
def held_out() -> tuple[Font, ...]:
    return (BUILT_IN, *_every(HELD_OUT))


def _every(packages: dict[str, str]) -> list[Font]:
    fonts = []
    for package, folder in packages.items():
        paths = sorted(Path(str(files(package))).joinpath(folder).glob("*.?tf"))
        stems = {
            path.stem: Font(str(path))
            for path in paths
            if not any(word in path.stem for word in UNFIT)
        }
        fonts += stems.values()
    return fonts


@cache
def _sized(font: Font, size: int) -> ImageFont.FreeTypeFont:
    if not font.path:
        return ImageFont.load_default(size)
    return ImageFont.truetype(font.path, size)


def fit(font: Font, text: str, width: float, height: float) -> ImageFont.FreeTypeFont:
    """The font in the largest size with which `text` fits into `width` x `height`."""
    left, _, right, _ = _sized(font, 100).getbbox(text)
    _, top, _, bottom = _sized(font, 100).getbbox("Hg")
    scale = min(width / (right - left), height / (bottom - top))
    return _sized(font, max(8, int(scale * 100)))
