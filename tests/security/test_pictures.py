"""Hostile pictures: code that controls a decoder, and pictures that take long."""

from __future__ import annotations

import asyncio
import base64
import itertools
import os
import resource
import signal
import struct
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import pytest
from PIL import Image

from edge.errors import InvalidPicture
from edge.images import Decoding, confinement, vet
from edge.images.limits import (
    CHILD_MEMORY_BYTES,
    LARGE_NICE,
    SMALL_MEMORY_BYTES,
    SMALL_SECONDS,
)
from tests.conftest import cannot, wait_for
from tests.test_images import PHOTO, black_png, chunk, encode
from tests.ui.api_harness import ApiHarness, api_harness

# --- code that took over a decoder ----------------------------------------------------

# It runs in a process that was closed as the decoder's child is. `done` is how it says
# that it got what it wanted.
HOSTILE = """
import ctypes, errno, os, resource, signal, socket, subprocess, sys, threading
from edge.images import lockdown, seccomp
from edge.images.limits import Limits

libc = ctypes.CDLL(None, use_errno=True)

def done(really=True):
    if really:
        os.write(1, b"DONE")

def call(number, *words):
    result = libc.syscall(number, *(ctypes.c_long(word) for word in words))
    done(result != -1 or ctypes.get_errno() not in (errno.EPERM, errno.ENOSYS))

confine = sys.argv[1]
if confine != "free":
    lockdown.limit(Limits(5, {memory}))
    if confine == "unfiltered":
        seccomp.install = lambda: False
    lockdown.lock_down()
{attack}
os._exit(0)
"""

ATTACKS = {
    "read a file": "done(os.open('/etc/passwd', os.O_RDONLY) >= 0)",
    "read by openat2": (
        "call(437, -100, ctypes.cast(ctypes.c_char_p(b'/etc/passwd'), "
        "ctypes.c_void_p).value, ctypes.addressof(ctypes.create_string_buffer(24)), 24)"
    ),
    "list a folder": "done(os.listdir('/'))",
    "look at a file": "done(os.stat('/etc/passwd'))",
    "read its parent's environment": (
        "done(os.open(f'/proc/{os.getppid()}/environ', os.O_RDONLY))"
    ),
    "write a file": "done(os.open(sys.argv[2] + '/x', os.O_CREAT | os.O_WRONLY) >= 0)",
    "delete a file": "os.unlink(sys.argv[2] + '/here'); done()",
    "make a folder": "os.mkdir(sys.argv[2] + '/new'); done()",
    "open a socket": "done(socket.socket())",
    "open a local socket": "done(socket.socket(socket.AF_UNIX))",
    "open a pair of sockets": "done(socket.socketpair())",
    "open a pipe": "done(os.pipe())",
    "open a file in memory": "done(os.memfd_create('x') >= 0)",
    "fork": "done(os.fork() >= 0)",
    "start a thread": ("one = threading.Thread(target=done); one.start(); one.join()"),
    "run a program": "os.execve('/bin/echo', ['echo', 'DONE'], {})",
    "signal its parent": "os.kill(os.getppid(), 0); done()",
    "stop its parent": "done(os.pidfd_open(os.getppid()) >= 0)",
    "trace": "done(libc.ptrace(0, 0, 0, 0) == 0)",
    "map code": (
        "libc.mmap.restype = ctypes.c_long; "
        "done(libc.mmap(None, 4096, 7, 0x22, -1, 0) != -1)"
    ),
    "make data code": (
        "libc.mmap.restype = ctypes.c_long; "
        "at = libc.mmap(None, 4096, 3, 0x22, -1, 0); "
        "done(libc.mprotect(ctypes.c_void_p(at), 4096, 7) == 0)"
    ),
    "write to another descriptor": "done(os.write(int(sys.argv[3]), b'x') == 1)",
    "change its limits": "resource.setrlimit(resource.RLIMIT_CPU, (4, 4)); done()",
    "have another priority": "os.nice(1); done()",
    "wait for ever": "signal.alarm(1); signal.signal(14, lambda *_: done()); "
    "signal.pause()",
}
# What the limits stop by themselves, where a kernel filters nothing.
UNFILTERED = [
    "read a file",
    "read its parent's environment",
    "write a file",
    "list a folder",
    "open a socket",
    "open a local socket",
    "open a pair of sockets",
    "open a pipe",
    "open a file in memory",
]


def run_hostile(attack: str, confine: str, folder: Path) -> tuple[int, bytes]:
    """The status and the words of a process that tries `attack`."""
    code = HOSTILE.replace("{attack}", attack)
    code = code.replace("{memory}", str(SMALL_MEMORY_BYTES))
    (folder / "here").touch()
    folder.chmod(0o777)
    with (folder / "ours").open("wb") as ours:
        tried = subprocess.run(
            [
                sys.executable,
                "-I",
                "-c",
                code,
                confine,
                str(folder),
                str(ours.fileno()),
            ],
            pass_fds=[ours.fileno()],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=120,
        )
    return tried.returncode, tried.stdout


