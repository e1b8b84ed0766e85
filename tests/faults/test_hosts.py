"""Several hosts, as docs/deploy.md sets them up: a broker with TLS and accounts, two
hosts with a worker each. One of them is cut off in the middle of its answers.

The hosts are network namespaces with a host name of their own.
"""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import httpx
import pytest

from edge.events import Terminal, from_json
from edge.jobs import keys
from edge.redis_clients import UNREACHABLE, SyncRedis, sync_client
from edge.settings import Settings
from edge.up.parts import LOOPBACK, free_port
from tests.conftest import cannot, wait_for
from tests.deploy.conftest import debian, example
from tests.faults.asking import Outcome, answered, ask, until
from tests.faults.service import ROOT, STUB_WORKER

pytestmark = [pytest.mark.redis, pytest.mark.faults, pytest.mark.slow]

HOSTS = ("one", "two")
SLOTS = 2


def run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=60)


def answers(client: SyncRedis) -> bool:
    try:
        return bool(client.ping())
    except UNREACHABLE:
        return False


class Network:
    """A bridge on this host, and a namespace behind a link for each of HOSTS."""

    def __init__(self) -> None:
        net = secrets.randbelow(200) + 20
        self.address = f"10.77.{net}.1"
        self._bridge = f"edge{net}"
        self._name = {host: f"edge{net}{host}" for host in HOSTS}
        run("ip", "link", "add", self._bridge, "type", "bridge")
        run("ip", "address", "add", f"{self.address}/24", "dev", self._bridge)
        run("ip", "link", "set", self._bridge, "up")
        for n, name in enumerate(self._name.values(), start=2):
            run("ip", "netns", "add", name)
            far = ["peer", "name", "eth0", "netns", name]
            run("ip", "link", "add", name, "type", "veth", *far)
            run("ip", "link", "set", name, "master", self._bridge, "up")
            inside = ["ip", "-n", name]
            run(*inside, "address", "add", f"10.77.{net}.{n}/24", "dev", "eth0")
            run(*inside, "link", "set", "eth0", "up")

    def on(self, host: str, *command: str) -> list[str]:
        """The command line that runs `command` on a host."""
        named = ["unshare", "--uts", "sh", "-c", f'hostname {host}; exec "$@"', "sh"]
        return ["ip", "netns", "exec", self._name[host], *named, *command]

    def set_link(self, host: str, state: str) -> None:
        run("ip", "link", "set", self._name[host], state)

    def remove(self) -> None:
        for name in self._name.values():
            run("ip", "link", "delete", name)  # sockets that close keep the namespace
            run("ip", "netns", "delete", name)
        run("ip", "link", "delete", self._bridge)


class Team:
    """Broker, cache and web process on this host, a worker on each of HOSTS."""

    def __init__(self, folder: Path, network: Network, stack: ExitStack) -> None:
        self._stack = stack
        self.folder = folder
        self.network = network
        self._ports = {"6379": str(free_port()), "6380": str(free_port())}
        self._start_stores()
        lines = self._typed("EDGE_CACHE_URL=rediss").replace("=qwen3-vl-2b", "=tiny")
        given = dict(line.split("=", 1) for line in lines.splitlines())
        self.settings = Settings.read(given)._with_password()
        self.broker = sync_client(self.settings.broker_url)
        with closing(sync_client(self.settings.cache_url)) as cache:
            wait_for(lambda: answers(self.broker) and answers(cache), 20)
        given |= {"EDGE_SLOTS": str(SLOTS), "EDGE_ANSWER_CACHE": "off"}
        given |= {"EDGE_DATA_DIR": str(folder)}
        given |= {"PYTHONPATH": str(ROOT), "GRADIO_ANALYTICS_ENABLED": "False"}
        for host in HOSTS:
            command = network.on(host, sys.executable, str(STUB_WORKER))
            self._start(host, command, given)
        port = free_port()
        self.url = f"http://{LOOPBACK}:{port}"
        self._start("web", [sys.executable, "-m", "ui", "--port", str(port)], given)

    def _typed(self, word: str) -> str:
        """The code block of the guide with this word, for this test's places."""
        block = example(word).replace("10.77.0.1", self.network.address)
        for old, new in self._ports.items():
            block = re.sub(rf"\b{old}\b", new, block)
        block = block.replace("/var/lib/redis", str(self.folder / "data"))
        return block.replace("/etc/", f"{self.folder}/")

    def _start_stores(self) -> None:
        for name in ("data", "redis"):
            (self.folder / name).mkdir()
        keys, units = self._typed("openssl x509"), self._typed("install -o redis")
        [install] = [line for line in units.splitlines() if line.startswith("install")]
        owned = self._typed("install -o edge-vl").replace("-o edge-vl", "")
        script = "\n".join([keys, install.replace("-o redis -g redis", ""), owned])
        subprocess.run(["sh", "-euc", script], cwd=self.folder, check=True)
        files = debian("redis-server", "redis-tools", "libjemalloc2", "liblzf1")
        server = str(files / "usr/bin/redis-server")
        libraries = next((files / "usr/lib").glob("*-linux-gnu"))
        unit = (files / "lib/systemd/system/redis-server@.service").read_text()
        for word in ("tls-cert-file", "include "):
            conf = self._typed(word)
            path = Path(conf.split()[1].rstrip(":"))
            path.write_text(conf)
            name = path.stem.removeprefix("redis-")
            started = f"/etc/redis/redis-{name}.conf"
            assert f"redis-server@{name}" in units
            assert started in unit.replace("%i", name)
            command = [server, str(path)]
            self._start(name, command, {"LD_LIBRARY_PATH": str(libraries)})

    def _start(self, name: str, command: list[str], environ: dict[str, str]) -> None:
        others = {k: v for k, v in os.environ.items() if not k.startswith("EDGE_")}
        own = self.folder / f"{name}-files"
        own.mkdir()
        log = self._stack.enter_context((self.folder / f"{name}.log").open("wb"))
        process = self._stack.enter_context(
            subprocess.Popen(
                command, env=others | environ, cwd=own, stdout=log, stderr=log
            )
        )
        self._stack.callback(process.kill)

    def n_slots(self) -> int:
        """How many slots the web process knows of."""
        try:
            state = httpx.get(f"{self.url}/ready", timeout=3).json()
        except (httpx.HTTPError, ValueError):
            return 0
        return int(state.get("slots", 0))

    def n_terminals(self, job_id: str) -> int:
        """How many terminal events all attempts at a job have, together."""
        streams = self.broker.keys(keys.EVENTS(job_id, "*"))
        entries = [entry for key in streams for entry in self.broker.xrange(key)]
        events = [from_json(fields[b"event"]) for _, fields in entries]
        return sum(isinstance(event, Terminal) for event in events)

    def attempt(self, outcome: Outcome) -> int:
        """How often this question was begun."""
        return int(self.broker.hget(keys.JOB(outcome.job_id), "attempt") or 0)

    def n_taken(self, host: str) -> int:
        """How many jobs the worker of a host has taken."""
        log = (self.folder / f"{host}.log").read_text()
        return log.count("Task edge.answer[")


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    if os.geteuid() != 0:
        cannot("Only root can make network namespaces.")
    with ExitStack() as stack:
        network = Network()
        stack.callback(network.remove)
        one = Team(tmp_path_factory.mktemp("hosts"), network, stack)
        stack.callback(one.broker.close)
        wait_for(lambda: one.n_slots() == 2 * SLOTS, 60)
        yield one


