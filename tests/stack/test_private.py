"""Other accounts of this machine can read no file and reach no server."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests.conftest import cannot, wait_for
from tests.stack.conftest import Stack, running
from tests.stack.test_up import BODY, answers, edge_

pytestmark = [pytest.mark.stack, pytest.mark.model]

SECRET = "My secret question about my salary"

# In a child process of another account: tries to open each file, list each folder and
# connect to each socket that it is given.
STRANGER = """
import json, os, socket, stat, sys
os.setgroups([])
os.setresgid(65534, 65534, 65534)
os.setresuid(65534, 65534, 65534)
got = []
for path in json.load(sys.stdin):
    try:
        kind = os.lstat(path).st_mode
        if stat.S_ISSOCK(kind):
            socket.socket(socket.AF_UNIX).connect(path)
        elif stat.S_ISDIR(kind):
            os.listdir(path)
        else:
            open(path, "rb").close()
        got.append(path)
    except (PermissionError, FileNotFoundError):  # the latter: a part has removed it
        pass
print(json.dumps(got))
"""


def run_folder(stack: Stack) -> Path:
    """The folder of its sockets and temporary files."""
    ui = stack.child("-m", "ui")
    return Path(ui.cmdline()[ui.cmdline().index("--uds") + 1]).parents[1]


def test_files_are_readable_by_their_owner_only(stack: Stack) -> None:
    asked = {"messages": [{"role": "user", "content": SECRET}]}
    assert stack.post("/v1/chat/completions", asked).status_code == 200
    state = stack.data_dir / "state"
    paths = [state, *state.rglob("*")]
    assert {"worker.log", "ui.log", "nginx.log", "broker.log"} <= {
        p.name for p in paths
    }
    assert any(path.suffix == ".aof" for path in paths)
    for path in paths:
        with suppress(FileNotFoundError):  # a part has removed it meanwhile
            mode = path.lstat().st_mode
            wanted = 0o700 if stat.S_ISDIR(mode) else 0o600
            assert stat.S_IMODE(mode) == wanted, path


def test_only_nginx_reaches_the_socket(stack: Stack) -> None:
    folder = run_folder(stack)
    door = folder / "door" / "ui.sock"
    for path in (folder, folder / "door", door):
        assert not stat.S_IMODE(path.stat().st_mode) & 0o007, path


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another account")
def test_another_account_reads_and_reaches_nothing(stack: Stack) -> None:
    state, folder = stack.data_dir / "state", run_folder(stack)
    paths = [*state.rglob("*"), folder, *folder.rglob("*")]
    assert any(path.is_socket() for path in paths)
    done = subprocess.run(
        [sys.executable, "-c", STRANGER],
        input=json.dumps([str(path) for path in paths]),
        capture_output=True,
        text=True,
    )
    assert json.loads(done.stdout) == [], done.stderr


def test_the_web_process_listens_on_no_port(stack: Stack) -> None:
    ui = stack.child("-m", "ui")
    assert not [c for c in ui.net_connections("inet") if c.status == "LISTEN"]


def test_open_files_of_an_older_start_are_closed(edge: str, tmp_path: Path) -> None:
    old = tmp_path / "data" / "state" / "1" / "logs"
    old.mkdir(parents=True)
    (old / "ui.log").write_text(SECRET)
    for path in (old, old.parent, old.parents[1]):
        path.chmod(0o755)
    (old / "ui.log").chmod(0o644)
    with running(edge, tmp_path) as stack:
        wait_for(lambda: answers(stack))
    for path in (old, old.parent, old.parents[1]):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert stat.S_IMODE((old / "ui.log").stat().st_mode) == 0o600


def test_no_log_holds_a_question(stack: Stack) -> None:
    bodies = (
        {"messages": [{"role": "user", "content": SECRET}]},
        {"messages": [{"role": "user", "content": SECRET}], "top_k": SECRET},
        {"messages": [{"role": SECRET, "content": SECRET}]},
    )
    told = [stack.post("/v1/chat/completions", body) for body in bodies]
    assert [reply.status_code for reply in told] == [200, 400, 400]
    for log in (stack.data_dir / "state").rglob("*.log"):
        assert SECRET not in log.read_text(errors="replace"), log


# --- which address is open ----------------------------------------------------------


def own_address() -> str:
    """An address of this machine that is not loopback; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no other address than 127.0.0.1")
        return str(probe.getsockname()[0])


def reaches(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), timeout=2).close()
    except OSError:
        return False
    return True


def test_by_default_only_this_machine_has_access(stack: Stack) -> None:
    wait_for(lambda: reaches("127.0.0.1", stack.port))
    assert not reaches(own_address(), stack.port)
    assert "Only this machine can reach it (127.0.0.1)" in stack.said()


