"""Headers are read completely and fast; other files are refused in one sentence."""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from gguf import GGUFEndian, GGUFReader, GGUFWriter
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.errors import SetupError
from edge.gguf.header import Header, read_header
from edge.models.registry import ModelFiles
from edge.serving.plan import make_plan
from edge.settings import Settings
from tests.models.small import WORDS, write_text, write_vision

KV_ARRAY, KV_UINT32, KV_TEXT = 9, 4, 8
HEADER = 7800  # bytes, of the longer of the two; the files are longer


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("pair")
    return write_text(folder), write_vision(folder)


def test_metadata_keeps_its_types(pair: tuple[Path, Path]) -> None:
    model, mmproj = (read_header(path) for path in pair)
    assert model.architecture == "qwen3vl"
    assert mmproj.architecture == "clip"
    assert model.get("qwen3vl.rope.dimension_sections") == (6, 5, 5, 0)
    assert model.get("tokenizer.ggml.add_bos_token") is False
    assert model.get("qwen3vl.rope.freq_base") == 5e6
    assert model.number("qwen3vl.block_count") == 3
    assert mmproj.get("clip.vision.is_deepstack_layers") == (True, True, False)
    assert mmproj.get("clip.projector_type") == "qwen3vl_merger"
    assert model.get("no.such.key") is None
    assert model.get("no.such.key", 7) == 7


def test_only_size_and_marks_of_the_vocabulary_are_kept(
    pair: tuple[Path, Path],
) -> None:
    model = read_header(pair[0])
    assert model.lengths["tokenizer.ggml.tokens"] == len(WORDS.tokens)
    assert model.marks == set(WORDS.added)


@pytest.mark.parametrize("which", [0, 1])
def test_tensors_equal_those_of_the_gguf_package(
    pair: tuple[Path, Path], which: int
) -> None:
    header, expected = read_header(pair[which]), GGUFReader(pair[which]).tensors
    assert {name: (t.shape, t.n_bytes) for name, t in header.tensors.items()} == {
        t.name: (tuple(t.shape), t.n_bytes) for t in expected
    }
    assert header.tensor_bytes == sum(t.n_bytes for t in expected)


def test_a_missing_number_is_an_error(pair: tuple[Path, Path]) -> None:
    model = read_header(pair[0])
    for key in ("no.such.key", "general.name", "qwen3vl.rope.freq_base"):
        with pytest.raises(SetupError, match=f"{pair[0]} has no usable {key}"):
            model.number(key)
    assert model.number("no.such.key", 3) == 3


def test_a_vocabulary_of_real_size_is_fast(tmp_path: Path) -> None:
    file = GGUFWriter(None, "qwen3vl")
    file.add_token_list([f"Ġtoken{i}" for i in range(151_936)])
    file.add_token_types([1] * 151_936)
    file.add_token_merges([f"Ġtok en{i}" for i in range(151_387)])
    path = written(tmp_path, file)
    began = time.thread_time()
    header = read_header(path)
    assert time.thread_time() - began < 2  # gguf's own reader needs 7 s
    assert header.lengths["tokenizer.ggml.merges"] == 151_387
    assert header.get("tokenizer.ggml.merges") is None


@pytest.mark.parametrize("shape", ["one array", "many arrays", "many keys"])
def test_too_many_texts_are_refused_unread(tmp_path: Path, shape: str) -> None:
    """Empty ones cost eight bytes each and took 10 to 22 s."""
    n, path = 4 << 20, tmp_path / "model.gguf"
    array = struct.pack("<II", KV_ARRAY, KV_TEXT)
    if shape == "one array":
        n_values, rest = 1, text("a") + array + struct.pack("<Q", n) + bytes(8 * n)
    elif shape == "many arrays":
        some = array + struct.pack("<Q", n // 32) + bytes(n // 4)
        n_values, rest = 32, b"".join(text(f"a{i}") + some for i in range(32))
    else:
        n_values, rest = n, bytes(8)
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, n_values) + rest)
    began = time.thread_time()
    assert "damaged header" in refusal(path)
    assert time.thread_time() - began < 6


def test_long_arrays_of_numbers_are_skipped(tmp_path: Path) -> None:
    n, path = 1 << 22, tmp_path / "model.gguf"
    array = struct.pack("<IIQ", KV_ARRAY, KV_UINT32, n) + bytes(4 * n)
    rest = ARCHITECTURE + b"".join(text(f"a{i}") + array for i in range(8))
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, 9) + rest + bytes(32))
    began = time.thread_time()
    header = read_header(path)
    assert time.thread_time() - began < 2
    assert header.lengths["a7"] == n
    assert header.get("a7") is None


