"""Downloads over real HTTP: the file is whole and right, or absent."""

from __future__ import annotations

import http.client
import os
import resource
import socket
import stat
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

import pytest

from edge.errors import SetupError
from edge.models.download import LONGEST_WAIT_S, WAITS_S, download
from edge.models.hub import any_answers, host_of
from edge.models.registry import RemoteFile
from tests.models.hub import (
    LFS_POINTER,
    MODEL,
    REPOSITORY,
    REVISION,
    Fault,
    Hub,
    gguf,
    remote,
)

FILE = remote("m.gguf", MODEL)
SIZE = len(MODEL)
UNPINNED = RemoteFile(REPOSITORY, REVISION, "m.gguf")


class Case:
    """A folder, and downloads into it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.target = folder / "m.gguf"
        self.part = folder / "m.gguf.part"
        self.slept: list[float] = []
        self.seen: list[tuple[int, int]] = []
        self.stall_s = 20.0

    def get(self, *hubs: Hub | str, file: RemoteFile = FILE) -> Path:
        return download(
            file,
            self.folder,
            [hub if isinstance(hub, str) else hub.url for hub in hubs],
            lambda done, total: self.seen.append((done, total)),
            sleep=self.slept.append,
            stall_s=self.stall_s,
        )

    def refusal(self, *hubs: Hub | str, file: RemoteFile = FILE) -> str:
        with pytest.raises(SetupError) as refusal:
            self.get(*hubs, file=file)
        assert not self.target.exists()
        return refusal.value.message

    def is_whole(self) -> bool:
        return self.target.read_bytes() == MODEL and not self.part.exists()


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path)


@pytest.fixture
def nobody() -> Iterator[str]:
    """A URL where nothing listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


def test_a_file_comes_through_the_redirect(case: Case, hub: Hub) -> None:
    assert case.get(hub) == case.target
    assert case.is_whole()
    assert hub.asked == [("m.gguf", None)]
    assert case.slept == []


def test_progress_rises_to_the_size(case: Case, hub: Hub) -> None:
    case.get(hub)
    assert case.seen == sorted(case.seen)
    assert case.seen[-1] == (SIZE, SIZE)


def test_a_slash_at_the_end_of_an_endpoint_is_allowed(case: Case, hub: Hub) -> None:
    case.get(hub.url + "/")
    assert case.is_whole()


# --- what lies in the way -------------------------------------------------------------


@pytest.mark.parametrize("there", [True, False])
def test_nothing_is_written_through_a_link(
    case: Case, hub: Hub, tmp_path_factory: pytest.TempPathFactory, there: bool
) -> None:
    victim = tmp_path_factory.mktemp("elsewhere") / "victim"
    if there:
        victim.write_text("precious")
    case.part.symlink_to(victim)
    said = case.refusal(hub)
    assert f"{case.part} is a link" in said
    assert victim.exists() == there
    assert not there or victim.read_text() == "precious"


@pytest.mark.parametrize("kind", ["pipe", "folder", "device"])
def test_a_pipe_or_device_is_refused_at_once(case: Case, hub: Hub, kind: str) -> None:
    if kind == "pipe":
        os.mkfifo(case.part)
    elif kind == "folder":
        case.part.mkdir()
    elif os.geteuid() != 0:
        pytest.skip("only root can make a device")
    else:
        os.mknod(case.part, stat.S_IFCHR | 0o666, os.makedev(1, 5))  # /dev/zero
    assert "cannot be written" in case.refusal(hub)


# --- going on -------------------------------------------------------------------------


def test_a_whole_file_is_not_requested(case: Case, hub: Hub) -> None:
    case.part.write_bytes(MODEL[:123_456])
    case.get(hub)
    assert case.is_whole()
    assert hub.asked == [("m.gguf", "bytes=123456-")]  # the range survives the redirect
    assert hub.body_bytes == SIZE - 123_456


def test_a_whole_part_needs_no_network(case: Case) -> None:
    case.part.write_bytes(MODEL)
    case.get("http://nobody.invalid")
    assert case.is_whole()


