"""The server under test: one that runs already, or our own, started to be tested."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from edge import host
from edge.errors import SetupError
from edge.models.registry import find_model
from edge.models.store import obtain
from edge.serving.plan import make_plan
from edge.settings import Settings
from edge.up.parts import LOOPBACK, free_port
from edge.up.stack import RESERVE_BYTES
from edge.up.supervise import Child, Part

PATIENCE_S = 10.0


@dataclass(frozen=True)
class Target:
    """`about` is what the fingerprint of a run says of it: names and settings."""

    url: str
    pid: int | None
    about: dict[str, Any] = field(default_factory=dict)


def running(url: str, pid: int | None, api_key: str = "") -> Target:
    """A server that runs already; its process is looked for on this machine.

    Raises SetupError when it does not answer as OpenAI's API does.
    """
    url = url.rstrip("/").removesuffix("/v1")
    models = [model["id"] for model in _asked(f"{url}/v1/models", api_key)["data"]]
    about = {"models": models}
    where = urlsplit(url)
    if pid is None and where.hostname in ("localhost", LOOPBACK, "::1"):
        pid = host.listener(where.port or (443 if where.scheme == "https" else 80))
    return Target(url, pid, about)


@contextmanager
def ours(settings: Settings) -> Iterator[Target]:
    """`edge up` on a free port while the block runs.

    Raises SetupError when the model does not fit, and with what it said when it does
    not start.
    """
    files = find_model(settings, obtain)
    settings = (
        replace(settings, model=files.name) if settings.model == "auto" else settings
    )
    # before it starts: afterwards its memory is not free any more
    plan = make_plan(settings, files, reserve_bytes=RESERVE_BYTES)
    used = plan.settings
    port = free_port()
    url = f"http://{LOOPBACK}:{port}"
    command = str(Path(sys.executable).with_name("edge"))
    with tempfile.TemporaryDirectory(prefix="edge-bench-") as folder:
        log = Path(folder, "log")
        stack = Child(
            Part(
                name="edge up",
                command=[command, "up", "--port", str(port)],
                is_ready=lambda: b"Open http" in log.read_bytes(),
                env=settings.environ(),
                folder=Path(folder),
                start_s=660,  # a little longer than it gives its own parts
                stop_s=60,
            ),
            log,
        )
        try:
            stack.start()
            stack.wait_ready(is_stopping=lambda: False)
            assert stack.process
            served = running(url, stack.process.pid)
            about = served.about | {
                "model_sha256": files.fingerprint,
                "slots": used.slots,
                "context_tokens": used.context_tokens,
                "chunk_tokens": used.chunk_tokens,
                "runtime": used.runtime,
                "repack": used.repack,
                "kv": used.kv,
                "threads": plan.n_threads,
                "image_tokens": used.image_tokens,
                "backlog": used.backlog,
                "answer_cache": used.answer_cache,
            }
            yield Target(url, stack.process.pid, about)
        finally:
            stack.stop()
            shutil.rmtree(settings.data_dir / "state" / str(port), ignore_errors=True)


def _asked(url: str, api_key: str) -> dict[str, Any]:
    if urlsplit(url).scheme not in ("http", "https"):
        raise SetupError(
            f"{url!r} cannot be reached: addresses look like http://127.0.0.1:8080."
        )
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    request = urllib.request.Request(url, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as reply:
            said = json.load(reply)
            said["data"][0]["id"]
    except urllib.error.HTTPError as error:
        raise SetupError(f"{url} answers with status {error.code}.") from None
    except OSError as error:
        raise SetupError(f"{url} cannot be reached: {error}.") from None
    except (ValueError, LookupError, TypeError):
        raise SetupError(f"{url} does not list models as OpenAI's API does.") from None
    return dict(said)
