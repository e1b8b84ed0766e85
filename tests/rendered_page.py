"""The page's document, rendered once for all stacks of all runs: it takes seconds."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path

from ui.page_document import render_shell

CACHE = Path("~/.cache/edge-vl/tests/page.json").expanduser()


def give_page(data_dir: Path) -> None:
    """Lets a web process with this data directory find it. What is there is rendered
    again when the page or Gradio is another one."""
    render_shell(CACHE)
    data_dir.mkdir(parents=True, exist_ok=True)
    with suppress(OSError):  # a home that cannot be written to
        shutil.copyfile(CACHE, data_dir / "page.json")
