"""A real nginx before a tiny upstream: requests that pass, and refusals."""

import json
import os
import re
import select
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from email.message import Message
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

import pytest

from edge.up.parts import free_port
from tests.conftest import wait_for
from ui.surface import SURFACE, Route

pytestmark = pytest.mark.nginx

MIB = 1024 * 1024
STREAM = "/v1/jobs/1/events"
PATIENCE_S = 60


class Upstream(ThreadingHTTPServer):
    """Echoes its requests; its streams wait for the test to continue."""

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
        if self.path == STREAM:
            self.stream()
        elif self.path == "/v1/jobs/closing":
            self.answer(200, b"and it closes, without a word of it")
            self.close_connection = True
        elif self.path == "/v1/jobs/missing":
            self.answer(404, b"the upstream's own words")
        else:
            self.answer(200, json.dumps(dict(self.headers)).encode())

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_DELETE(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(200, body)

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", "the ui's")
        self.end_headers()
        self.wfile.write(body)

    def stream(self) -> None:
        self.close_connection = True
        # Its own: the stream of an earlier test may end late.
        left = self.server.reader_left = threading.Event()
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        try:
            for word in ("one", "two", "three"):
                self.wfile.write(f"data: {word}\n\n".encode())
                self.server.go_on.acquire(timeout=PATIENCE_S)
            while not left.wait(0.01):
                self.wfile.write(b": ping\n\n")
        except OSError:
            left.set()


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


def wait_until_healthy(front: Front, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + PATIENCE_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            assert front.ask("GET", "/nginx-health").status == 200
            return
        except OSError:
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
    assert {*error} - {"retry_after_s"} == {"message", "type", "param", "code"}
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
        "/v1/./chat/completions?stream=true",
        "/login",
    ],
)
def test_a_flood_of_questions_is_slowed_down(
    start: Start, upstream: Upstream, path: str
) -> None:
    front = start("--upstream", upstream.address)

    def post(n: int) -> Answer:
        # Another claimed address each time does not help.
        claim = {"X-Forwarded-For": f"198.18.{n // 256}.{n % 256}"}
        return front.ask("POST", path, b"{}", **claim)

    assert {post(n).status for n in range(60)} == {200}
    refused = None
    # Several at once, and many: the slowest machine asks faster than is allowed.
    with ThreadPoolExecutor(8) as pool:
        for n in range(60, 2000, 40):
            answers = list(pool.map(post, range(n, n + 40)))
            if refused := next((one for one in answers if one.status != 200), None):
                break
    assert refused
    assert_refused(refused, 429, "rate_limit_exceeded", retry_after="2")
    assert front.ask("GET", "/v1/models").status == 200


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


@pytest.mark.parametrize("size", [2, 2 * MIB])
def test_a_dead_upstream_is_a_json_502(start: Start, size: int) -> None:
    front = start("--upstream", f"127.0.0.1:{free_port()}")
    answer = front.ask("POST", "/v1/chat/completions", b"x" * size)
    assert_refused(answer, 502, "service_unavailable", retry_after="5")


def test_before_a_dead_upstream_the_page_loads_again_by_itself(start: Start) -> None:
    answer = start("--upstream", f"127.0.0.1:{free_port()}").ask("GET", "/?a=1")
    assert answer.status == 502
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert b'http-equiv="refresh"' in answer.body


def test_the_upstreams_own_errors_pass_untouched(front: Front) -> None:
    answer = front.ask("GET", "/v1/jobs/missing")
    assert (answer.status, answer.body) == (404, b"the upstream's own words")


def test_a_stream_arrives_piece_by_piece(front: Front, upstream: Upstream) -> None:
    with closing(front.connect()) as connection:
        connection.request("GET", STREAM)
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
        connection.request("GET", STREAM)
        with closing(connection.getresponse()) as response:
            response.readline()
            assert not upstream.reader_left.is_set()
    assert upstream.reader_left.wait(PATIENCE_S)


def test_forwarded_headers_of_a_client_are_replaced(front: Front) -> None:
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


def test_forwarded_headers_of_a_trusted_proxy_are_used(
    start: Start, upstream: Upstream
) -> None:
    front = start("--upstream", upstream.address, "--trust", "127.0.0.0/8")
    claims = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"}
    seen = json.loads(front.ask("GET", "/", **claims).body)
    assert seen["X-Forwarded-For"] == "203.0.113.9"
    assert seen["X-Forwarded-Proto"] == "https"


def test_forwarded_headers_of_an_untrusted_address_are_ignored(
    start: Start, upstream: Upstream
) -> None:
    front = start("--upstream", upstream.address, "--trust", "192.0.2.0/24")
    claims = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"}
    seen = json.loads(front.ask("GET", "/", **claims).body)
    assert seen["X-Forwarded-For"] == "127.0.0.1"
    assert seen["X-Forwarded-Proto"] == "http"


