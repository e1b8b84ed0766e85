"""What sampling parameters make of an answer, over the stubs and all backends."""

from __future__ import annotations

import json
import math
from contextlib import closing
from typing import Any

import pytest

from edge.engine import prepare
from edge.engine.engine import Engine
from edge.errors import InvalidRequest
from edge.events import Failed, Finished, Token
from edge.request import Answer, Message, Request, SamplingParams
from edge.schemas.reading import read
from tests.contract.conftest import Pair

# The end of a chat template of a model that thinks.
THINKS = "{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n<think>\\n' }}"


def answered(engine: Engine, text: str = "Hello", **sampling: Any) -> Answer:
    """The answer, whose text is that of its events."""
    request = Request((Message("user", (text,)),), SamplingParams(**sampling))
    ticket = engine.submit(request, {})
    seen: list[object] = []
    while not seen or not isinstance(seen[-1], Finished | Failed):
        seen.append(ticket.next(timeout_s=20))
    assert isinstance(seen[-1], Finished), seen[-1]
    text = "".join(event.text for event in seen if isinstance(event, Token))
    assert text == seen[-1].answer.text
    return seen[-1].answer


def test_an_answer_has_its_fewest_tokens(pair: Pair) -> None:
    with closing(Engine(*pair)) as engine:
        usual = answered(engine)
        assert usual.finish_reason == "stop"
        n = usual.usage.completion_tokens
        for temperature in (0.0, 0.9):
            longer = answered(
                engine, min_tokens=n + 5, max_tokens=n + 9, temperature=temperature
            )
            assert longer.usage.completion_tokens >= n + 5
            # an end counts, and comes behind the fewest tokens
            is_cut = longer.finish_reason == "length"
            assert not is_cut or longer.usage.completion_tokens == n + 9
        assert answered(engine, min_tokens=n - 1).text == usual.text


def test_an_end_can_be_ignored(pair: Pair) -> None:
    with closing(Engine(*pair)) as engine:
        usual = answered(engine)
        n = usual.usage.completion_tokens + 300  # longer than the guard of repetition
        longer = answered(engine, ignore_eos=True, max_tokens=n)
        assert (longer.finish_reason, longer.usage.completion_tokens) == ("length", n)
        assert longer.text.startswith(usual.text)


def test_a_stop_token_ends_an_answer_without_its_text(pair: Pair) -> None:
    runtime, _ = pair
    with closing(Engine(*pair)) as engine:
        usual = answered(engine)
        tokens = runtime.tokenize(usual.text, special=False)
        stop = next(n for n in range(2, len(tokens)) if tokens[n] not in tokens[:n])
        before = b"".join(map(runtime.piece, tokens[:stop])).decode()
        stopped = answered(engine, stop_token_ids=(tokens[stop],), ignore_eos=True)
        assert (stopped.text, stopped.finish_reason) == (before, "stop")
        assert stopped.usage.completion_tokens == stop + 1
        later = answered(
            engine, stop_token_ids=(tokens[stop],), min_tokens=stop + 3, max_tokens=99
        )
        assert later.usage.completion_tokens > stop + 1


@pytest.mark.parametrize("field", ["stop_token_ids", "logit_bias"])
def test_a_token_that_the_model_lacks_is_refused(pair: Pair, field: str) -> None:
    token = pair[0].n_vocab
    named = {"stop_token_ids": (token,), "logit_bias": ((token, 1.0),)}
    with (
        closing(Engine(*pair)) as engine,
        pytest.raises(InvalidRequest) as refusal,
    ):
        answered(engine, **{field: named[field]})
    assert refusal.value.param == field


def test_an_answer_says_how_long_it_could_be(pair: Pair) -> None:
    with closing(Engine(*pair)) as engine:
        assert answered(engine, max_tokens=7).max_tokens == 7
        n_cells = pair[0].n_cells
        answer = answered(engine, max_tokens=2**31 - 1)
        assert answer.max_tokens == n_cells - answer.usage.prompt_tokens + 1


SCHEMA = read(
    {
        "type": "object",
        "properties": {"a": {"enum": ["x", "y"]}},
        "required": ["a"],
        "additionalProperties": False,
    }
)


