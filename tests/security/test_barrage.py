"""All attacks at once, for minutes, while another client asks.

    make attack [ATTACK_SECONDS=300] [ATTACK_RATE=15]

ATTACK_RATE bounds the attacks a second, and gives the attacker a low priority: it has
to share the processors with what it attacks. 0: as many as come, with the priority of
the server; then how long the victim waits is told, and not judged.
"""

from __future__ import annotations

import fnmatch
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.security.victim import PATIENCE_S, Victim
from tests.security.watching import State, Watch
from tests.stack.conftest import Stack, running

pytestmark = [
    pytest.mark.slow,
    pytest.mark.stack,
    pytest.mark.nginx,
    pytest.mark.redis,
    pytest.mark.model,
]

ATTACK_S = float(os.environ.get("ATTACK_SECONDS", 300))
RATE = float(os.environ.get("ATTACK_RATE", 15))
QUIET_S = min(60.0, ATTACK_S)
SETTLE_S = min(20.0, ATTACK_S)

# A quiet P95 is two tenths of a second. An honest conversation that fills the context
# holds all cells for one, and some of the attacks are such.
MOST_WAIT, MARGIN_S = 2.0, 1.0
MOST_GROWTH_MB = 100.0  # of each part, with its jails
LONGEST_DEAF_S = 2.0
ROOT = Path(__file__).parents[2]

# What the service writes by itself; `*` matches `/` too.
OWN_FILES = [
    "output.txt",
    "data/state/*/logs/*",
    "data/state/*/broker/*",
]


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that holds all a service may write to, home and temporary files too."""
    folder = Path(tempfile.mkdtemp(prefix="barrage-"))
    folder.chmod(0o711)  # nginx's workers pass
    for name, variable in {"tmp": "TMPDIR", "home": "HOME"}.items():
        (folder / name).mkdir(mode=0o711)
        monkeypatch.setenv(variable, str(folder / name))
    for variable in ("XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(variable, raising=False)
    yield folder
    shutil.rmtree(folder)


def start_attacker(stack: Stack) -> subprocess.Popen[str]:
    """It has made all that it sends, and waits for a line."""
    command = [sys.executable, "-m", "tests.security.attacker"]
    command += [str(stack.port), str(ATTACK_S), str(RATE)]
    process = subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout and process.stdout.readline() == "ready\n"
    return process


def cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2] for line in lines if line.startswith("model name")]
    return names[0].strip() if names else "an unknown processor"


def rows_of(attacks: dict[str, Any]) -> Iterator[str]:
    """How the attacks of each kind ended, by status or how they were cut."""
    for kind, counts in attacks["counts"].items():
        ended = ", ".join(f"{how}: {counts[how]}" for how in sorted(counts))
        slowest = attacks["slowest"][kind]
        yield f"{kind:16} {sum(counts.values()):5}, slowest {slowest:.1f} s; {ended}"


def load() -> float:
    return os.getloadavg()[0]


def test_a_barrage_leaves_a_victim_its_answers(edge: str, home: Path) -> None:
    # so little that a cache which fills is not taken for a leak
    with running(edge, home, embeddings_mb="16") as stack:
        victim, attacker = Victim(stack.url), start_attacker(stack)
        try:
            victim.warm_up()
            quiet = victim.ask_for(QUIET_S)
            before, loads = State.of(stack, home), [load()]
            with Watch(stack, home) as watch:
                assert attacker.stdin
                attacker.stdin.write("begin\n")
                attacker.stdin.flush()
                attacked = victim.ask_for(ATTACK_S)
                loads.append(load())
                told, _ = attacker.communicate(timeout=3 * PATIENCE_S)
            time.sleep(SETTLE_S)
            later = victim.ask_for(5)
            after = State.of(stack, home)
        finally:
            victim.close()
            attacker.kill()
            attacker.wait(10)

    attacks = json.loads(told)
    changed = after.changed_since(before)
    strange = [p for p in changed if not any(fnmatch.fnmatch(p, o) for o in OWN_FILES)]
    how = f"{RATE:g} a second, at a low priority" if RATE else "without a bound"
    rows = [
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {cpu()}, {os.cpu_count()} cores, "
        f"load {loads[0]:.1f} before and {loads[1]:.1f} at the end",
        f"attacks for {ATTACK_S:.0f} s, {how}",
        f"victim, quiet:    {quiet}",
        f"victim, attacked: {attacked}",
        f"victim, later:    {later}",
        f"longest time without an answer of /health: {watch.deaf_s:.2f} s",
        *rows_of(attacks),
        *(
            f"{name:16} pid {pid} -> {after.pids.get(name)}, "
            f"{before.memory_mb[name]:.0f} -> {after.memory_mb.get(name, 0):.0f} MB"
            for name, pid in before.pids.items()
        ),
        f"all parts: {before.total_mb:.0f} -> {after.total_mb:.0f} MB",
        f"{len(changed)} files written, not expected: {strange[:9]}",
        f"written elsewhere: {sorted(watch.outside)}",
        f"tracebacks in logs: {after.n_tracebacks}",
    ]
    print("\n" + "\n".join(rows))

    assert not quiet.wrong and not later.wrong
    # an attacker with as many addresses as there are jobs may hold them all
    allowed = {"200"} if RATE else {"200", "429", "503"}
    assert attacked.endings.keys() <= allowed, attacked.wrong[:9]
    assert len(attacked.wrong) == attacked.n - attacked.endings["200"], attacked.wrong
    assert after.pids == before.pids and after.said == before.said
    for name, memory_mb in after.memory_mb.items():
        assert memory_mb - before.memory_mb[name] < MOST_GROWTH_MB, name
    assert not strange and not watch.outside and not after.n_tracebacks
    endings = {how for counts in attacks["counts"].values() for how in counts}
    assert not endings & {"500", "502", "504", "no answer"}
    if RATE:
        assert attacked.at(0.95) <= MOST_WAIT * quiet.at(0.95) + MARGIN_S
        assert watch.deaf_s < LONGEST_DEAF_S
