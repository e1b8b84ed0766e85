"""Waiting for a decoder, hanging up, and remembered results: with real children."""

from __future__ import annotations

import asyncio
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
    give_up = time.monotonic() + 10
    while decoder._line.n_waiting or decoder._line.n_working:
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


def asking(
    decoder: PictureDecoder, encoded: bytes, who: Caller
) -> asyncio.Task[Picture]:
    return asyncio.create_task(decoder.decode(sent(encoded), who, STUB))


async def at_work(decoder: PictureDecoder, n: int) -> None:
    while decoder._line.n_working < n:
        await asyncio.sleep(0.01)


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
        with pytest.raises(InvalidPicture, match="takes too long"):
            await decoder.decode(sent(SLOW), ME, STUB)  # a small one takes 1 ms
    picture = await decoder.decode(sent(SLOW), ME, STUB)
    assert picture.width == picture.height


async def test_hanging_up_ends_the_child_and_frees_the_decoder(
    decoder: PictureDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    children = started(monkeypatch)
    slow = asking(decoder, SLOW, ME)
    while not (children and children[0]._child):
        await asyncio.sleep(0.01)
    slow.cancel()
    with pytest.raises(asyncio.CancelledError):
        await slow
    assert children[0]._child
    assert children[0]._child.returncode == -9
    assert decoder._line.n_working == 0
    picture = await decoder.decode(
        sent(SLOW), ME, STUB
    )  # nor is it remembered as refused
    assert picture.width == picture.height


async def test_hanging_up_leaves_the_line(
    decoder: PictureDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    children = started(monkeypatch)
    first = asking(decoder, SLOW, ME)
    await at_work(decoder, 1)
    waiting = [asking(decoder, SMALL, ME) for _ in range(3)]
    await asyncio.sleep(0.05)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert decoder._line.n_waiting == 0
    await first
    assert len(children) == 1


async def test_other_addresses_are_served_while_one_sends_many(
    decoder: PictureDecoder,
) -> None:
    crowd = [asking(decoder, SLOW, caller(f"made up {n}", "one")) for n in range(8)]
    await at_work(decoder, 1)
    assert (await decoder.decode(sent(SMALL), YOU, STUB)).width == 48
    n_done = sum(task.done() for task in crowd)
    assert n_done <= 2  # of 8: it did not wait for them
    for task in crowd:
        task.cancel()
    await asyncio.gather(*crowd, return_exceptions=True)


async def test_a_line_has_an_end(decoder: PictureDecoder) -> None:
    most = fair_line.MAX_WAITING_OF_ADDRESS + 1
    crowd = [asking(decoder, SLOW, ME) for _ in range(most)]
    await asyncio.sleep(0.05)
    with pytest.raises(ClientLimit):
        await decoder.decode(sent(SMALL), ME, STUB)
    assert (await decoder.decode(sent(SMALL), YOU, STUB)).width == 48
    for task in crowd:
        task.cancel()
    await asyncio.gather(*crowd, return_exceptions=True)


async def test_the_address_with_the_most_makes_room_in_a_full_line(
    decoder: PictureDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fair_line, "MAX_WAITING", 2)
    crowd = [asking(decoder, SLOW, ME) for _ in range(3)]
    await at_work(decoder, 1)
    slow = asking(decoder, SLOW, YOU)  # waits: large ones go one by one
    with pytest.raises(QueueFull):
        await crowd[2]
    for task in (*crowd[:2], slow):
        task.cancel()
    await asyncio.gather(*crowd[:2], slow, return_exceptions=True)


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