@pytest.mark.parametrize(
    "sampling", [{}, {"temperature": 1.2, "seed": 5}, {"grammar": SCHEMA}]
)
def test_each_token_has_its_logprobs(pair: Pair, sampling: dict[str, Any]) -> None:
    sampling = sampling | {"max_tokens": 40}
    with closing(Engine(*pair)) as engine:
        plain = answered(engine, **sampling)
        answer = answered(engine, logprobs=5, **sampling)
        bare = answered(engine, logprobs=0, **sampling)
    assert plain.logprobs is None
    assert plain.text == answer.text == bare.text
    assert answer.logprobs and bare.logprobs
    # the end has none, and a character may be cut off at the very end
    assert len(answer.logprobs) in (
        answer.usage.completion_tokens,
        answer.usage.completion_tokens - 1,
    )
    written = "".join(one.token for one in answer.logprobs).encode("latin-1")
    assert written.decode(errors="replace") == answer.text
    for one in answer.logprobs:
        values = [value for _, value in one.likeliest]
        assert len(values) == 5 and values == sorted(values, reverse=True)
        assert sum(map(math.exp, values)) <= 1.00001
        assert one.logprob <= values[0] <= 0
        in_place = dict(one.likeliest)
        assert in_place.get(one.token, one.logprob) == one.logprob
        if not sampling.keys() & {"temperature", "grammar"}:
            assert one.token == one.likeliest[0][0]
    assert all(one.likeliest == () for one in bare.logprobs)
    pairs = zip(answer.logprobs, bare.logprobs, strict=True)
    assert all(abs(a.logprob - b.logprob) < 0.5 for a, b in pairs)


def test_logprobs_end_before_a_stop_string(pair: Pair) -> None:
    with closing(Engine(*pair)) as engine:
        usual = answered(engine)
        stop = usual.text[8:11]
        answer = answered(engine, stop=(stop,), logprobs=0)
    assert answer.logprobs
    written = "".join(one.token for one in answer.logprobs).encode("latin-1")
    assert written.decode(errors="replace").startswith(answer.text)
    before = "".join(one.token for one in answer.logprobs[:-1])
    assert len(before) < len(answer.text.encode())


def test_logprobs_bound_an_answer(pair: Pair, monkeypatch: Any) -> None:
    monkeypatch.setattr(prepare, "MOST_LOGPROBS", 30)
    with closing(Engine(*pair)) as engine:
        assert answered(engine, logprobs=5).max_tokens == 5
        assert answered(engine, max_tokens=9).max_tokens == 9


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("budget", [0, 1, 9])
def test_thoughts_have_a_budget_and_the_answer_its_form(
    pair: Pair, temperature: float, budget: int
) -> None:
    """The model has no thoughts of its own: what it writes first is taken for some."""
    with closing(Engine(*pair, chat_template=THINKS)) as engine:
        answer = answered(
            engine,
            thinking_budget=budget,
            grammar=SCHEMA,
            temperature=temperature,
            logprobs=0,
            max_tokens=60,
        )
    opening, thoughts, rest = answer.text.partition("<think>\n")
    thoughts, closing_mark, form = rest.partition("</think>")
    assert (opening, closing_mark) == ("", "</think>")
    assert bool(thoughts) == (budget > 0)
    assert json.loads(form)["a"] in ("x", "y")
    assert answer.finish_reason == "stop"
    assert answer.logprobs
    n_thoughts = answer.usage.reasoning_tokens
    begun = "".join(one.token for one in answer.logprobs[:n_thoughts])
    assert _text(begun) == thoughts + closing_mark
    written = "".join(one.token for one in answer.logprobs)
    assert "<think>\n" + _text(written) == answer.text


def _text(tokens: str) -> str:
    """The text of tokens, whose characters are bytes: by chance not always UTF-8."""
    return tokens.encode("latin-1").decode(errors="replace")


def test_a_model_may_be_asked_not_to_think(pair: Pair) -> None:
    request = Request(
        (Message("user", ("Hello",)),), SamplingParams(max_tokens=9), thinks=False
    )
    with closing(Engine(*pair, chat_template=THINKS)) as engine:
        ticket = engine.submit(request, {})
        while not isinstance(event := ticket.next(timeout_s=20), Finished):
            pass
    assert "<think>" not in event.answer.text
