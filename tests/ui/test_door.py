"""The door: a server with keys needs one; without keys rights belong to sessions and
addresses, never to a name that a client invents."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from starlette.datastructures import Headers

from edge import keys
from edge.keys import create_key, revoke_key
from edge.limits import NO_LIMITS
from tests.ui.api_harness import ApiHarness, api_harness, code_of
from ui.door import address_of, cookie_of
from ui.session import COOKIE, CSRF_COOKIE, CSRF_HEADER, NO_KEY, Session

pytestmark = pytest.mark.redis

HTML = {"accept": "text/html"}


@pytest.fixture(autouse=True)
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "LOOK_S", 0.0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


@pytest.fixture
async def web(broker_url: str, path: Path) -> AsyncIterator[ApiHarness]:
    """A server that needs keys, of which there are none yet."""
    async with api_harness(broker_url, keys_file=str(path)) as one:
        yield one


@pytest.fixture
async def open_web(broker_url: str, tmp_path: Path) -> AsyncIterator[ApiHarness]:
    """A server that needs no keys."""
    async with api_harness(broker_url, data_dir=tmp_path) as one:
        yield one


def altered(key: str) -> str:
    return key[:-1] + ("B" if key.endswith("A") else "A")


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


async def sign_in(
    web: ApiHarness, name: str, key: str, address: str = "127.0.0.1", **fields: str
) -> httpx.Response:
    http = web.at(address)
    page = await http.get("/login", headers=HTML)
    [token] = re.findall('name="csrf" type="hidden" value="([0-9a-f]+)"', page.text)
    form = {"name": name, "key": key, "csrf": token} | fields
    return await http.post("/login", data=form)


# --- a server with keys -------------------------------------------------------------

STRANGE = [
    ("GET", "/v1/models"),
    ("GET", "/v1/usage"),
    ("GET", "/v1/jobs/" + "0" * 32),
    ("DELETE", "/v1/jobs/" + "0" * 32),
    ("GET", f"/v1/jobs/{'0' * 32}/events"),
    ("POST", "/v1/chat/completions"),
    ("GET", "/"),
    ("GET", "/v1/status"),
    ("GET", "/theme.css"),
    ("GET", f"/page/{'0' * 16}/main.js"),
    ("POST", "/logout"),
]


@pytest.mark.parametrize(("method", "path_"), STRANGE)
@pytest.mark.parametrize("shown", ["", "Bearer x", "Basic YTpi", "Bearer", "bearer  "])
async def test_a_request_without_a_key_gets_nothing(
    web: ApiHarness, method: str, path_: str, shown: str
) -> None:
    headers = {"authorization": shown} if shown else {}
    body = {"a": 1} if method == "POST" and path_ != "/logout" else None
    reply = await web.http.request(method, path_, headers=headers, json=body)
    assert code_of(reply) == (401, "invalid_api_key")
    assert reply.headers["www-authenticate"] == "Bearer"
    assert "edge keys create" in reply.text or "not valid here" in reply.text


@pytest.mark.parametrize(
    ("method", "path_"),
    [
        ("GET", "/v1/anything"),
        ("POST", "/"),
        ("GET", "//health"),
        ("PUT", "/no"),
        ("GET", "/gradio_api/info"),
        ("GET", "/health/../v1/models"),
    ],
)
async def test_unknown_routes_are_unknown_without_a_key_too(
    web: ApiHarness, method: str, path_: str
) -> None:
    reply = await web.http.request(method, path_)
    assert code_of(reply)[0] in (401, 404, 405)


async def test_health_needs_no_key_and_ready_hides_the_models(web: ApiHarness) -> None:
    assert (await web.http.get("/health")).json() == {"status": "ok"}
    assert (await web.http.get("/ready")).json() == {"status": "ready"}
    assert (await web.http.get("/v1/openapi.json")).status_code == 200
    assert code_of(await web.http.post("/health"))[0] == 405


async def test_a_key_enters_under_both_headers(web: ApiHarness, path: Path) -> None:
    key = create_key(path, "alice", NO_LIMITS)
    for headers in (bearer(key), {"x-api-key": key}):
        reply = await web.http.get("/v1/models", headers=headers)
        assert [one["id"] for one in reply.json()["data"]] == ["stub"]
    ready = await web.http.get("/ready", headers=bearer(key))
    assert ready.json()["models"] == ["stub"]


async def test_a_revoked_key_is_refused_without_a_restart(
    web: ApiHarness, path: Path
) -> None:
    key = create_key(path, "alice", NO_LIMITS)
    assert (await web.http.get("/v1/models", headers=bearer(key))).status_code == 200
    revoke_key(path, "alice")
    reply = await web.http.get("/v1/models", headers=bearer(key))
    assert code_of(reply) == (401, "invalid_api_key")


async def test_the_page_redirects_to_the_login(web: ApiHarness) -> None:
    reply = await web.http.get("/", headers=HTML)
    assert (reply.status_code, reply.headers["location"]) == (303, "login")


async def test_a_link_on_another_site_reloads_with_the_cookie(
    web: ApiHarness,
) -> None:
    cross = HTML | {"sec-fetch-site": "cross-site"}
    reply = await web.http.get("/", headers=cross)
    assert reply.status_code == 200
    assert 'http-equiv="refresh"' in reply.text


async def test_metrics_are_for_this_machine_and_for_an_admin(
    web: ApiHarness, path: Path
) -> None:
    key = create_key(path, "alice", NO_LIMITS)
    admin = create_key(path, "root", NO_LIMITS, is_admin=True)
    assert (await web.http.get("/metrics")).status_code == 200
    far = web.at("10.0.0.1")
    assert (await far.get("/metrics")).status_code == 401
    assert (await far.get("/metrics", headers=bearer(key))).status_code == 403
    assert (await far.get("/metrics", headers=bearer(admin))).status_code == 200


async def test_metrics_are_closed_to_other_machines_without_keys(
    open_web: ApiHarness,
) -> None:
    assert (await open_web.http.get("/metrics")).status_code == 200
    assert code_of(await open_web.at("10.0.0.1").get("/metrics"))[0] == 403


# --- the login ----------------------------------------------------------------------


async def test_a_name_and_its_key_begin_a_session(web: ApiHarness, path: Path) -> None:
    key = create_key(path, "alice", NO_LIMITS)
    reply = await sign_in(web, "alice", key)
    assert (reply.status_code, reply.headers["location"]) == (303, "./")
    by_name = {
        one.partition("=")[0]: one for one in reply.headers.get_list("set-cookie")
    }
    for flag in ("HttpOnly", "SameSite=Strict"):
        assert flag in by_name[COOKIE]
    assert "Path" not in by_name[COOKIE]  # the folder that the browser sees
    assert "HttpOnly" not in by_name[CSRF_COOKIE]
    assert (await web.http.get("/v1/models")).status_code == 200
    page = await web.http.get("/login", headers=HTML)
    assert "signed in as alice" in page.text
    assert key not in page.text


@pytest.mark.parametrize("wrong", ["name", "key", "csrf", "nothing"])
async def test_a_wrong_login_is_refused(
    web: ApiHarness, path: Path, wrong: str
) -> None:
    key = create_key(path, "alice", NO_LIMITS)
    create_key(path, "bob", NO_LIMITS)
    given = {"name": "alice", "key": key}
    given |= {"name": {"name": "bob"}, "key": {"key": altered(key)}}.get(wrong, {})
    extra = {"csrf": "0" * 64} if wrong == "csrf" else {}
    if wrong == "nothing":
        reply = await web.http.post("/login", data={})
    else:
        reply = await sign_in(web, given["name"], given["key"], **extra)
    assert reply.status_code == (401 if wrong in ("name", "key") else 400)
    assert COOKIE not in web.http.cookies
    assert (await web.http.get("/v1/models")).status_code == 401


async def test_a_form_of_another_browser_is_worth_nothing(
    web: ApiHarness, path: Path
) -> None:
    """Else a page elsewhere could sign its visitors in under its own name."""
    key = create_key(path, "alice", NO_LIMITS)
    page = await web.at("10.0.0.1").get("/login", headers=HTML)
    [token] = re.findall('value="([0-9a-f]+)"', page.text)
    await web.http.get("/login", headers=HTML)
    form = {"name": "alice", "key": key, "csrf": token}
    assert (await web.http.post("/login", data=form)).status_code == 400


@pytest.mark.parametrize(
    "cookie", ["a; Path=/x", '"a\\012Set-Cookie: b=c"', "A" * 32, "0" * 31, "x" * 5000]
)
async def test_a_cookie_of_the_form_that_is_not_ours_is_not_sent_back(
    web: ApiHarness, cookie: str
) -> None:
    headers = HTML | {"cookie": f"edge_form={cookie}"}
    reply = await web.http.get("/login", headers=headers)
    assert reply.status_code == 200
    made = reply.headers["set-cookie"].partition(";")[0]
    assert re.fullmatch("edge_form=[0-9a-f]{32}", made)


async def test_a_huge_form_is_refused(web: ApiHarness) -> None:
    reply = await web.http.post("/login", content=b"name=" + b"a" * 100_000)
    assert reply.status_code == 413


async def test_a_session_ends_with_its_key_and_with_the_logout(
    web: ApiHarness, path: Path
) -> None:
    key = create_key(path, "alice", NO_LIMITS)
    await sign_in(web, "alice", key)
    page = await web.http.get("/login", headers=HTML)
    [token] = re.findall('value="([0-9a-f]+)"', page.text)
    origin = {"origin": "http://ui"}
    stolen = {"cookie": f"{COOKIE}={web.http.cookies[COOKIE]}"}
    reply = await web.http.post("/logout", data={"csrf": token}, headers=origin)
    assert reply.status_code == 303
    assert (await web.http.get("/v1/models")).status_code == 401
    assert (await web.at("10.0.0.9").get("/", headers=stolen)).status_code == 401
    await sign_in(web, "alice", key)
    assert (await web.http.get("/v1/models")).status_code == 200
    revoke_key(path, "alice")
    assert (await web.http.get("/v1/models")).status_code == 401


async def test_a_cookie_changes_nothing_without_a_proof_of_its_page(
    web: ApiHarness, path: Path
) -> None:
    await sign_in(web, "alice", create_key(path, "alice", NO_LIMITS))
    token = web.http.cookies[CSRF_COOKIE]
    refused = [{}, {"origin": "http://evil"}, {"origin": "null"}, {CSRF_HEADER: "x"}]
    for headers in refused:
        reply = await web.post(headers=headers)
        assert code_of(reply) == (403, "forbidden")
    async with web.working():
        for headers in ({"origin": "http://ui"}, {CSRF_HEADER: token}):
            assert (await web.post(headers=headers)).status_code == 200


async def test_cookies_that_the_server_has_not_made_are_nothing(
    web: ApiHarness, path: Path
) -> None:
    create_key(path, "alice", NO_LIMITS)
    key_id = keys.read_keys(path)[0].id
    ours = await web.client.logins.secret()
    forged = [
        Session.begin(key_id, 2e9).cookie(b"another secret"),
        Session("0" * 32, key_id, 1).cookie(ours),  # has ended
        Session.begin(NO_KEY, 2e9).cookie(ours),  # of a time without keys
        Session.begin("0" * 12, 2e9).cookie(ours),  # a key that is not there
        "",
        "x",
        "a.b.c.d",
        f"{'0' * 32}.{key_id}.9999999999.{'0' * 64}",
    ]
    for cookie in forged:
        reply = await web.http.get(
            "/v1/models", headers={"cookie": f"{COOKIE}={cookie}"}
        )
        assert code_of(reply) == (401, "invalid_api_key")


# --- a server without keys ----------------------------------------------------------


async def test_the_server_creates_the_session_of_a_page(
    open_web: ApiHarness,
) -> None:
    await open_web.http.get("/")
    assert (await open_web.http.get("/login")).headers["location"] == "./"
    session = open_web.http.cookies[COOKIE]
    await open_web.http.get("/")
    assert open_web.http.cookies[COOKIE] == session
    other = open_web.at("10.0.0.2")
    await other.get("/", headers={"cookie": f"{COOKIE}=made.up.by.me"})
    assert other.cookies[COOKIE] != session


async def test_a_job_belongs_to_key_and_address_and_to_its_session(
    open_web: ApiHarness,
) -> None:
    async with open_web.working():
        job_id = (await open_web.post(key="unused")).headers["x-job-id"]
    path_ = f"/v1/jobs/{job_id}"

    async def status(address: str, **headers: str) -> int:
        return (await open_web.at(address).get(path_, headers=headers)).status_code

    shown = bearer("unused")
    assert await status("127.0.0.1", **shown) == 200
    assert await status("10.0.0.2", **shown) == 404
    assert await status("127.0.0.1") == 404
    assert await status("127.0.0.1", **bearer("other")) == 404
    await open_web.at("127.0.0.1").get("/")  # now with a session's cookie
    assert await status("127.0.0.1", **shown) == 200
    assert await status("127.0.0.1") == 404


# --- addresses ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("client", "address"),
    [
        (("192.0.2.1", 5), "192.0.2.1"),
        (("2001:db8:1:2:3:4:5:6", 5), "2001:db8:1:2::/64"),
        (("2001:db8:1:2::9", 5), "2001:db8:1:2::/64"),
        (("fe80::1%eth0", 5), "fe80::/64"),
        (("::ffff:192.0.2.1", 5), "192.0.2.1"),
        (("", 0), "local"),
        (None, "local"),
        (("testclient", 5), "testclient"),
    ],
)
def test_an_address_is_an_ipv4_or_a_64_network(
    client: tuple[str, int] | None, address: str
) -> None:
    assert address_of({"type": "http", "client": client}) == address


@pytest.mark.parametrize(
    "other", ['x={"a":1}', "x=a b", "foo", "", "thing=[1,2]", 'q="a', "a b=c", "=d"]
)
def test_a_cookie_is_found_among_those_of_other_programs(other: str) -> None:
    for cookies in (f"{other}; {COOKIE}=abc", f"{COOKIE}=abc; {other}"):
        assert cookie_of(Headers({"cookie": cookies}), COOKIE) == "abc"
