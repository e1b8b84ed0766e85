"""Hostile videos: each is refused soon or read harmlessly, and nothing else happens."""

from __future__ import annotations

import random
import signal
import struct
from collections.abc import Callable
from functools import cache

import pytest
from PIL import Image

from edge.errors import InvalidPicture
from edge.images.limits import SMALL_SECONDS
from edge.videos import VideoDecoding, VideoOrder, container, limits
from tests.test_images import children_cpu_s
from tests.videos.video_files import animation, colours, video

WHOLE = video(colours(40))
WEBM = video(colours(40), "webm", "libvpx-vp9")


def put(file: bytes, box: bytes, offset: int, value: bytes) -> bytes:
    """The file with `value` written behind the name of a box."""
    at = file.index(box) + 4 + offset
    return file[:at] + value + file[at + len(value) :]


def word(n: int) -> bytes:
    return struct.pack(">I", n)


def frames_of_one_byte(n: int) -> bytes:
    """Claims n frames, each the same byte, in two tables of a few bytes."""
    timed = put(WHOLE, b"stts", 4, word(1) + word(n))
    return put(timed, b"stsz", 4, word(1) + word(n))


def boxes(depth: int) -> bytes:
    moov = b""
    for _ in range(depth):
        moov = word(8 + len(moov)) + b"moov" + moov
    return WHOLE[:32] + moov


def outside(url: bytes) -> bytes:
    """Its pictures are in another file, says its table of data references."""
    entry = word(12 + len(url) + 1) + b"url " + word(0) + url + b"\0"
    inner = b"dref" + word(0) + word(1) + entry
    at = WHOLE.index(b"dref") - 4
    size = int.from_bytes(WHOLE[at : at + 4], "big")
    grown = len(inner) + 4 - size
    file = WHOLE[:at] + word(len(inner) + 4) + inner + WHOLE[at + size :]
    for name in (b"dinf", b"minf", b"mdia", b"trak", b"moov"):
        start = file.index(name) - 4
        n = int.from_bytes(file[start : start + 4], "big")
        file = file[:start] + word(n + grown) + file[start + 4 :]
    return file


