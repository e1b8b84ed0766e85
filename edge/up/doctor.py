"""`edge doctor`: checks all that `edge up` needs on this machine, and the last hour of
a service that runs.

It leaves no process running and downloads nothing.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from PIL import Image, ImageDraw
from rich.filesize import decimal

from edge import host
from edge.errors import SetupError
from edge.images import confinement
from edge.models.registry import DEFAULT, TINY, entries, models_folder
from edge.serving.installed import has_llama
from edge.serving.plan import Plan
from edge.serving.report import table
from edge.settings import Settings
from edge.up import native
from edge.up.checks import CHECKS, Check, Finding
from edge.up.last_hour import read_figures, runs
from edge.up.models import find_models, model_names, plan_found
from edge.up.symptoms import Figures, applying

GIB: Final = 1 << 30
ROOM_BYTES: Final = 3 * GIB  # on disk, for compiled models, the queue and the logs
BUSY: Final = 0.25  # share of the machine that others use
TRIAL_S: Final = 120
HOUR_S: Final = 3600
TRIAL_TOKENS: Final = 32
QUESTION: Final = "What shape is this, and which colour?"
# Instructions that multiply 8-bit integers, which the vision tower consists of.
INT8_FEATURES: Final = {"avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm"}


def findings(settings: Settings, port: int) -> Iterator[Finding]:
    """The results of all checks before `edge up --port PORT`, in order."""
    is_here = runs(settings, port)
    yield processor()
    yield others()
    yield disk(settings)
    for about, check in CHECKS.items():
        if about == "port" and is_here:
            yield Finding(about, "ok", f"Edge-VL runs on port {port}.")
        else:
            yield result(about, check, settings, port)
    yield jail()
    yield llama_cpp()
    yield trial()
    yield from model(settings, held_bytes(port) if is_here else 0)
    yield from last_hour(settings, port, read_figures(settings, port))


def result(about: str, check: Check, settings: Settings, port: int) -> Finding:
    try:
        return check(settings, port)
    except SetupError as error:
        return Finding(about, "wrong", error.message)


def held_bytes(port: int) -> int | None:
    """The memory that becomes free when the `edge up` on `port` ends; None where that
    cannot be seen, because another account or a container engine runs it."""
    pid = host.listener(port)
    service = pid and host.service_of(pid)
    if not service or service == pid:
        return None
    return sum(each.anonymous_bytes for each in host.held_by(service))


def processor() -> Finding:
    cpu, n_cores = host.cpu(), host.usable_cores()
    message = f"{cpu.name}, {n_cores} usable cores: {', '.join(cpu.features)}."
    if not cpu.runs_openvino:
        message += " OpenVINO needs AVX2: use another machine."
        return Finding("processor", "wrong", message)
    if not INT8_FEATURES.intersection(cpu.features):
        message += " It has no instructions for 8-bit integers: pictures will be slow."
        return Finding("processor", "note", message)
    if n_cores == 1:
        message += " With one core, answers pause while a picture is encoded."
        return Finding("processor", "note", message)
    return Finding("processor", "ok", message)


def others() -> Finding:
    busy = host.busy_fraction()
    message = f"Other programs use {busy:.0%} of the machine."
    if busy > BUSY:
        return Finding(
            "others", "note", f"{message} Answers will be slower by as much."
        )
    return Finding("others", "ok", message)


def disk(settings: Settings) -> Finding:
    there = next(
        p for p in (settings.data_dir, *settings.data_dir.parents) if p.exists()
    )
    free = shutil.disk_usage(there).free
    message = f"{decimal(free)} free for {settings.data_dir}."
    if free < ROOM_BYTES:
        message += f" With compiled models, {decimal(ROOM_BYTES)} may be needed."
        return Finding("disk", "note", message)
    return Finding("disk", "ok", message)


def jail() -> Finding:
    """How well the picture decoders are confined."""
    if lacking := confinement():
        return Finding("jail", "note", " ".join(lacking))
    return Finding(
        "jail", "ok", "Pictures are decoded without access to files or network."
    )


def llama_cpp() -> Finding:
    if message := native.described():
        return Finding("llama.cpp", "note", message)
    return Finding("llama.cpp", "ok", "llama.cpp is installed.")


def trial() -> Finding:
    """A question to the bundled model, in a child process, which may crash."""
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder, "circle.png")
        image = Image.new("RGB", (224, 224), "white")
        ImageDraw.Draw(image).ellipse((40, 40, 184, 184), "red")
        image.save(picture)
        edge = [sys.executable, "-c", "from edge.cli.app import app; app()"]
        command = [*edge, "ask", str(picture), QUESTION, "--model", TINY]
        command += ["--max-tokens", str(TRIAL_TOKENS)]  # even if the settings say less
        try:
            ended = subprocess.run(
                command, capture_output=True, text=True, timeout=TRIAL_S
            )
        except subprocess.TimeoutExpired:
            message = f"The bundled model has not answered within {TRIAL_S} s."
            return Finding("trial", "wrong", message)
    if ended.returncode < 0:
        name = signal.Signals(-ended.returncode).name
        message = f"{TINY} crashed with {name}."
        if has_llama():
            message += (
                " llama.cpp was compiled for another processor. Remove "
                "~/.cache/edge-vl and run `make setup`."
            )
        return Finding("trial", "wrong", message)
    if ended.returncode:
        return Finding("trial", "wrong", ended.stderr.strip().rpartition("\n")[2])
    answer = ended.stdout.strip()
    if not {"red", "circle"} <= set(answer.lower().strip(".").split()):
        message = (
            f"{TINY} was shown a red circle and answered {answer!r}: this processor "
            "computes wrong results. Use another machine."
        )
        return Finding("trial", "wrong", message)
    return Finding("trial", "ok", f"{TINY} was shown a red circle: “{answer}”")


def model(settings: Settings, returned_bytes: int | None = 0) -> Iterator[Finding]:
    """Whether the files are there, fit into memory, and are tuned. `returned_bytes`
    are held by a service that runs; None if nobody knows how many."""
    try:
        named, note = _without_download(settings)
        if note:
            yield Finding("model", "note", note)
        is_known = returned_bytes is not None
        more = returned_bytes if is_known else host.usable_memory_bytes()
        plans = plan_found(find_models(named), more or 0)
    except SetupError as error:
        yield Finding("model", "wrong", error.message)
        return
    for plan in plans:
        yield from planned(plan)
    needs = "; ".join(f"{plan.files.name}: {plan.need}" for plan in plans)
    if is_known:
        free = (host.available_memory_bytes() + (returned_bytes or 0)) / GIB
        yield Finding("memory", "ok", f"{needs}; {free:.1f} are free.")
    else:
        message = (
            f"{needs}; not checked, because a service runs whose memory is hidden."
        )
        yield Finding("memory", "note", message)


def _without_download(settings: Settings) -> tuple[Settings, str]:
    """With `tiny` for a model that is not here yet, and a note if so."""
    names = model_names(settings)
    if "auto" not in names or entries()[DEFAULT].is_complete(models_folder(settings)):
        return settings, ""
    names = tuple(TINY if name == "auto" else name for name in names)
    models = ",".join(names) if settings.models else ""
    note = f"{DEFAULT} is missing: {TINY} is served until `edge models pull`."
    return replace(settings, model=names[0], models=models), note


def planned(plan: Plan) -> Iterator[Finding]:
    """How one model is served."""
    files = plan.files
    yield Finding("model", "ok", f"{files.name}, {files.model}")
    if plan.runtime_note:
        yield Finding("runtime", "note", plan.runtime_note)
    if plan.tuning:
        message = "\n".join([plan.tuning_note, *table(plan)])
        yield Finding("tuning", "ok", message)
    elif files.name != TINY:  # which is fast enough anywhere
        yield Finding("tuning", "note", plan.tuning_note)
    if plan.forecast:
        yield Finding("pictures", "ok", plan.forecast)


def last_hour(
    settings: Settings, port: int, figures: Figures | None
) -> Iterator[Finding]:
    """What the service on `port` suffers from, if one runs."""
    about = "last hour"
    if figures is None:
        yield Finding(
            about,
            "ok",
            f"No Edge-VL on port {port} tells this machine its "
            "figures (EDGE_METRICS_FROM).",
        )
        return
    rows = applying(figures)
    for row in rows:
        message = row.message()
        if row.is_counted and figures.counted_s > HOUR_S:
            hours = figures.counted_s / HOUR_S
            message += f" (Counted since the web process started, {hours:.0f} h ago.)"
        yield Finding(about, "note", message)
    if rows:
        return
    message = f"{figures.n_answers} answers, and no known symptom."
    if not figures.n_answers:
        message = "No known symptom, and no answer to look at."
        if settings.keys_path.exists():
            message += " With keys, only an admin key sees the stages of answers."
    yield Finding(about, "ok", message)
