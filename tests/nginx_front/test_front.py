"""A real nginx before a tiny upstream: what passes, what is refused, and how."""

import json
import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from email.message import Message
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

import pytest

pytestmark = pytest.mark.nginx

MIB = 1024 * 1024
PATIENCE_S = 5


class Upstream(ThreadingHTTPServer):
    """Echoes what reached it; its streams wait to be told to go on."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Echo)
        self.go_on = threading.Semaphore(0)
        self.reader_left = threading.Event()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_port}"


class Echo(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Upstream

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        if self.path == "/stream":
            self.stream()
        elif self.path == "/missing":
            self.answer(404, b"the upstream's own words")
        else:
            self.answer(200, json.dumps(dict(self.headers)).encode())

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(200, body)

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def stream(self) -> None:
        self.close_connection = True
        self.server.reader_left.clear()
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        try:
            for word in ("one", "two", "three"):
                self.wfile.write(f"data: {word}\n\n".encode())
                self.server.go_on.acquire(timeout=PATIENCE_S)
            while not self.server.reader_left.wait(0.01):
                self.wfile.write(b": ping\n\n")
        except OSError:
            self.server.reader_left.set()


class Answer(NamedTuple):
    status: int
    headers: Message
    body: bytes


class Front(NamedTuple):
    port: int

    def connect(self, source: str = "127.0.0.1") -> HTTPConnection:
        return HTTPConnection(
            "127.0.0.1", self.port, timeout=PATIENCE_S, source_address=(source, 0)
        )

    def ask(
        self, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> Answer:
        return self.ask_from("127.0.0.1", method, path, body, **headers)

    def ask_from(
        self,
        source: str,
        method: str,
        path: str,
        body: bytes | None = None,
        **headers: str,
    ) -> Answer:
        with closing(self.connect(source)) as connection:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())

    def tell(self, raw: bytes) -> Answer:
        """The answer to exactly these bytes."""
        with closing(self.connect()) as connection:
            connection.connect()
            connection.sock.sendall(raw)
            response = connection.response_class(connection.sock)
            with closing(response):
                response.begin()
                return Answer(response.status, response.headers, response.read())


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        yield server
        server.shutdown()


Build = Callable[..., "subprocess.CompletedProcess[str]"]
Start = Callable[..., Front]


@pytest.fixture(scope="module")
def start(
    build: Build, nginx: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Start]:
    """Starts nginx with the given options of build.py on a free port."""
    running: list[subprocess.Popen[bytes]] = []

    def run(*options: str) -> Front:
        front = Front(free_port())
        folder = tmp_path_factory.mktemp("nginx")
        conf = folder / "nginx.conf"
        where = ["--listen", f"127.0.0.1:{front.port}", "--run-dir", str(folder)]
        if os.geteuid() == 0:  # else the workers are nobody, shut out of the folder
            where += ["--user", "root"]
        conf.write_text(build(*where, *options).stdout)
        command = [nginx, "-e", "stderr", "-p", str(folder), "-c", str(conf)]
        process = subprocess.Popen(command)
        running.append(process)
        wait_until_healthy(front, process)
        return front

    yield run
    for process in running:
        process.terminate()
        process.wait(PATIENCE_S)


@pytest.fixture(scope="module")
def front(start: Start, upstream: Upstream) -> Front:
    return start("--upstream", upstream.address)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def wait_until_healthy(front: Front, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + PATIENCE_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            assert front.ask("GET", "/nginx-health").status == 200
            return
        except ConnectionRefusedError:
            time.sleep(0.01)
    pytest.fail("nginx did not start; see what it printed.")


def assert_refused(
    answer: Answer, status: int, code: str, retry_after: str | None = None
) -> None:
    assert answer.status == status
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Retry-After"] == retry_after
    assert answer.headers["X-Request-ID"]
    error = json.loads(answer.body)["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["code"] == code
    assert error["message"] and error["type"].endswith("_error")


def test_loading_the_page_is_never_limited(front: Front) -> None:
    with ThreadPoolExecutor(16) as pool:
        paths = [f"/assets/{n}.js" for n in range(67)] * 3
        answers = list(pool.map(lambda path: front.ask("GET", path), paths))
    assert {answer.status for answer in answers} == {200}


@pytest.mark.parametrize(
    "path",
    [
        "/v1/chat/completions",
        "//v1/./chat/completions?stream=true",
        "/gradio_api/queue/join",
        "/gradio_api/upload",
    ],
)
def test_a_flood_of_questions_is_slowed_down(
    start: Start, upstream: Upstream, path: str
) -> None:
    front = start("--upstream", upstream.address)
    # Claiming to be somebody else each time does not help.
    claims = [{"X-Forwarded-For": f"203.0.113.{n}"} for n in range(200)]
    answers = [front.ask("POST", path, b"{}", **claim) for claim in claims]

    assert [answer.status for answer in answers[:60]] == [200] * 60
    refused = next(answer for answer in answers if answer.status != 200)
    assert_refused(refused, 429, "rate_limit_exceeded", retry_after="2")
    assert front.ask("GET", path).status == 200


def test_a_body_over_the_limit_is_refused_unread(front: Front) -> None:
    request = (
        "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n"
        f"Content-Length: {33 * MIB}\r\n\r\n"
    )
    assert_refused(front.tell(request.encode()), 413, "request_too_large")


def test_a_body_of_pictures_passes(front: Front) -> None:
    body = os.urandom(8 * MIB)
    assert front.ask("POST", "/v1/chat/completions", body).body == body


@pytest.mark.parametrize(
    ("request_line", "status", "code"),
    [
        (b"nonsense\r\n", 400, "invalid_request"),
        (b"GET / HTTP/1.1\r\nno colon\r\n", 400, "invalid_request"),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 65536 + b"\r\n", 400, "invalid_request"),
        (b"GET /" + b"x" * 20480 + b" HTTP/1.1\r\n", 414, "uri_too_long"),
        (
            b"POST / HTTP/1.1\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n",
            400,
            "invalid_request",
        ),
    ],
    ids=["no request line", "no header", "huge header", "huge address", "smuggling"],
)
def test_bad_http_is_refused_in_json(
    front: Front, request_line: bytes, status: int, code: str
) -> None:
    assert_refused(front.tell(request_line + b"Host: x\r\n\r\n"), status, code)


def test_a_dead_upstream_is_a_json_502(start: Start) -> None:
    front = start("--upstream", f"127.0.0.1:{free_port()}")
    answer = front.ask("POST", "/v1/chat/completions", b"{}")
    assert_refused(answer, 502, "service_unavailable", retry_after="5")


def test_the_upstreams_own_errors_pass_untouched(front: Front) -> None:
    answer = front.ask("GET", "/missing")
    assert (answer.status, answer.body) == (404, b"the upstream's own words")


def test_a_stream_arrives_piece_by_piece(front: Front, upstream: Upstream) -> None:
    with closing(front.connect()) as connection:
        connection.request("GET", "/stream")
        with closing(connection.getresponse()) as response:
            for word in (b"one", b"two", b"three"):
                assert response.readline() == b"data: " + word + b"\n"
                assert response.readline() == b"\n"
                # The upstream writes the next one only now.
                upstream.go_on.release()


def test_the_upstream_learns_that_a_reader_left(
    front: Front, upstream: Upstream
) -> None:
    upstream.go_on.release(3)
    with closing(front.connect()) as connection:
        connection.request("GET", "/stream")
        with closing(connection.getresponse()) as response:
            response.readline()
            assert not upstream.reader_left.is_set()
    assert upstream.reader_left.wait(2)


def test_what_a_client_claims_about_itself_is_replaced(front: Front) -> None:
    claims = {
        "X-Forwarded-For": "203.0.113.9",
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Proto": "https",
        "X-Request-ID": "mine",
    }
    seen = json.loads(front.ask("GET", "/", **claims).body)
    assert seen["X-Forwarded-For"] == "127.0.0.1"
    assert seen["X-Forwarded-Host"] == seen["Host"] == f"127.0.0.1:{front.port}"
    assert seen["X-Forwarded-Proto"] == "http"
    assert len(seen["X-Request-ID"]) == 32


def test_a_trusted_proxy_is_believed(start: Start, upstream: Upstream) -> None:
    front = start("--upstream", upstream.address, "--trust", "127.0.0.0/8")
    claims = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"}
    seen = json.loads(front.ask("GET", "/", **claims).body)
    assert seen["X-Forwarded-For"] == "203.0.113.9"
    assert seen["X-Forwarded-Proto"] == "https"


def test_a_stranger_is_not_believed_even_where_proxies_are(
    start: Start, upstream: Upstream
) -> None:
    front = start("--upstream", upstream.address, "--trust", "192.0.2.0/24")
    claims = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"}
    seen = json.loads(front.ask("GET", "/", **claims).body)
    assert seen["X-Forwarded-For"] == "127.0.0.1"
    assert seen["X-Forwarded-Proto"] == "http"


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/docs", 404, "not_found"),
        ("/docs/oauth2-redirect", 404, "not_found"),
        ("/redoc", 404, "not_found"),
        ("/openapi.json", 404, "not_found"),
        ("/gradio_api/call/chat", 404, "not_found"),
        ("/gradio_api/%63all/chat", 404, "not_found"),
        ("/gradio_api/x/../call/chat", 404, "not_found"),
        ("/gradio_api/runs", 404, "not_found"),
        ("/nginx-refusals/429", 404, "not_found"),
    ],
)
def test_closed_addresses_stay_closed(
    front: Front, path: str, status: int, code: str
) -> None:
    assert_refused(front.ask("GET", path), status, code)


def test_this_machine_alone_may_see_metrics(front: Front) -> None:
    assert front.ask("GET", "/metrics").status == 200
    for path in ("/metrics", "/metrics/", "//metrics", "/x/../%6detrics?a=b"):
        # another address than 127.0.0.1, though of this machine as well
        stranger = front.ask_from("127.0.0.2", "GET", path)
        assert_refused(stranger, 403, "forbidden")


def test_whoever_comes_through_a_trusted_proxy_may_not(
    start: Start, upstream: Upstream
) -> None:
    front = start("--upstream", upstream.address, "--trust", "127.0.0.0/8")
    claim = {"X-Forwarded-For": "203.0.113.9"}
    assert_refused(front.ask("GET", "/metrics", **claim), 403, "forbidden")


def test_neighbours_of_closed_addresses_are_open(front: Front) -> None:
    for path in ("/documents", "/gradio_api/callback", "/v1/metrics"):
        assert front.ask("GET", path).status == 200


def test_the_page_carries_security_headers(front: Front) -> None:
    headers = front.ask("GET", "/").headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert "img-src 'self' data: blob:;" in headers["Content-Security-Policy"]
    assert headers.get_all("Server") == ["nginx"]