def test_a_cut_connection_is_resumed(case: Case, hub: Hub) -> None:
    hub.fails(Fault(cut_after=100_000), Fault(cut_after=50_000))
    case.get(hub)
    assert case.is_whole()
    assert [range_ for _, range_ in hub.asked] == [
        None,
        "bytes=100000-",
        "bytes=150000-",
    ]
    assert hub.body_bytes == SIZE


def test_any_number_of_cuts_is_tolerated_with_progress(case: Case, hub: Hub) -> None:
    hub.fails(*[Fault(cut_after=10_000)] * 29)
    case.get(hub)
    assert case.is_whole()
    assert hub.body_bytes == SIZE
    assert set(case.slept) == {WAITS_S[0]}


def test_cuts_without_progress_end_in_an_error(case: Case, hub: Hub) -> None:
    hub.always = Fault(cut_after=10_000, ignores_ranges=True)
    assert f"{hub.host} ended the connection at 10000 of" in case.refusal(hub)
    assert len(hub.asked) == len(WAITS_S) + 1  # the first round made progress


def test_a_server_without_ranges_begins_again(case: Case, hub: Hub) -> None:
    case.part.write_bytes(MODEL[:1000])
    hub.fails(Fault(ignores_ranges=True))
    case.get(hub)
    assert case.is_whole()
    assert hub.body_bytes == SIZE


def test_a_wrong_range_is_refused(case: Case, hub: Hub) -> None:
    case.part.write_bytes(MODEL[:1000])
    hub.fails(Fault(content_range=f"bytes 999-{SIZE - 1}/{SIZE}"))
    assert "another part of the file" in case.refusal(hub)
    assert case.part.read_bytes() == MODEL[:1000]


def test_a_part_of_another_file_is_detected(case: Case, hub: Hub) -> None:
    case.part.write_bytes(gguf(200_000, seed=9))
    case.get(hub)
    assert case.is_whole()
    assert [range_ for _, range_ in hub.asked] == ["bytes=200000-", None]


def test_a_part_that_is_too_long_is_downloaded_again(case: Case, hub: Hub) -> None:
    case.part.write_bytes(MODEL + b"more")
    case.get(hub)
    assert case.is_whole()


def test_a_shorter_file_at_the_hub_is_downloaded_again(case: Case, hub: Hub) -> None:
    case.part.write_bytes(MODEL[:200_000])
    hub.fails(Fault(body=MODEL[:150_000]))  # answers 416
    case.get(hub)
    assert case.is_whole()


# --- trying again ---------------------------------------------------------------------


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503])
def test_temporary_errors_are_retried(case: Case, hub: Hub, status: int) -> None:
    hub.fails(*[Fault(status=status)] * 3)
    case.get(hub)
    assert case.is_whole()
    assert case.slept == list(WAITS_S[:3])


def test_waits_grow_until_the_download_fails(case: Case, hub: Hub) -> None:
    hub.always = Fault(status=500)
    refusal = case.refusal(hub)
    assert f"{hub.host} answered 500" in refusal
    assert "EDGE_HUB_URL" in refusal
    assert case.slept == list(WAITS_S[: len(case.slept)])
    assert hub.hits == len(WAITS_S)
    assert not case.part.exists()  # no data


@pytest.mark.parametrize(
    ("said", "slept"),
    [
        ("7", 7.0),
        ("0", WAITS_S[0]),
        ("99999", LONGEST_WAIT_S),
        ("Fri, 31 Dec 2027 23:59:59 GMT", WAITS_S[0]),
        ("-5", WAITS_S[0]),
    ],
)
def test_retry_after_is_honoured_within_reason(
    case: Case, hub: Hub, said: str, slept: float
) -> None:
    hub.fails(Fault(status=429, headers={"Retry-After": said}))
    case.get(hub)
    assert case.is_whole()
    assert case.slept == [slept]


def test_a_connection_that_stalls_is_given_up(case: Case, hub: Hub) -> None:
    case.stall_s = 3.0  # and the hub stalls for 10
    hub.fails(Fault(stall_after=70_000))
    case.get(hub)
    assert case.is_whole()
    assert hub.asked[1] == ("m.gguf", "bytes=70000-")


def test_a_stall_is_named(case: Case, hub: Hub) -> None:
    case.stall_s = 0.1
    hub.always = Fault(stall_after=0)
    assert f"{hub.host}: nothing came for 0.1 s" in case.refusal(hub)


