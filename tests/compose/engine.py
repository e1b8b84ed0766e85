"""A Docker engine, Compose, and base images: those of this machine, or brought."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.conftest import wait_for

CACHE = (
    Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edge-vl/compose"
)
PLUGINS = CACHE / "plugins"
DATA_ROOT = "EDGE_COMPOSE_DATA_ROOT"  # where an engine of our own keeps its images
STAND_INS = Path(__file__).with_name("stand_ins.Dockerfile")
BASES = {
    "python": "python:3.13-slim-trixie",
    "valkey": "valkey/valkey:8-alpine",
    "nginx": "nginx:1.28-alpine",
    "prometheus": "prom/prometheus:v3.5.0",
}
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


class Engine:
    """The command `docker`, and the engine behind it: the running one, or, in the
    namespaces that `python -m tests.compose` makes, one of our own."""

    def __init__(self, folder: Path) -> None:
        data_root = os.environ.get(DATA_ROOT)
        self.is_own = data_root is not None
        self.command = "/usr/bin/docker" if self.is_own else "docker"
        self.environ = dict(os.environ)
        if self.is_own:
            config = folder / "config"
            shutil.copytree(PLUGINS, config / "cli-plugins")
            self.environ |= {"DOCKER_CONFIG": str(config)}
            self.environ |= {"DOCKER_HOST": "unix:///run/docker.sock"}
            self.log = folder / "dockerd.log"
            self.dockerd = ["dockerd", "--data-root", str(data_root)]
            self.dockerd += ["--host", "unix:///run/docker.sock", "--log-level", "warn"]
            self.start()

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.dockerd, stdout=log, stderr=log)
        wait_for(lambda: self.process.poll() is not None or self.is_up(), 60)
        assert self.process.poll() is None, self.log.read_text()

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(120)

    def is_up(self) -> bool:
        done = subprocess.run(
            [self.command, "info"], env=self.environ, capture_output=True
        )
        return done.returncode == 0

    def run(self, *words: str | Path, input: bytes | None = None) -> str:
        """The output of `docker WORDS...`, which must succeed."""
        done = subprocess.run(
            [self.command, *words],
            env=self.environ,
            input=input,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        said = done.stdout.decode(errors="replace")
        assert done.returncode == 0, (
            f"docker {' '.join(map(str, words))}\n{said[-4000:]}"
        )
        return said.strip()

    def has(self, image: str) -> bool:
        return bool(self.run("images", "--quiet", image))


def bring_base_images(engine: Engine) -> str:
    """Pulls the base images or, where no registry answers, makes stand-ins. Returns a
    sentence that says which."""
    missing = [image for image in BASES.values() if not engine.has(image)]
    if not missing:
        return "The base images were here."
    if not engine.is_own:  # its registry is its owner's matter
        for image in missing:
            engine.run("pull", "--quiet", image)
        return "The base images were pulled."
    try:
        engine.run("pull", "--quiet", BASES["python"])
    except AssertionError:
        bring_stand_ins(engine)
        return "No registry answers: the base images are STAND-INS of Debian packages."
    return "The base images are pulled when they are used."


def bring_stand_ins(engine: Engine) -> None:
    key = hashlib.sha256(STAND_INS.read_bytes()).hexdigest()[:12]
    saved = CACHE / f"stand-ins-{key}.tar"
    if saved.exists():
        engine.run("load", "--input", saved)
        return
    with debian(engine) as context:
        for target, image in BASES.items():
            options = ("--file", STAND_INS, "--target", target, "--tag", image)
            engine.run("build", "--quiet", *options, context)
    partial = saved.with_suffix(".partial")
    engine.run("save", "--output", partial, *BASES.values())
    partial.replace(saved)


@contextmanager
def debian(engine: Engine, architecture: str = "") -> Iterator[Path]:
    """Imports the image that STAND_INS begins with, for another architecture if that is
    not empty, and gives the folder that it is built with."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        root = Path(folder) / "root"
        debootstrap = ["debootstrap", "--variant=minbase", "--include=ca-certificates"]
        debootstrap += [f"--arch={architecture}"] if architecture else []
        subprocess.run([*debootstrap, "trixie", root], check=True, capture_output=True)
        packed = Path(folder) / "root.tar"
        lists = ("--exclude=./var/cache/apt/*", "--exclude=./var/lib/apt/lists/*")
        subprocess.run(["tar", "-C", root, *lists, "-cf", packed, "."], check=True)
        platform = [f"--platform=linux/{architecture}"] if architecture else []
        engine.run("import", *platform, packed, "edge-vl-debian")
        context = Path(folder) / "context"
        context.mkdir()
        shutil.copy(CERTIFICATES, context)
        yield context
