"""Videos: bytes from clients in, pairs of frames out, as Qwen3-VL sees them.

A confined child chooses the frames, decodes them and makes them as large as the model
sees them. MP4 and WebM need the extra `video` (PyAV); animations and lists of pictures
need nothing.
"""

from __future__ import annotations

from edge.videos.clip import Clip, ClipRef
from edge.videos.decoding import VideoDecoding
from edge.videos.limits import MAX_FRAMES, MAX_SECONDS, video_budget
from edge.videos.order import VideoOrder

__all__ = [
    "MAX_FRAMES",
    "MAX_SECONDS",
    "Clip",
    "ClipRef",
    "VideoDecoding",
    "VideoOrder",
    "video_budget",
]
