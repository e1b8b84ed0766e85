"""The web application: the API's routes, and the chat page at `/`."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.types import ASGIApp

from edge import __version__
from edge.settings import Settings
from ui.activation import activation_route
from ui.anthropic.routes import message_routes
from ui.api import routes
from ui.batch.files import file_routes
from ui.batch.folders import Folders
from ui.batch.routes import batch_routes
from ui.batch.runner import BatchRunner
from ui.boundary import Boundary
from ui.client import Client
from ui.completions.routes import completion_routes
from ui.document_pages import page_picture_routes
from ui.door import Door
from ui.embeddings.routes import embedding_routes
from ui.error_handlers import add_error_handlers
from ui.jobs import job_routes
from ui.login import login_routes
from ui.ollama.routes import ollama_routes
from ui.openapi import add_document
from ui.origins import Origins
from ui.page_document import page_routes, render_shell
from ui.page_files import page_file_routes
from ui.questions import Questions
from ui.rerank.routes import rerank_routes
from ui.responses.routes import response_routes
from ui.scrape import scrape_route
from ui.status import status_route
from ui.tokens import token_routes
from ui.usage import usage_route


def add_api(app: FastAPI, client: Client) -> BatchRunner:
    """The routes of the API, and the door in front of everything. Returns what must run
    beside them."""
    add_error_handlers(app, client.metrics)
    app.include_router(login_routes(client.keys, client.logins))
    app.include_router(job_routes(client))
    app.include_router(usage_route(client))
    app.include_router(status_route(client))
    questions = Questions(client)
    app.include_router(routes(client, questions))
    app.include_router(page_picture_routes(client, questions))
    app.include_router(activation_route(client))
    app.include_router(completion_routes(questions))
    app.include_router(token_routes(client, questions))
    app.include_router(response_routes(client, questions))
    app.include_router(message_routes(questions))
    app.include_router(rerank_routes(questions))
    app.include_router(embedding_routes(questions))
    app.include_router(ollama_routes(client, questions))
    app.include_router(scrape_route(client))
    folders = Folders(client.settings.data_dir / "batches")
    app.include_router(file_routes(folders, questions))
    app.include_router(batch_routes(folders, questions))
    add_document(app)
    app.add_middleware(
        Door, settings=client.settings, keys=client.keys, logins=client.logins
    )
    return BatchRunner(folders, app.router, client.keys)


def add_page(app: FastAPI, settings: Settings) -> None:
    """The page and its files. Raises SetupError when it cannot be rendered."""
    app.include_router(page_routes(render_shell(settings.data_dir / "page.json")))
    app.include_router(page_file_routes())


def build(client: Client) -> ASGIApp:
    """The application over `client`. Raises SetupError for names that are none, and
    where the page cannot be rendered."""
    settings = client.settings
    origins = Origins.of(settings.hosts, settings.cors, [socket.gethostname()])

    @asynccontextmanager
    async def life(_app: FastAPI) -> AsyncIterator[None]:
        beside = [asyncio.create_task(one.run()) for one in (client, batches)]
        yield
        for task in beside:
            task.cancel()
        await client.close()

    # no /docs: the API is OpenAI's, and its pages would load scripts from elsewhere
    app = FastAPI(title="Edge-VL", version=__version__, openapi_url=None, lifespan=life)
    add_page(app, settings)
    batches = add_api(app, client)
    return Boundary(app, origins)
