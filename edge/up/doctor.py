"""What this machine can do, what is wrong with it, and what to change: `edge doctor`.

It looks at everything that `edge up` will need, starts nothing that stays and downloads
nothing.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from PIL import Image, ImageDraw
from rich.filesize import decimal

from edge import host
from edge.errors import SetupError
from edge.images import confinement
from edge.models.registry import (
    DEFAULT,
    TINY,
    entries,
    find_model,
    models_folder,
    tiny_files,
)
from edge.serving.plan import make_plan
from edge.settings import Settings
from edge.up.parts import check_redis, nginx_server, redis_server
from edge.up.stack import RESERVE_BYTES, check_port

GIB: Final = 1 << 30
ROOM_BYTES: Final = 3 * GIB  # on disk, for what is compiled, the queue and the logs
BUSY: Final = 0.25  # of the machine, by others
TRIAL_S: Final = 120
QUESTION: Final = "What shape is this, and which colour?"
# Multiplies whole numbers of 8 bits, which is what the vision tower is made of.
WHOLE_NUMBERS: Final = {"avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm"}

Level = Literal["ok", "note", "wrong"]


@dataclass(frozen=True)
class Finding:
    """What was looked at, how it is, and what to do where it is not well."""

    about: str
    level: Level
    said: str


def findings(settings: Settings, port: int) -> Iterator[Finding]:
    """All that is worth knowing before `edge up --port PORT`, one after the other."""
    yield processor()
    yield others()
    yield disk(settings)
    yield queue(settings)
    yield nginx()
    yield door(settings.host, port)
    yield jail()
    yield trial()
    yield from model(settings)


def processor() -> Finding:
    cpu, n_cores = host.cpu(), host.usable_cores()
    said = f"{cpu.name}, {n_cores} cores for us: {', '.join(cpu.features)}."
    if "avx2" not in cpu.features and "asimd" not in cpu.features:
        said += " Without AVX2 OpenVINO does not run. Take another machine."
        return Finding("processor", "wrong", said)
    if not WHOLE_NUMBERS.intersection(cpu.features):
        said += " It has no instructions for whole numbers: pictures will take long."
        return Finding("processor", "note", said)
    if n_cores == 1:
        said += " With one core answers pause while pictures are read."
        return Finding("processor", "note", said)
    return Finding("processor", "ok", said)


def others() -> Finding:
    busy = host.busy()
    said = f"{busy:.0%} of the machine is in use."
    if busy > BUSY:
        return Finding("others", "note", f"{said} Answers will be as much slower.")
    return Finding("others", "ok", said)


def disk(settings: Settings) -> Finding:
    there = next(
        p for p in (settings.data_dir, *settings.data_dir.parents) if p.exists()
    )
    free = shutil.disk_usage(there).free
    said = f"{decimal(free)} free for {settings.data_dir}."
    if free < ROOM_BYTES:
        return Finding("disk", "wrong", f"{said} {decimal(ROOM_BYTES)} are needed.")
    return Finding("disk", "ok", said)


def queue(settings: Settings) -> Finding:
    try:
        check_redis(settings)
        is_own = settings.broker_url and settings.cache_url
        said = "Your Redis servers can be reached." if is_own else redis_server()
    except SetupError as error:
        return Finding("queue", "wrong", error.message)
    return Finding("queue", "ok", said)


def nginx() -> Finding:
    try:
        return Finding("nginx", "ok", nginx_server())
    except SetupError as error:
        return Finding("nginx", "wrong", error.message)


def door(host: str, port: int) -> Finding:
    try:
        check_port(host, port)
    except SetupError as error:  # perhaps by `edge up` itself
        return Finding("port", "note", error.message)
    return Finding("port", "ok", f"{port} is free.")


def jail() -> Finding:
    """How well a bug in a picture decoder would be confined."""
    if lacking := confinement():
        return Finding("jail", "note", " ".join(lacking))
    return Finding(
        "jail", "ok", "Pictures are decoded without files, network or names."
    )


def trial() -> Finding:
    """A question to the bundled model, in a process that may die of it."""
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder, "circle.png")
        image = Image.new("RGB", (224, 224), "white")
        ImageDraw.Draw(image).ellipse((40, 40, 184, 184), "red")
        image.save(picture)
        edge = [sys.executable, "-c", "from edge.cli.app import app; app()"]
        command = [*edge, "ask", str(picture), QUESTION, "--model", TINY]
        try:
            ended = subprocess.run(
                command, capture_output=True, text=True, timeout=TRIAL_S
            )
        except subprocess.TimeoutExpired:
            said = f"The bundled model has not answered within {TRIAL_S} s."
            return Finding("trial", "wrong", said)
    if ended.returncode < 0:
        name = signal.Signals(-ended.returncode).name
        said = (
            f"Computing ends in {name}: llama.cpp was compiled for another processor."
        )
        return Finding(
            "trial", "wrong", f"{said} Remove ~/.cache/edge-vl; `make setup`."
        )
    if ended.returncode:
        return Finding("trial", "wrong", ended.stderr.strip().rpartition("\n")[2])
    answer = ended.stdout.strip()
    if not {"red", "circle"} <= set(answer.lower().strip(".").split()):
        said = f"The bundled model takes a red circle for this: {answer!r}."
        return Finding("trial", "wrong", f"{said} This processor computes wrongly.")
    return Finding("trial", "ok", f"{TINY} sees a red circle: “{answer}”")


def model(settings: Settings) -> Iterator[Finding]:
    """The files, whether they fit into memory, and what they were tuned to."""
    folder, entry = models_folder(settings), entries()[DEFAULT]
    try:
        if settings.model == "auto" and not entry.is_complete(folder):
            said = f"{DEFAULT} is not here. Until `edge models pull`, {TINY} is served."
            yield Finding("model", "note", said)
            files = tiny_files()
        else:
            files = find_model(settings)
            yield Finding("model", "ok", f"{files.name}, {files.model}")
        plan = make_plan(settings, files, reserve_bytes=RESERVE_BYTES)
    except SetupError as error:
        yield Finding("model", "wrong", error.message)
        return
    free = host.available_memory_bytes() / GIB
    yield Finding("memory", "ok", f"{plan.need}; {free:.1f} are free.")
    if plan.runtime_note:
        yield Finding("runtime", "note", plan.runtime_note)
    if plan.tuning or files.name != TINY:  # which is fast enough anywhere
        yield Finding("tuning", "ok" if plan.tuning else "note", plan.tuning_note)
    if plan.forecast:
        yield Finding("pictures", "ok", plan.forecast)
