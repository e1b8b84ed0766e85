"""Takes from this process, for good, every right that decoding does not need.

Each layer holds by itself: limits on memory, time, files and processes, which every
kernel has; another user if this is root; a filter of system calls. Without the filter
(gVisor, old containers) no file and no socket can be opened either, because no
descriptor is free.
"""

from __future__ import annotations

import os
import resource

from edge.images import seccomp
from edge.images.limits import LARGE_NICE, Limits

NOBODY = 65534  # owns nothing, by convention


def limit(limits: Limits) -> None:
    """Sets the limits of the kernel. Modules can still be imported.

    A large picture, which may take seconds, gives way to answers and small pictures.
    """
    if limits.is_large:
        os.nice(LARGE_NICE)
    # SIGXCPU first, and SIGKILL, which has no reason in it, a second later
    resource.setrlimit(resource.RLIMIT_CPU, (limits.cpu_s, limits.cpu_s + 1))
    resource.setrlimit(resource.RLIMIT_AS, (limits.memory_bytes,) * 2)
    for kind in (resource.RLIMIT_CORE, resource.RLIMIT_FSIZE, resource.RLIMIT_NPROC):
        resource.setrlimit(kind, (0, 0))


def lock_down() -> list[str]:
    """Closes everything but the pipes; all modules must be imported by now.

    Returns the protections that this machine lacks: "user", "filter".
    """
    missing = [] if leave_root() else ["user"]
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
    if not (seccomp.forbid_new_privileges() and seccomp.install()):
        missing.append("filter")
    return missing


def leave_root() -> bool:
    """Becomes nobody, if this is root; False if that is impossible."""
    if os.geteuid() != 0:
        return True
    try:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    except OSError:  # root of a container may not become another user
        return False
    return True
