"""A Qwen3-VL-2B with random weights: true shapes, true quantised blocks, true sizes.

It takes the time and memory of the published files without a download; its answers are
babble. The type of each tensor follows llama.cpp (`src/llama-quant.cpp`,
`conversion/base.py`); the fields of blocks follow `ggml-common.h`.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import chain, islice, product
from math import prod, sqrt
from pathlib import Path
from typing import IO, Any, Final
from zlib import crc32

import numpy as np
import numpy.typing as npt
from gguf import GGML_QUANT_SIZES, LlamaFileType
from gguf import GGMLQuantizationType as Kind
from gguf.quants import quant_shape_to_byte_shape as in_bytes

from edge.errors import SetupError
from edge.gguf import layout
from edge.gguf.layout import QWEN3_VL_2B, Shape, Shapes
from edge.gguf.vocabulary import CONTROL, LETTERS, Vocabulary, learn, spell

# The type of most matrices, and that of the embedding, which is also the output.
QUANTS: Final = {
    "Q4_K_M": (Kind.Q4_K, Kind.Q6_K),
    "Q4_0": (Kind.Q4_0, Kind.Q6_K),
    "Q8_0": (Kind.Q8_0, Kind.Q8_0),
    "F16": (Kind.F16, Kind.F16),
}
# The type of most matrices, and that of the two kernels that read the pixels.
MMPROJ_QUANTS: Final = {
    "F16": (Kind.F16, Kind.F16),
    "BF16": (Kind.BF16, Kind.F32),
    "Q8_0": (Kind.Q8_0, Kind.F32),
}
# Standard deviation of the weights in blocks of random bytes with d = 1.
DEVIATION: Final = {
    Kind.Q4_0: sqrt(255 / 12 + 1 / 4),
    Kind.Q8_0: sqrt(127 * 128 / 3),
    Kind.Q4_K: sqrt(255 / 12 * 63 * 127 / 6),
    Kind.Q6_K: sqrt((4095 / 12 + 1 / 4) * 127 * 128 / 3),
}
# Inputs of size 1 give outputs of size 1, except where the babble would be dull.
GAIN: Final = {
    "patch_embd": 4.0,  # pixels outweigh their position
    "attn_q_norm": 2.0,  # attention selects a few tokens instead of averaging all
    "attn_k_norm": 2.0,
    "output_norm": 4.0,  # some words are much likelier than others
}
QUIET: Final = 0.05  # factor of control tokens' embeddings: no answer ends early

N_TOKENS: Final = 151936  # of Qwen's embedding, padding included
N_PLAIN: Final = 151643  # in Qwen's vocabulary; then come, in this order:
BOXES: Final = "object_ref_start object_ref_end box_start box_end quad_start quad_end"
SPECIAL: Final = (*CONTROL[:3], *(f"<|{x}|>" for x in BOXES.split()), *CONTROL[3:])
ENGLISH: Final = """
    a an the this it is are has of in on at and or with no not there one two three what
    how many where which who why do does you see can count describe tell me please read
    text picture image photo detail color object person dog cat car red green blue black
    white left right top bottom big small system user assistant
"""
CHINESE: Final = """
    请 描述 这 张 图片 照片 的 内容 详细 一下 里 中 有 没有 什么 多少 几 个 是 不 和 在
    你 看到 颜色 物体 人 狗 猫 车 红色 绿色 蓝色 左边 右边 文字 回答 哪里 。 ， ？ ！
