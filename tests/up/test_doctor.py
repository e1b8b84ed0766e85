"""`edge doctor` finds faults before `edge up` does, and says what to do."""

from __future__ import annotations

import os
import shutil
import socket
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from edge import host
from edge.cli import doctor as cli_doctor
from edge.cli.app import app
from edge.errors import SetupError
from edge.models.registry import tiny_files, write_tiny_quant
from edge.serving.plan import make_plan
from edge.settings import Settings
from edge.up import checks, doctor, service
from edge.up.checks import CHECKS, Finding
from edge.up.doctor import findings
from edge.up.models import RESERVE_BYTES, find_models, plan_found
from edge.up.parts import free_port
from tests.jobs.jobs_harness import patient
from tests.serving.tuned import DEFAULT_RESULTS, keep_tuning, language

GIB = 1 << 30


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path, model="tiny")


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("0.0.0.0", 0)) as server:
        yield server.getsockname()[1]


def called(name: str, tmp_path: Path, script: str) -> str:
    """A program that replaces this Python."""
    program = tmp_path / name
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return str(program)


@pytest.mark.model
def test_a_healthy_machine(settings: Settings) -> None:
    found = {one.about: one for one in findings(settings, free_port())}
    assert list(found) == [
        "processor",
        "others",
        "disk",
        "address",
        "port",
        "queue",
        "nginx",
        "state",
        "jail",
        "llama.cpp",
        "trial",
        "model",
        "memory",
        "last hour",
    ]
    assert not [one for one in found.values() if one.level == "wrong"]
    assert "red circle" in found["trial"].message
    assert str(tiny_files().model) in found["model"].message


@pytest.mark.parametrize(
    ("name", "features", "n_cores", "level", "said"),
    [
        ("Xeon", ("avx2", "fma", "avx512_vnni"), 8, "ok", "8 usable cores"),
        ("Xeon", ("avx2", "fma"), 8, "note", "pictures will be slow"),
        ("Xeon", ("avx2", "avx_vnni"), 1, "note", "With one core"),
        ("Old", (), 8, "wrong", "use another machine."),
        ("Arm 0x41 0xd40", ("asimd", "asimddp"), 4, "ok", "4 usable cores"),
    ],
)
def test_a_processor_is_judged_by_its_features(
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    features: tuple[str, ...],
    n_cores: int,
    level: str,
    said: str,
) -> None:
    monkeypatch.setattr(host, "cpu", lambda: host.Cpu(name, features))
    monkeypatch.setattr(host, "usable_cores", lambda: n_cores)
    finding = doctor.processor()
    assert finding.level == level
    assert finding.message.startswith(name)
    assert said in finding.message


@pytest.mark.parametrize(("busy", "level"), [(0.02, "ok"), (0.9, "note")])
def test_a_busy_machine_is_noted(monkeypatch, busy: float, level: str) -> None:
    monkeypatch.setattr(host, "busy_fraction", lambda: busy)
    assert doctor.others().level == level


def test_a_small_disk_is_noted_and_a_full_one_is_wrong(monkeypatch, settings) -> None:
    missing = replace(settings, data_dir=settings.data_dir / "not" / "yet")
    assert doctor.disk(missing).level == "ok"
    small = SimpleNamespace(free=1_000_000_000)  # enough for `edge up`
    monkeypatch.setattr(shutil, "disk_usage", lambda _: small)
    assert doctor.disk(missing).level == "note"
    assert checked("state", missing).level == "ok"
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1_000_000))
    finding = checked("state", missing)
    assert finding.level == "wrong"
    assert "1.0 MB free" in finding.message


def checked(about: str, settings: Settings, port: int | None = None) -> Finding:
    """The finding of one check that `edge up` makes too."""
    return doctor.result(about, CHECKS[about], settings, port or free_port())


def test_an_unreachable_redis_is_wrong(settings: Settings) -> None:
    url = f"redis://:secret@127.0.0.1:{free_port()}/0"
    finding = checked("queue", replace(settings, broker_url=url))
    assert finding.level == "wrong"
    assert "cannot be reached" in finding.message
    assert "secret" not in finding.message


def test_own_redis_servers_are_checked(monkeypatch, settings, redis_url: str) -> None:
    own = replace(settings, broker_url=redis_url, cache_url=redis_url)
    with patient():
        assert checked("queue", own).level == "note"  # without an append-only file
    monkeypatch.setattr(checks, "check_redis", lambda _: "")
    assert checked("queue", own).level == "ok"


def test_a_port_in_use_is_wrong_unless_edge_vl_uses_it(
    monkeypatch: pytest.MonkeyPatch, settings: Settings, taken_port: int
) -> None:
    monkeypatch.setattr(doctor, "trial", lambda: Finding("trial", "ok", "It is well."))
    found = {one.about: one for one in findings(settings, taken_port)}
    assert found["port"].level == "wrong"
    assert str(taken_port) in found["port"].message
    monkeypatch.setattr(doctor, "runs", lambda *_: True)
    found = {one.about: one for one in findings(settings, taken_port)}
    assert found["port"].level == "ok"


