"""Hostile schemas: none ends, blocks or bloats a worker.

Each attack has ended or stopped a worker that held answers to llama.cpp's grammar, or
is of the same kind. It is refused by name and place, or answered within bounds.
"""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import psutil
import pytest

from edge.errors import EngineError, InvalidRequest
from edge.gguf.tokenizer import BpeTokenizer, read_tokenizer
from edge.sampling.samplers import compiler_over
from edge.schemas.reading import read
from edge.structured.compiler import Compiler
from edge.structured.jail import Jail
from edge.structured.matcher import Constraint, Unusable
from tests.stack.conftest import Stack, running
from tests.structured.hostile import HostileModel


def text(**keywords: Any) -> dict[str, Any]:
    properties = {"a": {"type": "string", **keywords}}
    return {"type": "object", "properties": properties, "required": ["a"]}


def nested(levels: int, key: str) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "integer"}
    for _ in range(levels):
        schema = {key: schema} if key == "items" else {key: [schema, schema]}
    return schema


def bomb(key: str, levels: int = 60) -> dict[str, Any]:
    """Definitions that are each twice the next one."""
    definitions: dict[str, Any] = {
        f"d{i}": {key: [{"$ref": f"#/$defs/d{i + 1}"}] * 2} for i in range(levels)
    }
    definitions[f"d{levels}"] = {"type": "integer"}
    return {"$defs": definitions, "$ref": "#/$defs/d0"}


def nested_references(levels: int) -> dict[str, Any]:
    """Each level is named from the root, and holds all those below it."""
    schema: dict[str, Any] = {"type": "object"}
    for _ in range(levels):
        schema = {"type": "object", "properties": {"a": schema}}
    names = ["#" + "/properties/a" * i for i in range(1, levels)]
    return {"anyOf": [{"$ref": name} for name in names], **schema}


