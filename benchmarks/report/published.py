"""Published figures of a comparable system, measured on another machine.

They show where expectations come from. They are not a baseline: a ratio between two
machines is not a ratio between two servers.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PublishedStage:
    users: int
    mean_s: float
    p95_s: float
    error_share: float  # of all requests, 0 to 1
    requests_per_s: float
    resident_bytes: int | None = None


@dataclass(frozen=True)
class Published:
    name: str
    source: str
    stages: tuple[PublishedStage, ...]
    idle_resident_bytes: int


PUBLISHED = Published(
    name="published, 16 vCPU",
    source=(
        "Qwen3-VL-2B in float32 with Flask, Transformers and Gradio in one container; "
        "Xeon Platinum 8360Y, 16 vCPU, 32 GB of memory. Locust, 5 minutes per stage, a "
        "new 800x600 JPEG of about 120 KB per request, “请描述这张图片的内容。”, "
        "timeout 30 s. Not the machine of this report."
    ),
    stages=(
        PublishedStage(1, 6.2, 6.8, 0.0, 0.16),
        PublishedStage(2, 7.1, 7.9, 0.0, 0.28),
        PublishedStage(4, 9.3, 10.5, 0.0, 0.52),
        PublishedStage(8, 14.7, 16.2, 0.062, 0.93),
        PublishedStage(16, 23.5, 28.1, 0.348, 1.04, 14_700_000_000),
    ),
    idle_resident_bytes=10_200_000_000,
)
