"""The random pair is a Qwen3-VL to llama.cpp, and its babble is readable."""

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gguf import GGUFReader
from jinja2 import Environment
from llama_cpp import llama_cpp as llama
from llama_cpp import mtmd_cpp as mtmd

from edge.models.byte_vocab import (
    CHAT_TEMPLATE,
    CHINESE,
    ENGLISH,
    ROLES,
    picture_vocabulary,
)
from edge.models.random_weights import TINY, write_pair

# llama.cpp keeps only the address: the callback must live as long as the process.
SILENCE = llama.llama_log_callback(lambda *_: None)

TEXT_TENSORS = {"token_embd.weight", "output_norm.weight"} | {
    f"blk.{n}.{part}.weight"
    for n in range(4)
    for part in (
        *("attn_norm", "attn_q", "attn_q_norm", "attn_k", "attn_k_norm", "attn_v"),
        *("attn_output", "ffn_norm", "ffn_gate", "ffn_up", "ffn_down"),
    )
}
VISION_TENSORS = {
    *("v.patch_embd.weight", "v.patch_embd.weight.1", "v.patch_embd.bias"),
    "v.position_embd.weight",
    *(
        f"{part}.{kind}"
        for kind in ("weight", "bias")
        for part in (
            *("v.post_ln", "mm.0", "mm.2"),
            *(f"v.deepstack.{n}.{p}" for n in range(3) for p in ("norm", "fc1", "fc2")),
            *(f"v.blk.{n}.{p}" for n in range(4) for p in ("ln1", "attn_qkv")),
            *(f"v.blk.{n}.{p}" for n in range(4) for p in ("attn_out", "ln2")),
            *(f"v.blk.{n}.{p}" for n in range(4) for p in ("ffn_up", "ffn_down")),
        )
    ),
}


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_pair(tmp_path_factory.mktemp("tiny"))


def test_same_seed_gives_same_bytes(pair: tuple[Path, Path], tmp_path: Path) -> None:
    again = write_pair(tmp_path / "not" / "there")
    assert [p.read_bytes() for p in again] == [p.read_bytes() for p in pair]


def test_other_seed_gives_other_bytes(pair: tuple[Path, Path], tmp_path: Path) -> None:
    for one, other in zip(pair, write_pair(tmp_path, seed=1), strict=True):
        assert one.read_bytes() != other.read_bytes()
        assert one.stat().st_size == other.stat().st_size


def test_folder_holds_the_two_small_files_and_nothing_else(
    pair: tuple[Path, Path],
) -> None:
    assert [p.name for p in pair] == ["tiny.gguf", "mmproj-tiny.gguf"]
    assert sorted(pair[0].parent.iterdir()) == sorted(pair)
    assert sum(p.stat().st_size for p in pair) < 3_000_000


def test_tensors_are_those_of_a_real_pair(pair: tuple[Path, Path]) -> None:
    for path, names in zip(pair, (TEXT_TENSORS, VISION_TENSORS), strict=True):
        tensors = {t.name: t for t in GGUFReader(path).tensors}
        assert tensors.keys() == names
        for name, tensor in tensors.items():
            in_full = len(tensor.shape) == 1 or name == "v.position_embd.weight"
            assert tensor.tensor_type.name == ("F32" if in_full else "F16"), name


def test_shapes_satisfy_the_architecture() -> None:
    assert sum(TINY.rope_sections) == TINY.head_dim // 2
    assert TINY.vision_hidden // TINY.vision_n_heads % 4 == 0
    assert len(TINY.deepstack_blocks) <= min(TINY.n_layers, TINY.vision_n_blocks)


def test_chat_template_writes_a_turn_with_a_picture() -> None:
    parts = [{"type": "image"}, {"type": "text", "text": "how many?"}]
    messages = [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": parts},
    ]
    template = Environment().from_string(CHAT_TEMPLATE)
    assert template.render(messages=messages, add_generation_prompt=True) == (
        "<|im_start|>system\nbe brief<|im_end|>\n"
        "<|im_start|>user\n<|vision_start|><|image_pad|><|vision_end|>how many?"
        "<|im_end|>\n<|im_start|>assistant\n"
    )


