"""The server under test: a running one, or `edge up`, started for the test."""

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
from edge.serving.plan import Plan, make_plan
from edge.settings import Settings
from edge.up.models import RESERVE_BYTES
from edge.up.parts import LOOPBACK, free_port
from edge.up.supervise import Child, Part

PATIENCE_S = 10.0
START_S = 660.0  # of `edge up`: longer than the limit of its own parts
STOP_S = 60.0
LOCAL = ("localhost", LOOPBACK, "::1")


@dataclass(frozen=True)
class Target:
    """`about` goes into the fingerprint of a run: names and settings. `state` is the
    folder of the files that a server started here keeps."""

    url: str
    pid: int | None
    about: dict[str, Any] = field(default_factory=dict)
    state: Path | None = None

    @property
    def is_local(self) -> bool:
        """Whether it runs on this machine."""
        return urlsplit(self.url).hostname in LOCAL


def running(url: str, pid: int | None, api_key: str = "") -> Target:
    """A running server; its process is looked up if it is on this machine.

    Raises SetupError when it does not answer like OpenAI's API.
    """
    url = url.rstrip("/").removesuffix("/v1")
    listed = _fetch_models(f"{url}/v1/models", api_key)
    models = [model["id"] for model in listed["data"]]
    about = {"models": models}
    where = urlsplit(url)
    if pid is None and where.hostname in LOCAL:
        pid = host.listener(where.port or (443 if where.scheme == "https" else 80))
        pid = pid and host.service_of(pid)
    return Target(url, pid, about)


@contextmanager
def ours(settings: Settings, api_key: str = "") -> Iterator[Target]:
    """`edge up` on a free port while the block runs.

    Raises SetupError when the model does not fit, or with the end of the log when
    `edge up` does not start.
    """
    files = find_model(settings, obtain)
    if settings.model == "auto":
        settings = replace(settings, model=files.name)
    # before the start, which takes the memory
    plan = make_plan(settings, files, reserve_bytes=RESERVE_BYTES)
    port = free_port()
    url = f"http://{LOOPBACK}:{port}"
    command = str(Path(sys.executable).with_name("edge"))
    with tempfile.TemporaryDirectory(prefix="edge-bench-") as folder:
        log = Path(folder, "log")
        part = Part(
            name="edge up",
            command=[command, "up", "--port", str(port)],
            is_ready=lambda: b"Open http" in log.read_bytes(),
            # a service beside it may have the port
            env=replace(settings, metrics_port=0).environ(),
            folder=Path(folder),
            start_s=START_S,
            stop_s=STOP_S,
        )
        try:
            with started(part, log) as pid:
                served = running(url, pid, api_key)
                about = served.about | _recorded(plan)
                yield Target(url, pid, about, state_folder(settings, port))
        finally:
            remove_state(settings, port)


@contextmanager
def started(part: Part, log: Path) -> Iterator[int]:
    """The process of a server, ready while the block runs.

    Raises SetupError with the end of its log when it does not start.
    """
    child = Child(part, log)
    try:
        child.start()
        child.wait_ready(is_stopping=lambda: False)
        assert child.process
        yield child.process.pid
    finally:
        child.stop()


def state_folder(settings: Settings, port: int) -> Path:
    """Where an `edge up` on `port` keeps its files."""
    return settings.data_dir / "state" / str(port)


def remove_state(settings: Settings, port: int) -> None:
    """Removes what an `edge up` on `port` has kept."""
    shutil.rmtree(state_folder(settings, port), ignore_errors=True)


def _recorded(plan: Plan) -> dict[str, Any]:
    """What a run records of the server: the model's hash and what decides speed."""
    settings = plan.settings
    return {
        "model_sha256": plan.files.fingerprint,
        "slots": settings.slots,
        "context_tokens": settings.context_tokens,
        "chunk_tokens": settings.chunk_tokens,
        "runtime": plan.language.runtime,
        "repack": plan.language.repack,
        "kv": plan.language.kv,
        "threads": plan.language.threads,
        "image_tokens": settings.image_tokens,
        "backlog": settings.backlog,
        "answer_cache": settings.answer_cache,
        "embeddings_mb": settings.embeddings_mb,
        "kept": settings.kept,
    }


def _fetch_models(url: str, api_key: str) -> dict[str, Any]:
    if urlsplit(url).scheme not in ("http", "https"):
        raise SetupError(
            f"{url!r} cannot be reached: use an address like http://127.0.0.1:8080."
        )
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    request = urllib.request.Request(url, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as reply:
            models = json.load(reply)
            models["data"][0]["id"]
    except urllib.error.HTTPError as error:
        remedy = " Give a key with --api-key-file." if error.code == 401 else ""
        raise SetupError(f"{url} answers with status {error.code}.{remedy}") from None
    except OSError as error:
        why = getattr(error, "reason", error)  # URLError only wraps one
        why = why.strerror if isinstance(why, OSError) and why.strerror else why
        raise SetupError(f"{url} cannot be reached: {why}.") from None
    except (ValueError, LookupError, TypeError):
        raise SetupError(f"{url} does not list models as OpenAI's API does.") from None
    return dict(models)