"""
HEADER_ROOM: Final = 8 << 20  # bytes; the metadata of both files take less
PIECE: Final = 1 << 21  # bytes of blocks, or floats, in one write

TensorTypes = dict[str, tuple[Shape, Any]]  # shape (rows first) and type of each tensor
Array = npt.NDArray[Any]


def write_synthetic(
    folder: Path,
    *,
    shapes: Shapes = QWEN3_VL_2B,
    quant: str = "Q4_K_M",
    mmproj: str = "Q8_0",
    n_tokens: int = N_TOKENS,
    words: Vocabulary | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Path, Path]:
    """Writes `synthetic-2b-QUANT.gguf` and `mmproj-synthetic-2b-MMPROJ.gguf`, unless
    an equal call has written them before; equal arguments give equal bytes.

    `words` is the vocabulary; None: an invented one of `n_tokens`. `progress` receives
    the bytes of weights written so far and in all. Raises SetupError, before it writes,
    when a type is unknown or the disk too full.
    """
    n_tokens = len(words.tokens) if words else n_tokens
    sizes = planned_sizes(shapes, quant, mmproj, n_tokens)
    ingredients = (shapes, n_tokens, seed, *([words] if words else []))
    recipe = f"{crc32(repr(ingredients).encode()):08x}"
    about = f"Random weights: the shapes are true, the answers not. Recipe {recipe}."
    text = folder / f"synthetic-2b-{quant}.gguf"
    vision = folder / f"mmproj-synthetic-2b-{mmproj}.gguf"
    if _is_there(text, sizes[0], about) and _is_there(vision, sizes[1], about):
        text.touch()  # the newest of each kind is served
        vision.touch()
        return text, vision
    folder.mkdir(parents=True, exist_ok=True)
    need, free = sum(sizes) + HEADER_ROOM, shutil.disk_usage(folder).free
    if free < need:
        raise SetupError(
            f"The synthetic model takes {need / 1e9:.1f} GB and {folder} has "
            f"{free / 1e9:.1f} GB left: make room there or choose another folder."
        )
    words = words or synthetic_vocabulary(n_tokens)
    most, vision_most = (LlamaFileType[f"MOSTLY_{kind}"] for kind in (quant, mmproj))
    n_written = 0

    def wrote(n: int) -> None:
        nonlocal n_written
        n_written += n
        if progress:
            progress(n_written, sum(sizes))

    with (
        closing(layout.text_file(shapes, words, "synthetic-2b", about, most)) as one,
        closing(layout.vision_file(shapes, "synthetic-2b", about, vision_most)) as two,
    ):
        types = _tensor_types(shapes, quant, mmproj, n_tokens)
        for file, kinds in zip((one, two), types, strict=True):
            noise = Noise(seed)
            for name, (shape, kind) in kinds.items():
                pieces = noise.pieces(name, shape, kind, len(words.plain))
                tensor = LazyTensor(in_bytes(shape, kind), pieces, wrote)
                file.add_tensor(name, tensor, raw_dtype=kind)
        layout.write_files(folder, {text.name: one, vision.name: two})
    return text, vision


def planned_sizes(
    shapes: Shapes, quant: str, mmproj: str, n_tokens: int
) -> tuple[int, int]:
    """Bytes of all tensors of the two files. Raises SetupError for an unknown type."""
    text, vision = (
        sum(prod(in_bytes(*tensor)) for tensor in kinds.values())
        for kinds in _tensor_types(shapes, quant, mmproj, n_tokens)
    )
    return text, vision


def synthetic_vocabulary(n_tokens: int) -> Vocabulary:
    """Bytes, common words, invented words (which only babble consists of) and control
    tokens: with 151936 in all, the control tokens have Qwen's ids."""
    n_plain = min(N_PLAIN, n_tokens - len(SPECIAL))
    assert n_plain > len(LETTERS), "llama.cpp wants all bytes and one merge"
    english = [form for w in ENGLISH.split() for form in (w, w.capitalize(), f" {w}")]
    learned = learn([*english, *CHINESE.split()])
    syllables = ["".join(letters) for letters in product("bdfghklmnprstvwyz", "aeiou")]
    parts = chain(product(syllables, repeat=2), product(syllables, repeat=3))
    invented = (spell(" " + "".join(reversed(word))) for word in parts)
    # An invented word may be a learned one: take some more.
    some = islice(chain(learned.plain, invented), n_plain + len(learned.plain))
    plain = tuple(dict.fromkeys(some))[:n_plain]
    kept = set(plain)
    merges = tuple(pair for pair in learned.merges if "".join(pair) in kept)
    unused = (f"<|unused_{n}|>" for n in range(n_tokens - n_plain - len(SPECIAL)))
    return Vocabulary(plain, (*SPECIAL, *unused), merges)


