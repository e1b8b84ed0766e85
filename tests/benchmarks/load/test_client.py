"""The measuring client: its figures, and what counts as an answer.

Without Locust, which would patch this process: the answer with given times, the client
with a real server.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from benchmarks.load.answer import Answer
from benchmarks.load.chat import ChatClient, request_body
from benchmarks.load.exchange import Patience, Reply
from benchmarks.load.quota import Quota
from edge.errors import SetupError
from tests.benchmarks.load.chat_server import (
    ChatServer,
    Request,
    Script,
    Wire,
    answer_with,
    chat_server,
    delta,
)
from tests.conftest import wait_for

NEAR_S = 0.1  # of the best of several tries, because test machines are busy
SOON_S = 25.0  # less than the server would take
BODY = request_body([{"role": "user", "content": "hello"}])
ERROR = {"error": {"message": "No.", "type": "server_error", "code": "engine_error"}}
FULL = {"error": {"message": "Full.", "type": "rate_limit_error", "code": "queue_full"}}


def chunk(text: str) -> str:
    return json.dumps(delta({"content": text}))


def answer_at(*moments: float, usage: int | None = None) -> Answer:
    """An answer to a request sent at 100, with one piece at each of `moments`."""
    answer = Answer(asked_at=100.0)
    answer.receive(json.dumps(delta({"role": "assistant", "content": ""})), 100.5)
    for moment in moments:
        answer.receive(chunk("a"), moment)
    if usage is not None:
        counted = {"choices": [], "usage": {"completion_tokens": usage}}
        answer.receive(json.dumps(counted), 999.0)
    return answer


def test_ttft_tpot_and_gap_are_measured_on_text() -> None:
    answer = answer_at(102.0, 102.5, 104.0, 104.5, usage=11)
    assert answer.ttft_s == 2.0
    assert answer.gap_s == 1.5
    assert answer.tokens == 11
    assert answer.tpot_s == pytest.approx(2.5 / 10)
    assert answer.text == "aaaa"


def test_pieces_count_as_tokens_without_usage() -> None:
    answer = answer_at(102.0, 103.0, 105.0)
    assert answer.tokens == 3
    assert answer.tpot_s == pytest.approx(1.5)


def test_the_servers_timings_are_counted_where_it_has_some() -> None:
    answer = answer_at(102.0, usage=11)
    assert answer.count("saved_steps") == 0
    usage, timings = {"completion_tokens": 11}, {"saved_steps": 7}
    counted = {"choices": [], "usage": usage, "timings": timings}
    answer.receive(json.dumps(counted), 999.0)
    assert answer.count("saved_steps") == 7
    assert answer.count("drafted_tokens") == 0


def test_an_answer_in_one_piece_has_no_time_per_token() -> None:
    answer = answer_at(102.0, usage=50)
    assert (answer.tpot_s, answer.gap_s, answer.tokens) == (None, None, 50)


def test_an_answer_without_text_has_no_times() -> None:
    answer = answer_at(usage=1)
    assert (answer.ttft_s, answer.tpot_s, answer.gap_s) == (None, None, None)


@pytest.mark.parametrize("data", ["{", "7", "[]", '{"choices": 3}', '{"choices": [1]}'])
def test_an_invalid_chunk_is_a_bad_stream(data: str) -> None:
    answer = Answer(0.0)
    answer.receive(data, 1.0)
    assert answer.error_code == "bad stream"


def test_a_quota_gives_each_number_once() -> None:
    quota = Quota(requests=3)
    assert [quota.take(0.0) for _ in range(5)] == [0, 1, 2, None, None]
    assert quota.left_s(0.0) == 0.0


def test_a_quota_ends_with_its_time() -> None:
    quota = Quota(until=10.0)
    assert quota.take(9.0) == 0
    assert quota.left_s(9.0) == 1.0
    assert quota.take(10.0) is None


@pytest.fixture
def serve() -> Iterator[Callable[[Script], ChatServer]]:
    """A server with a script."""
    with chat_server(answer_with("unused")) as server:

        def with_script(script: Script) -> ChatServer:
            server.script = script
            return server

        yield with_script


@pytest.fixture
def ask(
    serve: Callable[[Script], ChatServer],
) -> Iterator[Callable[..., Reply]]:
    """Asks a server with a script."""
    clients: list[ChatClient] = []

    def ask_once(script: Script, patience: Patience | None = None) -> Reply:
        clients.append(ChatClient(serve(script).url))
        return clients[-1].ask(BODY, patience)

    yield ask_once
    for client in clients:
        client.close()


def test_a_stream_is_measured_piece_by_piece(
    serve: Callable[[Script], ChatServer],
) -> None:
    """Each piece is far shorter than any buffer."""

    def script(wire: Wire, request: Request) -> None:
        wire.begin()
        for pause_s in (0.3, 0.1, 0.9, 0.1):
            time.sleep(pause_s)
            wire.piece("a")
        time.sleep(0.3)
        wire.finish(tokens=9)

    server = serve(script)
    client = ChatClient(server.url)
    off_s = []  # the largest error in the times of a reply
    for _ in range(3):
        began = time.perf_counter()
        reply = client.ask(BODY)
        answer, (first, second, third, last) = reply.answer, server.wires[-1].sent_at
        assert (reply.outcome, answer.tokens) == ("answered", 9)
        assert answer.ttft_s and answer.gap_s and answer.tpot_s
        assert reply.e2e_s >= last - first + 0.3
        off_s.append(
            max(
                abs(answer.ttft_s - (first - began)),
                abs(answer.gap_s - (third - second)),
                abs(answer.tpot_s - (last - first) / 8),
            )
        )
    client.close()
    assert min(off_s) < NEAR_S


def test_characters_may_arrive_byte_by_byte(ask: Callable[..., Reply]) -> None:
    text = "请描述这张图片的内容。🎈"

    def script(wire: Wire, request: Request) -> None:
        wire.begin()
        frame = json.dumps(delta({"content": text}), ensure_ascii=False)
        for byte in f": a comment\n\ndata: {frame}\r\n\r\n".encode():
            wire.send(bytes([byte]))
        wire.finish()

    reply = ask(script)
    assert (reply.outcome, reply.answer.text) == ("answered", text)


def test_a_cache_hit_is_reported(ask: Callable[..., Reply]) -> None:
    def script(wire: Wire, request: Request) -> None:
        wire.begin(**{"X-Cache": "hit"})
        wire.piece("a")
        wire.finish()

    assert ask(script).cached
    assert not ask(answer_with("a")).cached


@pytest.mark.parametrize(
    ("status", "sent", "outcome", "code"),
    [
        (429, FULL, "refused", "queue_full"),
        (503, "<html>", "refused", "503"),
        (503, {"error": {"code": 503, "type": "unavailable"}}, "refused", "503"),
        (500, ERROR, "failed", "engine_error"),
        (400, {"error": {"code": None, "type": "bad"}}, "failed", "bad"),
        (404, {"detail": "Not Found"}, "failed", "404"),
        (502, "", "failed", "502"),
    ],
)
def test_an_error_status_is_refused_or_failed(
    ask: Callable[..., Reply], status: int, sent: object, outcome: str, code: str
) -> None:
    reply = ask(lambda wire, _: wire.refuse(status, sent, Retry_After="3"))
    assert (reply.outcome, reply.code) == (outcome, code)
    assert reply.retry_after_s == 3.0


@pytest.mark.parametrize(
    ("sent", "outcome", "code"),
    [
        ({"results": [{"index": 0, "relevance_score": 0.5}]}, "answered", ""),
        ({"results": []}, "failed", "bad body"),
        ({"choices": []}, "failed", "bad body"),
        ([], "failed", "bad body"),
        ("{", "failed", "bad body"),
    ],
)
def test_a_ranking_comes_in_one_piece(
    ask: Callable[..., Reply], sent: object, outcome: str, code: str
) -> None:
    reply = ask(lambda wire, _: wire.whole(sent))
    assert (reply.outcome, reply.code) == (outcome, code)
    assert (reply.answer.ttft_s, reply.answer.tokens) == (None, 0)


def test_an_error_event_is_a_failure(
    ask: Callable[..., Reply],
) -> None:
    def script(wire: Wire, request: Request) -> None:
        wire.begin()
        wire.piece("a")
        wire.frame(ERROR)
        wire.finish()

    reply = ask(script)
    assert (reply.outcome, reply.code) == ("failed", "engine_error")
    assert reply.answer.ttft_s is not None


def ends_without_a_reason(wire: Wire, request: Request) -> None:
    wire.begin()
    wire.piece("a")
    wire.end()


def drops(wire: Wire, request: Request) -> None:
    wire.begin()
    wire.piece("a")
    wire.drop()


@pytest.mark.parametrize("script", [ends_without_a_reason, drops])
def test_a_stream_without_an_end_is_cut_short(
    ask: Callable[..., Reply], script: Script
) -> None:
    reply = ask(script)
    assert (reply.outcome, reply.code) == ("failed", "cut short")
    assert reply.answer.text == "a"


def test_a_finish_reason_ends_an_answer_without_done(ask: Callable[..., Reply]) -> None:
    def script(wire: Wire, request: Request) -> None:
        wire.begin()
        wire.piece("a")
        wire.frame(delta({}, "length"))
        wire.drop()

    assert ask(script).outcome == "answered"


def test_an_immediate_hang_up_is_a_failed_connection(
    ask: Callable[..., Reply],
) -> None:
    reply = ask(lambda wire, _: wire.drop())
    assert (reply.outcome, reply.code) == ("failed", "connection")


def test_a_closed_port_is_a_failed_connection() -> None:
    with chat_server(answer_with()) as gone:
        pass
    client = ChatClient(gone.url)
    assert client.ask(BODY).code == "connection"
    with pytest.raises(OSError):
        client.check_reachable()


def drips(wire: Wire, request: Request) -> None:
    wire.begin()
    while True:
        wire.piece("a")
        time.sleep(0.05)


def sleeps(wire: Wire, request: Request) -> None:
    threading.Event().wait(30)


@pytest.mark.parametrize("script", [drips, sleeps])
def test_the_timeout_covers_the_whole_request(
    ask: Callable[..., Reply], script: Script
) -> None:
    reply = ask(script, Patience(timeout_s=1.0))
    assert (reply.outcome, reply.code) == ("failed", "timeout")
    assert 1.0 <= reply.e2e_s < SOON_S


def test_a_client_hangs_up_while_it_waits(ask: Callable[..., Reply]) -> None:
    reply = ask(sleeps, Patience(timeout_s=30, hang_up_s=0.3))
    assert (reply.outcome, reply.code) == ("aborted", "")
    assert 0.3 <= reply.e2e_s < SOON_S


def test_a_client_hangs_up_in_mid_stream(
    serve: Callable[[Script], ChatServer],
) -> None:
    broken = threading.Event()

    def script(wire: Wire, request: Request) -> None:
        try:
            drips(wire, request)
        except OSError:
            broken.set()

    client = ChatClient(serve(script).url)
    reply = client.ask(BODY, Patience(hang_up_pieces=3))
    assert reply.outcome == "aborted"
    assert len(reply.answer.pieces) >= 3
    assert broken.wait(60), "the server did not notice"


def test_a_stale_connection_is_replaced(
    serve: Callable[[Script], ChatServer],
) -> None:
    server = serve(answer_with("a"))
    client = ChatClient(server.url)
    assert client.ask(BODY).outcome == "answered"
    server.script = lambda wire, _: wire.refuse(400, ERROR)
    assert client.ask(BODY).code == "engine_error"

    def closes_behind(wire: Wire, request: Request) -> None:
        answer_with("a")(wire, request)
        wire.drop()

    server.script = closes_behind
    assert client.ask(BODY).outcome == "answered"
    wait_for(client._is_stale)
    assert client.ask(BODY).outcome == "answered"
    client.close()
    ports = [request.client[1] for request in server.requests]
    assert ports[0] == ports[1] == ports[2] != ports[3]


def test_the_body_equals_that_of_openai_clients(
    serve: Callable[[Script], ChatServer],
) -> None:
    server = serve(answer_with("a"))
    client = ChatClient(server.url + "/v1/", api_key="secret")
    client.ask(
        request_body([{"role": "user", "content": "hello"}], max_tokens=7, model="m")
    )
    client.close()
    (request,) = server.requests
    assert request.body == {
        "messages": [{"role": "user", "content": "hello"}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": 7,
        "model": "m",
    }
    assert request.headers["Authorization"] == "Bearer secret"


@pytest.mark.parametrize("url", ["127.0.0.1:80", "ftp://a", "http://", "http://a:b"])
def test_an_invalid_address_is_refused(url: str) -> None:
    with pytest.raises(SetupError, match="not the address of a server"):
        ChatClient(url)
