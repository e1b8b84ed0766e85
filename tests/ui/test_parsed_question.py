"""A body of the API becomes a question: its text, its pictures, its refusals."""

from __future__ import annotations

import base64
import tracemalloc
from typing import Any

import pytest

from edge.caller import ANONYMOUS, Caller
from edge.errors import EdgeError, InvalidPicture, InvalidRequest, UrlNotAllowed
from tests.ui.pictures import STUB, part, png
from ui.decoding import PictureDecoder
from ui.openai.body import ChatBody
from ui.parsed_question import ParsedQuestion
from ui.question import MAX_PAGES, MAX_PICTURES

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


def file_part(**more: Any) -> dict[str, Any]:
    data = base64.b64encode(b"%PDF-1.7").decode()
    return {"type": "file", "file": {"file_data": data} | more}


@pytest.mark.parametrize(
    ("parts", "n_pages", "said"),
    [
        (
            [file_part()],
            [400],
            'This file has 400 pages; at most 100. Choose .* "1-100"',
        ),
        ([file_part(filename="a.pdf")], [1_048_574], "a.pdf has 1048574 pages; at"),
        ([file_part(pages="9-200")], [400], "This file has 192 chosen pages; at"),
        ([part(png()), file_part(), file_part()], [99], 'at most 98 beside .* "1-98"'),
        (
            [file_part(), file_part()],
            [60, 41],
            'at most 40 beside the others. .* "1-40"',
        ),
        ([part(png()), file_part()], [100], "at most 99 beside the others"),
    ],
)
def test_pages_are_counted_before_anything_is_made_of_them(
    parts: list[dict[str, Any]], n_pages: list[int], said: str
) -> None:
    question = ParsedQuestion(body(*parts, per_page=True), 5, ME)
    *before, last = zip(question.documents, n_pages, strict=False)
    for document, n in before:
        question.choose(document, n)
    tracemalloc.start()
    with pytest.raises(InvalidRequest, match=said) as caught:
        question.choose(*last)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 1_000_000
    assert caught.value.param == f"{last[0].param}.pages"


def test_as_many_pages_as_there_is_room_for_are_chosen() -> None:
    question = ParsedQuestion(body(part(png()), file_part(), file_part()), 5, ME)
    first, second = question.documents
    with pytest.raises(InvalidRequest, match=r'at most 6 .* "1-6", or send per_page'):
        question.choose(first, 7)
    question.choose(first, 6)
    with pytest.raises(InvalidRequest, match=r'at most 1 .* as in "1", or'):
        question.choose(second, 2)
    question.choose(second, 1)
    question.open()
    assert len(question.pictures) == MAX_PICTURES


@pytest.mark.parametrize(
    ("most", "given"), [(MAX_PICTURES, {}), (MAX_PAGES, {"per_page": True})]
)
def test_more_files_than_can_succeed_are_not_counted(
    most: int, given: dict[str, Any]
) -> None:
    ParsedQuestion(body(part(png()), *[file_part()] * (most - 1), **given), 5, ME)
    for more in (file_part(), part(png())):
        parts = [part(png()), *[file_part()] * (most - 1), more]
        with pytest.raises(InvalidRequest, match=f"at most {most}") as caught:
            ParsedQuestion(body(*parts, **given), 5, ME)
        field = f"messages[0].content[{most}].{more['type']}"
        assert caught.value.param == field


def test_too_many_pictures_beside_each_page_are_blamed_on_their_messages() -> None:
    earlier = {"role": "user", "content": [part(png())] * MAX_PICTURES}
    last = {"role": "user", "content": [part(png())]}
    messages = {"messages": [earlier, last], "per_page": True}
    question = ParsedQuestion(ChatBody.model_validate(messages), 5, ME)
    with pytest.raises(InvalidRequest) as caught:
        question.each()
    assert caught.value.param == "messages"


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
