"""The examples of docs/clients.md work as they are, except for the server's address."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.clients.client import run
from tests.clients.conftest import FIRST_RUN_S, bring, marked
from tests.stack.conftest import Stack

pytestmark = [
    pytest.mark.stack,
    pytest.mark.nginx,
    pytest.mark.model,
    pytest.mark.timeout(FIRST_RUN_S),
]

DOCUMENT = Path(__file__).parents[2] / "docs/clients.md"
SERVER = "http://localhost:8080"
COMMANDS = {"python": "python", "js": "node", "sh": "bash"}
RED_CIRCLE = "red circle"

# Heading, what the example prints at least, and its environment.
EXAMPLES = [
    ("curl", RED_CIRCLE, "official"),
    ("openai for Python", RED_CIRCLE, "official"),
    ("openai for Node", RED_CIRCLE, "node"),
    ("Rerank", "relevance_score", "official"),
    ("cohere", "relevance_score", "official"),
    ("Embeddings", "64 dimensions", "official"),
    ("anthropic", RED_CIRCLE, "official"),
    ("ollama", RED_CIRCLE, "official"),
    ("Vercel AI SDK", RED_CIRCLE, "node"),
    ("LangChain", RED_CIRCLE, "frameworks-openai-2"),
    ("LlamaIndex", RED_CIRCLE, "frameworks-openai-2"),
    ("instructor", RED_CIRCLE, "frameworks-openai-2"),
    ("litellm", RED_CIRCLE, "frameworks"),
    ("pydantic-ai", RED_CIRCLE, "frameworks"),
    ("llm", RED_CIRCLE, "frameworks"),
    ("DSPy", RED_CIRCLE, "frameworks"),
    ("Haystack", RED_CIRCLE, "frameworks"),
    ("smolagents", RED_CIRCLE, "frameworks"),
    ("Inspect", "accuracy 1.000", "frameworks"),
    ("promptfoo", "1 passed", "promptfoo"),
    ("GuideLLM", "successful=3", "guidellm"),
]
BY_HAND = {"Open WebUI"}  # in test_open_webui.py


def sections() -> dict[str, str]:
    _, *parts = re.split(r"^## ", DOCUMENT.read_text(), flags=re.M)
    return dict(part.split("\n", 1) for part in parts)


def blocks(section: str) -> list[tuple[str, str]]:
    """The info and the text of each block of code."""
    return re.findall(r"^```(\S.*)\n((?s:.*?))^```$", section, re.M)


@pytest.mark.parametrize(("heading", "printed", "environment"), marked(EXAMPLES))
def test_an_example(
    stack: Stack, folder: Path, heading: str, printed: str, environment: str
) -> None:
    program = bring(environment)
    (folder / "red-circle.jpg").rename(folder / "photo.jpg")
    output = ""
    for info, text in blocks(sections()[heading]):
        language, _, name = info.partition(" ")
        suffix = {"js": "mjs"}.get(language, language)
        path = folder / (name or f"example.{suffix}")
        path.write_text(text.replace(SERVER, stack.url))
        if not name:
            done = run(program, folder, COMMANDS[language], path.name)
            output += done.stdout
            assert done.returncode == 0, output
    assert printed in " ".join(output.lower().split())


def test_every_example_is_run() -> None:
    assert {heading for heading, *_ in EXAMPLES} | BY_HAND == set(sections())
