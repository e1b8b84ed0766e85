"""A filter that leaves a decoder the system calls for memory and its two pipes.

A filter is a program of the classic BPF machine that the kernel runs before each system
call. Sources: Documentation/userspace-api/seccomp_filter.rst, include/uapi/linux/
{seccomp,filter,audit,prctl}.h, and arch/*/include for the numbers, all of Linux 6.12.

Files, directories and terminals are refused with EPERM, because libraries ask for them
in good faith (glibc counts processors in /sys, Python looks for a module) and continue
without. Every other call ends the process: no correct decoder makes it.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

_PR_SET_NO_NEW_PRIVS: Final = 38
_PR_SET_SECCOMP: Final = 22
_MODE_FILTER: Final = 2

_ALLOW: Final = 0x7FFF0000
_REFUSE: Final = 0x00050000 | 1  # SECCOMP_RET_ERRNO with EPERM
_KILL: Final = 0x80000000  # SECCOMP_RET_KILL_PROCESS

_LOAD: Final = 0x20  # BPF_LD | BPF_W | BPF_ABS: the word at offset k
_IF_EQUAL: Final = 0x15  # BPF_JMP | BPF_JEQ | BPF_K: skip jt or jf instructions
_IF_BITS: Final = 0x45  # BPF_JMP | BPF_JSET | BPF_K
_RETURN: Final = 0x06  # BPF_RET | BPF_K

# Offsets in struct seccomp_data. Both machines are little-endian: low words come first.
_NUMBER: Final = 0
_MACHINE: Final = 4
_PROT_EXEC: Final = 4

_ALLOWED = (
    "brk",
    "clock_gettime",
    "exit",
    "exit_group",
    "futex",
    "getrandom",
    "madvise",
    "mremap",
    "munmap",
    "rt_sigreturn",
)
_REFUSED = (
    "access",
    "faccessat",
    "faccessat2",
    "fstat",
    "getcwd",
    "ioctl",
    "lseek",
    "lstat",
    "newfstatat",
    "open",
    "openat",
    "readlink",
    "readlinkat",
    "stat",
    "statx",
)

# AUDIT_ARCH_* and the numbers of system calls, which differ by machine.
_MACHINES: dict[str, tuple[int, dict[str, int]]] = {
    "x86_64": (
        0xC000003E,
        {
            "access": 21,
            "brk": 12,
            "clock_gettime": 228,
            "exit": 60,
            "exit_group": 231,
            "faccessat": 269,
            "faccessat2": 439,
            "fstat": 5,
            "futex": 202,
            "getcwd": 79,
            "getrandom": 318,
            "ioctl": 16,
            "lseek": 8,
            "lstat": 6,
            "madvise": 28,
            "mmap": 9,
            "mprotect": 10,
            "mremap": 25,
            "munmap": 11,
            "newfstatat": 262,
            "open": 2,
            "openat": 257,
            "read": 0,
            "readlink": 89,
            "readlinkat": 267,
            "rt_sigreturn": 15,
            "stat": 4,
            "statx": 332,
            "write": 1,
        },
    ),
    "aarch64": (
        0xC00000B7,
        {
            "brk": 214,
            "clock_gettime": 113,
            "exit": 93,
            "exit_group": 94,
            "faccessat": 48,
            "faccessat2": 439,
            "fstat": 80,
            "futex": 98,
            "getcwd": 17,
            "getrandom": 278,
            "ioctl": 29,
            "lseek": 62,
            "madvise": 233,
            "mmap": 222,
            "mprotect": 226,
            "mremap": 216,
            "munmap": 215,
            "newfstatat": 79,
            "openat": 56,
            "read": 63,
            "readlinkat": 78,
            "rt_sigreturn": 139,
            "statx": 291,
            "write": 64,
        },
    ),
}


class _Instruction(NamedTuple):
    """`struct sock_filter`: skip `jt` instructions if the test holds, else `jf`."""

    code: int
    jt: int
    jf: int
    k: int


def program(machine: str) -> list[_Instruction] | None:
    """The filter for a machine by its `uname -m`; None for an unknown one."""
    if machine not in _MACHINES:
        return None
    audit, numbers = _MACHINES[machine]
    rules: list[tuple[str, Sequence[_Instruction]]] = [
        ("read", _if_argument(0, equals=(0,))),
        ("write", _if_argument(0, equals=(1, 2))),
        ("mmap", _unless_bits(2, _PROT_EXEC)),
        ("mprotect", _unless_bits(2, _PROT_EXEC)),
        *((name, [_return(_ALLOW)]) for name in _ALLOWED),
        *((name, [_return(_REFUSE)]) for name in _REFUSED if name in numbers),
    ]
    code: list[_Instruction] = [
        _Instruction(_LOAD, 0, 0, _MACHINE),
        _Instruction(
            _IF_EQUAL, 1, 0, audit
        ),  # another machine's calls have other numbers
        _return(_KILL),
        _Instruction(_LOAD, 0, 0, _NUMBER),
    ]
    for name, body in rules:
        code += [_Instruction(_IF_EQUAL, 0, len(body), numbers[name]), *body]
    return [*code, _return(_KILL)]


def forbid_new_privileges() -> bool:
    """Lets no program that this process starts have more rights than this process."""
    return _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def install() -> bool:
    """Puts the filter on this thread, for good. False where the kernel has none, or
    the machine is unknown. Needs `forbid_new_privileges` first."""
    code = program(os.uname().machine)
    if code is None or struct.calcsize("P") != 8:  # a 32-bit process on a 64-bit kernel
        return False
    packed = b"".join(struct.pack("=HBBI", *instruction) for instruction in code)
    instructions = ctypes.create_string_buffer(packed, len(packed))
    filter_ = struct.pack("@HP", len(code), ctypes.addressof(instructions))
    return _prctl(_PR_SET_SECCOMP, _MODE_FILTER, filter_)


def _return(verdict: int) -> _Instruction:
    return _Instruction(_RETURN, 0, 0, verdict)


def _argument(n: int) -> _Instruction:
    """Loads the low word of an argument: the whole of an int, and all bits that mean
    something in one of flags."""
    return _Instruction(_LOAD, 0, 0, 16 + 8 * n)


def _if_argument(n: int, equals: Iterable[int]) -> list[_Instruction]:
    code = [_argument(n)]
    for value in equals:
        code += [_Instruction(_IF_EQUAL, 0, 1, value), _return(_ALLOW)]
    return [*code, _return(_KILL)]


def _unless_bits(n: int, bits: int) -> list[_Instruction]:
    return [
        _argument(n),
        _Instruction(_IF_BITS, 0, 1, bits),
        _return(_KILL),
        _return(_ALLOW),
    ]


def _prctl(option: int, *arguments: int | bytes) -> bool:
    words: list[ctypes.c_char_p | ctypes.c_ulong] = [
        ctypes.c_char_p(one) if isinstance(one, bytes) else ctypes.c_ulong(one)
        for one in arguments
    ]
    words += [ctypes.c_ulong(0)] * (4 - len(words))  # the kernel insists on zeros
    return int(ctypes.CDLL(None).prctl(option, *words)) == 0
