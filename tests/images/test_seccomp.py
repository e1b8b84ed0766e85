"""The filter, run by a small BPF machine: also for processors that are not here."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.images import seccomp

ALLOW, REFUSE, KILL = 0x7FFF0000, 0x00050001, 0x80000000
AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
# From the kernel's tables (arch/x86/entry/syscalls, include/uapi/asm-generic).
NUMBERS = {
    "x86_64": {
        "read": 0,
        "write": 1,
        "openat": 257,
        "mmap": 9,
        "mprotect": 10,
        "socket": 41,
        "clone": 56,
        "fork": 57,
        "vfork": 58,
        "execve": 59,
        "kill": 62,
        "ptrace": 101,
        "prctl": 157,
        "clone3": 435,
        "openat2": 437,
        "setrlimit": 160,
        "prlimit64": 302,
        "io_uring_setup": 425,
        "bpf": 321,
        "exit_group": 231,
        "brk": 12,
        "unlink": 87,
        "memfd_create": 319,
        "execveat": 322,
        "process_vm_readv": 310,
        "tgkill": 234,
        "dup": 32,
    },
    "aarch64": {
        "read": 63,
        "write": 64,
        "openat": 56,
        "mmap": 222,
        "mprotect": 226,
        "socket": 198,
        "clone": 220,
        "execve": 221,
        "kill": 129,
        "ptrace": 117,
        "prctl": 167,
        "clone3": 435,
        "openat2": 437,
        "setrlimit": 164,
        "prlimit64": 261,
        "io_uring_setup": 425,
        "bpf": 280,
        "exit_group": 94,
        "brk": 214,
        "unlinkat": 35,
        "memfd_create": 279,
        "execveat": 281,
        "process_vm_readv": 270,
        "tgkill": 131,
        "dup": 23,
    },
}
machines = pytest.mark.parametrize("machine", AUDIT)


def verdict(machine: str, number: int, *arguments: int, audit: int = 0) -> int:
    """What the kernel does with a system call."""
    words = {0: number, 4: audit or AUDIT[machine]}
    for n, argument in enumerate((*arguments, *(6 - len(arguments)) * (0,))):
        words[16 + 8 * n] = argument & 0xFFFFFFFF
        words[20 + 8 * n] = argument >> 32 & 0xFFFFFFFF
    code, at, loaded = seccomp.program(machine), 0, 0
    assert code
    while True:
        operation, jt, jf, k = code[at]
        at += 1
        match operation:
            case 0x20:
                loaded = words[k]
            case 0x15:
                at += jt if loaded == k else jf
            case 0x45:
                at += jt if loaded & k else jf
            case 0x06:
                return k


@machines
def test_a_decoder_may_read_its_picture_and_write_its_verdict(machine: str) -> None:
    numbers = NUMBERS[machine]
    for fd in range(-1, 9):
        assert verdict(machine, numbers["read"], fd) == (ALLOW if fd == 0 else KILL)
        writes = verdict(machine, numbers["write"], fd)
        assert writes == (ALLOW if fd in (1, 2) else KILL)
    assert verdict(machine, numbers["exit_group"]) == ALLOW
    assert verdict(machine, numbers["brk"]) == ALLOW


@machines
@pytest.mark.parametrize("call", ["mmap", "mprotect"])
def test_memory_is_never_code(machine: str, call: str) -> None:
    for protection in range(16):
        told = verdict(machine, NUMBERS[machine][call], 0, 4096, protection)
        assert told == (KILL if protection & 4 else ALLOW)


@machines
def test_everything_else_ends_the_process(machine: str) -> None:
    used = {"read", "write", "mmap", "mprotect", "exit_group", "brk", "openat"}
    assert verdict(machine, NUMBERS[machine]["openat"]) == REFUSE
    for name in NUMBERS[machine].keys() - used:
        assert verdict(machine, NUMBERS[machine][name]) == KILL, name


@machines
@given(number=st.integers(0, 600))
def test_another_machine_s_numbers_are_not_taken_for_ours(
    machine: str, number: int
) -> None:
    for audit in (0x40000003, *AUDIT.values()):  # 32-bit x86, whose 4 is write
        if audit != AUDIT[machine]:
            assert verdict(machine, number, 0, audit=audit) == KILL
    assert verdict("x86_64", number | 0x40000000, 0) == KILL  # the x32 numbers


def test_a_machine_that_is_not_known_has_no_filter() -> None:
    assert seccomp.program("sparc") is None