@pytest.fixture
def filtered() -> None:
    """Skips where the kernel filters nothing."""
    if sentences := confinement():
        cannot(" ".join(sentences))


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_an_attack_succeeds_in_an_unconfined_process(
    attack: str, tmp_path: Path
) -> None:
    """Or it would prove nothing that it fails in a confined one."""
    assert b"DONE" in run_hostile(attack, "free", tmp_path)[1]


@pytest.mark.usefixtures("filtered")
@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_hostile_code_in_a_decoder_gets_nothing(attack: str, tmp_path: Path) -> None:
    status, words = run_hostile(attack, "confined", tmp_path)
    assert words == b""
    assert status in (-signal.SIGSYS, 1)  # ended, or refused with an exception


@pytest.mark.parametrize("attack", UNFILTERED)
def test_where_a_kernel_filters_nothing_no_descriptor_is_left(
    attack: str, tmp_path: Path
) -> None:
    status, words = run_hostile(ATTACKS[attack], "unfiltered", tmp_path)
    assert words == b""
    assert status == 1


@contextmanager
def decoding_child() -> Iterator[int]:
    """The pid of a real child at work, which is stopped: it cannot end meanwhile."""
    slow = Decoding(black_png(8000, 8000, bits=8, colour=6), 64)

    def is_at_work() -> bool:
        return bool(slow._child) and "\nSeccomp:\t2" in status_of(slow._child.pid)

    with ThreadPoolExecutor(1) as pool:
        outcome = pool.submit(slow.run)
        wait_for(is_at_work)
        assert slow._child
        slow._child.send_signal(signal.SIGSTOP)
        try:
            yield slow._child.pid
        finally:
            slow._child.send_signal(signal.SIGCONT)
        assert outcome.result()


PRIORITY = """
import os, sys
from edge.images import lockdown
from edge.images.limits import Limits
lockdown.limit(Limits(2, int(sys.argv[1])))
print(os.nice(0))
"""


@pytest.mark.parametrize(
    ("memory_bytes", "lower_by"),
    [(SMALL_MEMORY_BYTES, 0), (CHILD_MEMORY_BYTES, LARGE_NICE)],
)
def test_a_large_picture_stands_behind_answers_and_small_ones(
    memory_bytes: int, lower_by: int
) -> None:
    command = [sys.executable, "-I", "-c", PRIORITY, str(memory_bytes)]
    said = subprocess.run(command, capture_output=True, check=True).stdout
    assert int(said) == os.nice(0) + lower_by


def status_of(pid: int) -> str:
    return Path(f"/proc/{pid}/status").read_text()


@pytest.mark.usefixtures("filtered")
def test_a_running_decoder_inherits_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGE_BROKER_URL", "redis://:password@127.0.0.1/0")
    read_end, write_end = os.pipe()
    os.set_inheritable(write_end, True)
    with decoding_child() as pid:
        status = status_of(pid)
        environment = Path(f"/proc/{pid}/environ").read_bytes()
        folder = os.readlink(f"/proc/{pid}/cwd")
        descriptors = os.listdir(f"/proc/{pid}/fd")
    os.close(read_end)
    os.close(write_end)
    assert environment == b"OPENBLAS_NUM_THREADS=1\0"
    assert folder == "/"
    assert set(descriptors) <= {"0", "1", "2"}
    assert "\nNoNewPrivs:\t1\n" in status
    if os.geteuid() == 0:
        assert "\nUid:\t65534\t65534\t65534\t65534\n" in status
        assert "\nGid:\t65534\t65534\t65534\t65534\n" in status
        assert "\nGroups:\t \n" in status
        assert "\nCapEff:\t0000000000000000\n" in status


# --- pictures that take long ----------------------------------------------------------


@cache
def many_scans(n: int, side: int = 4096) -> bytes:
    """A grey JPEG whose last scan comes `n` times: some bytes each, and each costs as
    much as the picture is large."""
    jpeg = encode(Image.new("RGB", (side, side), "grey"), "JPEG", progressive=True)
    at = jpeg.rindex(b"\xff\xda")
    return jpeg[:at] + jpeg[at:-2] * n + jpeg[-2:]


