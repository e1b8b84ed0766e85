"""Synthetic runs, made from a seed, that resemble measured ones."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from benchmarks.record import ResourceSample, Run, Sample, Stage

MB = 1_000_000
FINGERPRINT = {
    "cpu": "AMD EPYC 9654",
    "architecture": "x86_64",
    "cpu_features": ["avx2", "avx512f", "avx512_vnni", "avx512_bf16"],
    "cores_usable": 2,
    "cores_in_all": 2,
    "memory_usable_bytes": 16 * 1_073_741_824,
    "kernel": "Linux 6.8.0",
    "python": "3.11.9",
    "packages": {"edge-vl": "0.1.0", "llama-cpp-python": "0.3.36"},
    "server": {"model": {"name": "synthetic-2b", "sha256": "ab" * 32}, "slots": 4},
}


def made_run(
    name: str = "Edge-VL",
    users: tuple[int, ...] = (1, 2, 4, 8, 16),
    seed: int = 4,
    seconds: float = 300.0,
    alone_s: float = 2.4,
    slots: int = 4,
    fails_from: int | None = None,
    kinds: tuple[str, ...] = ("picture",),
    leak_mb_per_hour: float = 0.0,
    scenario: str = "curve",
) -> Run:
    """A closed loop over a server that shares its slots and refuses the excess."""
    chance = random.Random(seed)
    run = Run(name, "http://127.0.0.1:8080", "2026-08-14T09:30:00Z", scenario)
    run.fingerprint = FINGERPRINT
    began = 0.0
    for n in users:
        ended = began
        # a batch of four computes 1.9 times the tokens of one
        service_s = alone_s * max(1, n / (1 + 0.3 * (min(n, slots) - 1)))
        for _ in range(n):
            at = began
            while at < began + seconds:
                sample = _sample(chance, n, at, service_s, kinds)
                if n > 3 * slots and chance.random() < 0.05:
                    sample = Sample(n, at, 0.02, "refused", sample.kind, "queue_full")
                elif fails_from and n >= fails_from and chance.random() < 0.062:
                    sample = Sample(n, at, 30.0, "failed", sample.kind, "504")
                run.samples.append(sample)
                pause = 5.0 if sample.outcome == "refused" else 0.1
                at += sample.e2e_s + pause
                ended = max(ended, at)
        run.stages.append(Stage(n, began, ended))
        at = began
        while at < ended:
            grown = leak_mb_per_hour * at / 3600 + chance.gauss(0, 3)
            resident = {
                "worker": int((2150 + 60 * min(n, slots) + grown) * MB),
                "ui": int((310 + 2 * n) * MB),
                "redis broker": 9 * MB,
                "redis cache": 14 * MB,
                "nginx": 6 * MB,
            }
            cpu = min(198.0, chance.gauss(90 + 40 * min(n, slots), 5))
            run.watched.append(ResourceSample(at, cpu, resident, max(0, n - slots)))
            at += max(1.0, seconds / 60)
        began = ended + 1
    return run


def _sample(
    chance: random.Random, n: int, at: float, service_s: float, kinds: tuple[str, ...]
) -> Sample:
    kind = chance.choice(kinds)
    weight = {"text": 0.4, "high-resolution picture": 2.2}.get(kind, 1.0)
    e2e_s = weight * service_s * chance.lognormvariate(0, 0.13)
    tokens = chance.randint(40, 64)
    ttft_s = 0.45 * e2e_s
    tpot_s = (e2e_s - ttft_s) / tokens
    gap_s = tpot_s * chance.uniform(2, 6)
    return Sample(
        users=n,
        began_s=at,
        e2e_s=e2e_s,
        outcome="answered",
        kind=kind,
        ttft_s=ttft_s,
        tpot_s=tpot_s,
        gap_s=gap_s,
        tokens=tokens,
    )


@pytest.fixture
def run_made() -> Callable[..., Run]:
    """Makes a run; the keywords are those of `made_run`."""
    return made_run


@pytest.fixture
def run_plain() -> Run:
    """A curve of five stages, with refusals and failures in the last."""
    return made_run(fails_from=16)


@pytest.fixture
def run_cut_short() -> Run:
    """A run whose second stage has no request, as after Ctrl-C."""
    run = made_run(users=(1,), seconds=60)
    run.stages.append(Stage(2, run.stages[-1].ended_s, run.stages[-1].ended_s))
    return run


@pytest.fixture
def run_empty() -> Run:
    """A run without stages and samples."""
    return Run("empty", "http://127.0.0.1:8080", "2026-08-14T09:30:00Z")


@pytest.fixture
def run_soak() -> Run:
    """Half an hour at 4 users, in which the worker grows by 400 MB per hour."""
    return made_run(users=(4,), seconds=1800, leak_mb_per_hour=400, scenario="soak")
