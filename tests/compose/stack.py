"""The whole system as `docker compose up` starts it, from a copy of the project."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from openai import OpenAI

from edge.up.parts import free_port
from tests.compose.engine import Engine
from tests.conftest import wait_for

ROOT = Path(__file__).parents[2]
PROJECT = "edge-vl-test"
READY_S = 300


def copy_project(folder: Path) -> Path:
    """What a clone would hold: the build must not need anything else."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target)
    return folder


class Stack:
    """A compose project: `docker compose` in `folder`, on a free port."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self.engine, self.folder = engine, folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.configure()

    def configure(self, **settings: object) -> None:
        """Writes `.env`, with these settings besides the model and the port."""
        lines = {"EDGE_MODEL": "tiny", "PORT": self.port, **settings}
        text = "".join(f"{name}={value}\n" for name, value in lines.items())
        (self.folder / ".env").write_text(text)

    def compose(self, *words: str) -> str:
        """The output of `docker compose WORDS...`, which must succeed."""
        where = ("--project-directory", self.folder, "--project-name", PROJECT)
        return self.engine.run("compose", *map(str, where), "--ansi=never", *words)

    def up(self, *options: str) -> None:
        self.compose("up", "--detach", "--wait", *options)
        self.wait_ready()

    def wait_ready(self) -> None:
        wait_for(self.is_ready, READY_S)

    def is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/ready", timeout=5) as reply:
                return bool(reply.status == 200)
        except OSError:
            return False

    def containers(self, service: str) -> list[str]:
        return self.compose("ps", "--quiet", service).split()

    def container(self, service: str) -> str:
        [one] = self.containers(service)
        return one

    def inspect(self, service: str) -> dict[str, Any]:
        [found] = json.loads(self.engine.run("inspect", self.container(service)))
        return dict(found)

    def shell(self, service: str, command: str) -> str:
        """The output of a shell command in the container, as its user."""
        return self.engine.run("exec", self.container(service), "sh", "-c", command)

    def client(self, **options: Any) -> OpenAI:
        return OpenAI(base_url=f"{self.url}/v1", api_key="unused", **options)

    def ask(self, picture: str, **options: Any) -> str:
        """The answer to "What is in this picture?", in one piece."""
        reply = self.client(timeout=120).chat.completions.create(
            model="", messages=question(picture), **options
        )
        return str(reply.choices[0].message.content)


def question(picture: str) -> Any:
    content = [
        {"type": "text", "text": "What is in this picture?"},
        {"type": "image_url", "image_url": {"url": picture}},
    ]
    return [{"role": "user", "content": content}]


def seconds_since(started: float) -> str:
    return f"{time.monotonic() - started:.0f} s"