async def test_both_hosts_answer(team: Team) -> None:
    before = [team.n_taken(host) for host in HOSTS]
    many = (answered(team.url, key=f"k{n}", n=60) for n in range(8))
    outcomes = await asyncio.gather(*many)
    assert all(one.is_right for one in outcomes), outcomes
    after = [team.n_taken(host) for host in HOSTS]
    assert all(late > early for early, late in zip(before, after, strict=True))


def test_the_broker_needs_password_and_certificate(team: Team) -> None:
    address = team.settings.broker_url.rpartition("@")[2]
    stranger = sync_client(f"rediss://{address}")
    with pytest.raises(UNREACHABLE, match="Authentication required"):
        stranger.ping()
    with pytest.raises(UNREACHABLE, match="permissions"):
        team.broker.config_set("appendonly", "no")
    stranger.close()
    untrusting = sync_client(f"rediss://{address.partition('?')[0]}")
    with pytest.raises(UNREACHABLE, match="certificate"):
        untrusting.ping()
    untrusting.close()


@pytest.mark.parametrize("round_", range(2))
async def test_nothing_is_lost_when_a_host_is_cut_off(team: Team, round_: int) -> None:
    """Two answers on each host, of which one was shown in part, two more that wait."""
    shown = [
        asyncio.create_task(ask(team.url, "shown", key=f"s{n}", n=200))
        for n in range(2)
    ]
    hidden = [
        asyncio.create_task(ask(team.url, "hidden", key=f"h{n}", n=200, stream=False))
        for n in range(4)
    ]
    await asyncio.sleep(2)
    cut = time.monotonic()
    team.network.set_link("two", "down")
    outcomes = await asyncio.gather(*shown, *hidden)
    ends = [one.end for one in outcomes]
    assert all(one.is_right for one in outcomes if one.end == "length"), outcomes
    assert ends[2:] == ["length"] * 4  # no client has noticed
    assert set(ends[:2]) <= {"length", "worker_lost"}
    assert max(one.began + one.seconds for one in outcomes) - cut < 60
    assert team.n_slots() == SLOTS
    assert (await answered(team.url, "meanwhile", n=5)).is_right
    team.network.set_link("two", "up")
    await until(lambda: team.n_slots() == 2 * SLOTS, 30)
    before = team.n_taken("two")
    again = [answered(team.url, "again", key=f"a{n}", n=60) for n in range(6)]
    assert all(one.is_right for one in await asyncio.gather(*again))
    assert team.n_taken("two") > before
    for one in outcomes:
        assert team.n_terminals(one.job_id) == 1
    # some of them were being answered there
    assert "worker_lost" in ends or max(map(team.attempt, outcomes)) > 1
