"""Known models, and which files to serve: from a name or a path to a pair of files.

It reads `registry.toml` and the folder of models. It downloads nothing: the caller of
`find_model` passes a function that may.
"""

from __future__ import annotations

import hashlib
import logging
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Final, Literal

from edge.errors import SetupError
from edge.gguf import layout
from edge.gguf.header import Header, read_header
from edge.gguf.requantize import requantized
from edge.model_names import is_path
from edge.settings import Settings
from edge.settings_text import expand_home

log = logging.getLogger(__name__)

TABLE: Final = Path(__file__).with_name("registry.toml")
TINY_FOLDER: Final = Path(__file__).with_name("tiny")

DEFAULT: Final = "qwen3-vl-2b"
TINY: Final = "tiny"  # bundled with this package
# `tiny` in other types, by name: of the language model's matrices and of the vision
# file's. For trying several models, and switches between them, on right answers.
TINY_QUANTS: Final = {
    "tiny-q8": ("Q8_0", "F16"),
    "tiny-q4": ("Q4_0", "Q8_0"),
    "tiny-f16": ("F16", "F16"),
}
SYNTHETIC: Final = "synthetic-2b"  # made on this machine, for measuring
SYNTHETIC_FILES: Final = (f"{SYNTHETIC}-*.gguf", f"mmproj-{SYNTHETIC}-*.gguf")
COMPILED: Final = "compiled"  # folder for what OpenVINO compiled, next to the models

TINY_BANNER: Final = """
************************************************************************
*  Serving `tiny`, a small test model: it knows only simple shapes,    *
*  colours, numbers and short words.                                   *
*  The real model is not in {folder}
*  and was not downloaded: {reason}
*  To get it: `edge models pull qwen3-vl-2b`. To serve files of your   *
*  own: EDGE_MODEL and EDGE_MMPROJ.                                    *
************************************************************************"""


# What a model is best at; any Qwen3-VL does the others too.
TrainedFor = Literal["chat", "rerank", "embeddings"]


@dataclass(frozen=True)
class RemoteFile:
    """One file of a repository; `size` (bytes) and `sha256` are None when unknown.

    Raises SetupError for a name that would lead out of the models' folder.
    """

    repository: str
    revision: str
    name: str
    size: int | None = None
    sha256: str | None = None

    def __post_init__(self) -> None:
        if Path("x", self.name).name != self.name or self.name.startswith("."):
            raise SetupError(f"{self.name!r} is not a plain file name.")

    def is_in(self, folder: Path) -> bool:
        """Present with the right size; `store.state` checks the contents."""
        path = folder / self.name
        return path.is_file() and self.size in (None, path.stat().st_size)


@dataclass(frozen=True)
class Entry:
    """A published model: a language model and its vision encoder."""

    name: str
    licence: str
    model: RemoteFile
    mmproj: RemoteFile
    unverified: bool = False
    trained_for: TrainedFor = "chat"

    @property
    def files(self) -> tuple[RemoteFile, RemoteFile]:
        return self.model, self.mmproj

    def is_complete(self, folder: Path) -> bool:
        return all(file.is_in(folder) for file in self.files)


@dataclass(frozen=True)
class ModelFiles:
    """A language model and its vision encoder, on this machine."""

    name: str
    model: Path
    mmproj: Path
    # The sha256 that each must have, if known.
    pins: tuple[str | None, str | None] = field(default=(None, None), compare=False)
    trained_for: TrainedFor = "chat"

    @cached_property
    def model_header(self) -> Header:
        """Read once. Raises SetupError when the file is not a whole GGUF file."""
        return read_header(self.model)

    @cached_property
    def mmproj_header(self) -> Header:
        """Read once. Raises SetupError when the file is not a whole GGUF file."""
        return read_header(self.mmproj)

    @cached_property
    def fingerprint(self) -> str:
        """sha256 over both files. Reads them once, about a second for each GiB.

        Raises SetupError when one of them cannot be read, or does not have its pinned
        sha256.
        """
        both = hashlib.sha256()
        for path, pin in zip((self.model, self.mmproj), self.pins, strict=True):
            try:
                with path.open("rb") as file:
                    found = hashlib.file_digest(file, "sha256")
            except OSError as error:
                raise SetupError(f"{path} cannot be read: {error.strerror}.") from None
            if pin not in (None, found.hexdigest()):
                raise SetupError(
                    f"{path} is not the file that was published for {self.name}: its "
                    "sha256 differs. It is damaged, or was changed. See "
                    f"`edge models verify {self.name}`; `edge models pull {self.name}` "
                    "downloads it again."
                )
            both.update(found.digest())
        return both.hexdigest()


# Makes an entry complete in the models' folder, or raises SetupError with the reason.
Obtain = Callable[[Entry, Settings], None]


def local_names() -> list[str]:
    """Names of the models that are bundled with this package, or made by it."""
    return [TINY, *TINY_QUANTS, SYNTHETIC]


@cache
def entries() -> dict[str, Entry]:
    """The entries of `registry.toml`, by name."""
    tables = tomllib.loads(TABLE.read_text(encoding="utf-8"))
    return {name: _entry(name, **table) for name, table in tables.items()}


