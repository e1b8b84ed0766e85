"""What a client says about results of earlier requests, at every level of caches."""

from __future__ import annotations

from enum import StrEnum


class CacheUse(StrEnum):
    """NO_STORE neither uses nor keeps any results; REFRESH keeps its own without using
    any."""

    DEFAULT = "default"
    NO_STORE = "no-store"
    REFRESH = "refresh"

    @property
    def reads(self) -> bool:
        """Whether results of earlier requests are used."""
        return self is CacheUse.DEFAULT

    @property
    def writes(self) -> bool:
        """Whether its own results are kept for later requests."""
        return self is not CacheUse.NO_STORE
