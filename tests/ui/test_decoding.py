"""Waiting for a decoder, hanging up, and remembered results: with real children."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import threading
import time
from collections.abc import AsyncIterator

import pytest

from edge.caller import ANONYMOUS, Caller
from edge.errors import ClientLimit, InvalidPicture, QueueFull
from edge.images import Picture, jail
from tests.test_images import black_png
from tests.ui.pictures import STUB, png, sent
from ui import fair_line
from ui.decoding import PictureDecoder
from ui.fair_line import Ticket

SMALL = black_png(48, 48)
SLOW = black_png(7900, 7900, bits=8, colour=6)  # half a second and more


def caller(name: str, address: str = "") -> Caller:
    return Caller(ANONYMOUS, name, address or name, name)


ME, YOU = caller("me"), caller("you")


@pytest.fixture
async def decoder() -> AsyncIterator[PictureDecoder]:
    one = PictureDecoder(64, 64)
    yield one
    await quiet(one)


async def quiet(decoder: PictureDecoder) -> None:
    """Until no picture waits and no decoder works."""
    give_up = time.monotonic() + 60
    while decoder._line.n_waiting or decoder._line._working:
        assert time.monotonic() < give_up
        await asyncio.sleep(0.01)
    assert not decoder._turns


def started(monkeypatch: pytest.MonkeyPatch) -> list[jail.Jail]:
    """The decodings whose child was started, as they come."""
    found = []
    start = jail.Jail._start

    def watched(self: jail.Jail, *args: object) -> object:
        found.append(self)
        return start(self, *args)

    monkeypatch.setattr(jail.Jail, "_start", watched)
    return found


def hold_large(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """No child is started for a large picture before the event is set."""
    go, start = threading.Event(), jail.Jail._start

    def held(self: jail.Jail) -> subprocess.Popen[bytes]:
        if self.limits.is_large:
            go.wait(60)
        return start(self)

    monkeypatch.setattr(jail.Jail, "_start", held)
    return go


def freeze(monkeypatch: pytest.MonkeyPatch) -> None:
    """Children do not come to their end."""
    start = jail.Jail._start

    def frozen(self: jail.Jail) -> subprocess.Popen[bytes]:
        child = start(self)
        child.send_signal(signal.SIGSTOP)
        return child

    monkeypatch.setattr(jail.Jail, "_start", frozen)


def asking(
    decoder: PictureDecoder, encoded: bytes, who: Caller
) -> asyncio.Task[Picture]:
    return asyncio.create_task(decoder.decode(sent(encoded), who, STUB))


async def in_line(decoder: PictureDecoder, n: int) -> None:
    """Until one picture is at work and `n` wait."""
    while (len(decoder._line._working), decoder._line.n_waiting) != (1, n):
        await asyncio.sleep(0.01)


async def full_line(
    decoder: PictureDecoder, monkeypatch: pytest.MonkeyPatch
) -> tuple[threading.Event, list[asyncio.Task[Picture]]]:
    """Three pictures of one address, of which two wait, the most that may; they go on
    with the event."""
    monkeypatch.setattr(fair_line, "MAX_WAITING", 2)
    go, crowd = hold_large(monkeypatch), list[asyncio.Task[Picture]]()
    for n in range(3):
        crowd.append(asking(decoder, SLOW, ME))
        await in_line(decoder, n)
    return go, crowd


async def test_pictures_are_remembered_by_scope(
    decoder: PictureDecoder,
) -> None:
    picture = await decoder.decode(sent(SMALL), ME, STUB)
    assert decoder.recall(sent(SMALL), ME, STUB) == picture.ref
    assert decoder.recall(sent(SMALL), YOU, STUB) is None
    house = [Caller("key", name, name, "house") for name in "ab"]
    await decoder.decode(sent(SMALL), house[0], STUB)
    assert decoder.recall(sent(SMALL), house[1], STUB) == picture.ref


async def test_refused_bytes_are_refused_again_without_a_decoder(
    decoder: PictureDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    children = started(monkeypatch)
    said = []
    for who in (ME, ME, ME, YOU):
        with pytest.raises(InvalidPicture) as caught:
            await decoder.decode(sent(b"no picture"), who, STUB)
        said.append(caught.value.message)
    assert len(set(said)) == 1
    assert len(children) == 2  # one for each scope


async def test_bytes_that_are_sent_many_times_at_once_start_two_decoders_at_most(
    decoder: PictureDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    children = started(monkeypatch)
    tasks = [asking(decoder, b"no picture", ME) for _ in range(8)]
    refusals = await asyncio.gather(*tasks, return_exceptions=True)
    assert {type(refusal) for refusal in refusals} == {InvalidPicture}
    assert len(children) <= 2


async def test_refusals_are_forgotten_when_there_are_too_many(
    decoder: PictureDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ui.decoding.REMEMBERED", 2)
    children = started(monkeypatch)
    for encoded in (b"1", b"2", b"3", b"3", b"1"):
        with pytest.raises(InvalidPicture):
            await decoder.decode(sent(encoded), ME, STUB)
    assert len(children) == 4


async def test_a_timeout_on_a_busy_machine_is_not_remembered(
    decoder: PictureDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as busy:
        busy.setattr(jail, "WALL_SECONDS", 0)
        freeze(busy)
        with pytest.raises(InvalidPicture, match="takes too long"):
            await decoder.decode(sent(SLOW), ME, STUB)
    picture = await decoder.decode(sent(SLOW), ME, STUB)
    assert picture.width == picture.height


async def test_hanging_up_ends_the_child_and_frees_the_decoder(
    decoder: PictureDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        freeze(patch)
        children = started(patch)
        slow = asking(decoder, SLOW, ME)
        while not (children and children[0]._child):
            await asyncio.sleep(0.01)
        slow.cancel()
        with pytest.raises(asyncio.CancelledError):
            await slow
    assert children[0]._child
    assert children[0]._child.returncode == -9
    assert not decoder._line._working
    picture = await decoder.decode(
        sent(SLOW), ME, STUB
    )  # nor is it remembered as refused
    assert picture.width == picture.height


async def test_hanging_up_leaves_the_line(
    decoder: PictureDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    go, children = hold_large(monkeypatch), started(monkeypatch)
    first = asking(decoder, SLOW, ME)
    await in_line(decoder, 0)
    waiting = [asking(decoder, SMALL, ME) for _ in range(3)]
    await in_line(decoder, 3)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert decoder._line.n_waiting == 0
    go.set()
    await first
    assert len(children) == 1


async def end(crowd: list[asyncio.Task[Picture]], go: threading.Event) -> None:
    for task in crowd:
        task.cancel()
    go.set()
    await asyncio.gather(*crowd, return_exceptions=True)


async def test_other_addresses_are_served_while_one_sends_many(
    decoder: PictureDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = hold_large(monkeypatch)
    crowd = [asking(decoder, SLOW, caller(f"made up {n}", "one")) for n in range(8)]
    await in_line(decoder, 7)
    small = asking(decoder, SMALL, YOU)
    await asyncio.wait([small, *crowd], return_when=asyncio.FIRST_COMPLETED)
    assert not any(task.done() for task in crowd)  # it did not wait for them
    assert (await small).width == 48
    await end(crowd, go)


async def test_a_line_has_an_end(
    decoder: PictureDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    go, most = hold_large(monkeypatch), fair_line.MAX_WAITING_OF_ADDRESS
    crowd = [asking(decoder, SLOW, ME) for _ in range(most + 1)]
    await in_line(decoder, most)
    with pytest.raises(ClientLimit):
        await decoder.decode(sent(SMALL), ME, STUB)
    assert (await decoder.decode(sent(SMALL), YOU, STUB)).width == 48
    await end(crowd, go)


async def test_the_address_with_the_most_makes_room_in_a_full_line(
    decoder: PictureDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    go, crowd = await full_line(decoder, monkeypatch)
    slow = asking(decoder, SLOW, YOU)  # waits: large ones go one by one
    with pytest.raises(QueueFull):
        await crowd[2]
    await end([*crowd[:2], slow], go)


async def test_a_picture_whose_client_has_just_left_may_make_room(
    decoder: PictureDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its task has not left the line yet."""
    go, crowd = await full_line(decoder, monkeypatch)

    async def wait() -> None:
        async with decoder._turn(Ticket(YOU, is_large=True)):
            pass

    other = asyncio.create_task(wait())  # enters before the next one leaves
    crowd[2].cancel()
    go.set()
    await asyncio.gather(*crowd[:2], other)
    with pytest.raises(asyncio.CancelledError):
        await crowd[2]
    await quiet(decoder)


