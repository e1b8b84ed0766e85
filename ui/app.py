"""The web application: the API's routes, and the chat page at `/`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import gradio as gr
from fastapi import FastAPI

from edge import __version__
from ui.api import routes
from ui.chat import CSS, I18N, build_chat
from ui.client import Client
from ui.door import Door
from ui.jobs import job_routes
from ui.login import login_routes
from ui.refusals import add_refusals
from ui.scrape import scrape_route
from ui.usage import usage_route
from ui.vetting import Vetting

MAX_UPLOAD = "24mb"  # as base64 in an API body it is the 32 MB that nginx lets through


def add_api(app: FastAPI, client: Client, vetting: Vetting) -> None:
    """The routes of the API, and the door in front of everything."""
    add_refusals(app, client.metrics)
    app.include_router(login_routes(client.keys, client.secret))
    app.include_router(job_routes(client))
    app.include_router(usage_route(client))
    app.include_router(routes(client, vetting))
    app.include_router(scrape_route(client))
    app.add_middleware(
        Door, settings=client.settings, keys=client.keys, secret=client.secret
    )


def build(client: Client) -> FastAPI:
    """The application over `client`."""
    settings = client.settings
    vetting = Vetting(settings.image_tokens)

    @asynccontextmanager
    async def life(_app: FastAPI) -> AsyncIterator[None]:
        beside = asyncio.create_task(client.run())
        yield
        beside.cancel()
        await client.close()

    # no /docs: the API is OpenAI's, and its pages would load scripts from elsewhere
    app = FastAPI(title="Edge-VL", version=__version__, openapi_url=None, lifespan=life)
    add_api(app, client, vetting)
    served: FastAPI = gr.mount_gradio_app(
        app,
        build_chat(client, vetting),
        path="/",
        footer_links=["settings"],
        run_history=False,
        show_error=False,
        max_file_size=MAX_UPLOAD,
        ssr_mode=False,
        mcp_server=False,
        pwa=False,
        enable_monitoring=False,
        i18n=I18N,
        css=CSS,
        theme=gr.themes.Default(
            primary_hue="teal",
            neutral_hue="slate",
            font=["system-ui", "sans-serif"],
            font_mono=["ui-monospace", "monospace"],
        ),
    )
    return served
