"""A script: every route of the application, as JSON. A process of its own, because a
client leaves things open that a test run would complain of."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI

from edge.settings import Settings
from ui.app import add_api, add_page
from ui.client import Client

NOWHERE = "redis://127.0.0.1:1/0"


def every_route(router: Any) -> Iterator[tuple[str, str]]:
    """Method and path of each route, however deep."""
    for route in router.routes:
        inner = getattr(route, "original_router", None) or getattr(route, "app", None)
        if hasattr(inner, "routes"):
            yield from every_route(inner)
        else:
            for method in sorted(route.methods):
                yield method, route.path


def main() -> None:
    settings = Settings(broker_url=NOWHERE, cache_url=NOWHERE)
    app = FastAPI(openapi_url=None)
    add_page(app, settings)
    add_api(app, Client(settings))
    modules = sorted(name for name in sys.modules if name.partition(".")[0] == "gradio")
    json.dump({"routes": list(every_route(app)), "gradio": modules}, sys.stdout)


if __name__ == "__main__":
    main()
