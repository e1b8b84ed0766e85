"""What is known already is answered at once: known pictures, known answers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from edge.caller import ANONYMOUS, Caller
from edge.errors import EdgeError, InvalidPicture, InvalidRequest, UrlNotAllowed
from tests.ui.api_harness import ApiHarness, api_harness, code_of
from tests.ui.pictures import STUB, part, png, sent
from ui.decoding import PictureDecoder
from ui.openai_schema import ChatBody
from ui.parsed_question import ParsedQuestion
from ui.question import MAX_PICTURES

ME = Caller(ANONYMOUS, "me", "127.0.0.1", "me")


def body(*parts: Any, **given: Any) -> ChatBody:
    messages = [{"role": "user", "content": list(parts)}]
    return ChatBody.model_validate({"messages": messages} | given)


def words(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


# --- questions and pictures ---------------------------------------------------------


async def test_a_picture_is_known_by_its_bytes_once_it_was_vetted() -> None:
    decoder = PictureDecoder(1024)
    assert decoder.recall(sent(png()), ME, STUB) is None
    picture = await decoder.decode(sent(png()), ME, STUB)
    assert decoder.recall(sent(png()), ME, STUB) == picture.ref
    assert decoder.recall(sent(png("blue")), ME, STUB) is None


async def test_it_is_another_picture_at_another_size() -> None:
    decoder = PictureDecoder(1024)
    await decoder.decode(sent(png(), "low"), ME, STUB)
    assert decoder.recall(sent(png(), "low"), ME, STUB)
    assert decoder.recall(sent(png()), ME, STUB) is None
    await decoder.decode(sent(png()), ME, STUB)
    assert decoder.recall(sent(png(), "high"), ME, STUB) == decoder.recall(
        sent(png()), ME, STUB
    )


async def test_pictures_are_forgotten_in_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ui.decoding.REMEMBERED", 2)
    decoder = PictureDecoder(1024)
    for colour in ("red", "green", "blue"):
        await decoder.decode(sent(png(colour)), ME, STUB)
    known = [
        decoder.recall(sent(png(colour)), ME, STUB)
        for colour in ("red", "green", "blue")
    ]
    assert [ref is not None for ref in known] == [False, True, True]


async def test_a_question_becomes_a_request_with_its_pictures_in_place() -> None:
    asked = body(part(png()), words("Which?"), part(png("blue")), temperature=0.0)
    question = ParsedQuestion(asked, 77, ME)
    decoder = PictureDecoder(1024)
    pictures = [await decoder.decode(one, ME, STUB) for one in question.pictures]
    request = question.request([picture.ref for picture in pictures])
    [message] = request.messages
    assert message.content == (pictures[0].ref, "Which?", pictures[1].ref)
    assert request.sampling.max_tokens == 77
    assert request.scope == ME.scope


def test_a_question_without_pictures_needs_no_decoder() -> None:
    asked = body(words("Hello"), truncate="auto", model="tiny")
    request = ParsedQuestion(asked, 5, ME).request(())
    assert (request.model, request.truncate) == ("tiny", True)


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("https://example.com/cat.png", UrlNotAllowed),
        ("data:text/plain;base64,AAAA", InvalidPicture),
        ("data:image/png;base64,?", InvalidPicture),
    ],
)
def test_what_is_no_picture_is_refused_by_its_place(
    url: str, kind: type[EdgeError]
) -> None:
    wrong = {"type": "image_url", "image_url": {"url": url}}
    with pytest.raises(kind) as caught:
        ParsedQuestion(body(words("a"), part(png()), wrong), 5, ME)
    assert caught.value.param == "messages[0].content[2].image_url"


async def test_an_undecodable_picture_is_refused_by_its_field() -> None:
    question = ParsedQuestion(body(part(png()), part(b"no picture")), 5, ME)
    with pytest.raises(InvalidPicture) as caught:
        await PictureDecoder(1024).decode(question.pictures[1], ME, STUB)
    assert caught.value.param == "messages[0].content[1].image_url"


def test_too_many_pictures_are_refused_before_any_is_looked_at() -> None:
    with pytest.raises(InvalidRequest, match=f"at most {MAX_PICTURES}") as caught:
        ParsedQuestion(body(*[part(b"no picture")] * (MAX_PICTURES + 1)), 5, ME)
    assert caught.value.param == f"messages[0].content[{MAX_PICTURES}].image_url"


# --- known answers ------------------------------------------------------------------


@pytest.fixture
async def web(broker_url: str) -> AsyncIterator[ApiHarness]:
    """One place in all."""
    async with api_harness(broker_url, backlog=0) as one:
        yield one


def picture_question(**more: Any) -> dict[str, Any]:
    content = [part(png()), words("What is it?")]
    return {"messages": [{"role": "user", "content": content}], "max_tokens": 8} | more


async def ask(web: ApiHarness, question: dict[str, Any], **headers: str) -> Any:
    path = "/v1/chat/completions"
    return await web.http.post(path, json=question, headers=headers)


@pytest.mark.redis
@pytest.mark.parametrize("stream", [True, False])
async def test_a_known_answer_needs_no_place(web: ApiHarness, stream: bool) -> None:
    async with web.working():
        first = await ask(web, picture_question())
    full = web.asking("something else", key="other")
    await web.until(lambda: web.live)
    assert code_of(await web.post("a third")) == (429, "queue_full")
    again = await ask(web, picture_question(stream=stream))
    assert (first.headers["x-cache"], again.headers["x-cache"]) == ("miss", "hit")
    assert "x-job-id" in first.headers
    assert "x-job-id" not in again.headers
    text = first.json()["choices"][0]["message"]["content"]
    assert f'"{text}"' in again.text
    full.cancel()


@pytest.mark.redis
async def test_a_name_gives_each_answer_a_job(web: ApiHarness) -> None:
    """Its client may come back for it."""
    async with web.working():
        await ask(web, picture_question())
        named = await ask(web, picture_question(), **{"idempotency-key": "abc"})
        again = await ask(web, picture_question(), **{"idempotency-key": "abc"})
    assert again.status_code == 200
    assert named.json()["choices"] == again.json()["choices"]
    assert named.json()["id"] == again.json()["id"]


@pytest.mark.redis
async def test_what_is_drawn_by_chance_is_computed_again(web: ApiHarness) -> None:
    async with web.working():
        for _ in range(2):
            reply = await ask(web, picture_question(temperature=1.0))
            assert reply.headers["x-cache"] == "miss"


@pytest.mark.redis
async def test_another_model_is_not_answered_from_memory(web: ApiHarness) -> None:
    async with web.working():
        await ask(web, picture_question())
        reply = await ask(web, picture_question(model="other"))
    assert code_of(reply) == (404, "model_not_found")
