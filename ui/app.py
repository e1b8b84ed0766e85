"""The web application: the API's routes, and the chat page at `/`."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import gradio as gr
from fastapi import FastAPI
from gradio.utils import get_upload_folder
from starlette.routing import Mount
from starlette.types import ASGIApp

from edge import __version__
from ui.api import routes
from ui.boundary import Boundary
from ui.client import Client
from ui.door import Door
from ui.error_handlers import add_error_handlers
from ui.guard import Guard
from ui.jobs import job_routes
from ui.login import login_routes
from ui.origins import Origins
from ui.page_document import PageDocument
from ui.page_files import page_file_routes
from ui.scrape import scrape_route
from ui.shell import THEME, build_shell, head
from ui.status import status_route
from ui.upload_routes import upload_routes
from ui.uploads import Uploads
from ui.usage import usage_route


def add_api(app: FastAPI, client: Client) -> None:
    """The routes of the API, and the door in front of everything."""
    add_error_handlers(app, client.metrics)
    app.include_router(login_routes(client.keys, client.logins))
    app.include_router(job_routes(client))
    app.include_router(usage_route(client))
    app.include_router(status_route(client))
    app.include_router(routes(client))
    app.include_router(scrape_route(client))
    app.add_middleware(
        Door, settings=client.settings, keys=client.keys, logins=client.logins
    )


def build(client: Client) -> ASGIApp:
    """The application over `client`. Raises SetupError for names that are none."""
    settings = client.settings
    origins = Origins.of(settings.hosts, settings.cors, [socket.gethostname()])
    uploads = Uploads(Path(get_upload_folder()) / "edge-vl")
    page = build_shell()
    return Boundary(PageDocument(mounted(client, page, uploads)), origins)


def mounted(client: Client, page: gr.Blocks, uploads: Uploads) -> FastAPI:
    """API and page as one application, with all that Gradio brings along."""

    @asynccontextmanager
    async def life(_app: FastAPI) -> AsyncIterator[None]:
        beside = asyncio.create_task(client.run())
        yield
        beside.cancel()
        await client.close()

    # no /docs: the API is OpenAI's, and its pages would load scripts from elsewhere
    app = FastAPI(title="Edge-VL", version=__version__, openapi_url=None, lifespan=life)
    app.include_router(upload_routes(uploads))
    app.include_router(page_file_routes(page))
    app.add_middleware(Guard, page=page, uploads=uploads)  # behind the door
    add_api(app, client)
    served: FastAPI = gr.mount_gradio_app(
        app,
        page,
        path="/",
        footer_links=[],
        run_history=False,
        show_error=False,
        ssr_mode=False,
        mcp_server=False,
        pwa=False,
        enable_monitoring=False,
        theme=THEME,
        head=head(),
    )
    # what Gradio refuses has the shape of the API too
    for route in served.routes:
        if isinstance(route, Mount) and isinstance(route.app, FastAPI):
            add_error_handlers(route.app, client.metrics)
    return served