@dataclass
class Loaded:
    """The pair in llama.cpp, with as much of its API as these tests need."""

    model: Any
    vision: Any

    def __post_init__(self) -> None:
        self.vocab = llama.llama_model_get_vocab(self.model)
        self.n_tokens = llama.llama_vocab_n_tokens(self.vocab)

    def tokenize(self, text: str, parse_special: bool = False) -> list[int]:
        raw, ids = text.encode(), (ctypes.c_int * 512)()
        n = llama.llama_tokenize(
            self.vocab, raw, len(raw), ids, len(ids), False, parse_special
        )
        assert n >= 0
        return ids[:n]

    def text_of(self, ids: list[int]) -> bytes:
        pieces, room = [], ctypes.create_string_buffer(64)
        for token in ids:
            n = llama.llama_token_to_piece(self.vocab, token, room, 64, 0, True)
            pieces.append(room.raw[:n])
        return b"".join(pieces)

    def chunk_of(self, picture: np.ndarray) -> Any:
        height, width, _ = picture.shape
        pixels = picture.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8))
        bitmap = mtmd.mtmd_bitmap_init(width, height, pixels)
        part = mtmd.mtmd_input_part(bitmap=bitmap)
        parts = (ctypes.POINTER(mtmd.mtmd_input_part) * 1)(ctypes.pointer(part))
        chunks = mtmd.mtmd_input_chunks_init()
        assert not mtmd.mtmd_tokenize_from_parts(self.vision, chunks, parts, 1, False)
        # <|vision_start|>, the picture, <|vision_end|>
        assert mtmd.mtmd_input_chunks_size(chunks) == 3
        chunk = mtmd.mtmd_input_chunk_copy(mtmd.mtmd_input_chunks_get(chunks, 1))
        mtmd.mtmd_input_chunks_free(chunks)
        mtmd.mtmd_bitmap_free(bitmap)
        return chunk

    def embed(self, chunk: Any) -> np.ndarray:
        assert mtmd.mtmd_encode_chunk(self.vision, chunk) == 0
        n_tokens = mtmd.mtmd_input_chunk_get_n_tokens(chunk)
        shape = (n_tokens, llama.llama_model_n_embd_inp(self.model))
        embedding = mtmd.mtmd_get_output_embd(self.vision)
        return np.ctypeslib.as_array(embedding, shape).copy()

    def answer(
        self, chunk: Any, embedding: np.ndarray, n: int = 0
    ) -> tuple[np.ndarray, list[int]]:
        """Logits after the picture and a question, and the n greedy tokens then."""
        params = llama.llama_context_default_params()
        params.n_ctx, params.n_threads, params.n_threads_batch = 1024, 1, 1
        context = llama.llama_init_from_model(self.model, params)
        position = llama.llama_pos(0)
        floats = embedding.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
        no_callback = mtmd.mtmd_helper_post_decode_callback()
        assert not mtmd.mtmd_helper_decode_image_chunk(
            *(self.vision, context, chunk, floats, 0, 0, 512),
            *(ctypes.byref(position), no_callback, None),
        )

        def step(token: int) -> np.ndarray:
            batch = llama.llama_batch_init(1, 0, 1)
            batch.n_tokens, batch.token[0], batch.pos[0] = 1, token, position.value
            batch.n_seq_id[0], batch.seq_id[0][0], batch.logits[0] = 1, 0, 1
            assert llama.llama_decode(context, batch) == 0
            llama.llama_batch_free(batch)
            position.value += 1
            row = llama.llama_get_logits_ith(context, -1)
            return np.ctypeslib.as_array(row, (self.n_tokens,)).copy()

        for token in self.tokenize("what colour is the circle"):
            first = logits = step(token)
        said: list[int] = []
        while len(said) < n:
            said.append(int(logits.argmax()))
            logits = step(said[-1])
        llama.llama_free(context)
        return first, said


@pytest.fixture(scope="module")
def tiny(pair: tuple[Path, Path]) -> Iterator[Loaded]:
    llama.llama_log_set(SILENCE, None)
    mtmd.mtmd_log_set(SILENCE, None)
    text, tower = (str(path).encode() for path in pair)
    model = llama.llama_model_load_from_file(text, llama.llama_model_default_params())
    params = mtmd.mtmd_context_params_default()
    params.use_gpu, params.warmup, params.n_threads = False, False, 1
    vision = mtmd.mtmd_init_from_file(tower, model, params)
    assert model and vision
    yield Loaded(model, vision)
    mtmd.mtmd_free(vision)
    llama.llama_model_free(model)


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (120, 200, 3), np.uint8)


RED = np.full((120, 200, 3), (255, 0, 0), np.uint8)
BLUE = np.full((120, 200, 3), (0, 0, 255), np.uint8)


@pytest.mark.model
def test_llama_cpp_knows_the_pair_as_a_qwen3_vl(tiny: Loaded) -> None:
    assert llama.llama_model_n_embd(tiny.model) == TINY.hidden
    assert llama.llama_model_n_embd_inp(tiny.model) == 4 * TINY.hidden
    assert llama.llama_model_n_ctx_train(tiny.model) == TINY.n_context
    assert llama.llama_model_rope_type(tiny.model) == llama.LLAMA_ROPE_TYPE_IMROPE
    assert llama.llama_model_chat_template(tiny.model, None).decode() == CHAT_TEMPLATE
    assert mtmd.mtmd_support_vision(tiny.vision)
    assert mtmd.mtmd_decode_use_mrope(tiny.vision)
    assert not mtmd.mtmd_decode_use_non_causal(tiny.vision, None)


