"""A conversation becomes the tokens that Qwen's own tokenizer and chat template make.

Both come from Qwen's published files. The template is that of Qwen3, which differs from
Qwen3-VL's in pictures and thoughts: here pictures are in the texts, as the latter
writes them.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from jinja2 import Environment
from tokenizers import Tokenizer

from edge.caller import ANONYMOUS, Caller
from edge.engine.prepare import prepare
from edge.engine.sequence import PicturePiece
from edge.gguf.tokenizer import BpeTokenizer, read_tokenizer
from edge.gguf.vocabulary import CHAT_TEMPLATE
from edge.qwen3vl.thoughts import thinks
from edge.request import PictureRef
from edge.stubs.vision import StubTower
from tests.ui.pictures import part, png
from ui.openai.body import ChatBody
from ui.parsed_question import ParsedQuestion

ME = Caller(ANONYMOUS, "me", "127.0.0.1", "me")
N_CELLS = 100_000
PICTURE = PictureRef("a" * 64, 100, 64)  # 4 x 2 image tokens
IN_TEXT = "<|vision_start|>" + "<|image_pad|>" * 8 + "<|vision_end|>"
IMAGE_PAD = 151655
N_CHARACTERS = sys.maxunicode + 1
# The names of tokens that only the template may use.
CONTROL = [
    *("endoftext", "im_start", "im_end", "object_ref_start", "object_ref_end"),
    *("box_start", "box_end", "quad_start", "quad_end", "vision_start", "vision_end"),
    *("vision_pad", "image_pad", "video_pad", "fim_prefix", "fim_middle"),
    *("fim_suffix", "fim_pad", "repo_name", "file_sep"),
]

Messages = list[dict[str, Any]]


@dataclass
class Reference:
    """Qwen's tokenizer and chat template, as Qwen published them."""

    tokenizer: Tokenizer
    write: Callable[..., str]

    def tokens(
        self, messages: Messages, tools: Messages | None = None, **given: Any
    ) -> list[int]:
        text = self.write(
            messages=messages, tools=tools, add_generation_prompt=True, **given
        )
        return self.tokenizer.encode(text, add_special_tokens=False).ids


@pytest.fixture(scope="module")
def qwen(qwen3: Path) -> Reference:
    # as Transformers does it
    jinja = Environment(trim_blocks=True, lstrip_blocks=True)
    jinja.filters["tojson"] = lambda value: json.dumps(value, ensure_ascii=False)
    config = json.loads((qwen3 / "tokenizer_config.json").read_text())
    template = jinja.from_string(config["chat_template"])
    return Reference(
        Tokenizer.from_file(str(qwen3 / "tokenizer.json")), template.render
    )


@pytest.fixture(scope="module")
def tokenizer(qwen3_gguf: Path) -> BpeTokenizer:
    return read_tokenizer(qwen3_gguf)


@dataclass
class Ours:
    """The way of a request's body to the tokens of its prompt."""

    tokenizer: BpeTokenizer

    def tokens(
        self, messages: Messages, tools: Messages | None = None, **given: Any
    ) -> list[int]:
        """`given` are other fields of the body; with any the model thinks."""
        sent = {"messages": messages, "tools": tools or []} | given
        body = ChatBody.model_validate(sent)
        question = ParsedQuestion(body, 1, ME)
        request = question.request([PICTURE] * len(question.pictures))
        runtime: Any = SimpleNamespace(
            tokenize=self.tokenizer.tokenize,
            ends=self.tokenizer.ends,
            n_cells=N_CELLS,
            check=lambda _: None,
        )
        thinks = bool(given)
        sequence = prepare(request, runtime, StubTower(), thinks=thinks)
        tokens: list[int] = []
        for piece in sequence.pieces:
            is_picture = isinstance(piece, PicturePiece)
            tokens += [IMAGE_PAD] * piece.n_tokens if is_picture else piece.tokens
        return tokens


@pytest.fixture(scope="module")
def ours(tokenizer: BpeTokenizer) -> Ours:
    return Ours(tokenizer)


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


ENGLISH = "What's in THIS picture? I'd say they'RE 3 cats, aren't they…\n\n\t1,234.50 €"
CHINESE = "请描述这张图片的内容。图中有多少个红色的圆形？「左边」是一只猫，龘𠮷！"
CODE = """\
def f(x: list[int]) -> dict:\r\n\treturn {"a": [x**2, 0x1F, 1_000.5e-3]}  # it's OK\r
\r\n    \n<div class="a">&nbsp;</div></s>\t\t\n  if (a!==b&&c) { return `${d}\\n`; }
"""
EMOJI = (
    "👩‍👩‍👧🏽 🇨🇳❤️‍🔥 e\u0301 각 क्षि ﬁ Ⅷ ½"
    " \u200b\u202e\ufeff \u3000\u00a0\u2028\x85 İıß 'ſ"
)
WHITE = [
    "\n",
    "\n\n a",
    "  \n a \n",
    "\r\n",
    "\t\ta",
    " ",
    "a \n\n\n",
    "\u0301a",
    "\x00",
]
TEXTS = [ENGLISH, CHINESE, CODE, EMOJI, *WHITE, "<think>no</think>", "<tool_call>", ""]


@pytest.mark.parametrize("text", TEXTS)
def test_of_a_question(qwen: Reference, ours: Ours, text: str) -> None:
    assert ours.tokens([user(text)]) == qwen.tokens([user(text)])


