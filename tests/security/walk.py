"""A script: every route and function of the application, as JSON. A process of its own,
because Gradio leaves things open that a test run would complain of."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edge.settings import Settings
from ui.app import mounted
from ui.chat import build_chat
from ui.client import Client
from ui.guard import functions_of
from ui.uploads import Uploads

NOWHERE = "redis://127.0.0.1:1/0"


def every_route(router: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Method and path of each route, however deep, in the order of matching."""
    for route in router.routes:
        inner = getattr(route, "original_router", None) or getattr(route, "app", None)
        if hasattr(inner, "routes"):
            yield from every_route(inner, prefix + getattr(route, "path", ""))
        else:
            for method in sorted(route.methods):
                yield method, prefix + route.path


def main() -> None:
    client = Client(Settings(broker_url=NOWHERE, cache_url=NOWHERE))
    with tempfile.TemporaryDirectory() as folder:
        uploads = Uploads(Path(folder) / "edge")
        page = build_chat(client, uploads)
        app = mounted(client, page, uploads)
    found = {
        "routes": list(every_route(app)),
        "n_inputs": {number: len(fn.inputs) for number, fn in page.fns.items()},
        "cancels": [number for number, fn in page.fns.items() if fn.is_cancel_function],
        "open": functions_of(page),
    }
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
