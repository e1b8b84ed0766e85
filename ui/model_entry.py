"""What `/v1/models` tells of a model: its entry, its limits, how to sample it."""

from __future__ import annotations

import time
from typing import Any

from edge.images import DETAILS, TOKEN_PX, budget, floor
from edge.images.decode import FORMATS, MAX_SOURCE_PIXELS
from edge.jobs.fleet import CHAT, WorkerInfo
from edge.limits import Limits
from edge.qwen3vl.encode_cost import ATTENTION_TOKENS
from edge.qwen3vl.sampling import RECOMMENDED
from edge.settings import Settings
from edge.videos import MAX_FRAMES, MAX_SECONDS, video_budget
from ui.body import MAX_BODY
from ui.question import MAX_PAGES, MAX_PICTURES
from ui.strict_json import MAX_TEXT

TINY = "Test model: it knows only simple shapes, colours and numbers."


def entry(name: str) -> dict[str, Any]:
    """The entry of a model; the test model, in any type, has a warning in it."""
    warning = {"description": TINY} if name.split("-")[0] == "tiny" else {}
    about = {"object": "model", "created": int(time.time()), "owned_by": "edge-vl"}
    return {"id": name} | warning | about


def limits(served: WorkerInfo, settings: Settings, key: Limits) -> dict[str, Any]:
    """What one question may hold. `image_tokens` are squares of `token_px` pixels, for
    each `detail` the most of them, to which a larger picture is scaled down; with
    `high` a smaller one is enlarged to the `floor`; all frames of a `video` share
    theirs; `attention`: see `edge.qwen3vl.encode_cost`. Files of the
    `formats` up to `source_pixels` are read; JPEGs may have more, and what video codecs
    decode has to have fewer."""
    most = min(settings.image_tokens, served.max_image_tokens or 2**31)
    return {
        "body_bytes": MAX_BODY,
        "pictures": MAX_PICTURES,
        "pages": MAX_PAGES,
        "video": {
            "seconds": MAX_SECONDS,
            "frames": MAX_FRAMES,
            "image_tokens": {
                detail: video_budget(detail, settings.video_tokens)
                for detail in DETAILS
            },
        },
        "text_characters": MAX_TEXT,
        "context_tokens": served.n_cells,
        "answer_tokens": min(settings.answer_tokens, key.max_tokens or 2**31),
        "image_tokens": {
            "min": served.min_image_tokens,
            "max": most,
            "details": {detail: budget(detail, most) for detail in DETAILS},
            "floor": floor("high", most),
            "attention": ATTENTION_TOKENS,
        },
        "token_px": TOKEN_PX,
        "source_pixels": MAX_SOURCE_PIXELS,
        "formats": [name.lower() for name in FORMATS],
    }


def described(served: WorkerInfo, settings: Settings, key: Limits) -> dict[str, Any]:
    """The entry of a served model: what it can do and was
    trained for, its other names, whether it thinks,
    its limits, and the sampling that its authors recommend."""
    return entry(served.model) | {
        "capabilities": served.capabilities or (CHAT,),
        "trained_for": served.trained_for or CHAT,
        "aliases": served.names[1:],
        "quantization": served.quantization,
        "runtime": served.runtime,
        "vision": served.vision,
        "thinks": served.thinks,
        "limits": limits(served, settings, key),
        "sampling": RECOMMENDED,
    }