@pytest.mark.parametrize("route", SURFACE, ids=lambda route: route.path)
def test_routes_of_the_surface_pass_with_their_methods_only(
    front: Front, route: Route
) -> None:
    path = example(route)
    for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "TRACE", "X"):
        answer = front.ask(method, path, b"{}" if method == "POST" else None)
        if method in route.methods:
            assert answer.status == 200, method
        elif method == "TRACE":  # nginx's own word
            assert answer.status == 405
        else:
            assert answer.status == 405
            assert answer.headers["Allow"] == ", ".join(route.methods)
            assert method == "HEAD" or answer.headers["Allow"].encode() in answer.body


def example(route: Route) -> str:
    values = {"id": "abc", "model": "tiny", "asset": "x-1.js"}
    values |= {"version": 16 * "0", "file": "a/b.js"}
    return re.sub(r"\{(\w+)\}", lambda found: values[found[1]], route.path)


UPLOAD = f"/tmp/edge/{64 * 'a'}"


@pytest.mark.parametrize(
    "path",
    [
        "/docs",
        "/redoc",
        "/openapi.json",
        "/docs/oauth2-redirect",
        "/config",
        "/nginx-refusals/429",
        "/nginx-refusals/foreign",
        "/robots.txt",
        "//v1/models",
        "/v1//models",
        "/V1/models",
        "/v1/models/",
        "/v1/chat",
        "/assets/",
        "/assets/a/b.js",
        "/assets/.env",
        "/assets/..%2fx",
        "/page/x.js",
        f"/page/{16 * 'g'}/x.js",
        f"/page/{16 * '0'}/../x.js",
        f"/page/{16 * '0'}/.env",
        "/static/js/x.js",
        "/svelte/x",
        "/manifest.json",
        "/pwa_icon",
        "/monitoring",
        "/gradio_api/run/predict",
        "/gradio_api/queue/join",
        "/gradio_api/queue/data",
        "/gradio_api/cancel",
        "/gradio_api/upload",
        f"/gradio_api/file={UPLOAD}/b.png",
        "/gradio_api/%72un/predict",
        "/gradio_api/x/../run/predict",
        "/gradio_api/call/ask",
        "/gradio_api/file=http://8.8.8.8/admin",
        "/gradio_api/file=https%3A%2F%2F8.8.8.8/a",
        "/gradio_api/file=/etc/passwd",
        f"/gradio_api/file={UPLOAD}/../../../etc/passwd",
        f"/gradio_api/file={UPLOAD}/.hidden",
        f"/gradio_api/file={UPLOAD}/a/b.png",
        f"/gradio_api/file/{UPLOAD}/b.png",
        "/gradio_api/proxy=https://a.hf.space/",
        "/gradio_api/dev/reload",
        "/gradio_api/startup-events",
        "/gradio_api/info",
        "/gradio_api/deep_link",
        "/gradio_api/queue/status",
        "/gradio_api/heartbeat/a",
        "/gradio_api/runs",
        "/gradio_api/component_server",
        "/gradio_api/process_recording",
        "/gradio_api/stream/a/b/1/playlist.m3u8",
        "/gradio_api/vibe-edit/",
        "/gradio_api/queue/join/",
        "/gradio_api/upload_progress",
        "/gradio_api/user",
    ],
)
def test_paths_outside_the_surface_answer_404(front: Front, path: str) -> None:
    for method in ("GET", "POST"):
        assert_refused(front.ask(method, path), 404, "not_found")


NAMED = ("--hosts", "chat.example", "--cors", "https://app.example")


@pytest.fixture(scope="module")
def named(start: Start, upstream: Upstream) -> Front:
    return start("--upstream", upstream.address, *NAMED)


@pytest.mark.parametrize(
    ("path", "shape"),
    [
        ("/api/pull", {"error"}),
        ("/api/pull?x=/v1/messages", {"error"}),
        ("/v1/messages/batches", {"type", "error"}),
        ("/v1/messages?beta=true", {"type", "error"}),
        ("/v1/messages_of_ours", {"error"}),
    ],
)
def test_refusals_have_the_shape_of_the_paths_api(
    front: Front, path: str, shape: set[str]
) -> None:
    body = json.loads(front.ask("PUT", path).body)
    assert body.keys() == shape
    assert isinstance(body["error"], str) == path.startswith("/api/")


@pytest.mark.parametrize(
    "raw",
    [
        b"GET /v1/models/..%2f..%2f..%2fetc HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /health HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\n\n",
    ],
)
def test_what_is_not_http_is_told_so(named: Front, raw: bytes) -> None:
    assert_refused(named.tell(raw), 400, "invalid_request")


@pytest.mark.parametrize(
    "host", ["evil.example", "rebind.test:9400", "127.0.0.1.nip.io"]
)
def test_an_unknown_host_is_misdirected(named: Front, host: str) -> None:
    for method, path in (("GET", "/"), ("POST", "/v1/chat/completions")):
        assert_refused(named.ask(method, path, Host=host), 421, "unknown_host")


