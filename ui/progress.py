"""What a stream tells before the first text, as comments that every SSE client skips.

    : progress {"stage": "queue", "position": 3, "starts_in_s": 12.5}

It is our extension of OpenAI's stream; docs/operations.md lists the stages.
"""

from __future__ import annotations

import json
from typing import Any

from edge.events import (
    Accepted,
    Encoding,
    PageStarted,
    Prefilling,
    Progress,
    Queued,
    Retried,
    Started,
)


def progress_comment(event: Progress | Retried) -> str:
    """The comment for an event, one line. An empty line behind it would end an event,
    which OpenAI's client for Python then takes for one without data."""
    return f": progress {json.dumps(stage(event))}\n"


def stage(event: Progress | Retried) -> dict[str, Any]:
    """The stage that an event reports, and its numbers."""
    match event:
        case Accepted(prompt_tokens, image_tokens):
            sizes = {"prompt_tokens": prompt_tokens, "image_tokens": image_tokens}
            return {"stage": "queue"} | sizes
        case Queued(position, starts_in_s, loading_s, waits_for_room):
            loading = {} if loading_s is None else {"loading_s": loading_s}
            if waits_for_room:  # it does not load yet
                loading = {"waits_for_room": True}
            place = {"position": position, "starts_in_s": starts_in_s}
            return {"stage": "queue"} | place | loading
        case Started(prompt_tokens, image_tokens):
            stage = "encode" if image_tokens else "prefill"
            sizes = {"prompt_tokens": prompt_tokens, "image_tokens": image_tokens}
            return {"stage": stage} | sizes
        case Encoding(picture, n_pictures, n_done, n_stages):
            where = {"picture": picture, "n_pictures": n_pictures}
            return {"stage": "encode"} | where | {"done": n_done, "of": n_stages}
        case Prefilling(n_done, n_tokens):
            return {"stage": "prefill", "done": n_done, "of": n_tokens}
        case PageStarted(label, job_id):
            return {"stage": "page", "page": label, "job_id": job_id}
        case Retried():
            return {"stage": "queue", "is_retried": True}