def written(folder: Path, file: GGUFWriter) -> Path:
    """`file` with one small tensor."""
    path = folder / "file.gguf"
    file.add_tensor("a.weight", np.zeros((4, 4), np.float32))
    file.write_header_to_file(path)
    file.write_kv_data_to_file()
    file.write_tensors_to_file()
    file.close()
    return path


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty: download it again (edge models pull)."),
        (b"GG", "has only 2 bytes: download it again (edge models pull)."),
        (b"GGUF\3", "has only 5 bytes: download it again (edge models pull)."),
        (b"GGUF\3\0\0\0\1", "ends in its header, after 9 bytes: download it again"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0000\nsize 9\n",
            "is a Git LFS pointer, not the model: download it again",
        ),
        (b"<!DOCTYPE html>\n<title>404</title>", "is a web page, not the model: "),
        (b"\n\n  <html><head>", "is a web page, not the model: download it again"),
        (b"<?xml version='1.0'?><Error>", "is a web page, not the model: "),
        (
            struct.pack("<Q", 99) + b'{"__metadata__":{"format":"pt"}}',
            "is a safetensors file, and this engine needs GGUF: use the .gguf file",
        ),
        (b"PK\3\4" + bytes(40), "is a zip archive or a PyTorch file, and this "),
        (b"\x80\2}q\0X" + bytes(40), "is a Python pickle, and this engine needs GGUF"),
        (b"Entry not found", "is not a GGUF file: download it again"),
        (b"ggjt\3\0\0\0" + bytes(40), "is not a GGUF file: download it again"),
        (b"GGUF\1\0\0\0" + bytes(40), "is GGUF version 1, and this engine reads "),
        (b"GGUF\4\0\0\0" + bytes(40), "is GGUF version 4, and this engine reads "),
        (b"GGUF\0\0\0\0" + bytes(40), "is GGUF version 0, and this engine reads "),
    ],
)
def test_other_files_are_named_by_type(
    tmp_path: Path, content: bytes, sentence: str
) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(content)
    assert refusal(path).startswith(f"{path} {sentence}")


def refusal(path: Path) -> str:
    with pytest.raises(SetupError) as caught:
        read_header(path)
    message = caught.value.message
    assert str(path) in message
    assert message.endswith(".")
    return message


def test_a_missing_file_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    assert refusal(path) == f"There is no model file at {path}."
    path.symlink_to(tmp_path / "elsewhere")
    assert refusal(path) == f"There is no model file at {path}."


def test_a_folder_is_not_a_file(tmp_path: Path) -> None:
    sentence = f"{tmp_path} is a folder: name the .gguf file in it."
    assert refusal(tmp_path) == sentence


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(path := tmp_path / "model.gguf")
    assert refusal(path) == f"{path} is not a file: name a .gguf file."


def test_an_endless_device_is_not_read() -> None:
    assert "is not a file" in refusal(Path("/dev/zero"))


