"""Which model files to serve: a name or a path in, two files and a fingerprint out."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from edge.errors import SetupError
from edge.models.random_weights import write_pair
from edge.settings import Settings

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Published:
    """The two file names of a model as its publisher calls them."""

    model: str
    mmproj: str


PUBLISHED = {
    "qwen3-vl-2b": Published(
        "Qwen3VL-2B-Instruct-Q4_K_M.gguf", "mmproj-Qwen3VL-2B-Instruct-Q8_0.gguf"
    ),
    "qwen3-vl-2b-q8": Published(
        "Qwen3VL-2B-Instruct-Q8_0.gguf", "mmproj-Qwen3VL-2B-Instruct-Q8_0.gguf"
    ),
}
DEFAULT = "qwen3-vl-2b"
TINY = "tiny"

TINY_BANNER = """
************************************************************************
*  Serving the model `tiny`: random weights, random answers.           *
*  It shows that everything works. For real answers put the two files  *
*  of Qwen3-VL-2B into {folder}
*  or name your own with EDGE_MODEL and EDGE_MMPROJ.                   *
************************************************************************"""


@dataclass(frozen=True)
class ModelFiles:
    """A language model and the vision encoder that belongs to it."""

    name: str
    model: Path
    mmproj: Path

    @cached_property
    def fingerprint(self) -> str:
        """sha256 over both files. Reads them once, about a second for each GiB."""
        both = hashlib.sha256()
        for path in (self.model, self.mmproj):
            with path.open("rb") as file:
                both.update(hashlib.file_digest(file, "sha256").digest())
        return both.hexdigest()


def find_model(settings: Settings) -> ModelFiles:
    """The files that EDGE_MODEL and EDGE_MMPROJ mean.

    Raises SetupError that says which file is missing and where it was looked for.
    """
    name = settings.model
    folder = settings.data_dir / "models"
    if name == "auto":
        files = _published(DEFAULT, folder)
        if files.model.is_file() and files.mmproj.is_file():
            return files
        log.warning(TINY_BANNER.format(folder=folder))
        return _tiny(folder)
    if name == TINY:
        return _tiny(folder)
    if name in PUBLISHED:
        return _present(_published(name, folder))
    return _present(_given(Path(name).expanduser(), settings.mmproj))


def _published(name: str, folder: Path) -> ModelFiles:
    files = PUBLISHED[name]
    return ModelFiles(name, folder / files.model, folder / files.mmproj)


def _tiny(folder: Path) -> ModelFiles:
    """Written anew each time: it takes a tenth of a second and is never stale."""
    model, mmproj = write_pair(folder / TINY)
    return ModelFiles(TINY, model, mmproj)


def _given(model: Path, mmproj: str) -> ModelFiles:
    if not mmproj:
        known = ", ".join(["auto", TINY, *PUBLISHED])
        raise SetupError(
            f"{model} needs its vision file too: give --mmproj (EDGE_MMPROJ). "
            f"Or use a model by name: {known}."
        )
    return ModelFiles(model.stem, model, Path(mmproj).expanduser())


def _present(files: ModelFiles) -> ModelFiles:
    for path in (files.model, files.mmproj):
        if not path.is_file():
            raise SetupError(
                f"The model {files.name} needs {path}, which is not there."
            )
    return files
