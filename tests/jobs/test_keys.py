"""The contract between Python and Lua: one table of keys, named arguments."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from pathlib import Path

import pytest

from edge import jobs
from edge.jobs import keys, scripts
from edge.jobs.key_pattern import Key
from tests.jobs.jobs_harness import JobsHarness, undocumented_keys

FOLDER = Path(jobs.__file__).parent
BODIES = {name: scripts.body(name) for name in scripts.names()}
TEXTS = {**BODIES, "common": scripts.body("common")}

every_row = pytest.mark.parametrize("row", keys.table(), ids=lambda row: row.name)


def sample(row: Key) -> str:
    return row(*(f"{name}-1" for name in row.parameters))


def calls() -> dict[str, list[set[str]]]:
    """The names of arguments in each call of a script, by script."""
    found: defaultdict[str, list[set[str]]] = defaultdict(list)
    for path in FOLDER.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            if ast.unparse(node.func) == "self._scripts":
                [name] = node.args
                assert isinstance(name, ast.Constant)
                found[name.value].append({str(word.arg) for word in node.keywords})
    return found


@pytest.mark.parametrize("name", TEXTS)
def test_scripts_name_no_key_and_number_no_argument(name: str) -> None:
    assert "edge:" not in TEXTS[name]
    assert "ARGV" not in TEXTS[name]
    assert "KEYS" not in TEXTS[name]


@pytest.mark.parametrize("name", TEXTS)
def test_every_key_that_a_script_uses_is_in_the_table(name: str) -> None:
    used = set(re.findall(r"(\w+)_key\(", TEXTS[name]))
    assert used <= {row.name for row in keys.table()}


@pytest.mark.parametrize(
    "name", re.findall(r"^local (?:function )?(\w+)", TEXTS["common"], re.MULTILINE)
)
def test_every_shared_definition_is_used(name: str) -> None:
    uses = re.findall(rf"\b{name}[(\[]", "".join(TEXTS.values()))
    assert len(uses) >= 1 + (f"function {name}(" in TEXTS["common"])


@pytest.mark.parametrize("name", BODIES)
def test_a_script_is_given_the_arguments_that_it_reads(name: str) -> None:
    read = set(re.findall(r"args\.(\w+)", BODIES[name]))
    given = calls()[name]
    assert given
    assert set().union(*given) == read
    header = BODIES[name].partition("\nlocal ")[0]
    assert all(re.search(rf"\b{arg}\b", header) for arg in read)


@pytest.mark.redis
@every_row
async def test_lua_and_python_name_the_same_key(harness: JobsHarness, row: Key) -> None:
    values = [f"{name} 1" for name in row.parameters]
    arguments = ", ".join(f"ARGV[{n + 1}]" for n in range(len(values)))
    script = f"{row.lua}\nreturn {row.name}_key({arguments})"
    assert harness.sync.eval(script, 0, *values).decode() == row(*values)


@every_row
def test_a_key_belongs_to_one_row(row: Key) -> None:
    assert [other for other in keys.table() if other.matches(sample(row))] == [row]


def test_rows_are_complete_and_their_names_distinct() -> None:
    rows = keys.table()
    assert len({row.name for row in rows}) == len(rows)
    assert all(row.fields and row.lifetime and row.writer for row in rows)


@pytest.mark.redis
async def test_a_key_that_is_not_in_the_table_is_found(harness: JobsHarness) -> None:
    await harness.ask()
    assert undocumented_keys(harness.sync) == []
    harness.sync.set("edge:unheard-of", 1)
    harness.sync.set(keys.WAITING("other"), "not a zset")
    harness.sync.hset(keys.JOB("1"), "unheard_of", 1)
    assert undocumented_keys(harness.sync) == [
        "edge:job:1 unheard_of",
        "edge:unheard-of string",
        "edge:waiting:other string",
    ]
    harness.sync.flushall()
