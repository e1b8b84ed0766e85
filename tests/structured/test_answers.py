"""With any model, an answer that ends fits its schema.

Schemas are drawn, likelihoods are hostile, and the sampler and the vocabulary are those
that serve. The judge is `jsonschema`, which shares no code with ours.
"""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.errors import EngineError, InvalidRequest
from edge.request import SamplingParams
from edge.sampling.sampler import Sampler
from edge.schemas.reading import read
from tests.structured.conftest import Writer
from tests.structured.hostile import PUSHED

pytestmark = pytest.mark.model

NAMES = st.sampled_from(["a", "b", "my key", 'say "x"', "C:\\d", "颜色", "👍", "a/b"])
PATTERNS = st.sampled_from(
    [
        *("^[a-z]+$", r"^\d{3}-[A-Z]{2}$", "red|^blue$", r"\s", r"^\w+$", "^.{2}$"),
        *(r"^[^,]{2}$", "^(😀|😢)$", r'^"[a-z]"$', r"^[a-z]:\\[a-z]{2}$", r"^\S*$"),
        *("", "^$", r"\.", r"^\D{1,3}$", r"\/$", "^[一-龥]{1,2}$", r"^\W?x"),
    ]
)
FORMATS = st.sampled_from(["date", "date-time", "time", "uuid", "email", "ipv4", "odd"])
VALUES = (
    st.none()
    | st.booleans()
    | st.integers(-(10**6), 10**6)
    | st.floats(-1e6, 1e6).map(lambda x: round(x, 4))
    | st.text(max_size=5)
    | st.sampled_from(["a\0b", "C:\\temp", 'say "hi"', "a\nb", "👍", "\u2028", "</s>"])
)
CONSTANTS = (
    VALUES | st.lists(VALUES, max_size=2) | st.dictionaries(NAMES, VALUES, max_size=2)
)


def some(**keywords: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=keywords)


SMALL = st.integers(0, 4)
STRINGS = some(minLength=SMALL, maxLength=st.integers(4, 3000)) | some(
    pattern=PATTERNS, maxLength=st.sampled_from([20, 2000]), format=FORMATS
)
NUMBERS = some(
    minimum=st.integers(-1000, 10) | st.floats(-1000, 10),
    maximum=st.integers(20, 10**9) | st.floats(20, 1e9),
    exclusiveMinimum=st.integers(-5, 5) | st.floats(-5, 5),
    multipleOf=st.integers(1, 12),
)
LEAVES = (
    STRINGS.map(lambda about: {"type": "string"} | about)
    | NUMBERS.map(lambda about: {"type": "integer"} | about)
    | NUMBERS.map(lambda about: {"type": "number"} | about)
    | STRINGS.map(lambda about: {"type": ["string", "null", "integer"]} | about)
    | st.lists(CONSTANTS, min_size=1, max_size=4).map(lambda values: {"enum": values})
    | CONSTANTS.map(lambda value: {"const": value})
    | st.sampled_from([True, {}, {"type": "null"}, {"type": "boolean"}, {"title": "x"}])
    | st.sampled_from([{"$ref": "#/$defs/one"}, {"$ref": "#/$defs/a~1b"}])
)


@st.composite
def objects(draw: st.DrawFn, inner: st.SearchStrategy[Any]) -> dict[str, Any]:
    properties = draw(st.dictionaries(NAMES, inner, max_size=3))
    schema: dict[str, Any] = {
        "type": draw(st.sampled_from(["object", ["object", "null"]]))
    }
    schema["properties"] = properties
    if properties:
        schema["required"] = draw(st.lists(st.sampled_from([*properties]), unique=True))
    if draw(st.booleans()):
        schema["additionalProperties"] = draw(st.booleans() | inner)
    return schema


def deeper(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    arrays = some(
        items=inner,
        prefixItems=st.lists(inner, max_size=2),
        minItems=st.integers(0, 2),
        maxItems=st.integers(2, 3),
    ).map(lambda about: {"type": "array"} | about)
    several = st.lists(inner, min_size=1, max_size=3)
    return (
        objects(inner)
        | arrays
        | several.map(lambda parts: {"anyOf": parts})
        | several.map(lambda parts: {"oneOf": parts})
        | st.lists(inner, min_size=1, max_size=2).map(lambda parts: {"allOf": parts})
    )


SCHEMAS = st.recursive(LEAVES, deeper, max_leaves=8).map(
    lambda schema: {
        "$defs": {
            "one": {"type": "object", "properties": {"next": {"$ref": "#/$defs/one"}}},
            "a/b": {"enum": ["x", 5, None]},
        },
        "allOf": [schema],
    }
)


@settings(max_examples=120, suppress_health_check=[HealthCheck.too_slow])
@given(
    SCHEMAS,
    st.sampled_from([*PUSHED]),
    st.integers(0, 2**31),
    st.sampled_from([0.0, 1.0]),
)
def test_an_answer_that_ends_fits_its_schema(
    writer: Writer, schema: Any, push: str, seed: int, temperature: float
) -> None:
    try:
        text = read(schema)
        answer, has_ended = writer.write(text, push, seed, temperature=temperature)
    except InvalidRequest as refusal:
        assert (refusal.param or "").startswith("response_format")
        return
    answer_text = answer.decode(errors="ignore")
    assert not any(char < " " for char in answer_text)  # compact, on one line
    if has_ended:
        value = json.loads(answer)
        json.dumps(value, ensure_ascii=False).encode()  # no half of a character
        jsonschema.Draft202012Validator(schema).validate(value)


@pytest.mark.parametrize("push", PUSHED)
def test_any_object_is_an_object(writer: Writer, push: str) -> None:
    for seed in range(3):
        answer, has_ended = writer.write(
            read({"type": "object"}), push, seed, temperature=1.0
        )
        assert not has_ended or isinstance(json.loads(answer), dict)


@pytest.mark.parametrize("push", ["digits", "signs"])
@pytest.mark.parametrize("kind", ["integer", "number"])
def test_a_number_ends_and_is_exact(writer: Writer, kind: str, push: str) -> None:
    for seed in range(5):
        answer, has_ended = writer.write(read({"type": kind}), push, seed, most=40)
        assert has_ended
        assert abs(json.loads(answer)) < 2**53


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_tokens_without_finite_logits_are_never_chosen(
    writer: Writer, temperature: float
) -> None:
    n = len(writer.pieces)
    [yes] = (i for i, piece in enumerate(writer.pieces) if piece == b"5")
    params = SamplingParams(temperature=temperature)
    constraint = writer.compiler.constraint(read({"type": "integer"}))
    sampler = Sampler(params, n, constraint)
    for nothing in (np.nan, -np.inf, np.inf):
        logits = np.full(n, nothing, np.float32)
        with pytest.raises(EngineError):
            sampler.sample(logits)
        logits[yes] = -1.0
        assert sampler.sample(logits).tokens[0] == yes
