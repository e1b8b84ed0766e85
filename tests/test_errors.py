"""The error tree: one code, one status, one docstring each, in OpenAI's shape."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator

import pytest

from edge import errors
from edge.errors import EdgeError, InvalidRequest, QueueFull, from_code


def family(root: type[EdgeError]) -> Iterator[type[EdgeError]]:
    yield root
    for child in root.__subclasses__():
        yield from family(child)


TREE = list(family(EdgeError))
every_error = pytest.mark.parametrize("kind", TREE, ids=lambda kind: kind.__name__)


def drawn() -> dict[str, tuple[str, int | None]]:
    """The tree in the module's docstring: name -> (parent, status if one is given)."""
    found: dict[str, tuple[str, int | None]] = {}
    above: list[tuple[int, str]] = []
    for line in inspect.getdoc(errors).splitlines():
        match = re.match(r"([ │├└─]*)([A-Z]\w+)(?: \.+ (\d{3})?.*)?$", line)
        if not match or not (match[1] or match[2] == "EdgeError"):
            continue
        depth = len(match[1])
        above = [(d, name) for d, name in above if d < depth]
        parent = above[-1][1] if above else "Exception"
        found[match[2]] = (parent, int(match[3]) if match[3] else None)
        above.append((depth, match[2]))
    return found


def test_the_docstring_tree_shows_each_class_under_its_parent() -> None:
    parents = {name: parent for name, (parent, _) in drawn().items()}
    assert parents == {kind.__name__: kind.__base__.__name__ for kind in TREE}


def test_the_docstring_tree_shows_the_status() -> None:
    shown = {name: status for name, (_, status) in drawn().items() if status}
    assert shown
    for name, status in shown.items():
        assert getattr(errors, name).status == status


def test_every_exception_of_the_module_is_in_the_tree() -> None:
    classes = {c for _, c in inspect.getmembers(errors, inspect.isclass)}
    assert {c for c in classes if issubclass(c, Exception)} == set(TREE)


def test_no_two_errors_share_a_code() -> None:
    codes = [kind.code for kind in TREE]
    assert len(codes) >= 21
    assert sorted(codes) == sorted(set(codes))


@every_error
def test_an_error_has_its_own_code_and_a_docstring(kind: type[EdgeError]) -> None:
    assert "code" in vars(kind)
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", kind.code)
    assert kind.__doc__
    assert re.match(r"Raised when .+\.$", kind.__doc__)


@every_error
def test_status_and_type_match(kind: type[EdgeError]) -> None:
    allowed = {
        400: "invalid_request_error",
        401: "authentication_error",
        403: "permission_error",
        404: "invalid_request_error",
        405: "invalid_request_error",
        408: "invalid_request_error",
        409: "invalid_request_error",
        413: "invalid_request_error",
        415: "invalid_request_error",
        421: "invalid_request_error",
        429: "rate_limit_error",
        499: "invalid_request_error",
        500: "server_error",
        503: "server_error",
        504: "server_error",
        507: "server_error",
    }
    assert allowed[kind.status] == kind.type


@every_error
def test_from_code_restores_the_error(kind: type[EdgeError]) -> None:
    again = from_code(kind.code, "Send less.")
    assert type(again) is kind
    assert again.message == str(again) == "Send less."


@pytest.mark.parametrize("code", ["", "nonsense", "QueueFull", "QUEUE_FULL"])
def test_an_unknown_code_is_a_plain_error(code: str) -> None:
    unknown = from_code(code, "Hm.")
    assert type(unknown) is EdgeError
    assert (unknown.message, unknown.status) == ("Hm.", 500)


@every_error
def test_the_body_has_openais_error_shape(
    kind: type[EdgeError],
) -> None:
    body = kind("No.", param="messages[0]", retry_after_s=3).body()
    expected = {
        "message": "No.",
        "type": kind.type,
        "param": "messages[0]",
        "code": kind.code,
        "retry_after_s": 3,  # ours
    }
    assert json.loads(json.dumps(body)) == {"error": expected}


def test_an_error_that_trying_again_does_not_help_has_openais_fields_only() -> None:
    fields = InvalidRequest("No.").body()["error"]
    assert list(fields) == ["message", "type", "param", "code"]


@pytest.mark.parametrize(
    "hostile", ["\x1b[2J", "\0", "\r\n", "\u202e", "\ud800", "\x9b"]
)
def test_client_text_cannot_control_a_terminal(hostile: str) -> None:
    error = EdgeError(f"Bad: {hostile * 9}.", param=f"a{hostile}").body()["error"]
    assert error["message"].isprintable() and error["param"].isprintable()
    json.dumps(error, ensure_ascii=False).encode()


def test_the_length_of_a_message_is_bounded() -> None:
    error = EdgeError("a" * 100_000, param="b" * 100_000).body()["error"]
    assert len(error["message"]) <= errors.MAX_MESSAGE
    assert len(error["param"]) <= errors.MAX_PARAM
    assert EdgeError("好 😀 é.").body()["error"]["message"] == "好 😀 é."


def test_param_and_retry_after_are_empty_by_default() -> None:
    full = QueueFull("Busy.")
    assert full.body()["error"]["param"] is None
    assert full.retry_after_s is None
    assert QueueFull("Busy.", retry_after_s=7).retry_after_s == 7


def test_a_restored_error_keeps_its_default_retry_after() -> None:
    assert from_code("worker_lost", "Ask again.").retry_after_s == 5
    assert from_code("engine_error", "No.").retry_after_s is None


def test_final_errors_are_those_that_would_fail_again() -> None:
    final = {kind.code for kind in TREE if kind.is_final}
    assert final == {
        "deadline_exceeded",
        "idempotency_key_reused",
        "request_quarantined",
    }


@every_error
def test_a_final_error_has_no_retry_after(kind: type[EdgeError]) -> None:
    assert not (kind.is_final and kind.default_retry_after_s)
