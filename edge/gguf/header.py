"""The header of a GGUF file: metadata and the list of tensors, without weights.

Source: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. The reader in the
package `gguf` needs 7 s for the 151,936 tokens and the merges of a Qwen3-VL, and does
not end on a damaged count. This one needs a fraction of a second, and for any bytes it
returns a Header or raises one sentence.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Collection, Container, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any, BinaryIO, Final

from gguf import GGML_QUANT_SIZES

from edge.errors import SetupError
from edge.gguf.signature import AGAIN, check_file, check_start

_CODES: Final = dict(zip((*range(8), 10, 11, 12), "BbHhIif?Qqd", strict=True))
_TEXT, _ARRAY = 8, 9
_MOST_DIMENSIONS: Final = 4
_BLOCKS: Final = {int(kind): sizes for kind, sizes in GGML_QUANT_SIZES.items()}

# Bounds far above every published file: larger counts are damage, and would cost time
# and memory.
# The largest vocabularies have 262,144 tokens, or 200,000 and 446,000 merges.
_MOST_ENTRIES: Final = 1 << 20  # all texts, keys and tensors of a file together
_MOST_NUMBERS: Final = 1 << 22  # in one array, which is skipped
_LONGEST_TEXT: Final = 1 << 24
# Longer arrays, which are the vocabulary, are read and dropped if not asked for.
_MOST_KEPT: Final = 1024


@dataclass(frozen=True)
class Tensor:
    """One tensor: its shape in the file's order (the number of rows last), its size,
    its format (a GGMLQuantizationType), and its offset in the file."""

    shape: tuple[int, ...]
    n_bytes: int
    kind: int = 0
    start: int = 0


@dataclass(frozen=True)
class Header:
    """All metadata except the vocabulary, of which only size and marks are kept."""

    path: Path
    values: Mapping[str, Any]  # a scalar or a tuple of them; None for a long array
    lengths: Mapping[str, int]  # of every array, kept or not
    marks: frozenset[str]  # tokens like <|im_start|>
    tensors: Mapping[str, Tensor]

    @property
    def architecture(self) -> str:
        return str(self.values["general.architecture"])

    @property
    def tensor_bytes(self) -> int:
        return sum(tensor.n_bytes for tensor in self.tensors.values())

    def get(self, key: str, default: Any = None) -> Any:
        return self.values.get(key, default)

    def number(self, key: str, default: int | None = None) -> int:
        """A count or size. Raises SetupError when the file has none under `key`."""
        value = self.get(key, default)
        if not isinstance(value, int) or value < 1:
            raise SetupError(f"{self.path} has no usable {key}: {AGAIN}.")
        return value


def read_header(path: Path) -> Header:
    """The header of the GGUF file at `path`.

    Raises SetupError with one sentence, what is wrong and what to do: also when the
    file is shorter than its tensors.
    """
    with _opened(path) as reader:
        return reader.header()


def read_metadata(path: Path, keep: Collection[str]) -> Mapping[str, Any]:
    """All metadata of the GGUF file at `path`, with the long arrays of the keys `keep`.
    Raises SetupError."""
    with _opened(path, keep) as reader:
        return reader.metadata()


@contextmanager
def _opened(path: Path, keep: Collection[str] = ()) -> Iterator[_Reader]:
    try:
        check_file(path)
        with path.open("rb") as file:
            check_start(path, file.read(32))
            file.seek(8)  # after the version
            yield _Reader(path, file, keep)
    except OSError as error:
        raise SetupError(f"{path} cannot be read: {error.strerror}.") from None


class _Reader:
    """Reads a header part by part, starting after the version."""

    def __init__(self, path: Path, file: BinaryIO, keep: Collection[str]) -> None:
        self._path = path
        self._file = file
        self._keep = keep
        self._size = os.fstat(file.fileno()).st_size
        self._n_left = _MOST_ENTRIES
        self._lengths: dict[str, int] = {}
        self._marks: frozenset[str] = frozenset()

    def metadata(self) -> dict[str, Any]:
        self._n_tensors = self._count(_MOST_ENTRIES)
        values: dict[str, Any] = {}
        for _ in range(self._count(_MOST_ENTRIES)):
            key = self._new_name(values)
            values[key] = self._value(key)
        return values

    def header(self) -> Header:
        values = self.metadata()
        tensors: dict[str, Tensor] = {}
        for _ in range(self._n_tensors):
            name = self._new_name(tensors)
            tensors[name] = self._tensor(name)
        if not isinstance(values.get("general.architecture"), str):
            raise self._damaged()
        if (n_parts := values.get("split.count", 1)) not in (0, 1):
            raise SetupError(
                f"{self._path} is one of {n_parts} parts: make one file of them with "
                "llama-gguf-split --merge, which is part of llama.cpp."
            )
        data = self._start_of_data(values.get("general.alignment", 32))
        tensors = {
            name: replace(tensor, start=data + tensor.start)
            for name, tensor in tensors.items()
        }
        ends = (tensor.start + tensor.n_bytes for tensor in tensors.values())
        whole = max(ends, default=data)
        if self._size < whole:
            raise SetupError(
                f"{self._path} has {self._size:,} of {whole:,} bytes: {AGAIN}."
            )
        return Header(self._path, values, self._lengths, self._marks, tensors)

    def _value(self, key: str) -> Any:
        [kind] = self._numbers("I")
        if kind == _TEXT:
            return self._text().decode(errors="replace")
        if kind == _ARRAY:
            return self._array(key)
        [value] = self._numbers(self._code(kind))
        return value

    def _array(self, key: str) -> tuple[Any, ...] | None:
        [kind] = self._numbers("I")
        n = self._lengths[key] = self._count(_MOST_NUMBERS)
        most = n if key in self._keep else _MOST_KEPT
        if kind != _TEXT:
            codes = f"{n}{self._code(kind)}"
            if n > most:
                self._take(struct.calcsize(f"<{codes}"))
                return None
            return self._numbers(codes)
        if n > self._n_left:  # before any of them is read
            raise self._damaged()
        texts = [self._text() for _ in range(n)]
        if key == "tokenizer.ggml.tokens":
            marks = (text for text in texts if text.startswith(b"<|"))
            self._marks = frozenset(mark.decode(errors="replace") for mark in marks)
        if n > most:
            return None
        return tuple(text.decode(errors="replace") for text in texts)

    def _tensor(self, name: str) -> Tensor:
        """The tensor; its `start` is relative to the start of the data."""
        [n_dimensions] = self._numbers("I")
        if n_dimensions > _MOST_DIMENSIONS:
            raise self._damaged()
        shape = self._numbers(f"{n_dimensions}Q")
        kind, start = self._numbers("IQ")
        if kind not in _BLOCKS:
            raise SetupError(
                f"{self._path} stores {name} in a format that this engine does not "
                f"know (number {kind}): use a Q4_K_M, Q8_0 or F16 file."
            )
        block, block_bytes = _BLOCKS[kind]
        if shape and shape[0] % block:
            raise self._damaged()
        return Tensor(shape, prod(shape) // block * block_bytes, kind, start)

    def _start_of_data(self, alignment: object) -> int:
        if not isinstance(alignment, int) or alignment < 1 or alignment.bit_count() > 1:
            raise self._damaged()
        return -(-self._file.tell() // alignment) * alignment

    def _new_name(self, known: Container[str]) -> str:
        name = self._text().decode(errors="replace")
        if not name or name in known:
            raise self._damaged()
        return name

    def _text(self) -> bytes:
        [length] = self._numbers("Q")
        self._n_left -= 1
        if length > _LONGEST_TEXT or self._n_left < 0:
            raise self._damaged()
        return self._take(length)

    def _count(self, most: int) -> int:
        [n] = self._numbers("Q")
        if n > most:
            raise self._damaged()
        return int(n)

    def _code(self, kind: int) -> str:
        if kind not in _CODES:
            raise self._damaged()
        return _CODES[kind]

    def _numbers(self, codes: str) -> tuple[Any, ...]:
        form = "<" + codes
        return struct.unpack(form, self._take(struct.calcsize(form)))

    def _take(self, n: int) -> bytes:
        data = self._file.read(n)
        if len(data) < n:
            raise SetupError(
                f"{self._path} ends in its header, after {self._size:,} bytes: {AGAIN}."
            )
        return data

    def _damaged(self) -> SetupError:
        return SetupError(f"{self._path} has a damaged header: {AGAIN}.")
