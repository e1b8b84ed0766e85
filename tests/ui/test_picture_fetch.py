"""A picture is fetched from a listed host, whatever that host or its name server does.

The servers are real ones on loopback, which the list allows where a test says so.
"""

from __future__ import annotations

import asyncio
import gzip
import socket
import ssl
import zlib
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from edge.errors import InvalidPicture, Unavailable, UrlNotAllowed
from edge.jobs.fleet import CAPABILITIES
from tests.deploy.conftest import certify
from tests.ui.api_harness import ApiHarness, api_harness
from tests.ui.pictures import png
from tests.videos.video_files import animation, colours, video
from ui import in_flight, picture_fetch
from ui.in_flight import InFlight
from ui.picture_fetch import MOST_BYTES, PictureFetch
from ui.picture_hosts import PictureHosts
from ui.question import LinkedPicture

PNG = png()
Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture(autouse=True)
def patient_fetch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the limit itself is tested, the test sets a short one."""
    monkeypatch.setattr(picture_fetch, "FETCH_S", 100.0)


class Server:
    """Answers each connection with `answer`, and keeps what it was asked."""

    def __init__(self, answer: Answer | bytes) -> None:
        self.answer = answer
        self.asked: list[bytes] = []
        self.port = 0
        self.connections: set[asyncio.StreamWriter] = set()

    async def run(self, reader: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
        self.connections.add(to)
        try:
            self.asked.append(await reader.readuntil(b"\r\n\r\n"))
            if isinstance(self.answer, bytes):
                to.write(self.answer)
                await to.drain()
            else:
                await self.answer(reader, to)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            to.close()


@asynccontextmanager
async def serving(
    answer: Answer | bytes, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Server]:
    server = Server(answer)
    listening = await asyncio.start_server(server.run, "127.0.0.1", 0, ssl=tls)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
        for connection in server.connections:
            connection.transport.abort()


def reply(body: bytes = PNG, status: str = "200 OK", **headers: str) -> bytes:
    given = {"content_type": "image/png", "content_length": str(len(body))} | headers
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in given.items()]
    return "\r\n".join([f"HTTP/1.1 {status}", *lines, "", ""]).encode() + body


async def fetch(
    url: str, allowed: str, counted: InFlight | None = None, address: str = "10.0.0.1"
) -> bytes:
    hosts = PictureHosts(allowed)
    fetching = PictureFetch(hosts, counted or InFlight())
    picture = LinkedPicture(hosts.link(url), "auto", "messages[0]")
    try:
        async with fetching.fetched(picture, address) as sent:
            assert sent.param == "messages[0]"
            return sent.load()
    finally:
        fetching.close()


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Lets the name server give these lists of addresses, one for each question, the
    last one for ever. Returns the names that it was asked."""

    def of(*answers: list[str]) -> list[str]:
        asked: list[str] = []

        def look_up(host: str, port: int, **_: Any) -> list[Any]:
            asked.append(host)
            addresses = answers[min(len(asked), len(answers)) - 1]
            return [(0, 0, 0, "", (address, port)) for address in addresses]

        monkeypatch.setattr(socket, "getaddrinfo", look_up)
        return asked

    return of


async def test_a_picture_comes_from_a_listed_host() -> None:
    async with serving(reply()) as server:
        at = f"127.0.0.1:{server.port}"
        assert await fetch(f"http://{at}/a%20b.png?c=d#e", at) == PNG
    [asked] = server.asked
    line, *headers = asked.decode().lower().split("\r\n")
    assert line == "get /a%20b.png?c=d http/1.1"
    told = {header.partition(":")[0] for header in headers if header}
    assert told == {"host", "user-agent", "accept", "accept-encoding", "connection"}
    assert f"host: {at}" in headers


@pytest.mark.parametrize("kind", ["application/octet-stream", "IMAGE/JPEG; q=1", ""])
async def test_the_type_may_be_missing_or_vague(kind: str) -> None:
    async with serving(reply(content_type=kind)) as server:
        at = f"127.0.0.1:{server.port}"
        assert await fetch(f"http://{at}/", at) == PNG


