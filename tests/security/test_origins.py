"""No page of another site may send requests here, under any name (W7, F15)."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import SetupError
from tests.security.conftest import Answer, Site, Web, refused
from ui.origins import Origins

HOST = socket.gethostname().lower()
POSTS = ("/v1/chat/completions", "/login", "/logout")
ASKED = (400, 415)  # what the API says of `{}`: it came that far
OWN = Origins.of("chat.example", "https://app.example")


@pytest.fixture(scope="module")
def named(start_web: Callable[..., Web]) -> Web:
    return start_web(hosts="chat.example, myserver.lan", cors="https://app.example")


def no_cors(answer: Answer) -> bool:
    return not [name for name in answer.headers if name.lower().startswith("access-")]


@pytest.mark.parametrize(
    "host",
    [
        *(
            "evil.example",
            "rebind.test:9400",
            "localhost.evil.example",
            "127.0.0.1.nip.io",
        ),
        "1.2.3",
        "0x7f.1",
        "chat.example.evil",
        "",
        "::1",
        "a b",
        "127.0.0.1@evil",
    ],
)
def test_a_name_that_is_not_this_servers_is_misdirected(named: Web, host: str) -> None:
    for method, path in [("GET", "/"), ("GET", "/metrics"), ("POST", POSTS[0])]:
        answer = named.ask(method, path, host=host)
        error = refused(answer, 421, "unknown_host")
        assert ("EDGE_HOSTS" if host else "Send a Host") in error["message"]


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST:8080",
        "127.0.0.1",
        "192.0.2.7:8080",
        "[::1]:8080",
        "chat.example",
        "Chat.Example:443",
        "myserver.lan:8080",
        f"{HOST}:8080",
    ],
)
def test_addresses_and_named_hosts_are_known(named: Web, host: str) -> None:
    assert named.ask("GET", "/health", host=host).status == 200
    own = named.ask("POST", POSTS[0], b"{}", host=host, origin=f"http://{host}")
    assert own.status in ASKED


FOREIGN = [
    "http://evil.example",
    "null",
    "http://localhost:3000",
    "file://",
    "",
    "x",
    "https://app.example.evil",
    "http://app.example",
    "http://chat.example:1",
    *(
        "chrome-extension://abc",
        "http://127.0.0.1",
        "http://[::1]",
        "https://app.example/",
    ),
]


@pytest.mark.parametrize("origin", FOREIGN)
def test_a_page_of_another_origin_is_refused(named: Web, origin: str) -> None:
    for path in POSTS:
        answer = named.ask("POST", path, b"{}", origin=origin)
        refused(answer, 403, "forbidden")
        assert no_cors(answer)
    for path in ("/", "/metrics", "/v1/models", "/assets/index.js"):
        answer = named.ask("GET", path, origin=origin)
        refused(answer, 403, "forbidden")
        assert no_cors(answer)


@pytest.mark.parametrize("origin", FOREIGN)
def test_a_preflight_of_another_origin_is_refused(web: Web, origin: str) -> None:
    wants = {"access_control_request_method": "POST"}
    wants |= {"access_control_request_headers": "authorization, content-type"}
    for path in (*POSTS, "/", "/config", "/v1/models"):
        answer = web.ask("OPTIONS", path, origin=origin, **wants)
        assert answer.status in (403, 404)
        assert no_cors(answer)


@pytest.mark.parametrize("path", ["/v1/models", "/theme.css", "/v1/status"])
def test_requests_across_sites_pass_only_as_a_link_to_the_page(
    web: Web, path: str
) -> None:
    """An <img> or a link sends no Origin."""
    crossing = {"sec_fetch_site": "cross-site", "sec_fetch_mode": "no-cors"}
    refused(web.ask("GET", path, **crossing), 403, "forbidden")
    assert web.ask("GET", "/", **crossing).status == 200
    refused(web.ask("POST", "/logout", b"", **crossing), 403, "forbidden")


@pytest.mark.parametrize("site", [None, "none", "same-origin", "same-site"])
def test_programs_and_the_page_itself_pass(web: Web, site: str | None) -> None:
    headers = {"sec_fetch_site": site} if site else {}
    assert web.ask("GET", "/health", **headers).status == 200
    assert web.ask("POST", POSTS[0], b"{}", **headers).status in ASKED


def test_an_origin_that_is_allowed_is_answered_and_may_read(named: Web) -> None:
    origin = {"origin": "https://app.example", "sec_fetch_site": "cross-site"}
    preflight = named.ask(
        "OPTIONS",
        POSTS[0],
        access_control_request_method="POST",
        access_control_request_headers="authorization,content-type,x-stainless-os",
        **origin,
    )
    assert (preflight.status, preflight.body) == (204, b"")
    allowed = preflight.headers["Access-Control-Allow-Headers"]
    assert "authorization" in allowed
    assert preflight.headers["Access-Control-Allow-Methods"] == "POST"
    answer = named.ask("POST", POSTS[0], b"{}", **origin)
    for reply in (preflight, answer):
        assert reply.headers.get_all("Access-Control-Allow-Origin") == [
            origin["origin"]
        ]
        assert reply.headers["Access-Control-Allow-Credentials"] is None
        assert "Origin" in reply.headers["Vary"]
    assert answer.status in ASKED


@pytest.mark.parametrize("path", ["/", "/health", "/theme.css", "/assets/x.js"])
def test_the_page_has_the_same_rule_as_the_api(named: Web, path: str) -> None:
    """Gradio's own would allow any origin, with credentials."""
    own = named.ask("GET", path, origin=f"http://127.0.0.1:{named.port}")
    assert no_cors(own)
    guest = named.ask("GET", path, origin="https://app.example")
    assert guest.headers.get_all("Access-Control-Allow-Origin") == [
        "https://app.example"
    ]
    assert guest.headers["Access-Control-Allow-Credentials"] is None


