"""Why a submission is not admitted, and when its client should try again. Pure,
except that a part of the pause is drawn at random."""

from __future__ import annotations

import math
import random

from edge.errors import (
    BodyTooLarge,
    ClientLimit,
    EdgeError,
    KeyReused,
    QueueFull,
)
from edge.jobs.record import MOST_PAUSE_S
from edge.jobs.submission import Bounds

# Jobs that nobody watches, from one address without an API key: those that were kept
# by an idempotency key when their client left.
MOST_KEPT = 4
LEAST_PAUSE_S = 0.5
JITTER_S = 10.0  # the most


class PoolRetired(Exception):
    """The worker of `pool` leaves: another pool has to be asked."""

    def __init__(self, pool: str) -> None:
        super().__init__(pool)
        self.pool = pool


def key_reused() -> KeyReused:
    return KeyReused(
        "This Idempotency-Key was used for another question. Use a new one."
    )


def refusal(status: str, bounds: Bounds, pause_s: float) -> EdgeError:
    """The error for a refusing `status` of `admit.lua`."""
    reasons = {
        "queue_full": f"All {bounds.n_jobs} places are taken.",
        "account_limit": (
            f"You have {bounds.n_of_account} unfinished questions, the most that one "
            "client may have."
        ),
        "address_limit": (
            f"There are {bounds.n_of_address} unfinished questions from your address, "
            "the most that one address may have."
        ),
        "kept_limit": (
            f"There are {MOST_KEPT} unfinished questions from your address whose "
            "answers nobody reads now, the most without an API key."
        ),
    }
    kind = QueueFull if status == "queue_full" else ClientLimit
    return kind(f"{reasons[status]} {_again(pause_s)}", retry_after_s=pause_s)


def no_room(status: str, n_bytes: int, most_bytes: float, pause_s: float) -> EdgeError:
    """The error for a refusing `status` of `hold.lua`, where the pixels of a question
    have `n_bytes`, and those of one client may have `most_bytes`."""
    if n_bytes > most_bytes:
        return BodyTooLarge(
            f"The pictures have {_mib(n_bytes)} as pixels, once for each answer, and "
            f"those of one client may have {_mib(most_bytes)} here: send fewer or "
            "smaller ones."
        )
    reasons = {
        "full": "The queue holds as many pictures as it can.",
        "account_full": (
            "The pictures of your unfinished questions take all the room that those of "
            f"one client may take, {_mib(most_bytes)} as pixels."
        ),
        "address_full": (
            "The pictures of the unfinished questions from your address take all the "
            f"room that those of one address may take, {_mib(most_bytes)} as pixels."
        ),
    }
    kind = QueueFull if status == "full" else ClientLimit
    return kind(f"{reasons[status]} {_again(pause_s)}", retry_after_s=pause_s)


def pause_s(place_s: float, spacing_s: float) -> float:
    """A random moment before the place after `place_s` is due; places are as far apart
    as `spacing_s`. Those told the longest pause would else return together."""
    jitter_s = min(spacing_s, JITTER_S) if place_s < MOST_PAUSE_S - 1 else JITTER_S
    return max(LEAST_PAUSE_S, place_s + random.random() * jitter_s)


def _again(pause_s: float) -> str:
    seconds = math.ceil(pause_s)
    return f"Try again in {seconds} {'second' if seconds == 1 else 'seconds'}."


def _mib(n_bytes: float) -> str:
    return f"{n_bytes / (1 << 20):.3g} MiB"
