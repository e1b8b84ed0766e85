"""Takes from this process all that decoding a picture does not need, for good.

Each layer holds by itself: limits on memory, time, files and processes, which every
kernel has; another user where we are root; a filter of system calls. Without the
filter (gVisor, old containers) no file and no socket can be opened either, because no
descriptor is left for it.
"""

from __future__ import annotations

import os
import resource

from edge.images import seccomp
from edge.images.limits import LARGE_NICE, Limits

NOBODY = 65534  # owns nothing, by convention


def limit(limits: Limits) -> None:
    """What the kernel counts from now on. Modules can still be imported.

    A large picture, which may take seconds, stands behind answers and small pictures.
    """
    if limits.is_large:
        os.nice(LARGE_NICE)
    # a second between: the first ends a process with SIGXCPU, the second says no word
    resource.setrlimit(resource.RLIMIT_CPU, (limits.cpu_s, limits.cpu_s + 1))
    resource.setrlimit(resource.RLIMIT_AS, (limits.memory_bytes,) * 2)
    for kind in (resource.RLIMIT_CORE, resource.RLIMIT_FSIZE, resource.RLIMIT_NPROC):
        resource.setrlimit(kind, (0, 0))


def lock_down() -> list[str]:
    """Closes everything but the pipes; what is needed must have been imported.

    Returns what this machine would not do, as words: "user", "filter".
    """
    missing = [] if leave_root() else ["user"]
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
    if not (seccomp.forbid_new_privileges() and seccomp.install()):
        missing.append("filter")
    return missing


def leave_root() -> bool:
    """Becomes nobody, if this is root; False where that cannot be."""
    if os.geteuid() != 0:
        return True
    try:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    except OSError:  # a container's root may not become somebody else
        return False
    return True
