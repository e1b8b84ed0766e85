"""A body of the API becomes a question: its text, its pictures, its refusals."""

from __future__ import annotations

from typing import Any

import pytest

from edge.caller import ANONYMOUS, Caller
from edge.errors import EdgeError, InvalidPicture, InvalidRequest, UrlNotAllowed
from tests.ui.pictures import STUB, part, png
from ui.decoding import PictureDecoder
from ui.openai.body import ChatBody
from ui.parsed_question import ParsedQuestion
from ui.question import MAX_PICTURES

ME = Caller(ANONYMOUS, "me", "127.0.0.1", "me")


def text_part(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def body(*parts: Any, **given: Any) -> ChatBody:
    messages = [{"role": "user", "content": list(parts)}]
    return ChatBody.model_validate({"messages": messages} | given)


async def test_a_question_becomes_a_request_with_its_pictures_in_place() -> None:
    asked = body(part(png()), text_part("Which?"), part(png("blue")), temperature=0.0)
    question = ParsedQuestion(asked, 77, ME)
    decoder = PictureDecoder(1024, 1024)
    pictures = [await decoder.decode(one, ME, STUB) for one in question.pictures]
    request = question.request([picture.ref for picture in pictures])
    [message] = request.messages
    assert message.content == (pictures[0].ref, "Which?", pictures[1].ref)
    assert request.sampling.max_tokens == 77
    assert request.scope == ME.scope


@pytest.mark.parametrize(
    ("given", "is_batch"),
    [({}, False), ({"priority": 1}, True), ({"service_tier": "flex"}, True)],
)
def test_a_question_says_that_it_can_wait(
    given: dict[str, Any], is_batch: bool
) -> None:
    asked = body(text_part("Hello"), **given)
    assert ParsedQuestion(asked, 5, ME).is_batch is is_batch


def test_a_question_without_pictures_needs_no_decoder() -> None:
    asked = body(text_part("Hello"), truncate="auto", model="tiny")
    request = ParsedQuestion(asked, 5, ME).request(())
    assert (request.model, request.truncate) == ("tiny", True)


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("https://example.com/cat.png", UrlNotAllowed),
        ("data:image/png,hello", InvalidPicture),
        ("data:image/png;base64,?", InvalidPicture),
    ],
)
def test_a_wrong_picture_is_refused_by_its_field(
    url: str, kind: type[EdgeError]
) -> None:
    wrong = {"type": "image_url", "image_url": {"url": url}}
    with pytest.raises(kind) as caught:
        ParsedQuestion(body(text_part("a"), part(png()), wrong), 5, ME)
    assert caught.value.param == "messages[0].content[2].image_url"


async def test_an_undecodable_picture_is_refused_by_its_field() -> None:
    question = ParsedQuestion(body(part(png()), part(b"no picture")), 5, ME)
    with pytest.raises(InvalidPicture) as caught:
        await PictureDecoder(1024, 1024).decode(question.pictures[1], ME, STUB)
    assert caught.value.param == "messages[0].content[1].image_url"


def test_too_many_pictures_are_refused_before_decoding() -> None:
    with pytest.raises(InvalidRequest, match=f"at most {MAX_PICTURES}") as caught:
        ParsedQuestion(body(*[part(b"no picture")] * (MAX_PICTURES + 1)), 5, ME)
    assert caught.value.param == f"messages[0].content[{MAX_PICTURES}].image_url"