def _entry(
    name: str, repository: str, revision: str, model: Any, mmproj: Any, **rest: Any
) -> Entry:
    pair = (RemoteFile(repository, revision, **file) for file in (model, mmproj))
    return Entry(name, model=next(pair), mmproj=next(pair), **rest)


def compiled_folder(settings: Settings) -> Path:
    """The folder for what OpenVINO has compiled."""
    return models_folder(settings) / COMPILED


def models_folder(settings: Settings) -> Path:
    return settings.data_dir / "models"


def nowhere(entry: Entry, settings: Settings) -> None:
    """Obtains nothing: for callers that must not wait or use the network."""
    raise SetupError("nothing is downloaded here.")


def find_model(settings: Settings, obtain: Obtain = nowhere) -> ModelFiles:
    """The files that EDGE_MODEL and EDGE_MMPROJ name.

    `auto` is the real model: if it is missing, `obtain` may download it, and if that
    fails it is `tiny`, with a warning. Raises SetupError that says what is missing,
    where it was expected, and how to get it.
    """
    folder = models_folder(settings)
    if settings.model == "auto":
        return _auto(settings, obtain)
    if settings.model == TINY:
        return tiny_files()
    if settings.model == SYNTHETIC:
        return synthetic_files(folder)
    if settings.model in TINY_QUANTS:
        return tiny_quant_files(settings.model, folder)
    if entry := entries().get(settings.model):
        return _complete(entry, folder)
    return _given(expand_home(settings.model), settings.mmproj)


def _auto(settings: Settings, obtain: Obtain) -> ModelFiles:
    entry, folder = entries()[DEFAULT], models_folder(settings)
    if not entry.is_complete(folder):
        try:
            obtain(entry, settings)
        except SetupError as error:
            log.warning(TINY_BANNER.format(folder=folder, reason=error.message))
            return tiny_files()
    return _complete(entry, folder)


def tiny_files() -> ModelFiles:
    """The bundled model. Raises SetupError when it is not installed."""
    return _present(
        ModelFiles(TINY, TINY_FOLDER / "tiny.gguf", TINY_FOLDER / "mmproj-tiny.gguf")
    )


def tiny_quant_files(name: str, folder: Path) -> ModelFiles:
    """One of TINY_QUANTS. Raises SetupError that says how to make it."""
    files = ModelFiles(name, folder / f"{name}.gguf", folder / f"mmproj-{name}.gguf")
    if not (files.model.is_file() and files.mmproj.is_file()):
        raise SetupError(
            f"{name} is not in {folder}. Make it: `edge models make {name}`."
        )
    return files


def write_tiny_quant(name: str, folder: Path) -> ModelFiles:
    """Writes one of TINY_QUANTS, whose answers are those of `tiny`, except a few."""
    written = {
        file: requantized(TINY_FOLDER / source, name, quant)
        for file, source, quant in zip(
            (f"{name}.gguf", f"mmproj-{name}.gguf"),
            ("tiny.gguf", "mmproj-tiny.gguf"),
            TINY_QUANTS[name],
            strict=True,
        )
    }
    layout.write_files(folder, written)
    return tiny_quant_files(name, folder)


def synthetic_files(folder: Path) -> ModelFiles:
    """The newest file of each kind. Raises SetupError that says how to make them."""
    try:
        model, mmproj = (
            max(folder.glob(kind), key=lambda path: path.stat().st_mtime)
            for kind in SYNTHETIC_FILES
        )
    except ValueError:
        raise SetupError(
            f"{SYNTHETIC} is not in {folder}. Make it: `edge models make {SYNTHETIC}`."
        ) from None
    return ModelFiles(SYNTHETIC, model, mmproj)


def _complete(entry: Entry, folder: Path) -> ModelFiles:
    if not entry.is_complete(folder):
        pull = f"models pull {entry.name}"
        pull += " --allow-unverified" if entry.unverified else ""
        raise SetupError(
            f"The model {entry.name} is not (or not whole) in {folder}. Get it with "
            f"`edge {pull}`, with Docker by `docker compose run --rm {pull}`."
        )
    model, mmproj = (folder / file.name for file in entry.files)
    pins = (entry.model.sha256, entry.mmproj.sha256)
    return ModelFiles(entry.name, model, mmproj, pins, entry.trained_for)


def _given(model: Path, mmproj: str) -> ModelFiles:
    known = ", ".join(["auto", TINY, *entries(), *local_names()[1:]])
    if not is_path(str(model)) and not model.exists():
        raise SetupError(
            f"There is no model {str(model)!r}. Known: {known}, or the path of a GGUF "
            "file."
        )
    if not model.exists():
        raise SetupError(f"There is no file {model}. Give the path of a GGUF file.")
    if not mmproj:
        raise SetupError(
            f"{model} needs its vision file too: give --mmproj (EDGE_MMPROJ). Or use a "
            f"model by name: {known}."
        )
    return _present(ModelFiles(model.stem, model, expand_home(mmproj)))


def _present(files: ModelFiles) -> ModelFiles:
    for path in (files.model, files.mmproj):
        if not path.is_file():
            raise SetupError(f"{files.name} needs {path}, which is not there.")
    return files