def test_the_mirror_continues_where_the_hub_stopped(
    case: Case, hub: Hub, mirror: Hub
) -> None:
    hub.always = Fault(cut_after=40_000)
    case.get(hub, mirror)
    assert case.is_whole()
    assert mirror.asked == [("m.gguf", "bytes=40000-")]
    assert case.slept == []


def test_a_hub_that_is_down_is_skipped(case: Case, nobody: str, mirror: Hub) -> None:
    case.get(nobody, mirror)
    assert case.is_whole()
    assert case.slept == []


def test_all_unreachable_hubs_are_named(case: Case, nobody: str) -> None:
    refusal = case.refusal(nobody, "http://nobody.invalid")
    assert f"{host_of(nobody)}: Connection refused" in refusal
    assert "nobody.invalid: " in refusal


# --- refusing -------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 451])
def test_an_endpoint_that_refuses_is_not_asked_again(
    case: Case, hub: Hub, mirror: Hub, status: int
) -> None:
    hub.fails(Fault(status=status))
    mirror.fails(Fault(status=503))
    case.get(hub, mirror)
    assert case.is_whole()
    assert hub.hits == 1


def test_when_all_refuse_the_download_fails_at_once(
    case: Case, hub: Hub, mirror: Hub
) -> None:
    hub.always, mirror.always = Fault(status=404), Fault(status=403)
    refusal = case.refusal(hub, mirror)
    assert f"{hub.host} answered 404, it does not have this file" in refusal
    assert f"{mirror.host} answered 403, it forbids this file" in refusal
    assert case.slept == []


def test_the_host_that_a_redirect_led_to_is_named(
    case: Case, hub: Hub, mirror: Hub
) -> None:
    location = {"Location": f"{mirror.url}/elsewhere"}
    hub.fails(Fault(status=302, headers=location))
    assert f"{mirror.host} answered 404" in case.refusal(hub)


@pytest.mark.parametrize(
    "location", ["ftp://127.0.0.1/x", "file:///etc/passwd", "data:,GGUF", "gopher://x"]
)
def test_a_redirect_to_another_scheme_is_refused(
    case: Case, hub: Hub, location: str
) -> None:
    hub.fails(Fault(status=302, headers={"Location": location}))
    said = f"{hub.host} redirects to {location}, which leads nowhere"
    assert said in case.refusal(hub)
    assert case.slept == []


def test_a_redirect_loop_ends(case: Case, hub: Hub) -> None:
    path = f"/{REPOSITORY}/resolve/{REVISION}/m.gguf"
    hub.always = Fault(status=302, headers={"Location": path})
    assert f"{path}, which leads nowhere" in case.refusal(hub)


@pytest.mark.parametrize(
    "url", ["ftp://x", "file:///etc", "huggingface.co", "http://["]
)
def test_an_endpoint_without_http_is_refused(case: Case, url: str) -> None:
    assert url in case.refusal(url)
    assert case.slept == []


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (LFS_POINTER, "a Git LFS pointer"),
        (b"\n<!DOCTYPE html><html>Log in to the WiFi</html>", "a web page"),
        (b"<html><body>blocked", "a web page"),
        (b'{"error":"Repository not found"}', "a JSON message"),
        (b"PK\x03\x04 a zip file", "no GGUF file"),
        (b"GGML, the older one", "no GGUF file"),
    ],
)
@pytest.mark.parametrize("length", [None, SIZE])
def test_what_is_not_a_model_is_refused_by_name(
    case: Case, hub: Hub, body: bytes, name: str, length: int | None
) -> None:
    hub.fails(Fault(body=body, length=length))
    refusal = case.refusal(hub)
    assert f"what {hub.host} sends is {name}, not the file itself" in refusal
    assert not case.part.exists()


def test_a_strange_response_keeps_the_part(case: Case, hub: Hub, mirror: Hub) -> None:
    case.part.write_bytes(MODEL[:1000])
    hub.fails(Fault(body=b"<html>", ignores_ranges=True))
    case.get(hub, mirror)
    assert case.is_whole()
    assert mirror.asked == [("m.gguf", "bytes=1000-")]