def test_an_unreadable_file_is_reported(
    pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    assert refusal(pair[0]) == f"{pair[0]} cannot be read: Permission denied."


def test_big_endian(tmp_path: Path) -> None:
    path = written(tmp_path, GGUFWriter(None, "qwen3vl", endianess=GGUFEndian.BIG))
    sentence = f"{path} is a big-endian GGUF: use the little-endian file of this model."
    assert refusal(path) == sentence


def test_one_part_of_a_split_file(tmp_path: Path) -> None:
    file = GGUFWriter(None, "qwen3vl")
    file.add_uint16("split.count", 3)
    path = written(tmp_path, file)
    assert refusal(path).startswith(
        f"{path} is one of 3 parts: make one file of them with llama-gguf-split"
    )


def test_a_split_file_with_one_part(tmp_path: Path) -> None:
    file = GGUFWriter(None, "qwen3vl")
    file.add_uint16("split.count", 1)
    assert read_header(written(tmp_path, file)).get("split.count") == 1


def test_a_file_cut_in_its_weights_is_measured(
    pair: tuple[Path, Path], tmp_path: Path
) -> None:
    whole = pair[0].read_bytes()
    cut = tmp_path / "model.gguf"
    cut.write_bytes(whole[:-1000])
    assert refusal(cut) == (
        f"{cut} has {len(whole) - 1000:,} of {len(whole):,} bytes: "
        "download it again (edge models pull)."
    )


def test_alignment_moves_the_weights(tmp_path: Path) -> None:
    file = GGUFWriter(None, "qwen3vl")
    file.add_custom_alignment(4096)
    path = written(tmp_path, file)
    assert read_header(path).tensors["a.weight"].n_bytes == 64
    path.write_bytes(path.read_bytes()[: 4096 + 63])
    assert "has 4,159 of 4,160 bytes" in refusal(path)


def text(content: str) -> bytes:
    return struct.pack("<Q", len(content)) + content.encode()


ARCHITECTURE = text("general.architecture") + struct.pack("<I", KV_TEXT) + text("clip")


@pytest.mark.parametrize(
    ("n_tensors", "n_values", "rest"),
    [
        (1 << 62, 0, b""),
        (0, 1 << 62, bytes(4000)),
        (0, 1, struct.pack("<Q", 1 << 60) + bytes(4000)),
        (0, 1, text("")),
        (0, 0, b""),  # no architecture
        (0, 2, ARCHITECTURE + ARCHITECTURE),
        (0, 1, text("a") + struct.pack("<I", 13) + bytes(8)),
        (0, 1, text("a") + struct.pack("<IIQ", KV_ARRAY, KV_ARRAY, 1) + bytes(99)),
        (0, 1, text("a") + struct.pack("<IIQ", KV_ARRAY, KV_TEXT, 1 << 60)),
        (0, 1, text("general.architecture") + struct.pack("<II", KV_UINT32, 1)),
        (1, 1, ARCHITECTURE + text("t") + struct.pack("<I", 5) + bytes(99)),
        (1, 1, ARCHITECTURE + text("t") + struct.pack("<IQIQ", 1, 33, 2, 0)),
        (0, 2, ARCHITECTURE + text("general.alignment") + struct.pack("<II", 4, 0)),
        (0, 2, ARCHITECTURE + text("general.alignment") + struct.pack("<II", 4, 33)),
        (0, 2, ARCHITECTURE + text("general.alignment") + struct.pack("<Ii", 5, -32)),
        (0, 2, ARCHITECTURE + text("general.alignment") + struct.pack("<If", 6, 32)),
    ],
)
def test_damaged_headers(
    tmp_path: Path, n_tensors: int, n_values: int, rest: bytes
) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, n_tensors, n_values) + rest)
    assert refusal(path).startswith(f"{path} has a damaged header: download it again")


def test_weights_in_an_unknown_format(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    tensor = text("a.weight") + struct.pack("<IQIQ", 1, 32, 99, 0)
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 1, 1) + ARCHITECTURE + tensor)
    assert refusal(path) == (
        f"{path} stores a.weight in a format that this engine does not know "
        "(number 99): use a Q4_K_M, Q8_0 or F16 file."
    )


def all_checks(model: Path, mmproj: Path) -> Header:
    """All checks before a backend loads the files."""
    files = ModelFiles("damaged", model, mmproj)
    return make_plan(Settings(), files, use_tuning=False).files.model_header


Damage = Callable[[bytes], bytes]


@pytest.fixture(scope="module")
def survives(
    pair: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[int, Damage], Header | None]:
    """What the checks make of one of the files after some damage: a header, or None
    for a SetupError. Anything else fails the test."""
    folder = tmp_path_factory.mktemp("damaged")

    def check(which: int, damage: Damage) -> Header | None:
        paths = list(pair)
        paths[which] = folder / "damaged.gguf"
        paths[which].write_bytes(damage(pair[which].read_bytes()))
        try:
            return all_checks(*paths)
        except SetupError:
            return None

    return check


def test_undamaged_files_pass(
    survives: Callable[[int, Damage], Header | None],
) -> None:
    assert survives(0, bytes)
    assert survives(1, bytes)


@given(which=st.sampled_from([0, 1]), data=st.data())
@settings(max_examples=200)
def test_cut_anywhere_is_an_error(
    survives: Callable[[int, Damage], Header | None],
    pair: tuple[Path, Path],
    which: int,
    data: st.DataObject,
) -> None:
    size = pair[which].stat().st_size
    keep = data.draw(st.integers(0, HEADER) | st.integers(0, size - 1))
    assert survives(which, lambda whole: whole[:keep]) is None


@given(
    which=st.sampled_from([0, 1]),
    flips=st.lists(st.tuples(st.integers(0, HEADER), st.integers(1, 255)), min_size=1),
)
@settings(max_examples=400)
def test_flipped_bits_are_harmless_or_an_error(
    survives: Callable[[int, Damage], Header | None],
    which: int,
    flips: list[tuple[int, int]],
) -> None:
    def flip(whole: bytes) -> bytes:
        content = bytearray(whole)
        for place, bits in flips:
            content[place] ^= bits
        return bytes(content)

    survives(which, flip)
