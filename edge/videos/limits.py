"""How much of a video is read, and what one may cost. Pure."""

from __future__ import annotations

from edge.images import CHILD_MEMORY_BYTES, CHILD_SECONDS, Detail
from edge.images.limits import Limits

MAX_SECONDS = 120
MAX_FRAMES = 32  # that the model sees, of all
MAX_SOURCE_FRAMES = MAX_SECONDS * 60
MAX_PACKETS = 1 << 16  # of all streams: sound, subtitles
MAX_STREAMS = 16
MAX_FRAME_PIXELS = 4096 * 2304  # 4K: decoders hold up to 17 frames, by 1.5 bytes
MAX_DECODED_PIXELS = 3_000_000_000  # 20 s of full HD twice; 10 s on a slow core
MAX_ANIMATION_PIXELS = 400_000_000  # of all frames; GIFs are unpacked by one letter
MIN_PAIR_TOKENS = 64  # fewer frames are better than smaller ones

# of a decoder; the child itself stops before, at what the file claims
VIDEO = Limits(CHILD_SECONDS, CHILD_MEMORY_BYTES)


def video_budget(detail: Detail, most_tokens: int) -> int:
    """Image tokens of all frames together, where `most_tokens` are allowed."""
    return most_tokens // {"low": 4, "auto": 2, "high": 1}[detail]


def most_frames(budget_tokens: int) -> int:
    """An even number of frames, at most, that share `budget_tokens`."""
    return 2 * max(1, min(MAX_FRAMES // 2, budget_tokens // MIN_PAIR_TOKENS))
