"""Schemathesis makes requests by the OpenAPI document, right ones and wrong ones, and
finds no answer that the document does not describe.

A short run; `make fuzz` makes a long one.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.clients.client import run
from tests.clients.conftest import FIRST_RUN_S, bring
from tests.stack.conftest import running

pytestmark = [
    pytest.mark.clients,
    pytest.mark.stack,
    pytest.mark.model,
    pytest.mark.timeout(FIRST_RUN_S),
]

SECONDS = int(os.environ.get("OPENAPI_SECONDS", "10"))


def test_every_answer_is_as_the_document_says(edge: str, tmp_path: Path) -> None:
    """Without nginx, whose rates are for people. A body may fit the document and still
    hold no picture, or a schema that cannot be enforced: that check is left out."""
    program = bring("schemathesis")
    folder = tmp_path / "client"
    folder.mkdir()
    with running(edge, tmp_path, "--no-nginx", answer_tokens="8") as stack:
        done = run(
            program,
            folder,
            *("schemathesis", "run", f"{stack.url}/v1/openapi.json"),
            *("--url", stack.url, "--exclude-checks", "positive_data_acceptance"),
            *("--max-time", str(SECONDS), "--request-timeout", "60"),
            *("--continue-on-failure", "--no-color", "--warnings", "off"),
        )
    print(done.stdout)
    assert done.returncode == 0, done.stdout[-8000:]
