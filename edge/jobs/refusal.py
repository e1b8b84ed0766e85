"""Why a submission is not admitted, and when its client should try again. Pure,
except that a part of the pause is drawn at random."""

from __future__ import annotations

import secrets

from edge.errors import ClientLimit, EdgeError, KeyReused, QueueFull
from edge.jobs.estimate import Pace
from edge.jobs.submission import Bounds

# Jobs that nobody watches, from one address without an API key: those that were kept
# by an idempotency key when their client left.
MOST_KEPT = 4
MOST_PAUSE_S = 60  # OpenAI's clients ignore a Retry-After of over 120


def key_reused() -> KeyReused:
    return KeyReused(
        "This Idempotency-Key was used for another question. Use a new one."
    )


def refusal(status: str, bounds: Bounds, n_live: int, pace: Pace) -> EdgeError:
    """The error for a refusing `status` of `admit.lua`."""
    seconds = pause_s(n_live, bounds.n_slots, pace)
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
    message = f"{reasons[status]} Try again in {seconds} seconds."
    return kind(message, retry_after_s=seconds)


def pause_s(n_jobs: int, n_slots: int, pace: Pace) -> int:
    """Whole seconds: a random moment in the second half of the time that the present
    jobs need, so that refused clients do not return all at once."""
    seconds = n_jobs / max(n_slots, 1) * pace.job_s
    drawn = seconds * (0.5 + secrets.randbelow(500) / 1000)
    return max(1, min(round(drawn), MOST_PAUSE_S - secrets.randbelow(10)))