@pytest.mark.parametrize("more", [(), ("--no-nginx",)])
def test_an_open_address_needs_keys(edge: str, tmp_path: Path, more) -> None:
    words = ("up", "--host", "0.0.0.0", *more)
    done = edge_(edge, *words, EDGE_DATA_DIR=str(tmp_path))
    assert done.returncode == 1
    assert "there are no keys" in done.stderr
    assert "--open" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("more", [(), ("--no-nginx",)])
def test_an_open_address_may_be_declared_open(edge: str, tmp_path: Path, more) -> None:
    with running(edge, tmp_path, "--host", "0.0.0.0", "--open", *more) as stack:
        wait_for(lambda: reaches(own_address(), stack.port))
        wait_for(lambda: answers(stack))
        assert (
            "Every address of this machine is open (0.0.0.0); no key is required."
            in stack.said()
        )


@pytest.mark.parametrize("more", [(), ("--no-nginx",)])
def test_it_listens_on_ipv6_too(edge: str, tmp_path: Path, more) -> None:
    with running(edge, tmp_path, "--host", "::1", *more) as stack:
        stack.url = f"http://[::1]:{stack.port}"
        wait_for(lambda: answers(stack))


def test_forwarded_headers_of_clients_are_ignored(edge: str, tmp_path: Path) -> None:
    """Without nginx no client may set its address: jobs belong to addresses."""
    with running(edge, tmp_path, "--no-nginx") as stack:
        reply = stack.post("/v1/chat/completions", BODY)
        job = f"/v1/jobs/{reply.headers['x-job-id']}"
        lie = stack.get(job, headers={"x-forwarded-for": "10.9.8.7"})
        assert lie.status_code == 200  # still the same client


# --- proxies and disks ----------------------------------------------------------------


def test_a_trusted_proxy_forwards_client_addresses(edge: str, tmp_path: Path) -> None:
    """EDGE_TRUST reaches nginx; otherwise all clients would share one address."""
    with running(edge, tmp_path, trust="127.0.0.1/32, ::1/128", open="on") as stack:
        ours = {"x-forwarded-for": "203.0.113.7", "x-forwarded-proto": "https"}
        reply = stack.post("/v1/chat/completions", BODY, headers=ours)
        job = f"/v1/jobs/{reply.headers['x-job-id']}"
        assert stack.get(job, headers=ours).status_code == 200
        theirs = stack.get(job, headers={"x-forwarded-for": "203.0.113.8"})
        assert theirs.status_code == 404


@pytest.mark.parametrize("trust", ["everybody", "10.0.0.0/33", "10.0.0.0/8; evil"])
def test_a_wrong_network_is_one_sentence(edge: str, tmp_path: Path, trust) -> None:
    done = edge_(edge, "up", EDGE_DATA_DIR=str(tmp_path), EDGE_TRUST=trust)
    assert done.returncode == 1
    assert "EDGE_TRUST" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_full_disk_ends_the_start_with_one_sentence(
    edge: str, tmp_path: Path
) -> None:
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(tmp_path)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        cannot("Only root can mount a small disk.")
    try:
        done = edge_(edge, "up", EDGE_DATA_DIR=str(tmp_path))
    finally:
        subprocess.run(["umount", "-l", str(tmp_path)], check=True)
    assert done.returncode == 1
    assert "free" in done.stderr
    assert "EDGE_DATA_DIR" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_that_cannot_be_used_is_one_sentence(
    edge: str, tmp_path: Path
) -> None:
    (tmp_path / "state").write_text("a file")
    done = edge_(edge, "up", EDGE_DATA_DIR=str(tmp_path))
    assert done.returncode == 1
    assert "cannot be used" in done.stderr
    assert "Traceback" not in done.stderr


def test_control_characters_in_model_names_are_harmless(
    edge: str, tmp_path: Path, tiny: tuple[Path, Path]
) -> None:
    """`general.architecture` may hold any text."""
    bad = tmp_path / "bad.gguf"
    bad.write_bytes(
        tiny[0]
        .read_bytes()
        .replace(b"\x07\0\0\0\0\0\0\0qwen3vl", b"\x07\0\0\0\0\0\0\0\x1b[2Jevi", 1)
    )
    files = ("--model", str(bad), "--mmproj", str(tiny[1]))
    for command in ("up", "doctor"):
        done = edge_(edge, command, *files, EDGE_DATA_DIR=str(tmp_path))
        assert done.returncode == 1
        assert "\x1b[2J" not in done.stdout + done.stderr
        assert r"\x1b[2J" in done.stdout + done.stderr