@pytest.mark.parametrize(
    ("about", "wrong", "said"),
    [
        ("address", {"host": "0.0.0.0"}, "edge keys create"),
        ("address", {"trust": "127.0.0.1/32"}, "edge keys create"),
        ("address", {"host": "edge.lan"}, "not an address"),
        ("address", {"trust": "garbage", "open": True}, "EDGE_TRUST"),
        ("address", {"metrics_from": "10.1.2.3/8"}, "EDGE_METRICS_FROM"),
        ("port", {"host": "192.0.2.1", "open": True}, "not an address of this machine"),
        ("port", {"metrics_port": 0}, "EDGE_METRICS_PORT"),  # 0: one that is in use
        ("nginx", {"hosts": "a b"}, "EDGE_HOSTS"),
        ("nginx", {"cors": "a b"}, "EDGE_CORS"),
        ("state", {"data_dir": Path("/dev/null")}, "cannot be used"),
        ("model", {"models": "tiny,qwen3-vl-2b"}, "edge models pull qwen3-vl-2b"),
    ],
)
def test_what_edge_up_refuses_is_wrong(
    monkeypatch: pytest.MonkeyPatch,
    settings: Settings,
    taken_port: int,
    about: str,
    wrong: dict[str, Any],
    said: str,
) -> None:
    """Both say the same, and `edge up` before it starts anything."""
    monkeypatch.setattr(doctor, "trial", lambda: Finding("trial", "ok", "It is well."))
    if "metrics_port" in wrong:
        wrong = {"metrics_port": taken_port}
    settings = replace(settings, **wrong)
    port = free_port()
    found = [one for one in findings(settings, port) if one.level == "wrong"]
    [finding] = [one for one in found if one.about == about]
    assert said in finding.message
    monkeypatch.setattr(service, "Stack", None)  # nothing is started
    monkeypatch.setattr(service, "leave_root", stay)
    monkeypatch.setattr(os, "umask", lambda _: 0)
    with pytest.raises(SetupError) as refusal:
        service.up(settings, port, with_nginx=True)
    assert refusal.value.message == found[0].message


def stay(settings: Settings, _user: str | None) -> tuple[Settings, str]:
    """Keeps the rights of the process that runs the tests."""
    return settings, ""


def test_models_that_do_not_fit_together_are_wrong(monkeypatch, settings) -> None:
    write_tiny_quant("tiny-q8", settings.data_dir / "models")
    needs = sum(plan.need.total_bytes for plan in plan_found(find_models(settings)))
    free = RESERVE_BYTES + needs + needs // 2
    monkeypatch.setattr(host, "available_memory_bytes", lambda: free)
    assert {one.level for one in doctor.model(settings)} == {"ok"}
    [finding] = doctor.model(replace(settings, models="tiny,tiny-q8"))
    assert finding.level == "wrong"
    assert "together (tiny " in finding.message


