"""Sampling: biases, penalties, and JSON that fits a schema."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing

import jsonschema
import pytest

from edge.engine.engine import Engine
from edge.errors import InvalidRequest
from edge.events import Finished
from edge.llamacpp.model import Model
from edge.llamacpp.runtime import LlamaRuntime
from edge.request import Message, Request, SamplingParams
from edge.schemas.reading import read
from edge.stubs.vision import StubTower

pytestmark = pytest.mark.model

SCHEMA = {
    "type": "object",
    "properties": {
        "colour": {"enum": ["red", "blue", "绿"]},
        "sizes": {"type": "array", "items": {"type": "boolean"}, "maxItems": 3},
        "large": {"type": "boolean"},
    },
    "required": ["colour", "sizes", "large"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def engine(babble) -> Iterator[Engine]:
    """Over a model that, left alone, says anything at all."""
    runtime = LlamaRuntime(
        Model(babble[0]), n_slots=2, n_cells=1024, max_batch=128, threads=1, n_idle=2
    )
    with closing(Engine(runtime, StubTower())) as one:
        yield one


def answer(engine: Engine, **sampling: object) -> str:
    params = SamplingParams(**{"max_tokens": 120, **sampling})
    ticket = engine.submit(Request((Message("user", ("hello",)),), params), {})
    while not isinstance(event := ticket.next(timeout_s=20), Finished):
        assert event is not None
    return event.answer.text


@pytest.mark.parametrize("temperature", [0.0, 1.0, 2.0])
def test_an_answer_fits_its_schema(engine: Engine, temperature: float) -> None:
    for seed in range(3):
        text = answer(engine, grammar=read(SCHEMA), temperature=temperature, seed=seed)
        jsonschema.validate(json.loads(text), SCHEMA)


def test_a_seed_makes_a_constrained_answer_repeatable(engine: Engine) -> None:
    ask = {"grammar": read(SCHEMA), "temperature": 1.0, "seed": 3}
    assert answer(engine, **ask) == answer(engine, **ask)


def test_a_forbidden_token_is_never_said(engine: Engine) -> None:
    free = answer(engine, max_tokens=1)
    runtime = engine._runtime
    token = next(t for t in range(1024) if runtime.piece(t) == free.encode())
    biased = answer(engine, max_tokens=1, logit_bias=((token, -100.0),))
    assert biased != free
    assert answer(engine, max_tokens=3, logit_bias=((token, 100.0),)) == free * 3


def test_a_token_that_the_model_lacks_is_refused(engine: Engine) -> None:
    with pytest.raises(InvalidRequest, match="999999999"):
        answer(engine, logit_bias=((999_999_999, 1.0),))


def test_a_repeat_penalty_makes_an_answer_more_varied(engine: Engine) -> None:
    plain, varied = (
        len(set(answer(engine, repeat_penalty=penalty))) for penalty in (1.0, 2.0)
    )
    assert varied > plain
