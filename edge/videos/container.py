"""Frames of MP4, QuickTime, WebM and Matroska files, by PyAV, which brings FFmpeg.

Loaded by name: PyAV is an extra. Its modules are imported here, not when they are first
used, because a confined child opens no file. FFmpeg starts no thread here, and opens
nothing that a file names: it has bytes, two formats without references, and no
protocol.
"""

from __future__ import annotations

import io
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import av.audio.stream
import av.sidedata.encparams
import av.sidedata.motionvectors
import av.subtitles.stream
import av.video.reformatter
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from PIL import Image

from edge.errors import InvalidPicture
from edge.videos.kind import Kind
from edge.videos.limits import (
    MAX_DECODED_PIXELS,
    MAX_FRAME_PIXELS,
    MAX_PACKETS,
    MAX_SOURCE_FRAMES,
    MAX_STREAMS,
)
from edge.videos.source import Frame, check_frame, check_length

DECODERS = "h264,hevc,vp8,vp9,libdav1d,mpeg4,mjpeg"
# PyAV turns FFmpeg's errors into these; MemoryError too, under the limit of memory
DAMAGE = (av.FFmpegError, ValueError, OverflowError, MemoryError, EOFError)
# counterclockwise, in degrees
TURNS = {
    90: Image.Transpose.ROTATE_90,
    180: Image.Transpose.ROTATE_180,
    270: Image.Transpose.ROTATE_270,
}


class ContainerSource:
    """A file of the format `kind`. Its packets are kept; they are not decoded, and
    share the file's size. Raises InvalidPicture."""

    def __init__(self, encoded: bytes, kind: Kind) -> None:
        with _damage():
            self._container = av.open(
                io.BytesIO(encoded),
                "r",
                format=kind,
                metadata_errors="replace",  # titles in other alphabets
                options={"codec_whitelist": DECODERS, "protocol_whitelist": "none"},
            )
            self._stream = _video_of(self._container)
            self._packets = self._read()
        shown = sorted({_pts(one) for one in self._packets if not one.is_discard})
        if not shown:
            raise InvalidPicture("This video has no frames with a time.")
        unit = self._stream.time_base or 0
        self._shown = shown
        self.times: Sequence[float] = [float((pts - shown[0]) * unit) for pts in shown]
        last = max(self._packets, key=_pts)
        self.seconds = self.times[-1] + float((last.duration or 0) * unit)
        check_length(self.seconds)

    def frames(self, numbers: Sequence[int]) -> Iterator[tuple[int, Frame]]:
        wanted = {self._shown[number]: number for number in numbers}
        runs = self._runs(set(wanted))
        context = self._stream.codec_context
        n_pixels = sum(map(len, runs)) * context.width * context.height
        if n_pixels > MAX_DECODED_PIXELS:
            raise InvalidPicture(
                f"This video has too many pixels: {context.width} x {context.height} "
                "in each frame. Send a shorter or a smaller one; 640 x 360 is enough."
            )
        context.thread_count, context.thread_type = 1, "NONE"
        context.options = {"max_pixels": str(MAX_FRAME_PIXELS)}
        for run in runs:
            for at in run:
                packet = self._packets[at]
                # other frames need no frame that none refers to
                context.skip_frame = "DEFAULT" if packet.pts in wanted else "NONREF"
                yield from self._decoded(packet, wanted)
            yield from self._decoded(None, wanted)
            context.flush_buffers()

    def _read(self) -> list[Packet[Any]]:
        """The packets of the video, in the order in which they are decoded."""
        found, n_frames = [], self._stream.frames
        if n_frames > MAX_SOURCE_FRAMES:
            raise _too_many(n_frames)
        for n_packets, packet in enumerate(self._container.demux()):
            if n_packets > MAX_PACKETS:
                raise _too_many(n_packets)
            if packet.stream is not self._stream or packet.pts is None:
                continue
            if packet.is_corrupt:
                raise InvalidPicture("This video is damaged: the file is cut off.")
            found.append(packet)
            if len(found) > MAX_SOURCE_FRAMES:
                raise _too_many(len(found))
        # those of an edit list, which leaves out what a phone has trimmed
        if len(found) < min(n_frames, len(self._stream.index_entries)):
            raise InvalidPicture("This video is damaged: the file is cut off.")
        return found

    def _runs(self, wanted: set[int]) -> list[range]:
        """The packets to decode for the wanted frames, each run from a key frame."""
        packets = self._packets
        keys = [i for i, one in enumerate(packets) if one.is_keyframe] or [0]
        runs: list[range] = []
        for i, packet in enumerate(packets):
            if packet.pts not in wanted:
                continue
            key = max(0, bisect_right(keys, i) - 1)
            # shown before its key frame: it may refer to frames before that
            if _pts(packet) < _pts(packets[keys[key]]):
                key = max(0, key - 1)
            start = keys[key]
            if runs and start < runs[-1].stop:
                start = runs.pop().start
            runs.append(range(start, i + 1))
        return runs

    def _decoded(
        self, packet: Packet[Any] | None, wanted: dict[int, int]
    ) -> Iterator[tuple[int, Frame]]:
        try:
            frames = self._stream.codec_context.decode(packet)
        except av.error.InvalidDataError:
            return  # one damaged frame does not refuse the others
        except DAMAGE as damage:
            raise _damaged(damage) from None
        for frame in frames:
            if frame.pts in wanted:
                ratio = self._stream.sample_aspect_ratio
                yield wanted[frame.pts], _upright(frame, float(ratio or 1))


