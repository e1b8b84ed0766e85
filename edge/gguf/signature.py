"""Recognises a file by its first bytes: a readable GGUF file, or what it is instead.

Most files that are not models come from a failed download or from a repository that
publishes the model in several formats.
"""

from __future__ import annotations

import re
import struct
from pathlib import Path
from typing import Final

from edge.errors import SetupError

AGAIN: Final = "download it again (edge models pull)"

_MAGIC: Final = b"GGUF"
_VERSIONS: Final = (2, 3)
_OTHER: Final = "and this engine needs GGUF: use the .gguf file of this model"
_FOREIGN: Final = (  # how a file begins, and what it is
    (rb"version https://git-lfs", f"a Git LFS pointer, not the model: {AGAIN}"),
    (rb"(\xef\xbb\xbf)?\s*<", f"a web page, not the model: {AGAIN}"),
    (rb".{8}\{", f"a safetensors file, {_OTHER}"),
    (rb"PK", f"a zip archive or a PyTorch file, {_OTHER}"),
    (rb"\x80[\x02-\x05]", f"a Python pickle, {_OTHER}"),
    (rb"", f"not a GGUF file: {AGAIN}"),
)


def check_file(path: Path) -> None:
    """Raises SetupError unless `path` is a regular file, because reading a pipe or a
    device might never end; OSError when its status cannot be read."""
    if not path.exists():
        raise SetupError(f"There is no model file at {path}.")
    if path.is_dir():
        raise SetupError(f"{path} is a folder: name the .gguf file in it.")
    if not path.is_file():
        raise SetupError(f"{path} is not a file: name a .gguf file.")


def check_start(path: Path, start: bytes) -> None:
    """Raises SetupError with one sentence unless `start`, the first 32 bytes of the
    file at `path`, is the beginning of a little-endian GGUF file of version 2 or 3."""
    if not start:
        raise SetupError(f"{path} is empty: {AGAIN}.")
    if not (start.startswith(_MAGIC) or _MAGIC.startswith(start)):
        what = next(what for begin, what in _FOREIGN if re.match(begin, start, re.S))
        raise SetupError(f"{path} is {what}.")
    if len(start) < 8:
        raise SetupError(f"{path} has only {len(start)} bytes: {AGAIN}.")
    [version] = struct.unpack_from("<I", start, 4)
    if version and not version & 0xFFFF:
        raise SetupError(
            f"{path} is a big-endian GGUF: use the little-endian file of this model."
        )
    if version not in _VERSIONS:
        raise SetupError(
            f"{path} is GGUF version {version}, and this engine reads versions 2 and "
            "3: use another file of this model."
        )
