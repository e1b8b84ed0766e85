"""The limits of one key, as `edge keys create --limits` takes them.

    jobs=4, weight=2, priority=low, max-tokens=256, models=tiny|qwen3-vl-2b,
    requests/minute=60, image-tokens/day=200000, answer-tokens/day=50000

Pure: text in, numbers out, and back.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from typing import NamedTuple

from edge.errors import SetupError

COUNTED = ("requests", "image-tokens", "answer-tokens")
WINDOWS_S = {"minute": 60, "day": 86_400}
PRIORITIES = ("low", "normal", "high")
MOST = 10**12


class Quota(NamedTuple):
    """At most `n` of what is `counted`, in one `window` (a key of WINDOWS_S)."""

    counted: str
    window: str
    n: int


@dataclass(frozen=True)
class Limits:
    """`jobs` is how many may wait or run at once, 0: as for any client; `max_tokens`
    bounds an answer, 0: as for any client; `models` may be asked, (): all.

    When one tenant has several questions waiting, those of weight 2 start twice as
    close together as those of weight 1; those of low priority wait like batch work.
    """

    jobs: int = 0
    weight: float = 1.0
    priority: str = "normal"
    max_tokens: int = 0
    models: tuple[str, ...] = ()
    quotas: tuple[Quota, ...] = ()

    @classmethod
    def read(cls, text: str) -> Limits:
        """Raises SetupError that names the wrong part."""
        given: dict[str, object] = {}
        quotas: list[Quota] = []
        for part in filter(None, (part.strip() for part in text.split(","))):
            name, _, value = (word.strip() for word in part.partition("="))
            counted, _, window = name.partition("/")
            if counted in COUNTED and window in WINDOWS_S:
                quotas.append(Quota(counted, window, _whole(name, value)))
            elif name in ("jobs", "max-tokens"):
                given[name.replace("-", "_")] = _whole(name, value)
            elif name == "weight":
                given[name] = _weight(value)
            elif name == "priority":
                given[name] = _one_of(name, value, PRIORITIES)
            elif name == "models":
                given[name] = tuple(filter(None, value.split("|")))
            else:
                raise SetupError(f"{part!r} is not a limit. Known: {KNOWN}.")
        if len({(quota.counted, quota.window) for quota in quotas}) < len(quotas):
            raise SetupError("A limit is given twice. Give each one once.")
        return cls(**given, quotas=tuple(quotas))  # type: ignore[arg-type]

    def __str__(self) -> str:
        """The text that `read` reads, without default values."""
        plain = {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if field.name != "quotas" and getattr(self, field.name) != field.default
        }
        if self.models:
            plain["models"] = "|".join(self.models)
        if "weight" in plain:
            plain["weight"] = f"{self.weight:g}"
        parts = [f"{name.replace('_', '-')}={value}" for name, value in plain.items()]
        parts += [f"{one.counted}/{one.window}={one.n}" for one in self.quotas]
        return ", ".join(parts)


NO_LIMITS = Limits()
KNOWN = ", ".join(
    (
        "jobs",
        "weight",
        "priority",
        "max-tokens",
        "models",
        *(f"{counted}/{window}" for counted in COUNTED for window in WINDOWS_S),
    )
)


def _whole(name: str, value: str) -> int:
    if not re.fullmatch("[0-9]{1,12}", value) or not 1 <= int(value) <= MOST:
        raise SetupError(f"{name}={value!r} is not a whole number from 1 upwards.")
    return int(value)


def _weight(value: str) -> float:
    if not re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,3})?", value) or not (
        0.1 <= float(value) <= 100
    ):
        raise SetupError(f"weight={value!r} is not a number from 0.1 to 100.")
    return float(value)


def _one_of(name: str, value: str, known: tuple[str, ...]) -> str:
    if value not in known:
        raise SetupError(f"{name}={value!r} is not one of {', '.join(known)}.")
    return value
