"""How much freed memory glibc's allocator keeps for itself: see mallopt(3)."""

from __future__ import annotations

import ctypes
from typing import Final

M_MMAP_THRESHOLD: Final = -3  # malloc.h
M_ARENA_MAX: Final = -8
LARGE_BYTES: Final = 1 << 20
ARENAS: Final = 2


def keep_heap_small() -> None:
    """Lets glibc give blocks of 1 MB and more back to the system when they are freed,
    and all threads share two heaps. Call it before threads are started.

    By default glibc raises that limit to the largest block freed so far, and keeps the
    memory of tens of large bodies: 150 MB and more. And each of many threads gets a
    heap of its own, which only grows.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):  # not musl
        libc.mallopt(M_MMAP_THRESHOLD, LARGE_BYTES)
        libc.mallopt(M_ARENA_MAX, ARENAS)
