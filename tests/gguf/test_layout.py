"""The two files of a Qwen3-VL as llama.cpp expects them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from gguf import GGUFReader
from jinja2 import Environment
from llama_cpp import llama_cpp as lib

from edge.gguf.layout import (
    QWEN3_VL_2B,
    TINY,
    Shapes,
    text_tensors,
    vision_tensors,
)
from edge.gguf.vocabulary import CHAT_TEMPLATE, CONTROL, LETTERS, learn
from edge.llamacpp.model import Model
from training.vocabulary import vocabulary


@pytest.fixture(scope="module")
def model(tiny: tuple[Path, Path]) -> Iterator[Model]:
    with closing(Model(tiny[0])) as one:
        yield one


def test_the_bundled_files_hold_the_tensors_of_their_layout(tiny) -> None:
    plans = text_tensors(TINY, len(vocabulary().tokens)), vision_tensors(TINY)
    for path, plan in zip(tiny, plans, strict=True):
        held = {t.name: tuple(map(int, t.shape)) for t in GGUFReader(path).tensors}
        assert held == {name: shape[::-1] for name, shape in plan.items()}


@pytest.mark.parametrize("shapes", [TINY, QWEN3_VL_2B])
def test_shapes_satisfy_the_architecture(shapes: Shapes) -> None:
    assert sum(shapes.rope_sections) == shapes.head_dim // 2
    assert shapes.vision_hidden // shapes.vision_n_heads % 4 == 0
    levels = len(shapes.deepstack_blocks)
    assert levels <= min(shapes.n_layers, shapes.vision_n_blocks)


def test_the_chat_template_renders_a_picture() -> None:
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


def test_every_byte_and_every_learned_word_is_a_token() -> None:
    words = learn(["cat", " cat", "圆形"])
    assert words.plain[: len(LETTERS)] == tuple(LETTERS.values())
    assert {"cat", "Ġcat", "åľĨå½¢"} <= set(words.plain)
    assert words.added == CONTROL
    assert len(set(words.tokens)) == len(words.tokens)


@pytest.mark.model
def test_llama_cpp_knows_it_as_a_qwen3_vl(model: Model) -> None:
    assert lib.llama_model_n_embd(model.handle) == TINY.hidden
    assert model.n_embd == 4 * TINY.hidden
    assert lib.llama_model_n_ctx_train(model.handle) == TINY.n_context
    assert lib.llama_model_rope_type(model.handle) == lib.LLAMA_ROPE_TYPE_IMROPE
    assert lib.llama_model_chat_template(model.handle, None).decode() == CHAT_TEMPLATE
    assert not lib.llama_vocab_get_add_bos(lib.llama_model_get_vocab(model.handle))
