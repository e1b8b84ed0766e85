"""Every HTTP error has the shape that OpenAI's clients read."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI, Request
from pydantic import ValidationError
from starlette.testclient import TestClient

from edge.errors import (
    EdgeError,
    ModelNotFound,
    NoWorker,
    QueueFull,
    SetupError,
    from_code,
)
from ui.body import Bodies, parse
from ui.complaint import field_path
from ui.error_handlers import add_error_handlers
from ui.in_flight import InFlight
from ui.metrics import Metrics
from ui.openai.body import ChatBody

SECRET = "/srv/secret/weights.gguf"
JSON = {"content-type": "application/json"}
DEPTH = 150_000
HELLO = {"role": "user", "content": "Hello"}


@pytest.fixture(scope="module")
def http() -> Iterator[TestClient]:
    """A small application in which much goes wrong."""
    app = FastAPI(openapi_url=None)
    add_error_handlers(app, Metrics())

    bodies = Bodies(Metrics(), InFlight())

    @app.post("/chat")
    async def chat(http: Request) -> dict[str, int]:
        async with bodies.read(http, lambda data: parse(ChatBody, data)) as body:
            body.refuse_unsupported()
            return {"n_messages": len(body.messages)}

    @app.get("/query")
    async def query(is_long: bool = False) -> None:
        pass

    @app.get("/busy")
    async def busy() -> None:
        raise QueueFull("All seats are taken. Try again in 7 s.", retry_after_s=7)

    @app.get("/alone")
    async def alone() -> None:
        raise NoWorker("No worker is alive.")

    @app.get("/models/{name}")
    async def models(name: str) -> None:
        raise ModelNotFound(f"{name} is not served here.", param="model")

    @app.get("/error/{code}")
    async def error(code: str) -> None:
        raise from_code(code, "No.")

    @app.get("/broken")
    async def broken() -> None:
        raise RuntimeError(f"cannot read {SECRET}")

    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


def post(http: TestClient, body: str | bytes) -> Any:
    return http.post("/chat", content=body, headers=JSON)


def refusal(response: Any, status: int = 400) -> dict[str, Any]:
    """The error of a response, which must have the shape."""
    assert response.status_code == status
    assert response.headers["content-type"] == "application/json"
    body = response.json()
    assert list(body) == ["error"]
    error = body["error"]
    assert {*error} - {"retry_after_s"} == {"message", "type", "param", "code"}
    assert isinstance(error["message"], str)
    assert error["message"].endswith(".")
    assert isinstance(error["type"], str)
    assert isinstance(error["code"], str)
    assert error["param"] is None or isinstance(error["param"], str)
    assert len(response.content) < 2000
    return error


def chat(content: Any = "Hello", **given: Any) -> str:
    return json.dumps({"messages": [{"role": "user", "content": content}]} | given)


def test_a_good_body_passes(http: TestClient) -> None:
    assert post(http, chat()).json() == {"n_messages": 1}


# --- bodies that are not JSON -------------------------------------------------


@pytest.mark.parametrize("body", ["", "{bad", "{", "hello", "{'a': 1}", '{"a": 1,}'])
def test_a_body_that_is_not_json_is_refused_as_such(
    http: TestClient, body: str
) -> None:
    error = refusal(post(http, body))
    assert error["code"] == "invalid_json"
    assert error["type"] == "invalid_request_error"
    assert error["param"] is None


HOSTILE = {
    "invalid UTF-8": b'{"messages": "\xff\xfe"}',
    "zeros": bytes(100),
    "an integer of 5000 digits": chat(seed=1).replace(
        '"seed": 1', '"seed": ' + "9" * 5000
    ),
    "a float of 5000 digits": chat(temperature=1).replace(
        '"temperature": 1', '"temperature": ' + "9" * 5000 + ".5"
    ),
    "lists 150,000 deep": "[" * DEPTH + "]" * DEPTH,
    "lists that never end": "[" * DEPTH,
    "objects 150,000 deep": '{"a":' * DEPTH + "1" + "}" * DEPTH,
    "messages 150,000 deep": f'{{"messages": {"[" * DEPTH}{"]" * DEPTH}}}',
    "messages 900 deep": f'{{"messages": {"[" * 900}{"]" * 900}}}',
    "a role 900 deep": '{"messages": [{"content": "", "role": '
    + "[" * 900
    + "]" * 900
    + "}]}",
    "half a character": r'{"messages": [{"role": "user", "content": "\ud800"}]}',
    "half a character in a part": chat([{"type": "text", "text": "\ud800"}]),
    "half a character as a role": r'{"messages": [{"role": "\ud800", "content": ""}]}',
    "half a character as a part": chat([{"type": "\ud800"}]),
    "half a character as a key": chat(**{"\ud800": 1}),
    "half a character as a model": chat(model="\ud800"),
    "NaN": chat(temperature=float("nan")),
    "infinity": chat(temperature=float("inf")),
    "1e400": chat(temperature=1).replace('"temperature": 1', '"temperature": 1e400'),
    "a megabyte as a role": json.dumps(
        {"messages": [{"role": "A" * 1_000_000, "content": ""}]}
    ),
    "a megabyte as a part": chat([{"type": "A" * 1_000_000}]),
    "a megabyte as a model": chat(model="A" * 1_000_000),
    "10,000 stops": chat(stop=["a"] * 10_000),
    "100,000 messages": json.dumps({"messages": [HELLO] * 100_000}),
    "100,000 wrong messages": json.dumps({"messages": [1] * 100_000}),
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_body_is_refused_quickly_and_briefly(
    http: TestClient, body: str | bytes
) -> None:
    start = time.process_time()
    error = refusal(post(http, body))
    assert time.process_time() - start < 2  # measured: 0.02
    assert error["type"] == "invalid_request_error"
    assert post(http, chat()).status_code == 200


STRICT = {
    "nothing": (b"", "empty"),
    "a byte order mark": (b"\xef\xbb\xbf{}", "byte order mark"),
    "UTF-16": (chat().encode("utf-16"), "UTF-8"),
    "UTF-16, no mark": (chat().encode("utf-16-le"), "UTF-8"),
    "UTF-32": (chat().encode("utf-32"), "UTF-8"),
    "Latin-1": ('{"é": 1}'.encode("latin-1"), "byte 3 is not UTF-8"),
    "half a character in UTF-8": (b'{"a": "\xed\xa0\x80"}', "not UTF-8"),
    "an overlong NUL": (b'{"a": "\xc0\x80"}', "not UTF-8"),
    "a key twice": (b'{"messages": [], "messages": []}', "'messages' twice"),
    "a key twice, deep": (b'{"a": [{"b": {"c": 1, "c": 1}}]}', "'c' twice"),
    "a key twice, escaped": (b'{"a": 1, "\\u0061": 1}', "'a' twice"),
    "NaN": (b'{"a": [NaN]}', "a[0]: NaN"),
    "-Infinity": (b'{"a": {"b": -Infinity}}', "a.b: NaN"),
    "1e999": (b'{"a": 1e999}', "a: NaN"),
    "half a character": (b'{"a": ["\\udc00"]}', "a[0]: Half a character"),
    "half a character as a key": (b'{"a": {"\\ud800": 1}}', "Half a character"),
    "a raw line break": (b'{"a": "\n"}', "control character"),
    "a comment": (b'{} // "', "Extra data"),
    "two values": (b"{} {}", "Extra data (line 1, column 4)"),
    "a trailing comma": (b'{"a": 1,}', "line 1, column"),
    "no end": (b'{"a": "b', "Unterminated string"),
    "a long number": (b'{"a": %s}' % (b"9" * 101), "number"),
    "a longer number": (b'{"a": %s}' % (b"9" * 1_000_000), "number"),
    "a long fraction": (b'{"a": 0.%s}' % (b"9" * 1_000_000), "number"),
    "65 deep": (b"[" * 65 + b"]" * 65, "nested more than 64"),
    "50,001 values": (b"[" + b"1," * 50_000 + b"1]", "more than 50,000 values"),
    "100,003 quotes": (b'"' * 100_003, "more than 50,000 values"),
}


@pytest.mark.parametrize(("body", "said"), STRICT.values(), ids=STRICT)
def test_json_is_read_strictly(http: TestClient, body: bytes, said: str) -> None:
    assert said in refusal(post(http, body))["message"]


def test_only_strings_may_be_long(http: TestClient) -> None:
    hostile = b'{"x": [' + b"[]," * 400_000 + b"1]}"
    assert refusal(post(http, hostile), 413)["code"] == "request_too_large"
    assert refusal(post(http, b" " * (1 << 20) + b"{}"), 413)


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"]
)
def test_json_under_another_name_is_refused(http: TestClient, kind: str) -> None:
    response = http.post("/chat", content=chat(), headers={"content-type": kind})
    error = refusal(response, 415)
    assert error["code"] == "unsupported_media_type"
    assert kind in error["message"]
    assert "Content-Type: application/json" in error["message"]


@pytest.mark.parametrize(
    "kind",
    [
        "application/json; charset=utf-8",
        'APPLICATION/JSON;charset="UTF-8"',
        "application/vnd.api+json",
    ],
)
def test_every_json_media_type_is_read(http: TestClient, kind: str) -> None:
    response = http.post("/chat", content=chat(), headers={"content-type": kind})
    assert response.status_code == 200


@pytest.mark.parametrize("coding", ["gzip", "br", "deflate", "gzip, identity"])
def test_a_compressed_body_is_refused_as_such(http: TestClient, coding: str) -> None:
    headers = JSON | {"content-encoding": coding}
    response = http.post("/chat", content=gzip.compress(b"{}"), headers=headers)
    error = refusal(response, 415)
    assert "gzip" in error["message"] or coding in error["message"]


@pytest.mark.parametrize("charset", ["latin-1", "utf-16", "gbk"])
def test_another_charset_is_refused(http: TestClient, charset: str) -> None:
    headers = {"content-type": f"application/json; charset={charset}"}
    response = http.post("/chat", content=chat(), headers=headers)
    assert "UTF-8" in refusal(response, 415)["message"]


def test_a_wrong_value_in_the_address_is_refused_by_its_name(http: TestClient) -> None:
    error = refusal(http.get("/query?is_long=maybe"))
    assert error["param"] == "is_long"


# --- bodies that are the wrong JSON -------------------------------------------

WITHOUT_URL = {"type": "image_url", "image_url": {}}
WRONG = {
    "null": ("null", None),
    "a list": ("[]", None),
    "text": ('"Hello"', None),
    "nothing in it": ("{}", "messages"),
    "messages are text": (json.dumps({"messages": "Hello"}), "messages"),
    "no messages": (json.dumps({"messages": []}), "messages"),
    "a message is a number": (json.dumps({"messages": [HELLO, 123]}), "messages[1]"),
    "no content": (
        json.dumps({"messages": [HELLO, {"role": "user"}]}),
        "messages[1].content",
    ),
    "role alien": (
        json.dumps({"messages": [{"role": "alien", "content": ""}]}),
        "messages[0].role",
    ),
    "no role": (json.dumps({"messages": [{"content": ""}]}), "messages[0].role"),
    "content is null": (chat(None), "messages[0].content"),
    "content is a number": (chat(123), "messages[0].content"),
    "content is an object": (chat({"a": 1}), "messages[0].content"),
    "content is an empty list": (chat([]), "messages[0].content"),
    "a part is a number": (chat([123]), "messages[0].content[0]"),
    "a part's text is a number": (
        chat([{"type": "text", "text": 5}]),
        "messages[0].content[0].text",
    ),
    "a part's text is an object": (
        chat([{"type": "text", "text": {"value": "a"}}]),
        "messages[0].content[0].text",
    ),
    "a part's text is missing": (
        chat([{"type": "text", "text": "a"}, {"type": "text"}]),
        "messages[0].content[1].text",
    ),
    "a part of unknown type": (
        chat([{"type": "input_audio", "input_audio": {"data": ""}}]),
        "messages[0].content[0].type",
    ),
    "a picture's url is missing": (
        chat([WITHOUT_URL]),
        "messages[0].content[0].image_url.url",
    ),
    "temperature is text": (chat(temperature="hot"), "temperature"),
    "temperature is not a number": (chat(temperature=float("nan")), "temperature"),
    "top_p is too large": (chat(top_p=1.1), "top_p"),
    "max_tokens is nothing": (chat(max_tokens=0), "max_tokens"),
    "stop is a number": (chat(stop=5), "stop"),
    "stop is an object": (chat(stop={}), "stop"),
    "stop has a number": (chat(stop=["a", 5]), "stop[1]"),
    "seed is too large": (chat(seed=2**64), "seed"),
    "n is nothing": (chat(n=0), "n"),
    "stream is text": (chat(stream="yes"), "stream"),
    "stream options are wrong": (
        chat(stream_options={"include_usage": 1}),
        "stream_options.include_usage",
    ),
    "a tool without a function": (
        chat(tools=[{"type": "function"}]),
        "tools[0].function",
    ),
    "a content that is a part": (
        chat({"type": "text", "text": "hi"}),
        "messages[0].content",
    ),
    "a tool with a wrong name": (
        chat(tools=[{"type": "function", "function": {"name": "a b"}}]),
        "tools[0].function.name",
    ),
    "a tool without a name": (
        chat(tools=[{"type": "function", "function": {}}]),
        "tools[0].function.name",
    ),
    "a choice that is none": (chat(tool_choice="never"), "tool_choice"),
}


@pytest.mark.parametrize(("body", "param"), WRONG.values(), ids=WRONG)
def test_a_wrong_body_is_refused_by_the_path_of_the_field(
    http: TestClient, body: str, param: str | None
) -> None:
    error = refusal(post(http, body))
    assert error["param"] == param
    assert error["message"].startswith(param or "The body")
    assert error["type"] == "invalid_request_error"


def test_a_wrong_part_is_validated_as_a_part(http: TestClient) -> None:
    error = refusal(post(http, chat([{"type": "input_audio"}])))
    assert "should be a valid string" not in error["message"]
    assert "image_url" in error["message"]


@pytest.mark.parametrize(
    "body",
    [
        "null",
        "[]",
        chat([5]),
        chat([]),
        chat([{"type": "image", "image": "x"}]),
        chat([{"text": "hi"}]),
        '{"messages": {}}',
        '{"messages": [{"content": "hi"}]}',
        '{"messages": [{"role": "User", "content": "hi"}]}',
        chat(response_format="json"),
        chat(response_format={"type": "json"}),
        chat(stream_options=5),
        chat(logit_bias=[1]),
    ],
)
def test_no_sentence_is_in_the_words_of_python(http: TestClient, body: str) -> None:
    message = refusal(post(http, body))["message"]
    for word in ("dictionary", "instance of", " tag", "discriminator", "validation"):
        assert word not in message


def test_an_empty_list_is_refused(http: TestClient) -> None:
    assert "at least 1 item" in refusal(post(http, chat([])))["message"]


# --- paths --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"messages": "Hello"}, "messages"),
        ({"messages": [HELLO, 123]}, "messages[1]"),
        ({"messages": [{"role": "user", "content": 123}]}, "messages[0].content"),
        ({"messages": [{"role": "system", "content": None}]}, "messages[0].content"),
        ({"messages": [HELLO], "temperature": "hot"}, "temperature"),
        ({"messages": [HELLO], "stop": 5}, "stop"),
        ({"messages": [HELLO], "stop": ""}, "stop"),
        (
            {"messages": [HELLO], "stream_options": {"include_usage": 1}},
            "stream_options.include_usage",
        ),
    ],
)
def test_a_location_of_pydantic_becomes_a_path_in_the_body(
    body: dict[str, Any], path: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        ChatBody.model_validate(body)
    assert field_path(caught.value.errors()[0]["loc"], body) == path


@pytest.mark.parametrize("body", [None, [], "text", b"bytes", 5, {}])
def test_the_whole_body_has_no_path(body: Any) -> None:
    assert field_path((), body) is None


@pytest.mark.parametrize(
    ("location", "body"),
    [(("messages", 7, "x", "y"), {"messages": [1]}), ((0, 1, 2), "text")],
)
def test_a_location_that_is_not_in_the_body_does_no_harm(
    location: tuple[int | str, ...], body: Any
) -> None:
    assert field_path(location, body) in ("messages", None)


# --- everything else ----------------------------------------------------------


def test_an_unknown_path_is_not_found(http: TestClient) -> None:
    error = refusal(http.get("/nowhere"), 404)
    assert error["code"] == "not_found"
    assert error["type"] == "invalid_request_error"
    assert "/nowhere" in error["message"]


def test_a_long_unknown_path_is_not_repeated_whole(http: TestClient) -> None:
    refusal(http.get("/" + "a" * 20_000), 404)


@pytest.mark.parametrize("path", ["/%ff%fe", "/%ed%a0%80", "/%00", "/..%2f..%2fetc"])
def test_a_strange_path_is_not_found(http: TestClient, path: str) -> None:
    assert refusal(http.get(path), 404)["code"] == "not_found"


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_a_wrong_method_gets_the_right_one(http: TestClient, method: str) -> None:
    response = http.request(method, "/chat")
    error = refusal(response, 405)
    assert error["type"] == "invalid_request_error"
    assert response.headers["allow"] == "POST"


def test_a_full_queue_has_a_retry_after(http: TestClient) -> None:
    response = http.get("/busy")
    assert refusal(response, 429) == {
        "message": "All seats are taken. Try again in 7 s.",
        "type": "rate_limit_error",
        "param": None,
        "code": "queue_full",
        "retry_after_s": 7,
    }
    assert response.headers["retry-after"] == "7"


def test_an_absent_service_has_a_retry_after(http: TestClient) -> None:
    response = http.get("/alone")
    assert refusal(response, 503)["code"] == "no_worker"
    assert response.headers["retry-after"] == "5"


def test_other_errors_have_no_retry_after(http: TestClient) -> None:
    response = http.get("/nothing")
    assert refusal(response, 404)["code"] == "not_found"
    assert "retry-after" not in response.headers


def family(root: type[EdgeError]) -> Iterator[type[EdgeError]]:
    yield root
    for child in root.__subclasses__():
        yield from family(child)


@pytest.mark.parametrize(
    "kind",
    [kind for kind in family(EdgeError) if kind is not SetupError],
    ids=lambda kind: kind.__name__,
)
def test_x_should_retry_is_false_only_for_final_errors(
    http: TestClient, kind: type[EdgeError]
) -> None:
    """OpenAI's clients ask a second and a third time after each 429 and 5xx."""
    response = http.get(f"/error/{kind.code}")
    assert refusal(response, kind.status)["code"] == kind.code
    told = response.headers.get("x-should-retry")
    assert told == ("false" if kind.is_final else None)


def test_an_error_keeps_its_param(http: TestClient) -> None:
    error = refusal(http.get("/models/gpt-9"), 404)
    assert (error["code"], error["param"]) == ("model_not_found", "model")


def test_a_bug_is_one_sentence_without_details(http: TestClient) -> None:
    response = http.get("/broken")
    error = refusal(response, 500)
    assert (error["code"], error["type"]) == ("internal_error", "server_error")
    for leak in (SECRET, "Traceback", "RuntimeError", ".py"):
        assert leak not in response.text