@pytest.mark.parametrize("length", [0, SIZE - 1, SIZE + 1, 10**12])
def test_a_file_of_a_different_size_is_refused_unread(
    case: Case, hub: Hub, length: int
) -> None:
    hub.fails(Fault(length=length))
    refusal = case.refusal(hub)
    assert f"{hub.host} offers {length} bytes instead of {SIZE}" in refusal
    assert case.seen == []


def test_a_file_of_a_different_size_is_refused_on_resume(case: Case, hub: Hub) -> None:
    case.part.write_bytes(MODEL[:1000])
    hub.fails(Fault(content_range=f"bytes 1000-{SIZE}/{SIZE + 1}"))
    assert f"offers {SIZE + 1} bytes" in case.refusal(hub)


def test_a_response_without_a_length_is_read_to_its_end(case: Case, hub: Hub) -> None:
    hub.fails(Fault(no_length=True))
    case.get(hub)
    assert case.is_whole()


def test_an_endless_response_is_refused(case: Case, hub: Hub) -> None:
    hub.fails(Fault(no_length=True, body=MODEL + bytes(100_000)))
    assert f"sends more than {SIZE} bytes" in case.refusal(hub)
    assert case.part.stat().st_size <= SIZE


def test_wrong_bytes_are_downloaded_once_more(case: Case, hub: Hub) -> None:
    hub.fails(Fault(body=gguf(SIZE, seed=9)))
    case.get(hub)
    assert case.is_whole()
    assert [range_ for _, range_ in hub.asked] == [None, None]


def test_wrong_bytes_twice_are_refused(case: Case, hub: Hub) -> None:
    hub.always = Fault(body=gguf(SIZE, seed=9))
    assert f"what {hub.host} sent has another sha256" in case.refusal(hub)
    assert len(hub.asked) == 2
    assert not case.part.exists()


def test_the_second_attempt_may_be_cut(case: Case, hub: Hub) -> None:
    hub.fails(Fault(body=gguf(SIZE, seed=9)), *[Fault(cut_after=1000)] * 10)
    case.get(hub)
    assert case.is_whole()


def test_a_part_is_kept_for_the_next_attempt(case: Case, hub: Hub) -> None:
    hub.fails(Fault(cut_after=200_000), *[Fault(status=404)])
    assert "200.0 kB are kept" in case.refusal(hub)
    case.get(hub)
    assert case.is_whole()
    assert hub.body_bytes == SIZE


def test_ctrl_c_keeps_the_part(case: Case, hub: Hub) -> None:
    def interrupt(done: int, _: int) -> None:
        if done > 100_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download(FILE, case.folder, [hub.url], interrupt)
    kept = case.part.read_bytes()
    assert MODEL.startswith(kept)
    assert len(kept) > 100_000
    case.get(hub)
    assert case.is_whole()


# --- files whose size and hash nobody knows -------------------------------------------


def test_an_unpinned_file_has_the_length_that_the_hub_sends(
    case: Case, hub: Hub
) -> None:
    hub.fails(Fault(cut_after=100_000))
    case.get(hub, file=UNPINNED)
    assert case.is_whole()
    assert hub.body_bytes == SIZE
    assert case.seen[-1] == (SIZE, SIZE)


def test_a_whole_unpinned_part_is_downloaded_again(case: Case, hub: Hub) -> None:
    case.part.write_bytes(MODEL)
    case.get(hub, file=UNPINNED)
    assert case.is_whole()


NEWER = gguf(SIZE + 1000, seed=9)


@pytest.mark.parametrize(
    ("weak", "then", "continues"),
    [("", MODEL, True), ("", NEWER, False), ("W/", MODEL, False)],
)
def test_an_unpinned_part_is_continued_with_its_own_version(
    case: Case, hub: Hub, weak: str, then: bytes, continues: bool
) -> None:
    hub.fails(Fault(cut_after=200_000, weak=weak), Fault(status=404))
    case.refusal(hub, file=UNPINNED)
    hub.files["m.gguf"], hub.always = then, Fault(weak=weak)
    case.get(hub, file=UNPINNED)  # as another process does
    assert case.target.read_bytes() == then
    ranges = [range_ for _, range_ in hub.asked]
    assert ranges == [None, "bytes=200000-", *([] if continues else [None])]