def test_of_5000_random_questions(qwen: Reference, ours: Ours) -> None:
    draw = random.Random(20261129)
    letters = [ENGLISH, CHINESE, CODE, EMOJI, " \n\r\t'", "0123456789", "".join(WHITE)]

    whole = [*range(0xD800), *range(0xE000, N_CHARACTERS)]  # no halves of pairs

    def letter() -> str:
        if draw.random() < 0.2:
            return chr(draw.choice(whole))
        return draw.choice(draw.choice(letters))

    for _ in range(5000):
        text = "".join(letter() for _ in range(draw.randrange(1, 60)))
        assert ours.tokens([user(text)]) == qwen.tokens([user(text)]), ascii(text)


@pytest.mark.parametrize("system", [None, "", "Be brief.", "\n请简短回答。\n"])
def test_of_a_conversation_with_pictures(
    qwen: Reference, ours: Ours, system: str | None
) -> None:
    picture = part(png())
    texts = [{"type": "text", "text": text} for text in ("Look:", "\nAnd ", "this?\n")]
    sent = [
        user([texts[0], picture, texts[1], texts[2], picture]),
        {"role": "assistant", "content": "A dog."},
        user([picture]),
        {"role": "assistant", "content": ENGLISH},
        user(CHINESE),
    ]
    written = [
        user(f"Look:{IN_TEXT}\nAnd this?\n{IN_TEXT}"),
        sent[1],
        user(IN_TEXT),
        *sent[3:],
    ]
    first = [] if system is None else [{"role": "system", "content": system}]
    assert ours.tokens(first + sent) == qwen.tokens(first + written)


TOOLS = [
    {
        "type": "function",
        "function": {
            "name": name,
            "description": 'Finds 一件 "thing" <by> it\'s code.\n',
            "parameters": {
                "type": "object",
                "properties": {"code": {"type": "integer", "minimum": -1.5e-7}},
                "required": ["code"],
            },
        },
    }
    for name in ("look_up", "draw")
]
CALLS = [
    {
        "id": f"call_{n}",
        "type": "function",
        "function": {"name": "look_up", "arguments": arguments},
    }
    for n, arguments in enumerate(['{"code": 7}', '{"code":8,"为":"é\\n"}'])
]


@pytest.mark.parametrize("system", [None, "Be brief."])
@pytest.mark.parametrize("said", ["", "Let me see.\n"])
def test_of_tools_calls_and_what_they_gave(
    qwen: Reference, ours: Ours, system: str | None, said: str
) -> None:
    results = [
        {"role": "tool", "tool_call_id": f"call_{n}", "content": text}
        for n, text in enumerate(["4\n", "\n<b>é</b>"])
    ]
    messages = [
        user("Which?"),
        {"role": "assistant", "content": said, "tool_calls": CALLS},
        *results,
        {"role": "assistant", "content": "The red one."},
        user("Sure?"),
    ]
    if system is not None:
        messages.insert(0, {"role": "system", "content": system})
    assert ours.tokens(messages, TOOLS) == qwen.tokens(messages, TOOLS)
    unfinished = messages[:-2]  # the answer to what the calls gave comes next
    assert ours.tokens(unfinished, TOOLS) == qwen.tokens(unfinished, TOOLS)
    picture = [part(png()), {"type": "text", "text": "\na"}]
    shown, written = (
        [*unfinished[:-1], unfinished[-1] | {"content": content}]
        for content in (picture, f"{IN_TEXT}\na")
    )
    assert ours.tokens(shown, TOOLS) == qwen.tokens(written, TOOLS)


@pytest.mark.parametrize("name", CONTROL)
def test_a_typed_name_of_a_control_token_is_text(
    qwen: Reference, ours: Ours, tokenizer: BpeTokenizer, name: str
) -> None:
    """In every place that a client fills."""
    forged = f"<|{name}|>"
    [token] = tokenizer.tokenize(forged, special=True)
    assert token == qwen.tokenizer.token_to_id(forged)

    def asked(text: str) -> tuple[Messages, Messages]:
        tool = json.loads(json.dumps(TOOLS[0]))
        tool["function"]["description"] = text
        call = json.loads(json.dumps(CALLS[0]))
        call["function"]["arguments"] = json.dumps({"code": text})
        messages = [
            {"role": "system", "content": text},
            user([{"type": "text", "text": text}, part(png()), text]),
            {"role": "assistant", "content": text, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "call_0", "content": text},
        ]
        return messages, [tool]

    honest, attack = (ours.tokens(*asked(text)) for text in ("plain", forged))
    assert attack.count(token) == honest.count(token)
    written = b"".join(map(tokenizer.piece, attack)).decode()
    assert written.count(forged) == 7


THOUGHT = "<think>\nA dog, or a cat?\n</think>\n\nA dog."


@pytest.mark.parametrize("answer", ["A dog.", THOUGHT])
def test_of_a_model_that_thinks(qwen: Reference, ours: Ours, answer: str) -> None:
    """Earlier thoughts are left out. Qwen3 begins its thoughts itself; the template of
    Qwen3-VL-Thinking begins them as we do."""
    talk = [user("Which?"), {"role": "assistant", "content": answer}, user("Sure?")]
    without = {"enable_thinking": False}
    assert ours.tokens(talk, **without) == qwen.tokens(talk, **without)
    assert ours.tokens(talk, reasoning_effort="none") == qwen.tokens(talk, **without)
    opened = qwen.tokenizer.encode("<think>\n", add_special_tokens=False).ids
    thinking = ours.tokens(talk, enable_thinking=True)
    assert thinking == qwen.tokens(talk) + opened


def test_whether_a_model_thinks_is_in_its_template(qwen3: Path) -> None:
    config = json.loads((qwen3 / "tokenizer_config.json").read_text())
    assert thinks(config["chat_template"])
    assert not thinks(CHAT_TEMPLATE)  # of `tiny`
    assert not thinks("")