def test_memory_of_the_service_that_runs_counts_as_free(monkeypatch, settings) -> None:
    monkeypatch.setattr(host, "available_memory_bytes", lambda: GIB // 2)
    *_, known = doctor.model(settings, returned_bytes=2 * GIB)
    assert (known.level, "2.5 are free" in known.message) == ("ok", True)
    *_, hidden = doctor.model(settings, returned_bytes=None)
    assert (hidden.level, "not checked" in hidden.message) == ("note", True)


def test_llama_cpp_for_another_processor_is_recognised(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    dies = called("dies", tmp_path, "kill -ILL $$")
    monkeypatch.setattr(sys, "executable", dies)
    finding = doctor.trial()
    assert finding.level == "wrong"
    assert "SIGILL" in finding.message
    assert "`make setup`" in finding.message


def test_a_wrong_answer_is_wrong(monkeypatch, tmp_path: Path) -> None:
    says = called("says", tmp_path, "echo 'A blue square.'")
    monkeypatch.setattr(sys, "executable", says)
    finding = doctor.trial()
    assert finding.level == "wrong"
    assert "A blue square." in finding.message


def test_a_trial_is_not_cut_by_the_settings(monkeypatch, tmp_path: Path) -> None:
    script = 'echo "A red circle. $EDGE_ANSWER_TOKENS, $*"'
    monkeypatch.setattr(sys, "executable", called("says", tmp_path, script))
    monkeypatch.setenv("EDGE_ANSWER_TOKENS", "1")
    assert "--max-tokens 32" in doctor.trial().message


def test_the_error_of_a_trial_is_shown(monkeypatch, tmp_path: Path) -> None:
    fails = called("fails", tmp_path, "echo noise >&2; echo edge: No. >&2; exit 1")
    monkeypatch.setattr(sys, "executable", fails)
    assert doctor.trial() == Finding("trial", "wrong", "edge: No.")


def test_a_trial_that_hangs_is_ended(monkeypatch, tmp_path: Path) -> None:
    hangs = called("hangs", tmp_path, "exec sleep 60")
    monkeypatch.setattr(sys, "executable", hangs)
    monkeypatch.setattr(doctor, "TRIAL_S", 0.2)
    assert "not answered" in doctor.trial().message


def test_without_the_real_model_tiny_is_announced(settings: Settings) -> None:
    first, *rest = doctor.model(replace(settings, model="auto"))
    assert first.level == "note"
    assert "`edge models pull`" in first.message
    assert [one.level for one in rest] == ["ok", "ok"]


def test_a_missing_model_is_wrong(settings: Settings) -> None:
    [finding] = doctor.model(replace(settings, model="qwen3-vl-2b"))
    assert finding.level == "wrong"
    assert "edge models pull qwen3-vl-2b" in finding.message


def test_a_model_that_is_too_large_is_wrong(monkeypatch, settings) -> None:
    monkeypatch.setattr(host, "available_memory_bytes", lambda: GIB // 2)
    [finding] = doctor.model(settings)
    assert finding.level == "wrong"
    assert "needs more memory" in finding.message


def test_a_tuned_machine_says_what_pictures_cost(settings: Settings) -> None:
    keep_tuning(settings, tiny_files())
    said = {one.about: one for one in doctor.model(settings)}
    assert said["tuning"].level == "ok"
    note, *lines = said["tuning"].message.split("\n")
    assert note == "Measured on 2026-11-26."
    chosen = [line for line in lines if line.endswith("(chosen)")]
    assert len(chosen) == 2
    assert all("groups of 64" in line for line in chosen)
    assert any("llama.cpp" in line for line in lines)
    assert said["pictures"].message.startswith(
        "First words about a large picture after"
    )


def test_variants_that_failed_are_shown(settings: Settings) -> None:
    crashed = language(None, [1] * 5, problem="crashed with SIGSEGV")
    keep_tuning(settings, tiny_files(), crashed, *DEFAULT_RESULTS)
    said = {one.about: one for one in doctor.model(settings)}
    assert "llama.cpp, kv q8_0" in said["tuning"].message
    assert "crashed with SIGSEGV" in said["tuning"].message


def test_a_machine_with_too_little_memory_for_openvino_is_noted(
    monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    settings = replace(settings, weights="int8")  # no smaller ones instead
    plan = make_plan(replace(settings, runtime="openvino"), tiny_files())
    free = plan.need.total_bytes + RESERVE_BYTES - 1
    monkeypatch.setattr(host, "available_memory_bytes", lambda: free)
    found = {one.about: one for one in doctor.model(settings)}
    assert found["runtime"].level == "note"
    assert "llama.cpp" in found["runtime"].message


def command(*words: str, **environ: str) -> Result:
    return CliRunner().invoke(app, ["doctor", *words], env=environ)


@pytest.fixture
def well(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skips the trial, which takes seconds and is tested above."""
    monkeypatch.setattr(doctor, "trial", lambda: Finding("trial", "ok", "It is well."))
    monkeypatch.setattr(cli_doctor, "leave_root", stay)


@pytest.mark.usefixtures("well")
def test_a_healthy_machine_has_status_0(tmp_path: Path) -> None:
    result = command("--model", "tiny", EDGE_DATA_DIR=str(tmp_path))
    assert result.exit_code == 0, result.output
    assert "ok     trial      It is well." in result.stdout


@pytest.mark.usefixtures("well")
def test_an_unhealthy_machine_has_status_1(tmp_path: Path) -> None:
    result = command("--model", "qwen3-vl-2b", EDGE_DATA_DIR=str(tmp_path))
    assert result.exit_code == 1
    assert "wrong  model " in result.stdout
    assert "ok     trial " in result.stdout
    assert "before `edge up`" in result.stderr


@pytest.mark.usefixtures("well")
def test_every_model_of_the_settings_is_looked_at(tmp_path: Path) -> None:
    models = {"EDGE_MODELS": "tiny,qwen3-vl-2b", "EDGE_DATA_DIR": str(tmp_path)}
    result = command(**models)
    assert result.exit_code == 1
    assert "qwen3-vl-2b" in result.stdout
    assert command("--model", "tiny", **models).exit_code == 0


@pytest.mark.usefixtures("well")
def test_paths_are_shown_whole_in_a_narrow_terminal(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 30)
    result = command("--model", "tiny", EDGE_DATA_DIR=str(folder), COLUMNS="60")
    assert str(folder) in "".join(line.strip() for line in result.stdout.split("\n"))
    assert os.sep in result.stdout