def test_another_version_at_the_mirror_costs_nothing(
    case: Case, hub: Hub, mirror: Hub
) -> None:
    hub.fails(Fault(cut_after=200_000))
    mirror.files["m.gguf"] = NEWER
    case.get(hub, mirror, file=UNPINNED)
    assert case.is_whole()
    assert [range_ for _, range_ in hub.asked] == [None, "bytes=200000-"]


def test_an_unpinned_file_needs_a_length(case: Case, hub: Hub) -> None:
    hub.fails(Fault(no_length=True))
    assert "does not say how many bytes" in case.refusal(hub, file=UNPINNED)


# --- the machine ----------------------------------------------------------------------


def test_a_full_disk_is_one_sentence(case: Case, hub: Hub) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        refusal = case.refusal(hub)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert refusal == f"m.gguf cannot be written into {case.folder}: File too large."
    assert case.slept == []


def test_a_missing_folder_is_one_sentence(case: Case, hub: Hub) -> None:
    case.folder /= "missing"
    assert "No such file or directory" in case.refusal(hub)


def test_the_file_is_replaced_in_one_step(case: Case, hub: Hub) -> None:
    case.target.write_bytes(b"an older one, which somebody reads")
    with case.target.open("rb") as reader:
        case.get(hub)
        assert reader.read() == b"an older one, which somebody reads"
    assert case.is_whole()


@pytest.fixture
def proxy() -> Iterator[tuple[str, list[str]]]:
    """A forward proxy: its URL, and the URLs requested from it."""
    asked: list[str] = []

    class Forward(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            parts = urlsplit(self.path)
            connection = http.client.HTTPConnection(parts.netloc)
            path = f"{parts.path}?{parts.query}" if parts.query else parts.path
            range_ = {k: v for k, v in self.headers.items() if k == "Range"}
            connection.request("GET", path, headers=range_)
            answer = connection.getresponse()
            self.send_response(answer.status)
            for key, value in answer.getheaders():
                self.send_header(key, value)
            self.end_headers()
            self.wfile.write(answer.read())
            connection.close()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Forward)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_proxy_is_honoured(
    case: Case,
    hub: Hub,
    proxy: tuple[str, list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url, asked = proxy
    monkeypatch.setenv("http_proxy", url)
    case.part.write_bytes(MODEL[:1000])
    case.get(hub)
    assert case.is_whole()
    assert asked == [
        f"{hub.url}/{REPOSITORY}/resolve/{REVISION}/m.gguf",
        f"{hub.url}/cdn/m.gguf?signature=%2Babc",
    ]


def test_no_proxy_is_honoured(
    case: Case,
    hub: Hub,
    proxy: tuple[str, list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("http_proxy", proxy[0])
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    case.get(hub)
    assert case.is_whole()
    assert proxy[1] == []


# --- is anybody there? ----------------------------------------------------------------


def test_a_hub_is_probed_with_the_last_byte(hub: Hub) -> None:
    assert any_answers(FILE, [hub.url], within_s=20)
    assert hub.asked == [("m.gguf", f"bytes={SIZE - 1}-")]
    assert hub.body_bytes == 1


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=404),
        Fault(status=503),
        Fault(stall_after=0),
        Fault(body=b"<html>", ignores_ranges=True),
        Fault(length=SIZE + 1, ignores_ranges=True),
    ],
)
def test_a_hub_without_the_file_does_not_count(hub: Hub, fault: Fault) -> None:
    hub.always = fault
    assert not any_answers(FILE, [hub.url], within_s=0.3)


def test_one_answering_endpoint_is_enough(nobody: str, hub: Hub, mirror: Hub) -> None:
    mirror.always = Fault(stall_after=0)
    assert any_answers(FILE, [nobody, mirror.url, hub.url], within_s=20)


def test_no_endpoint_answers(nobody: str) -> None:
    assert not any_answers(FILE, [nobody, "ftp://x", "http://nobody.invalid"])
    assert not any_answers(FILE, [])


def test_passwords_are_not_shown() -> None:
    assert host_of("https://user:secret@hub.example:8443/a/b@c") == "hub.example:8443"