@pytest.mark.model
@pytest.mark.parametrize("height, width", [(120, 200), (256, 256), (64, 640)])
def test_picture_becomes_finite_embeddings(
    tiny: Loaded, height: int, width: int
) -> None:
    picture = np.resize(noise(0), (height, width, 3))
    embedding = tiny.embed(tiny.chunk_of(picture))
    assert embedding.shape == (round(height / 32) * round(width / 32), 4 * TINY.hidden)
    assert np.isfinite(embedding).all()
    assert (embedding.std(axis=0) > 0.01).all()


@pytest.mark.model
@pytest.mark.parametrize(
    "one, other",
    [(noise(0), noise(1)), (RED, BLUE), (noise(0), BLUE)],
    ids=["two noises", "red and blue", "noise and blue"],
)
def test_other_picture_gives_other_logits(
    tiny: Loaded, one: np.ndarray, other: np.ndarray
) -> None:
    chunks = [tiny.chunk_of(one), tiny.chunk_of(other)]
    first, second = (tiny.answer(c, tiny.embed(c))[0] for c in chunks)
    assert np.abs(first - second).max() > 2


@pytest.mark.model
@pytest.mark.parametrize("level", range(4))
def test_main_path_and_every_deepstack_level_count(tiny: Loaded, level: int) -> None:
    chunk = tiny.chunk_of(noise(0))
    embedding = tiny.embed(chunk)
    whole, _ = tiny.answer(chunk, embedding)
    embedding[:, level * TINY.hidden : (level + 1) * TINY.hidden] = 0
    without, _ = tiny.answer(chunk, embedding)
    assert np.abs(whole - without).max() > 0.5


@pytest.mark.model
@pytest.mark.parametrize("seed", range(3))
def test_babble_is_many_whole_words_without_an_end(tiny: Loaded, seed: int) -> None:
    chunk = tiny.chunk_of(noise(seed))
    _, said = tiny.answer(chunk, tiny.embed(chunk), n=200)
    words = picture_vocabulary()
    assert {*words.english, *words.chinese}.issuperset(said)
    assert len(set(said)) > 40
    assert tiny.text_of(said).decode()


@pytest.mark.model
@pytest.mark.parametrize("control", picture_vocabulary().control)
def test_user_text_never_becomes_a_control_token(tiny: Loaded, control: str) -> None:
    [token] = tiny.tokenize(control, parse_special=True)
    attributes = llama.llama_vocab_get_attr(tiny.vocab, token)
    assert attributes & llama.LLAMA_TOKEN_ATTR_CONTROL
    typed = tiny.tokenize(control, parse_special=False)
    assert len(typed) > 1 and max(typed) < len(picture_vocabulary().plain)
    assert tiny.text_of(typed) == control.encode()


@pytest.mark.model
def test_the_ends_are_those_of_qwen(tiny: Loaded) -> None:
    id_of = picture_vocabulary().id_of
    assert llama.llama_vocab_eos(tiny.vocab) == id_of("<|im_end|>")
    assert llama.llama_vocab_pad(tiny.vocab) == id_of("<|endoftext|>")
    assert not llama.llama_vocab_get_add_bos(tiny.vocab)
    ends = {t for t in range(tiny.n_tokens) if llama.llama_vocab_is_eog(tiny.vocab, t)}
    assert ends == {id_of("<|im_end|>"), id_of("<|endoftext|>")}


@pytest.mark.model
def test_every_listed_word_is_one_token(tiny: Loaded) -> None:
    listed = [*ENGLISH.split(), *CHINESE.split(), *ROLES.split()]
    spaced = [f" {word}" for word in ENGLISH.split()]
    assert [w for w in listed + spaced if len(tiny.tokenize(w)) != 1] == []


@pytest.mark.model
@pytest.mark.parametrize(
    "text",
    [
        "There are 3 red circles, aren't there?\n\n\tYes: \\o/ {'a': [1.5]}  ",
        "图片里有三个红色的圆形，左边是一只猫。龘",
        "naïve café, Ελλάδα, привет, 👩‍👩‍👧 \u200b",
    ],
)
def test_any_text_survives_the_tokenizer(tiny: Loaded, text: str) -> None:
    assert tiny.text_of(tiny.tokenize(text)).decode() == text