# --- remembered pictures ------------------------------------------


async def test_a_decoded_picture_is_known_by_its_bytes() -> None:
    decoder = PictureDecoder(1024, 1024)
    assert decoder.recall(sent(png()), ME, STUB) is None
    picture = await decoder.decode(sent(png()), ME, STUB)
    assert decoder.recall(sent(png()), ME, STUB) == picture.ref
    assert decoder.recall(sent(png("blue")), ME, STUB) is None


async def test_it_is_another_picture_at_another_size() -> None:
    decoder = PictureDecoder(1024, 1024)
    await decoder.decode(sent(png(), "low"), ME, STUB)
    assert decoder.recall(sent(png(), "low"), ME, STUB)
    assert decoder.recall(sent(png()), ME, STUB) is None
    await decoder.decode(sent(png()), ME, STUB)
    assert decoder.recall(sent(png(), "high"), ME, STUB) == decoder.recall(
        sent(png()), ME, STUB
    )


async def test_pictures_are_forgotten_when_there_are_too_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ui.decoding.REMEMBERED", 2)
    decoder = PictureDecoder(1024, 1024)
    for colour in ("red", "green", "blue"):
        await decoder.decode(sent(png(colour)), ME, STUB)
    known = [
        decoder.recall(sent(png(colour)), ME, STUB)
        for colour in ("red", "green", "blue")
    ]
    assert [ref is not None for ref in known] == [False, True, True]
