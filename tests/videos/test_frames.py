"""What is read from videos: the right frames, upright, with their times."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from PIL import Image, ImageColor

from edge.errors import InvalidPicture
from edge.images import PIXELS_PER_TOKEN
from edge.images.spares import start_child
from edge.videos import MAX_FRAMES, Clip, VideoDecoding, VideoOrder
from edge.videos import decoding as decoding_module
from edge.videos.limits import VIDEO
from tests.conftest import wait_for
from tests.test_images import encode
from tests.videos.video_files import CODECS, COLOURS, animation, colours, turned, video

BUDGET = 1024
DRAWN = colours()


def read(encoded: bytes, budget: int = BUDGET, **order: object) -> Clip:
    return VideoDecoding(encoded, VideoOrder(budget, **order)).run()


def read_list(*files: bytes, **order: object) -> Clip:
    return read(b"".join(files), sizes=tuple(map(len, files)), **order)


def frames_of(clip: Clip) -> list[Image.Image]:
    found = []
    for pair in clip.pairs:
        n = len(pair.rgb) // 2
        for rgb in (pair.rgb[:n], pair.rgb[n:]):
            found.append(Image.frombytes("RGB", (pair.width, pair.height), rgb))
    return found


def name_of(image: Image.Image, at: tuple[float, float] = (0.5, 0.5)) -> str:
    """The colour at a place, in parts of the width and height."""
    x, y = int(at[0] * image.width), int(at[1] * image.height)
    pixel = image.getpixel((x, y))
    assert isinstance(pixel, tuple)
    distances = {
        name: sum(
            abs(a - b) for a, b in zip(pixel, ImageColor.getrgb(name), strict=True)
        )
        for name in (*COLOURS, "black")
    }
    return min(distances, key=lambda name: distances[name])


@pytest.mark.parametrize("name", CODECS)
def test_frames_come_in_their_order_with_their_times(name: str) -> None:
    clip = read(video(DRAWN, *CODECS[name]))
    assert clip.seconds == pytest.approx(4, abs=0.1)
    assert clip.times == pytest.approx([0, 0.6, 1.1, 1.7, 2.2, 2.8, 3.3, 3.9], abs=0.06)
    shown = [name_of(image) for image in frames_of(clip)]
    assert shown == [COLOURS[int(t)] for t in clip.times]
    assert [*clip.ref.labels] == [f"<{s} seconds>" for s in (0.3, 1.4, 2.5, 3.6)]
    assert [p.n_frames for p in clip.pairs] == [2] * 4


@pytest.mark.parametrize("form", ["GIF", "WEBP"])
def test_so_do_those_of_an_animation(form: str) -> None:
    clip = read(
        animation(DRAWN, form, duration=100, lossless=True, minimize_size=False)
    )
    shown = [name_of(image) for image in frames_of(clip)]
    assert shown == [COLOURS[min(3, int(t))] for t in clip.times]
    assert clip.seconds == pytest.approx(4, abs=0.01)


def test_times_are_those_in_the_file_where_the_rate_changes() -> None:
    """The first three colours in a second, the last one for three."""
    times = [*range(0, 990, 33), 1000, 2000, 3000, 3900]
    names = [COLOURS[min(3, t // 333)] for t in times]
    drawn = [Image.new("RGB", (128, 96), name) for name in names]
    clip = read(video(drawn, times=times, bf="0"))
    shown = [name_of(image) for image in frames_of(clip)]
    assert shown == [
        names[max(i for i, t in enumerate(times) if t <= 1000 * s + 9)]
        for s in clip.times
    ]
    assert shown.count("white") > len(shown) / 2


def test_the_distance_of_key_frames_does_not_matter() -> None:
    for distance in ("250", "7", "1"):
        clip = read(video(DRAWN, g=distance, bf="3"), fps=5.0)
        shown = [name_of(image) for image in frames_of(clip)]
        assert shown == [COLOURS[int(t)] for t in clip.times]


@pytest.mark.parametrize(
    ("matrix", "left_colour"),
    [
        ((1, 0, 0, 1), "red"),  # as stored: the left half is red
        ((0, 1, -1, 0), "lime"),  # clockwise: red is above
        ((-1, 0, 0, -1), "blue"),
    ],
)
def test_a_video_of_a_phone_is_set_upright(
    matrix: tuple[int, ...], left_colour: str
) -> None:
    image = Image.new("RGB", (128, 64), "red")
    image.paste("blue", (64, 0, 128, 64))
    clip = read(turned(video([image] * 10), matrix))
    shown = frames_of(clip)[0]
    if matrix[0] == 0:
        assert shown.size == (64, 128)
        assert (name_of(shown, (0.5, 0.2)), name_of(shown, (0.5, 0.8))) == (
            "red",
            "blue",
        )
    else:
        assert shown.size == (128, 64)
        assert name_of(shown, (0.2, 0.5)) == left_colour


def test_wide_pixels_make_a_wide_picture() -> None:
    [pair] = read(video(DRAWN[:1], pixel_ratio=2)).pairs
    assert (pair.width, pair.height) == (256, 96)


def test_all_frames_share_the_budget() -> None:
    clip = read(video(colours(200, (640, 360)), rate=10), 512)
    assert sum(pair.ref.n_tokens for pair in clip.pairs) <= 512
    assert 2 * len(clip.pairs) == 16  # fewer frames rather than tiny ones
    long = read(video(colours(200, (640, 360)), rate=10), 4096)
    assert 2 * len(long.pairs) == MAX_FRAMES
    assert long.times[-1] == pytest.approx(19.9)
    pixels = sum(pair.width * pair.height for pair in long.pairs)
    assert pixels <= 4096 * PIXELS_PER_TOKEN


def test_a_list_of_pictures_is_a_video_too() -> None:
    files = [encode(Image.new("RGB", (96, 96), name), "PNG") for name in COLOURS[:3]]
    clip = read_list(*files, times=(0.5, 1.0, 4.0))
    assert [name_of(image) for image in frames_of(clip)] == [
        "red",
        "lime",
        "blue",
        "blue",
    ]
    assert clip.times == (0.5, 1.0, 4.0, 4.0)
    assert read_list(*files, fps=1.0).times == (0, 1, 2, 2)
    with pytest.raises(InvalidPicture, match="formats"):
        read_list(files[0], b"no picture")


def test_a_title_in_any_alphabet_does_no_harm() -> None:
    titled = video(DRAWN, title="Cafe at noon").replace(b"Cafe", b"Caf\xe9")
    assert len(read(titled).pairs) == 4


def test_a_single_frame_is_shown_twice() -> None:
    clip = read(video(DRAWN[:1]))
    assert clip.times == (0, 0) and len(clip.pairs) == 1


def test_without_the_extra_a_sentence_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(decoding_module, "find_spec", lambda name: None)
    with pytest.raises(InvalidPicture, match=r"edge-vl\[video\]"):
        read(video(DRAWN))
    assert len(read(animation(DRAWN, "GIF", duration=100)).pairs) == 2


def test_its_child_has_one_thread_and_the_filter() -> None:
    with start_child(VIDEO, "edge.videos.child") as child:
        folder = Path(f"/proc/{child.pid}")
        wait_for(lambda: "Seccomp:\t2" in (folder / "status").read_text(), 120)
        # another thread would have kept its rights
        assert len([*(folder / "task").iterdir()]) == 1
        child.kill()
    assert isinstance(child, subprocess.Popen)