class Noise:
    """Random numbers, drawn once for a file; tensors are slices at random offsets. New
    numbers for each weight would take longer than everything else."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        # No -128: signed bytes have mean 0, in Q8_0 and in the scales of Q6_K.
        self._bytes: Array = self._rng.integers(-127, 128, 4 * PIECE, np.int8)
        self._normal: Array = self._rng.standard_normal(2 * PIECE, np.float32)

    def pieces(self, name: str, shape: Shape, kind: Any, loud: int) -> Iterator[Array]:
        """One tensor in pieces; of the embedding, rows after the first `loud` are
        scaled by QUIET."""
        gain = prod(GAIN.get(part, 1.0) for part in name.split("."))
        level, spread = 0.0, gain / sqrt(prod(shape[1:]))
        if len(shape) == 1:
            level, spread = (0.0, 0.1) if name.endswith(".bias") else (gain, 0.0)
        if name != "token_embd.weight":
            loud = shape[0]
        n_weights, unit = GGML_QUANT_SIZES[kind]
        pool = self._bytes
        if kind not in DEVIATION:
            pool, unit = self._normal, 1
        for rows, deviation in ((loud, spread), (shape[0] - loud, spread * QUIET)):
            left = prod((rows, *shape[1:])) // n_weights
            while left:
                n = min(left, PIECE // unit)
                at = self._rng.integers(len(pool) - PIECE)
                numbers = pool[at : at + n * unit].reshape(n, unit)
                yield _weights(numbers, kind, level, deviation)
                left -= n


class LazyTensor:
    """Looks like an array to GGUFWriter, but is computed while it is written."""

    dtype = np.dtype(np.uint8)

    def __init__(
        self, shape: Shape, pieces: Iterator[Array], wrote: Callable[[int], None]
    ) -> None:
        self.shape, self.nbytes = shape, prod(shape)
        self._pieces, self._wrote = pieces, wrote

    def tofile(self, file: IO[bytes]) -> None:
        for piece in self._pieces:
            file.write(piece.data)
            self._wrote(piece.nbytes)


def _weights(numbers: Array, kind: Any, level: float, deviation: float) -> Array:
    """Weights out of standard normal f32 [n, 1], or blocks of weights (with mean 0) out
    of random bytes i8 [n, bytes of a block]."""
    if kind not in DEVIATION:
        floats = level + deviation * numbers
        if kind == Kind.BF16:
            return (floats.view("<u4") >> 16).astype("<u2")
        return floats.astype("<f2" if kind == Kind.F16 else "<f4")
    blocks = numbers.astype(np.uint8)
    unit = deviation / DEVIATION[kind]
    d, dmin = np.array([[unit], [7.5 * unit]], "<f2").view(np.uint8)
    if kind == Kind.Q6_K:
        blocks[:, -2:] = d
        return blocks
    signs = blocks[:, 1] & 0x80
    blocks[:, :2] = d
    if kind == Kind.Q4_0:  # quants have mean -1/2: let d have both signs
        blocks[:, 1] |= signs
    elif kind == Kind.Q4_K:  # d * scale * quant - dmin * min: quants have mean 7.5
        blocks[:, 2:4] = dmin
        blocks[:, 8:12] = blocks[:, 4:8]  # each min is its scale
        blocks[:, 12:16] = (blocks[:, 12:16] & 15) * 17
    return blocks


def _tensor_types(
    s: Shapes, quant: str, mmproj: str, n_tokens: int
) -> tuple[TensorTypes, TensorTypes]:
    for kind, known in ((quant, QUANTS), (mmproj, MMPROJ_QUANTS)):
        if kind not in known:
            raise SetupError(f"{kind!r} is not a known type: use {' or '.join(known)}.")
    most, kernel = MMPROJ_QUANTS[mmproj]
    text = {
        name: (shape, _fitting_kind(_text_kind(name, quant, s.n_layers), name, shape))
        for name, shape in layout.text_tensors(s, n_tokens).items()
    }
    vision = {
        name: (shape, _fitting_kind(kernel if len(shape) == 4 else most, name, shape))
        for name, shape in layout.vision_tensors(s).items()
    }
    return text, vision


def _text_kind(name: str, quant: str, n_layers: int) -> Any:
    most, better = QUANTS[quant]
    if name == "token_embd.weight":
        return better
    if quant == "Q4_K_M" and name.endswith(("attn_v.weight", "ffn_down.weight")):
        layer, eighth = int(name.split(".")[1]), n_layers // 8
        # llama.cpp calls this use_more_bits.
        if not eighth <= layer < 7 * n_layers // 8 or (layer - eighth) % 3 == 2:
            return better
    return most


def _fitting_kind(kind: Any, name: str, shape: Shape) -> Any:
    """`kind`, or the first type after it whose blocks fill a row. For Q4_K, llama.cpp
    tries Q5_0 first; with the true shapes `kind` always fits."""
    if layout.must_be_float32(name, shape):
        return Kind.F32
    kinds = (kind, Kind.Q8_0, Kind.F16)
    return next(k for k in kinds if shape[-1] % GGML_QUANT_SIZES[k][0] == 0)


def _is_there(path: Path, n_bytes: int, about: str) -> bool:
    """Whether the file has this size and the description `about`."""
    if not path.is_file() or not 0 < path.stat().st_size - n_bytes < HEADER_ROOM:
        return False
    with path.open("rb") as file:
        return about.encode() in file.read(1024)
