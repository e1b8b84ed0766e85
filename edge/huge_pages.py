"""Pages of 2 MB for weights: a Xeon in a virtual machine reads them half again as fast
as pages of 4 kB, because it looks up far fewer addresses.

Linux gives large pages to a process that asks for them (`madvise` in
/sys/kernel/mm/transparent_hugepage/enabled). glibc asks for each block of memory alone,
so a page that lies in two blocks stays small until `collapse_pages`.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import numpy as np

# For the environment of a process that computes; glibc reads it at the start.
HUGE_PAGES: Final = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}

HUGE_BYTES: Final = 2 << 20
PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")
MADV_COLLAPSE: Final = 25  # Linux 6.1
ENTRY_BYTES: Final = 8  # of a page in /proc/self/pagemap
IS_PRESENT: Final = 63  # a bit of it


def collapse_pages() -> int:
    """Moves memory of this process that fills ranges of 2 MB into pages of that size.
    Returns how many ranges are in such pages now; 0 where Linux cannot do it."""
    madvise = ctypes.CDLL(None).madvise
    madvise.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
    n_collapsed = 0
    with suppress(OSError):
        for begin in _full_ranges():
            n_collapsed += madvise(begin, HUGE_BYTES, MADV_COLLAPSE) == 0
    return n_collapsed


def _full_ranges() -> Iterator[int]:
    """Addresses, multiples of 2 MB, from which on 2 MB of an anonymous mapping are all
    in memory. Raises OSError."""
    pages = HUGE_BYTES // PAGE_BYTES
    maps = Path("/proc/self/maps").read_text()  # whole: reading it allocates memory
    with open("/proc/self/pagemap", "rb", buffering=0) as pagemap:
        for line in maps.splitlines():
            addresses, rights, _, _, inode, *_ = line.split()
            if rights != "rw-p" or inode != "0":
                continue
            begin, end = (int(address, 16) for address in addresses.split("-"))
            begin = -(-begin // HUGE_BYTES) * HUGE_BYTES
            n_ranges = (end - begin) // HUGE_BYTES
            if n_ranges < 1:
                continue
            pagemap.seek(begin // PAGE_BYTES * ENTRY_BYTES)
            found = pagemap.read(n_ranges * pages * ENTRY_BYTES)
            entries = np.frombuffer(found, np.uint64)
            whole = entries[: len(entries) // pages * pages]  # a read may be short
            is_present = (whole >> np.uint64(IS_PRESENT)).reshape(-1, pages)
            for index in np.flatnonzero(is_present.all(axis=1)).tolist():
                yield begin + index * HUGE_BYTES