@pytest.mark.parametrize(
    "host",
    [
        *(
            "127.0.0.1",
            "localhost:8080",
            "chat.example",
            "CHAT.example:443",
            "[::1]:80",
        ),
        f"{socket.gethostname()}:8080",
    ],
)
def test_own_names_and_addresses_are_known(named: Front, host: str) -> None:
    assert named.ask("GET", "/", Host=host).status == 200
    origin = f"http://{host}"
    answer = named.ask("POST", "/v1/chat/completions", b"{}", Host=host, Origin=origin)
    assert answer.status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://a", "Sec-Fetch-Site": "same-site"},
        {"Origin": "https://app.example.evil.example"},
        {"Origin": "https://chat.example:1"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
def test_pages_of_other_sites_are_refused(
    named: Front, headers: dict[str, str]
) -> None:
    for method, path in (("POST", "/logout"), ("GET", "/v1/models")):
        assert_refused(named.ask(method, path, **headers), 403, "forbidden")


def test_an_origin_that_is_allowed_may_ask(named: Front) -> None:
    headers = {"Origin": "https://app.example", "Sec-Fetch-Site": "cross-site"}
    answer = named.ask("POST", "/v1/chat/completions", b"{}", **headers)
    assert answer.status == 200


def test_a_link_on_another_site_leads_to_the_page(named: Front) -> None:
    crossing = {"Sec-Fetch-Site": "cross-site"}
    assert named.ask("GET", "/", **crossing).status == 200
    assert_refused(named.ask("POST", "/logout", b"", **crossing), 403, "forbidden")


def test_a_get_goes_on_when_the_ui_has_closed_a_connection(
    start: Start, upstream: Upstream
) -> None:
    """And a POST is never sent twice."""
    front = start("--upstream", upstream.address)
    for _ in range(20):
        assert front.ask("GET", "/v1/jobs/closing").status == 200
        assert front.ask("GET", "/v1/models").status == 200


def test_this_machine_alone_may_see_metrics(front: Front) -> None:
    assert front.ask("GET", "/metrics").status == 200
    # another address of this machine than 127.0.0.1
    for path in ("/metrics", "/metrics?a=b", "/x/../%6detrics?a=b"):
        stranger = front.ask_from("127.0.0.2", "GET", path)
        assert_refused(stranger, 403, "forbidden")
    for path in ("/metrics/", "//metrics", "/metrics/x"):
        assert_refused(front.ask_from("127.0.0.2", "GET", path), 404, "not_found")


def test_metrics_are_closed_through_a_trusted_proxy(
    start: Start, upstream: Upstream
) -> None:
    front = start("--upstream", upstream.address, "--trust", "127.0.0.0/8")
    claim = {"X-Forwarded-For": "203.0.113.9"}
    assert_refused(front.ask("GET", "/metrics", **claim), 403, "forbidden")


def test_the_uis_headers_pass_once(front: Front) -> None:
    headers = front.ask("GET", "/").headers
    assert headers.get_all("Content-Security-Policy") == ["the ui's"]
    assert headers.get_all("Server") == ["nginx"]


@pytest.mark.parametrize(
    ("length", "n_held"),
    [
        (b"Content-Length: 1999999", 64),
        (b"Content-Length: 2000000", 10),
        (b"Content-Length: 33554432", 10),
        (b"Transfer-Encoding: chunked", 10),
    ],
)
def test_an_address_holds_few_bodies_at_once(
    start: Start, upstream: Upstream, length: bytes, n_held: int
) -> None:
    """Each lies on the disk until all of it is there, which a client may draw out."""
    front = start("--upstream", upstream.address)
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
    head += length + b"\r\n\r\n"
    head += b"1\r\n{" if b"chunked" in length else b"{"
    with ExitStack() as opened:
        held = []
        for n in range(n_held + 6):
            if n == 50:
                time.sleep(2.5)  # under the limit of requests in a second
            here = ("127.0.0.1", front.port)
            one = socket.create_connection(here, timeout=PATIENCE_S)
            held.append(opened.enter_context(one))
            one.sendall(head)
        wait_for(lambda: len(select.select(held, [], [], 0)[0]) >= 6)
        time.sleep(0.3)  # in which no other one is answered
        answered = select.select(held, [], [], 0)[0]
        assert [one.recv(100).split()[1] for one in answered] == [b"429"] * 6
        assert front.ask("GET", "/v1/models").status == 200


@pytest.mark.parametrize(
    ("address", "is_one_network"),
    [
        ("2001:db8:1:2:{n:x}::1", True),  # one /64, in all its addresses
        ("2001:db8:1:2::{n:x}", True),
        ("2001:db8:1:{n:x}::1", False),  # as many networks
        ("::ffff:192.0.2.{n}", False),
        ("192.0.2.{n}", False),
    ],
)
def test_limits_count_networks(
    start: Start, upstream: Upstream, address: str, is_one_network: bool
) -> None:
    """The owner of a /64 has more addresses than there are requests."""
    front = start("--upstream", upstream.address, "--trust", "127.0.0.1/32")

    def ask(n: int) -> int:
        claim = {"X-Forwarded-For": address.format(n=n)}
        return front.ask("POST", "/v1/chat/completions", b"{}", **claim).status

    began = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(ask, range(1, 201)))
    took_s = time.monotonic() - began
    assert set(statuses) <= {200, 429}
    if is_one_network:  # 60 at once, and 20 in each second
        assert statuses.count(200) <= 62 + 20 * took_s
    else:
        assert statuses.count(200) == 200