async def chunks(size: int, to: asyncio.StreamWriter) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    to.write(head)
    while True:
        to.write(b"%x\r\n%s\r\n" % (size, b"x" * size))
        await to.drain()


async def endless(reader: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
    await chunks(1 << 16, to)


async def dripping(reader: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
    to.write(reply(content_length="1000000", body=b""))
    while True:
        to.write(b"x")
        await to.drain()
        await asyncio.sleep(0.05)


async def dripping_headers(reader: Any, to: asyncio.StreamWriter) -> None:
    to.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        to.write(b"a: b\r\n")
        await to.drain()
        await asyncio.sleep(0.05)


async def silent(reader: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
    await asyncio.sleep(600)


async def continuing(reader: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
    while True:
        to.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        await to.drain()
        await asyncio.sleep(0.01)


async def endless_header(reader: Any, to: asyncio.StreamWriter) -> None:
    to.write(b"HTTP/1.1 200 OK\r\na: ")
    while True:
        to.write(b"b" * (1 << 16))
        await to.drain()


BOMB = gzip.compress(bytes(50 << 20))
ATTACKS: dict[str, tuple[Answer | bytes, str]] = {
    "an error": (reply(status="404 Not Found"), "answered 404"),
    "an answer to a question of another kind": (reply(status="204 None"), "204"),
    "a part": (reply(status="206 Partial Content"), "answered 206"),
    "a web page": (reply(b"<html>", content_type="text/html"), "'text/html'"),
    "JSON": (reply(b"{}", content_type="application/json"), "'application/json'"),
    "a bomb": (reply(BOMB, content_encoding="gzip"), r"compressed \(gzip\)"),
    "a bomb twice": (reply(BOMB, content_encoding="gzip, br"), "compressed"),
    "more than it may": (reply(content_length=str(MOST_BYTES + 1)), "24 MiB at most"),
    "far more": (reply(content_length="9" * 400), "24 MiB|no answer"),
    "no end": (endless, "24 MiB at most"),
    "less than it says": (reply(content_length="99999"), "no answer"),
    "no HTTP": (b"SSH-2.0-OpenSSH_9.6\r\n", "no answer"),
    "nothing": (b"", "no answer"),
    "an endless header": (endless_header, "no answer"),
    "silence": (silent, "within 0 seconds"),
    "one byte at a time": (dripping, "within 0 seconds"),
    "one header at a time": (dripping_headers, "within 0 seconds"),
    "no end of beginnings": (continuing, "within 0 seconds"),
}


@pytest.mark.parametrize(("answer", "message"), ATTACKS.values(), ids=ATTACKS)
async def test_no_answer_does_harm(
    monkeypatch: pytest.MonkeyPatch, answer: Answer | bytes, message: str
) -> None:
    if "within" in message:
        monkeypatch.setattr(picture_fetch, "FETCH_S", 0.4)
    counted = InFlight()
    async with serving(answer) as server:
        at = f"127.0.0.1:{server.port}"
        with pytest.raises(InvalidPicture, match=message) as caught:
            await asyncio.wait_for(fetch(f"http://{at}/", at, counted), 60)
        assert caught.value.param == "messages[0]"
    assert not counted._held


async def test_nobody_listens() -> None:
    async with serving(b"") as server:
        at = f"127.0.0.1:{server.port}"
    with pytest.raises(InvalidPicture, match="no answer"):
        await fetch(f"http://{at}/", at)


# --- where it leads ---------------------------------------------------------------


@pytest.mark.parametrize(
    "addresses", [["127.0.0.1"], ["93.184.215.14", "10.0.0.1"], ["::1"], ["fe80::1%lo"]]
)
async def test_a_name_with_one_private_address_is_not_opened(
    names: Callable[..., list[str]], addresses: list[str]
) -> None:
    names(addresses)
    async with serving(reply()) as server:
        at = f"pictures.example:{server.port}"
        with pytest.raises(UrlNotAllowed, match="private network"):
            await fetch(f"http://{at}/", at)
    assert not server.asked


async def test_a_listed_network_allows_private_addresses(
    names: Callable[..., list[str]],
) -> None:
    names(["127.0.0.1"])
    async with serving(reply()) as server:
        at = f"pictures.example:{server.port}"
        assert await fetch(f"http://{at}/", f"{at}, 127.0.0.0/8") == PNG


async def test_a_name_that_changes_leads_to_the_address_that_was_checked(
    names: Callable[..., list[str]],
) -> None:
    """DNS rebinding: the name is asked once, and what it says later does not count."""
    async with serving(reply()) as server:
        at = f"pictures.example:{server.port}"
        asked = names(["127.0.0.1"], ["10.0.0.1"])
        assert await fetch(f"http://{at}/", f"{at}, 127.0.0.1/32") == PNG
        assert asked == ["pictures.example"]
        # the next picture asks again, and is checked again
        with pytest.raises(UrlNotAllowed):
            await fetch(f"http://{at}/", f"{at}, 127.0.0.1/32")


async def test_the_second_address_is_tried_if_the_first_is_dead(
    names: Callable[..., list[str]],
) -> None:
    names(["127.0.0.2", "127.0.0.1"])
    async with serving(reply()) as server:
        at = f"pictures.example:{server.port}"
        assert await fetch(f"http://{at}/", f"{at}, 127.0.0.0/8") == PNG


async def test_a_name_server_that_hangs_holds_up_one_picture_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(picture_fetch, "FETCH_S", 0.3)
    over = asyncio.Event()
    loop = asyncio.get_running_loop()

    def hang(*_: Any, **__: Any) -> list[Any]:
        asyncio.run_coroutine_threadsafe(over.wait(), loop).result(20)
        raise OSError

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    tasks = [
        asyncio.create_task(fetch("http://pictures.example/", "pictures.example"))
        for _ in range(8)
    ]
    assert await asyncio.to_thread(lambda: "free") == "free"
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        assert isinstance(outcome, InvalidPicture)
    over.set()


async def test_redirects_are_followed_on_listed_hosts() -> None:
    async with serving(reply()) as last:
        to = f"http://127.0.0.1:{last.port}/b"
        async with serving(reply(b"", "302 Found", location=to)) as first:
            hosts = f"127.0.0.1:{first.port}, 127.0.0.1:{last.port}"
            assert await fetch(f"http://127.0.0.1:{first.port}/a", hosts) == PNG
    assert last.asked[0].startswith(b"GET /b ")


@pytest.mark.parametrize("status", ["301 A", "302 A", "303 A", "307 A", "308 A"])
@pytest.mark.parametrize(
    "to",
    [
        "http://127.0.0.1:{port}/",
        "http://localhost:{port}/",
        "http://169.254.169.254/latest/meta-data/",
        "file:///etc/passwd",
        "ftp://127.0.0.1:{port}/",
        "http://a:b@127.0.0.1:{port}/",
    ],
)
async def test_no_redirect_leaves_the_list(status: str, to: str) -> None:
    async with serving(reply()) as inner:
        location = to.format(port=inner.port)
        async with serving(reply(b"", status, location=location)) as outer:
            at = f"127.0.0.1:{outer.port}"
            with pytest.raises((UrlNotAllowed, InvalidPicture)) as caught:
                await fetch(f"http://{at}/", at)
            assert caught.value.param == "messages[0]"
    assert not inner.asked and len(outer.asked) == 1


async def test_redirects_end() -> None:
    async with serving(reply(b"", "302 Found", location="/")) as server:
        at = f"127.0.0.1:{server.port}"
        with pytest.raises(InvalidPicture, match="more than 3 times"):
            await fetch(f"http://{at}/", at)
    assert len(server.asked) == 4


async def test_a_redirect_to_nowhere() -> None:
    async with serving(reply(b"", "302 Found", location="https://[")) as server:
        at = f"127.0.0.1:{server.port}"
        with pytest.raises(InvalidPicture):
            await fetch(f"http://{at}/", at)


async def test_https_is_verified_by_the_name(
    names: Callable[..., list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the connection goes to a checked address."""
    certificate, key = certify(tmp_path)  # of 127.0.0.1, signed by itself
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    async with serving(reply(), tls) as server:
        at = f"127.0.0.1:{server.port}"
        with pytest.raises(InvalidPicture, match="no answer"):
            await fetch(f"https://{at}/", at)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert await fetch(f"https://{at}/", at) == PNG
        names(["127.0.0.1"])
        other = f"pictures.example:{server.port}"
        with pytest.raises(InvalidPicture, match="no answer"):
            await fetch(f"https://{other}/", f"{other}, 127.0.0.1/32")


# --- how much ---------------------------------------------------------------------


async def test_fetched_bytes_are_bytes_in_flight(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(in_flight, "FREE", 0)
    monkeypatch.setattr(in_flight, "SHARE", 150_000)
    counted, picture = InFlight(), b"x" * 100_000
    async with serving(reply(picture)) as server:
        at = f"127.0.0.1:{server.port}"
        with counted.holding("10.0.0.1") as hold:
            hold(60_000)  # the body of another request
            with pytest.raises(Unavailable) as caught:
                await fetch(f"http://{at}/", at, counted)
            assert caught.value.param == "messages[0]"
            assert await fetch(f"http://{at}/", at, counted, "10.0.0.2") == picture
        assert await fetch(f"http://{at}/", at, counted) == picture
    assert not counted._held


# --- a whole question -------------------------------------------------------------


def question(*urls: str) -> dict[str, Any]:
    parts = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    text = {"type": "text", "text": "What is it?"}
    return {"messages": [{"role": "user", "content": [*parts, text]}]}


async def test_without_the_setting_no_address_is_opened(web: ApiHarness) -> None:
    async with serving(reply()) as server:
        url = f"http://127.0.0.1:{server.port}/"
        answer = await web.post(**question(url))
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["code"] == "url_not_allowed"
    assert "only as data: URLs" in error["message"]
    assert not server.asked


@pytest.fixture
async def open_web(broker_url: str) -> AsyncIterator[tuple[ApiHarness, Server]]:
    async with serving(reply()) as server:
        hosts = f"127.0.0.1:{server.port}"
        async with api_harness(broker_url, picture_hosts=hosts, backlog=0) as web:
            yield web, server


async def test_a_question_about_pictures_at_addresses(
    open_web: tuple[ApiHarness, Server],
) -> None:
    web, server = open_web
    url = f"http://127.0.0.1:{server.port}/a.png"
    async with web.working():
        answer = await web.post(**question(url, url))
        again = await web.post(**question(url, url))
    assert answer.status_code == again.status_code == 200
    assert (answer.headers["x-cache"], again.headers["x-cache"]) == ("miss", "hit")
    assert len(server.asked) == 4  # the same address may lead to another picture


def messages_body(url: str) -> dict[str, Any]:
    picture = {"type": "image", "source": {"type": "url", "url": url}}
    content = [picture, {"type": "text", "text": "What is it?"}]
    return {"max_tokens": 9, "messages": [{"role": "user", "content": content}]}


def responses_body(url: str) -> dict[str, Any]:
    picture = {"type": "input_image", "image_url": url}
    content = [picture, {"type": "input_text", "text": "What is it?"}]
    return {"input": [{"role": "user", "content": content}]}


@pytest.mark.parametrize(
    ("path", "body"),
    [("/v1/messages", messages_body), ("/v1/responses", responses_body)],
)
async def test_the_other_apis_fetch_too(
    open_web: tuple[ApiHarness, Server],
    path: str,
    body: Callable[[str], dict[str, Any]],
) -> None:
    web, server = open_web
    async with web.working():
        url = f"http://127.0.0.1:{server.port}/"
        answer = await web.http.post(path, json=body(url))
        other = await web.http.post(path, json=body("https://example.org/a.png"))
    assert answer.status_code == 200, answer.text
    assert other.status_code == 400
    assert "EDGE_PICTURE_HOSTS" in other.json()["error"]["message"]
    assert len(server.asked) == 1


async def test_what_is_fetched_must_be_a_picture(
    open_web: tuple[ApiHarness, Server],
) -> None:
    """And a bomb stays in the decoder's jail."""
    web, server = open_web
    pixels = zlib.compress(bytes(1 << 20))
    for body in (b"GIF89a", b"<svg/>", PNG[:60], PNG[:33] + pixels):
        server.answer = reply(body)
        answer = await web.post(**question(f"http://127.0.0.1:{server.port}/"))
        assert answer.status_code == 400, answer.text
        error = answer.json()["error"]
        assert error["code"] == "invalid_image"
        assert error["param"] == "messages[0].content[0].image_url"
    assert not web.client.in_flight._held
    await web.until(lambda: not web.live)


async def test_other_hosts_are_refused_at_once(
    open_web: tuple[ApiHarness, Server],
) -> None:
    web, server = open_web
    good = f"http://127.0.0.1:{server.port}/"
    answer = await web.post(**question(good, "https://example.org/cat.png"))
    assert answer.status_code == 400
    assert "EDGE_PICTURE_HOSTS" in answer.json()["error"]["message"]
    assert answer.json()["error"]["param"] == "messages[0].content[1].image_url"
    assert not server.asked


async def test_a_full_queue_fetches_nothing(
    open_web: tuple[ApiHarness, Server],
) -> None:
    web, server = open_web
    holding = web.asking("hold", 20)
    await web.followed()
    answer = await web.post(**question(f"http://127.0.0.1:{server.port}/"))
    assert answer.status_code == 429
    assert not server.asked
    async with web.working():
        assert (await holding).status_code == 200


async def test_a_client_that_leaves_ends_its_fetch(
    open_web: tuple[ApiHarness, Server],
) -> None:
    web, server = open_web
    server.answer = silent
    task = asyncio.create_task(web.post(**question(f"http://127.0.0.1:{server.port}/")))
    await web.until(lambda: server.asked)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await web.until(lambda: not web.live)


# --- videos -----------------------------------------------------------------------


def about_a_video(url: str, **more: Any) -> dict[str, Any]:
    part = {"type": "video_url", "video_url": {"url": url}} | more
    text = {"type": "text", "text": "What is it?"}
    return {"messages": [{"role": "user", "content": [part, text]}]}


@pytest.mark.parametrize("kind", ["video/mp4", "application/octet-stream"])
async def test_a_video_comes_from_a_listed_host(
    open_web: tuple[ApiHarness, Server], kind: str
) -> None:
    web, server = open_web
    web.beat("here-1", n_slots=1, capabilities=CAPABILITIES)
    server.answer = reply(video(colours()), content_type=kind)
    url = f"http://127.0.0.1:{server.port}/v"
    async with web.working():
        whole = await web.post(**about_a_video(url))
        half = await web.post(**about_a_video(url, fps=1))
    assert whole.status_code == 200, whole.text
    assert whole.headers["x-video"].startswith("frames=8;seconds=4.0;")
    assert half.headers["x-video"].startswith("frames=4;seconds=4.0;")
    assert len(server.asked) == 2


async def test_an_animation_is_a_video_too(open_web: tuple[ApiHarness, Server]) -> None:
    web, server = open_web
    web.beat("here-1", n_slots=1, capabilities=CAPABILITIES)
    gif = animation(colours(8, (64, 64)), "GIF", duration=500)
    server.answer = reply(gif, content_type="image/gif")
    async with web.working():
        answer = await web.post(**about_a_video(f"http://127.0.0.1:{server.port}/v"))
    assert answer.headers["x-video"].startswith("frames=4;")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (reply(b"<html>", content_type="text/html"), "which is not a video"),
        (reply(b"x" * 99, content_type="video/mp4"), "MP4"),
        (reply(content_length=str(MOST_BYTES + 1)), "A video may have 24 MiB"),
        (reply(status="404 Not Found"), "answered 404, not a video"),
        (b"", "Send the video itself"),
    ],
)
async def test_what_is_fetched_must_be_a_video(
    open_web: tuple[ApiHarness, Server], answer: bytes, words: str
) -> None:
    web, server = open_web
    web.beat("here-1", n_slots=1, capabilities=CAPABILITIES)
    server.answer = answer
    refused = await web.post(**about_a_video(f"http://127.0.0.1:{server.port}/v"))
    assert refused.status_code == 400
    error = refused.json()["error"]
    assert words in error["message"]
    assert error["param"] == "messages[0].content[0].video_url"
    assert not web.client.in_flight._held
    await web.until(lambda: not web.live)


async def test_a_video_on_another_host_or_for_no_model_is_not_fetched(
    open_web: tuple[ApiHarness, Server],
) -> None:
    web, server = open_web
    web.beat("here-1", n_slots=1, capabilities=CAPABILITIES)
    other = await web.post(**about_a_video("https://example.org/v.mp4"))
    assert "Videos are not fetched from example.org" in other.text
    web.beat("here-1", n_slots=1, capabilities=("chat",))
    unable = await web.post(**about_a_video(f"http://127.0.0.1:{server.port}/v"))
    assert unable.json()["error"]["code"] == "unsupported_parameter"
    assert not server.asked


# --- pictures of a video ----------------------------------------------------------


def about_frames(*frames: str) -> dict[str, Any]:
    part = {"type": "video", "video": [*frames], "fps": 1}
    text = {"type": "text", "text": "What is it?"}
    return {"messages": [{"role": "user", "content": [part, text]}]}


async def test_the_pictures_of_a_video_come_in_their_order(
    open_web: tuple[ApiHarness, Server],
) -> None:
    """Though the first one comes last: the answer to the pictures themselves is
    known then."""
    web, server = open_web
    web.beat("here-1", n_slots=1, capabilities=CAPABILITIES)
    files = [png(colour) for colour in ("red", "green", "blue", "white")]
    others_came = asyncio.Event()

    async def answer(_: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
        i = int(server.asked[-1].split()[1].removeprefix(b"/"))
        if i == 0:
            await others_came.wait()
        to.write(reply(files[i]))
        await to.drain()
        if i == 2:
            others_came.set()

    server.answer = answer
    linked = [f"http://127.0.0.1:{server.port}/{i}" for i in (0, 2)]
    sent = [f"data:image/png;base64,{b64encode(f).decode()}" for f in files]
    async with web.working():
        mixed = await web.post(**about_frames(linked[0], sent[1], linked[1], sent[3]))
        again = await web.post(**about_frames(*sent))
        turned = await web.post(**about_frames(*sent[::-1]))
    assert mixed.status_code == 200, mixed.text
    assert mixed.headers["x-video"].startswith("frames=4;seconds=4.0;")
    caches = [one.headers["x-cache"] for one in (mixed, again, turned)]
    assert caches == ["miss", "hit", "miss"]
    assert not web.client.in_flight._held


async def test_a_picture_of_a_video_that_does_not_come_is_named(
    open_web: tuple[ApiHarness, Server],
) -> None:
    web, server = open_web
    web.beat("here-1", n_slots=1, capabilities=CAPABILITIES)
    server.answer = reply(status="404 Not Found")
    here, other = f"http://127.0.0.1:{server.port}/", "https://example.org/a.png"
    sent = f"data:image/png;base64,{b64encode(PNG).decode()}"
    for frames, i, words in (
        ((sent, here), 1, "answered 404, not a picture"),
        ((sent, sent, other), 2, "example.org"),
    ):
        error = (await web.post(**about_frames(*frames))).json()["error"]
        assert error["param"] == f"messages[0].content[0].video[{i}]"
        assert words in error["message"]
    assert len(server.asked) == 1
    assert not web.client.in_flight._held
    await web.until(lambda: not web.live)
