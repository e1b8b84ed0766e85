"""Videos made by PyAV, and changed by hand."""

from __future__ import annotations

import io
from collections.abc import Sequence
from fractions import Fraction

import av
import numpy as np
from PIL import Image

COLOURS = ("red", "lime", "blue", "white")
CODECS = {
    "h264": ("mp4", "libx264"),
    "hevc": ("mp4", "libx265"),
    "av1": ("mp4", "libsvtav1"),
    "vp8": ("webm", "libvpx"),
    "vp9": ("webm", "libvpx-vp9"),
}


def colours(n_frames: int = 40, size: tuple[int, int] = (128, 96)) -> list[Image.Image]:
    """Frames of four colours, each a quarter of the time."""
    names = [COLOURS[i * len(COLOURS) // n_frames] for i in range(n_frames)]
    return [Image.new("RGB", size, name) for name in names]


def video(
    frames: Sequence[Image.Image],
    form: str = "mp4",
    codec: str = "libx264",
    *,
    rate: int = 10,
    times: Sequence[int] = (),
    sound_only: bool = False,
    title: str = "",
    pixel_ratio: int = 1,
    **options: str,
) -> bytes:
    """A file with these frames, `rate` a second, or at these milliseconds."""
    file = io.BytesIO()
    with av.open(file, "w", format=form) as container:
        container.metadata["title"] = title
        if sound_only:
            _add_sound(container)
        else:
            stream = container.add_stream(codec, rate=rate, options=options)
            stream.width, stream.height = frames[0].size
            stream.pix_fmt = "yuv420p"
            stream.codec_context.sample_aspect_ratio = Fraction(pixel_ratio)
            if times:
                stream.codec_context.time_base = Fraction(1, 1000)
            for i, image in enumerate(frames):
                frame = av.VideoFrame.from_image(image)
                if times:
                    frame.pts, frame.time_base = times[i], Fraction(1, 1000)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    return file.getvalue()


def _add_sound(container: av.container.OutputContainer) -> None:
    stream = container.add_stream("aac", rate=8000, layout="mono")
    for _ in range(8):
        frame = av.AudioFrame.from_ndarray(
            np.zeros((1, 1024), np.float32), format="fltp", layout="mono"
        )
        frame.rate = 8000
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def turned(mp4: bytes, matrix: Sequence[int]) -> bytes:
    """An MP4 whose track header says how to turn its frames: a, b, c and d of the
    matrix in ISO/IEC 14496-12, 8.3.2."""
    at = mp4.index(b"tkhd") + 4 + 40  # version 0
    a, b, c, d = (value << 16 for value in matrix)
    words = (a, b, 0, c, d, 0, 0, 0, 1 << 30)
    packed = b"".join(word.to_bytes(4, "big", signed=True) for word in words)
    return mp4[:at] + packed + mp4[at + 36 :]


def animation(frames: Sequence[Image.Image], form: str, **options: object) -> bytes:
    file = io.BytesIO()
    first, *others = frames
    first.save(file, form, save_all=True, append_images=others, **options)
    return file.getvalue()