def noise(file: bytes, seed: int) -> bytes:
    rng, changed = random.Random(seed), bytearray(file)
    for _ in range(len(file) // 50):
        changed[rng.randrange(len(file))] = rng.randrange(256)
    return bytes(changed)


REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "8K frames": (
        lambda: video([Image.new("RGB", (7680, 4320))], preset="ultrafast"),
        "7680 x 4320",
    ),
    "a million frames": (lambda: frames_of_one_byte(1_000_000), "frames"),
    "four billion frames": (lambda: frames_of_one_byte(2**32 - 1), "frames|damaged"),
    "40 minutes": (
        lambda: video(colours(8), times=[i * 342_860 for i in range(8)]),
        "40 minutes; at most 120 seconds",
    ),
    "endless": (
        lambda: put(WHOLE, b"stts", 8, word(40) + word(2**31 - 1)),
        "minutes|damaged",
    ),
    "no time passes": (lambda: put(WHOLE, b"stts", 8, word(40) + word(0)), ""),
    "sound only": (lambda: video((), sound_only=True), "no video"),
    "encrypted": (lambda: WHOLE.replace(b"avc1", b"encv"), "encrypted"),
    "no codec": (lambda: WHOLE.replace(b"avc1", b"zzzz"), "codec"),
    "a playlist": (lambda: b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", "formats"),
    "a list of files": (lambda: b"ffconcat version 1.0\nfile /etc/passwd\n", "formats"),
    "a playlist in a box": (
        lambda: word(16) + b"ftypmp42\0\0\0\0#EXTM3U\nfile:///etc/passwd\n",
        "damaged",
    ),
    "Matroska of zeros": (lambda: WEBM[:4] + bytes(1 << 20), "damaged"),
    "MP4 of zeros": (lambda: WHOLE[:32] + bytes(1 << 20), "damaged"),
    "boxes in boxes": (lambda: boxes(100_000), "damaged"),
    "a GIF of 5,000 large frames": (
        lambda: animation(
            [Image.new("1", (1000, 1000), i % 2) for i in range(1000)], "GIF"
        ),
        "too many",
    ),
    "nothing": (lambda: b"", "formats"),
    "a picture": (lambda: b"\x89PNG\r\n\x1a\n" + bytes(99), "formats"),
}
HARMLESS: dict[str, Callable[[], bytes]] = {
    "pictures in another file": lambda: outside(b"file:///etc/passwd"),
    "a size in the box that is not the codec's": lambda: put(
        WHOLE, b"avc1", 24, b"\xff\xff\xff\xff"
    ),
    "a length of NaN": lambda: WEBM.replace(
        b"\x44\x89\x88", b"\x44\x89\x88" + struct.pack(">d", float("nan")), 1
    )[: len(WEBM)],
    **{f"noise in MP4 {i}": lambda i=i: noise(WHOLE, i) for i in range(6)},
    **{f"noise in WebM {i}": lambda i=i: noise(WEBM, i) for i in range(6)},
}


@cache
def usual_cpu_s() -> float:
    """CPU seconds of a small ordinary video: most of them load the libraries."""
    before = children_cpu_s()
    VideoDecoding(WHOLE, VideoOrder(512)).run()
    return children_cpu_s() - before


def run_within_bounds(hostile: bytes) -> str:
    """What the refusal says; "" if it was read."""
    most_s = usual_cpu_s() + SMALL_SECONDS + 0.5
    before, said = children_cpu_s(), ""
    decoding = None
    try:
        decoding = VideoDecoding(hostile, VideoOrder(512))
        clip = decoding.run()
        assert sum(pair.ref.n_tokens for pair in clip.pairs) <= 512
    except InvalidPicture as refusal:
        said = refusal.message
        assert said.endswith(".")
    assert children_cpu_s() - before <= most_s
    if decoding:
        assert decoding._child and decoding._child.returncode == 0, said
    return said


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_in_a_sentence(name: str) -> None:
    make, sentence = REFUSED[name]
    said = run_within_bounds(make())
    if name == "no time passes":  # its frames are one frame
        return
    assert said
    assert any(one in said for one in sentence.split("|")), said


@pytest.mark.parametrize("name", HARMLESS)
def test_it_does_no_harm(name: str) -> None:
    run_within_bounds(HARMLESS[name]())


@pytest.mark.parametrize("whole", [WHOLE, WEBM], ids=["mp4", "webm"])
def test_a_file_cut_off_anywhere_is_refused_or_read(whole: bytes) -> None:
    said = [run_within_bounds(whole[: len(whole) * part // 8]) for part in range(1, 8)]
    assert all(said) or whole is WEBM  # its last frames are not missed


def test_a_trimmed_video_has_fewer_frames_than_its_file() -> None:
    """A phone trims a video by its edit list, and keeps all frames."""
    trimmed = put(WHOLE, b"elst", 8, word(2000))  # milliseconds, of four seconds
    source = container.ContainerSource(trimmed, "mp4")
    assert source.seconds == pytest.approx(2)
    assert [number for number, _ in source.frames([0, 19])] == [0, 19]
    for whole in (trimmed, WHOLE):
        for n_left in (0, 500, 1000):  # bytes of its frames
            cut_off = put(whole, b"stco", 8, word(len(whole) - n_left))
            with pytest.raises(InvalidPicture, match="cut off"):
                container.ContainerSource(cut_off, "mp4")


def test_more_pixels_than_a_slow_core_decodes_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(container, "MAX_DECODED_PIXELS", 5 * 128 * 96)
    source = container.ContainerSource(WHOLE, "mp4")
    assert [*source.frames([0])]
    with pytest.raises(InvalidPicture, match="smaller"):
        [*container.ContainerSource(WHOLE, "mp4").frames([0, 39])]


def test_streams_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(container, "MAX_STREAMS", 0)
    with pytest.raises(InvalidPicture, match="1 streams"):
        container.ContainerSource(WHOLE, "mp4")


def test_what_refuses_itself_is_not_a_signal() -> None:
    """A decoder that is ended by its limits is refused too."""
    tight = VideoDecoding(WHOLE, VideoOrder(512))
    tight.limits = limits.Limits(1, 150 << 20)  # not enough to load the libraries
    with pytest.raises(InvalidPicture, match="within the limits"):
        tight.run()
    assert tight._child and tight._child.returncode not in (0, -signal.SIGSYS)