ATTACKS: dict[str, Any] = {
    "long repetition": text(pattern="^a{1,1000000}$"),
    "repetitions in repetitions": text(pattern="^((a{1,99}){1,99}){1,99}$"),
    "optional letters": text(pattern="a?" * 400 + "a" * 400),
    "a hundred optional letters": text(pattern="a?" * 100 + "a" * 100),
    "many alternatives": text(pattern=f"^({'|'.join(['a'] * 500)})*$"),
    "alternatives that overlap": text(pattern="^(a|aa|aaa|aaaa|aaaaa)*b$"),
    "nested stars": text(pattern="^((((((((a*)*)*)*)*)*)*)*)*b$"),
    "remembering a place": text(pattern="^[ab]*a[ab]{90}$"),
    "remembering many places": text(pattern="[ab]*a[ab]{30}c[ab]*d[ab]{30}"),
    "reversed class": text(pattern="^[z-a]$"),
    "slip of a class": text(pattern="^[a-Z]{3}$"),
    "empty class": text(pattern="^[^\\s\\S]$"),
    "pattern that contradicts its length": text(pattern="^.{5}$", maxLength=4),
    "half a character in a pattern": text(pattern="^[\ud800-\udbff]$"),
    "half a character in an enum": text(enum=["\ud83d"]),
    "NUL in an enum": text(enum=["a\0b"]),
    "maxLength": text(maxLength=100_000_000),
    "maxLength of an agent": text(maxLength=65_536),
    "maxLength beyond machines": text(maxLength=10**30),
    "minLength": text(minLength=20_000_000),
    "maxItems": {"type": "array", "items": {"type": "string"}, "maxItems": 20_000_000},
    "minItems": {"type": "array", "items": {"type": "string"}, "minItems": 30_000_000},
    "arrays of arrays": {
        "type": "array",
        "minItems": 9_999,
        "items": {"type": "array", "minItems": 9_999, "items": {"const": 1}},
    },
    "optional properties": {
        "type": "object",
        "properties": {f"p{i}": {"type": "integer"} for i in range(200)},
        "additionalProperties": False,
    },
    "optional properties of one beginning": {
        "type": "object",
        "properties": {"p" * i: {"type": "string"} for i in range(1, 200)},
    },
    "deep": nested(300, "items"),
    "deep choice": nested(12, "anyOf"),
    "large enum": {"enum": [str(i) * 60 for i in range(1_000)]},
    "larger enum": {"enum": [*range(100_000)]},
    "doubling allOf": bomb("allOf"),
    "doubling anyOf": bomb("anyOf"),
    "doubling prefixItems": bomb("prefixItems"),
    "products": {"allOf": [{"anyOf": [text(maxLength=i) for i in range(60)]}] * 5},
    "itself": {"$defs": {"a": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"},
    "itself in allOf": {"allOf": [{"$ref": "#"}, {"type": "string"}]},
    "never an end": {
        "type": "object",
        "properties": {"a": {"$ref": "#"}},
        "required": ["a"],
    },
    "multiples": {"type": "integer", "multipleOf": 997},
    "many multiples": {"type": "integer", "multipleOf": 99_991},
    "far numbers": {"type": "number", "minimum": -1e308, "maximum": 1e308},
    "thin numbers": {"type": "number", "minimum": 1e-300, "maximum": 2e-300},
    "long names": {"type": "object", "properties": {"x" * 60_000: True}},
    "nothing": {"type": "string", "enum": [1]},
    "definitions in definitions": {
        "allOf": [{"$ref": "#/properties/a" * i} for i in range(1, 90)],
        **text(),
    },
    "references inside of what they name": nested_references(25),
    "pairs to compare": {
        "oneOf": [{"enum": [f"{i} {j}" for j in range(99)]} for i in range(99)]
    },
    "choices to compare": {
        "$defs": {
            **{
                f"d{i}": {"anyOf": [{"$ref": f"#/$defs/d{i + 1}"}] * 90}
                for i in range(9)
            },
            "d9": {"type": "null"},
        },
        "oneOf": [{"$ref": "#/$defs/d0"}, {"type": "string"}],
    },
    "large classes": {
        "anyOf": [text(pattern=r"\S[^\s]" * 300 + str(i)) for i in range(40)]
    },
    "a long number in a reference": {"$ref": "#/allOf/" + "9" * 5_000, "allOf": [True]},
    "a foreign address": {"$ref": "http://169.254.169.254/latest/meta-data"},
}


@pytest.fixture(scope="module")
def tokenizer(tiny: tuple[Path, Path]) -> BpeTokenizer:
    return read_tokenizer(tiny[0])


@pytest.fixture(scope="module")
def compiler(tokenizer: BpeTokenizer) -> Iterator[Compiler]:
    with closing(compiler_over(tokenizer)) as one:
        yield one


def say_anything(
    constraint: Constraint, tokenizer: BpeTokenizer, push: str, n: int
) -> None:
    """At most `n` tokens by a model that pushes, or until the answer ends or fails."""
    pieces, ends = tokenizer.pieces, tokenizer.ends
    hostile = HostileModel(pieces, ends, push, 1, close_after=n)
    try:
        for _ in range(n):
            logits, allowed = hostile.logits(), constraint.allowed()
            token = int(allowed[logits[allowed].argmax()])
            constraint.accept(token)
            if token in ends:
                return
    except EngineError:  # this one answer fails, in time
        pass


@pytest.mark.model
@pytest.mark.parametrize("name", ATTACKS)
def test_a_hostile_schema_is_refused_or_held_to_within_bounds(
    name: str, tokenizer: BpeTokenizer, compiler: Compiler
) -> None:
    process = psutil.Process()
    before = process.memory_info().rss
    try:
        schema = read(ATTACKS[name])
        for push in ("anything", "quotes", "digits"):
            say_anything(compiler.constraint(schema), tokenizer, push, 100)
    except InvalidRequest as refusal:
        assert (refusal.param or "").startswith("response_format")
    assert process.memory_info().rss - before < 100 << 20


# What no client can send past `read`: that the jail holds is not that it is not needed.
RAW = {
    "no JSON": "{",
    "deep JSON": "[" * 100_000,
    "optional letters": json.dumps({"pattern": "a?" * 2_000 + "a" * 2_000}),
    "letters of all alphabets": json.dumps({"pattern": r"^([\p{L}\p{N}]{0,999}x)*$"}),
    "large": json.dumps({"enum": ["x" * 4_000_000]}),
    "many": json.dumps({"enum": [*range(300_000)]}),
    "products": json.dumps(
        {"allOf": [{"anyOf": [{"minLength": i} for i in range(200)]}] * 9}
    ),
}


@pytest.mark.model
@pytest.mark.parametrize("name", RAW)
def test_schemas_within_bounds_are_tried_in_the_jail(
    name: str, compiler: Compiler
) -> None:
    before = psutil.Process().memory_info().rss
    with suppress(InvalidRequest, EngineError):
        compiler.constraint(RAW[name]).allowed()
    assert psutil.Process().memory_info().rss - before < 150 << 20
    assert compiler.constraint('{"type":"null"}').allowed().size  # it still serves


LETTERS = [bytes([byte]) for byte in range(256)] + [b""]


def test_a_jail_whose_child_dies_or_hangs_starts_another(monkeypatch) -> None:
    with closing(Jail(LETTERS, [256])) as jail:
        jail.judge('{"type":"null"}')
        assert jail._child
        os.kill(jail._child.pid, signal.SIGKILL)
        jail.judge('{"type":"null"}')
        first = jail._child.pid
        os.kill(first, signal.SIGSTOP)
        monkeypatch.setattr("edge.structured.jail.WALL_S", 0.2)
        # that says nothing about the schema, which is not refused for ever
        with pytest.raises(EngineError, match="too busy"):
            jail.judge('{"type":"null"}')
        monkeypatch.undo()
        jail.judge('{"type":"null"}')
        assert jail._child.pid != first
        child = jail._child
    assert child.poll() is not None


def test_the_jail_has_no_environment_and_no_files() -> None:
    with closing(Jail(LETTERS, [256])) as jail:
        jail.judge('{"type":"null"}')
        assert jail._child
        about = Path(f"/proc/{jail._child.pid}")
        assert (about / "environ").read_bytes() == b""
        assert os.readlink(about / "cwd") == "/"
        assert re.search("Max file size +0 +0 ", (about / "limits").read_text())
        assert sorted(os.listdir(about / "fd")) == ["0", "1", "2"]
        status = (about / "status").read_text()
        assert "NoNewPrivs:\t1" in status
        assert os.geteuid() != 0 or "Uid:\t65534\t65534" in status


def test_a_schema_is_tried_out_once(monkeypatch) -> None:
    asked = []
    with closing(Compiler(LETTERS, [256], lambda text: [*text.encode()])) as compiler:

        def judge(schema: str) -> None:
            asked.append(schema)
            if "bad" in schema:
                raise Unusable("it is bad")

        monkeypatch.setattr(compiler._jail, "judge", judge)
        for _ in range(3):
            compiler.constraint('{"type":"null"}')
            with pytest.raises(InvalidRequest, match="it is bad"):
                compiler.constraint('{"const":"bad"}')
    assert len(asked) == 2


@pytest.fixture(scope="module")
def stack(edge: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running(edge, tmp_path_factory.mktemp("schemas")) as one:
        yield one


def ask(stack: Stack, schema: Any = None, **fields: Any) -> httpx.Response:
    body = {"messages": [{"role": "user", "content": "What is it?"}], "max_tokens": 24}
    if schema is not None:
        named = {"name": "a", "schema": schema}
        body["response_format"] = {"type": "json_schema", "json_schema": named}
    content = json.dumps(body | fields)
    headers = {"content-type": "application/json"}
    url = f"{stack.url}/v1/chat/completions"
    return httpx.post(url, content=content, headers=headers, timeout=60)


@pytest.mark.stack
@pytest.mark.nginx
@pytest.mark.model
def test_no_schema_ends_a_worker_or_another_answer(stack: Stack) -> None:
    worker = stack.child("worker")
    assert ask(stack).status_code == 200
    # the jail runs from now on
    assert ask(stack, {"type": "object"}).status_code == 200
    before = worker.memory_info().rss
    for name, schema in ATTACKS.items():
        answer = ask(stack, schema, temperature=1.0, seed=1)
        assert answer.status_code in (200, 400), (name, answer.text)
        if answer.status_code == 400:
            error = answer.json()["error"]
            # some bodies are refused before they are read
            by_body = error["code"] == "invalid_json" or "The body" in error["message"]
            place = error["param"] or ""
            assert by_body or place.startswith("response_format"), (name, error)
            continue
        [choice] = answer.json()["choices"]
        # jsonschema itself has no bounds
        if choice["finish_reason"] == "stop" and not name.startswith("doubling"):
            jsonschema.validate(json.loads(choice["message"]["content"]), schema)
    assert ask(stack, temperature=1.0).status_code == 200
    assert worker.is_running()
    assert stack.child("worker").pid == worker.pid
    assert worker.memory_info().rss - before < 100 << 20