def test_a_guest_reads_what_its_client_decides_by(named: Web) -> None:
    """OpenAI's client asks again, or not, as `x-should-retry` and `retry-after-ms`
    say, which a browser hides unless they are named."""
    guest = named.ask("POST", POSTS[0], b"{}", origin="https://app.example")
    exposed = guest.headers["access-control-expose-headers"].split(", ")
    assert {"x-should-retry", "retry-after", "retry-after-ms"} <= {*exposed}
    assert "x-ratelimit-remaining-image-tokens" in exposed
    assert len({*exposed}) == len(exposed)


@pytest.mark.parametrize("asked", ["x" * 5000, "a,\tb", "é", "a;b", ",", "a: b"])
def test_invalid_headers_are_not_repeated(named: Web, asked: str) -> None:
    answer = named.ask(
        "OPTIONS",
        POSTS[0],
        origin="https://app.example",
        access_control_request_method="POST",
        access_control_request_headers=asked,
    )
    assert answer.headers["Access-Control-Allow-Headers"] is None


def test_no_answer_redirects_to_the_host_header(web: Web) -> None:
    for path in ("/v1/models/", "/health/", "/login", "/logout", "//evil.example/"):
        answer = web.ask("GET", path, x_forwarded_host="evil.example")
        assert answer.status in (303, 404, 405)
        assert answer.headers["Location"] in (None, "./", "login", "../login")


@given(st.text(max_size=40), st.text(max_size=40))
def test_only_own_names_are_known(host: str, origin: str) -> None:
    if OWN.is_known(host):
        name = host.lower().rsplit(":", 1)[0] if host[-1:] != "]" else host
        assert name.strip("[].0123456789abcdef:") in ("", "localhost", "chat.example")
    if OWN.is_own(origin, "h.example"):
        assert origin.lower().split("://")[1] in ("h.example", "chat.example")


@pytest.mark.parametrize(
    ("hosts", "cors"),
    [
        ("a b", ""),
        ("http://a", ""),
        ("a:80", ""),
        ("*", ""),
        ("é.example", ""),
        ("", "app.example"),
        ("", "*"),
        ("", "https://a/"),
        ("", "null"),
    ],
)
def test_an_invalid_name_in_a_setting_is_refused(hosts: str, cors: str) -> None:
    with pytest.raises(SetupError, match="EDGE_"):
        Origins.of(hosts, cors)


def test_local_network_names_of_this_machine_are_known() -> None:
    own = Origins.of("", "", ["MyServer"])
    assert own.is_known("myserver:8080")
    assert own.is_known("myserver.local")
    assert not own.is_known("myserver.example.org")
    assert not own.is_known("other")


def test_the_answers_have_headers_that_a_browser_heeds(web: Web) -> None:
    """Without nginx too, and each once."""
    answers = [
        web.ask("GET", path) for path in ("/", "/health", "/nothing", "/theme.css")
    ]
    for answer in answers:
        assert answer.headers.get_all("X-Content-Type-Options") == ["nosniff"]
        assert answer.headers.get_all("Referrer-Policy") == ["same-origin"]
        [policy] = answer.headers.get_all("Content-Security-Policy")
        assert "frame-ancestors 'none'" in policy
    page = answers[0].headers["Content-Security-Policy"]
    [scripts] = [part for part in page.split(";") if "script-src" in part]
    assert "unsafe" not in scripts
    assert scripts.count("'sha256-") >= 3
    for rule in ("form-action 'self'", "base-uri 'self'", "frame-src 'none'"):
        assert rule in page


def test_bytes_before_http_open_nothing(web: Web) -> None:
    """An upgrade to a WebSocket is a request like others."""
    answer = Site(web.port).ask(
        "GET",
        "/v1/status",
        connection="Upgrade",
        upgrade="websocket",
        sec_websocket_version="13",
        sec_websocket_key="dGhlIHNhbXBsZSBub25jZQ==",
    )
    assert answer.status == 200
    assert answer.headers["Upgrade"] is None
