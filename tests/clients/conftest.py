"""Client programs in environments of their own, and the stack that they ask."""

from __future__ import annotations

import io
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.clients import environments
from tests.conftest import cannot
from tests.stack.conftest import data_url, draw, drawing, stack

__all__ = ["data_url", "draw", "stack"]

SCRIPTS = Path(__file__).with_name("scripts")
# The other environments are only brought by `make clients-test`.
LIGHT = {"official", "node"}
FIRST_RUN_S = 1800  # on a busy machine, with the downloads
PICTURES = ("red-circle.jpg", "blue-square.png", "green-triangle.png")


def bring(name: str) -> Path:
    """The folder of an environment; skips the test where it cannot be installed."""
    program = "npm" if environments.is_npm(name) else "python3"
    if not shutil.which(program):
        cannot(f"There is no {program} here.")
    try:
        return environments.bring(name)
    except subprocess.CalledProcessError as error:
        cannot(f"The environment {name} could not be installed: {error}.")
        raise


def marked(rows: Iterable[tuple[Any, ...]]) -> list[Any]:
    """Parameters of a test, whose last one is the name of an environment."""
    return [
        pytest.param(*row, marks=[] if row[-1] in LIGHT else [pytest.mark.clients])
        for row in rows
    ]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A working folder for a client, with the pictures that it asks about."""
    for name in PICTURES:
        colour, shape = Path(name).stem.split("-")
        jpeg = drawing(colour, 3, (640, 480), shape)
        if name.endswith("png"):
            Image.open(io.BytesIO(jpeg)).save(tmp_path / name)
        else:
            (tmp_path / name).write_bytes(jpeg)
    return tmp_path