def child_cpu_s(encoded: bytes) -> tuple[float, str]:
    """CPU seconds of decoding, and the refusal if there is one."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    refusal = ""
    try:
        vet(encoded, 64)
    except InvalidPicture as error:
        refusal = error.message
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime, refusal


def gif_of_remarks() -> bytes:
    """Pillow joins them one by one, so that their time grows with their square."""
    gif = encode(Image.new("L", (4, 4)), "GIF")
    start = 13 + 3 * 2 ** ((gif[10] & 7) + 1)
    return gif[:start] + b"\x21\xfe\x01A\0" * 1_000_000 + gif[start:]


SLOW = {
    "5000 scans": lambda: many_scans(5000),
    "101 scans": lambda: many_scans(101),
    "2 million chunks": lambda: black_png(8, 8, extra=chunk(b"IDAT", b"") * 1_900_000),
    "6 million segments": lambda: PHOTO[:2] + b"\xff\xfe\0\2" * 6_000_000 + PHOTO[2:],
    "a desert before the frame": lambda: PHOTO[:2] + b"\xff" * (20 << 20) + PHOTO[2:],
    "a million remarks": gif_of_remarks,
}


@pytest.mark.parametrize("slow", SLOW.values(), ids=SLOW)
def test_a_slow_picture_is_refused_for_the_price_of_a_small_one(
    slow: Callable[[], bytes],
) -> None:
    cpu_s, refusal = child_cpu_s(slow())
    assert refusal.endswith(".")
    assert cpu_s <= SMALL_SECONDS + 0.5


def test_a_scan_too_many_is_named() -> None:
    with pytest.raises(InvalidPicture, match="more than 100 scans"):
        vet(many_scans(101, 64), 64)
    assert vet(many_scans(80, 64), 64).width == 64


@pytest.mark.parametrize(
    "between", [b"\xff\xd0", b"\xff\x00", b"\xff\xff\xff\xff", b"\xff\x01"]
)
def test_scans_are_counted_over_bytes_between_them(between: bytes) -> None:
    jpeg = many_scans(101, 64)
    hidden = jpeg.replace(b"\xff\xda", between + b"\xff\xda")
    with pytest.raises(InvalidPicture, match="more than 100 scans"):
        vet(hidden, 64)


@pytest.mark.parametrize("marker", [b"\xff\xe1", b"\xff\xfe", b"\xff\xef"])
def test_scan_markers_inside_segments_do_not_count(marker: bytes) -> None:
    """Inside a segment, such as the preview in a camera's EXIF."""
    remark = marker + struct.pack(">H", 2 + 300 * 4) + b"\xff\xda\0\x02" * 300
    assert vet(PHOTO[:2] + remark + PHOTO[2:], 64) == vet(PHOTO, 64)


def question(picture: bytes) -> dict[str, Any]:
    url = "data:image/png;base64," + base64.b64encode(picture).decode()
    parts = [
        {"type": "text", "text": "What is it?"},
        {"type": "image_url", "image_url": {"url": url}},
    ]
    return {"messages": [{"role": "user", "content": parts}], "max_tokens": 4}


def small_png(n: int) -> bytes:
    return encode(Image.new("RGB", (48, 48), (n % 256, n // 256, 0)), "PNG")


@asynccontextmanager
async def browser(web: ApiHarness, address: str) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(web.app, client=(address, 1))
    async with httpx.AsyncClient(
        transport=transport, base_url="http://ui", timeout=60
    ) as client:
        yield client


HOSTILE_PICTURES = {
    "5000 scans": lambda n: many_scans(5000) + b"%d" % n,
    "80 scans of 16 megapixels": lambda n: many_scans(80) + b"%d" % n,
    "64 megapixels": lambda n: black_png(8192, 8192, bits=8, colour=6) + b"%d" % n,
    "many small ones": lambda n: small_png(10_000 + n),
}


@pytest.mark.redis
@pytest.mark.parametrize("hostile", HOSTILE_PICTURES.values(), ids=HOSTILE_PICTURES)
async def test_slow_pictures_of_one_address_do_not_delay_another(
    broker_url: str, hostile: Callable[[int], bytes]
) -> None:
    count = itertools.count()
    n_hostile = 0

    async def attack(attacker: httpx.AsyncClient) -> None:
        nonlocal n_hostile
        while True:
            body = question(hostile(next(count)))
            await attacker.post("/v1/chat/completions", json=body)
            n_hostile += 1

    overtaken_by = []
    async with (
        api_harness(broker_url, client_jobs=8) as web,
        browser(web, "10.0.0.66") as attacker,
        browser(web, "10.0.0.1") as victim,
        web.working(),
    ):
        hostile(0)
        attacks = [asyncio.create_task(attack(attacker)) for _ in range(8)]
        await web.until(lambda: n_hostile, 180)
        for n in range(7):
            before = n_hostile
            body = question(small_png(n))
            reply = await victim.post("/v1/chat/completions", json=body)
            assert reply.status_code == 200, reply.text
            overtaken_by.append(n_hostile - before)
        for task in attacks:
            task.cancel()
        await asyncio.gather(*attacks, return_exceptions=True)
    print(overtaken_by)
    # In one line with the 8 others it is 7 or 8, however fast the machine is.
    assert median(overtaken_by) <= 4
