"""Each client's features, by its script in an environment of its own."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.clients.client import run
from tests.clients.conftest import FIRST_RUN_S, SCRIPTS, bring, marked
from tests.stack.conftest import Stack

pytestmark = [
    pytest.mark.stack,
    pytest.mark.nginx,
    pytest.mark.model,
    pytest.mark.timeout(FIRST_RUN_S),
]

# Each script, and the environment that it runs in.
ROWS = [
    ("openai_client.py", "official"),
    ("openai_client.py", "openai-1"),
    ("responses_client.py", "official"),
    ("anthropic_client.py", "official"),
    ("ollama_client.py", "official"),
    ("cohere_client.py", "official"),
    ("openai_node.mjs", "node"),
    ("ai_sdk.mjs", "node"),
    ("other_apis.mjs", "node"),
    ("haystack_client.py", "frameworks"),
    ("pydantic_ai_client.py", "frameworks"),
    ("litellm_client.py", "frameworks"),
    ("dspy_client.py", "frameworks"),
    ("smolagents_client.py", "frameworks"),
    ("langchain_client.py", "frameworks-openai-2"),
    ("llama_index_client.py", "frameworks-openai-2"),
    ("instructor_client.py", "frameworks-openai-2"),
]


@pytest.mark.parametrize(("script", "environment"), marked(ROWS))
def test_a_client(stack: Stack, folder: Path, script: str, environment: str) -> None:
    program = bring(environment)
    for path in SCRIPTS.glob("*" + Path(script).suffix):
        shutil.copy(path, folder)
    command = ["python", "-m", "unittest", Path(script).stem]
    if script.endswith("mjs"):
        command = ["node", "--test", script]
    done = run(program, folder, *command, EDGE_SERVER=stack.url)
    assert done.returncode == 0, done.stdout


def test_every_script_is_run() -> None:
    names = {path.name for path in SCRIPTS.iterdir() if path.suffix in (".py", ".mjs")}
    assert names - {"given.py", "given.mjs"} == {script for script, _ in ROWS}