def _video_of(container: av.container.InputContainer) -> VideoStream:
    if len(container.streams) > MAX_STREAMS:
        raise InvalidPicture(
            f"This video has {len(container.streams)} streams; at most {MAX_STREAMS} "
            "are read. Save it again with the picture alone."
        )
    covers = av.stream.Disposition.attached_pic
    found = [one for one in container.streams.video if not one.disposition & covers]
    if not found:
        raise InvalidPicture("This file has no video in it.")
    stream = found[0]
    if stream.codec_context is None or stream.codec_context.codec is None:
        raise InvalidPicture(
            "This video is encrypted, or in a codec that is not read here. Save it as "
            "H.264 in an MP4 file."
        )
    check_frame(stream.codec_context.width, stream.codec_context.height)
    return stream


def _upright(frame: VideoFrame, ratio: float) -> Frame:
    """A frame whose pixels are `ratio` times as wide as high."""
    size = round(frame.width * ratio), frame.height
    check_frame(*size)
    turn = TURNS.get(frame.rotation % 360)
    if turn in (Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_270):
        size = size[::-1]
    return Frame(*size, partial(_resized, frame, turn))


def _resized(
    frame: VideoFrame, turn: Image.Transpose | None, width: int, height: int
) -> bytes:
    """Resized as it is stored, then turned."""
    is_on_side = turn in (Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_270)
    size = (height, width) if is_on_side else (width, height)
    with _damage():
        rgb = frame.reformat(
            *size, format="rgb24", interpolation="BICUBIC", threads=1
        ).planes[0]
    image = Image.frombytes("RGB", size, bytes(rgb), "raw", "RGB", rgb.line_size)
    return (image if turn is None else image.transpose(turn)).tobytes()


def _pts(packet: Packet[Any]) -> int:
    assert packet.pts is not None  # others are not kept
    return packet.pts


def _too_many(n_frames: int) -> InvalidPicture:
    return InvalidPicture(
        f"This video has {n_frames:,} frames or more; at most {MAX_SOURCE_FRAMES:,} "
        "are read. Cut it, or ask about pictures of it."
    )


def _damaged(damage: Exception) -> InvalidPicture:
    reason = getattr(damage, "strerror", None) or str(damage)
    return InvalidPicture(f"This video is damaged or cut off: {reason}.")


@contextmanager
def _damage() -> Iterator[None]:
    try:
        yield
    except DAMAGE as damage:
        raise _damaged(damage) from None
