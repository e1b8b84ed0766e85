"""Files with pages in questions, over a real Redis and a stub of the engine."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import re
import resource
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest
from PIL import Image

from edge.jobs import keys
from edge.request import Request
from tests.images.pdf_files import drawn, pdf, text_page
from tests.images.test_pdf import COLOURS, plain
from tests.test_images import encode
from tests.ui.api_harness import ApiHarness, api_harness, code_of, text_of
from tests.ui.pictures import part as picture_part
from ui import strict_json
from ui.body import Bodies
from ui.question import MAX_PAGES, MAX_PICTURES

pytestmark = pytest.mark.redis
THREE = drawn(*plain(*COLOURS))
TOOLS = [{"type": "function", "function": {"name": "count"}}]
PAGE_EVENT = re.compile('^: progress ({"stage": "page", .*})$', re.M)
WORDS = text_page(b"Total 42.50 EUR")


def url(file: bytes) -> str:
    return "data:application/pdf;base64," + base64.b64encode(file).decode()


def file_part(file: bytes, **more: str) -> dict[str, Any]:
    return {"type": "file", "file": {"file_data": url(file)} | more}


def asks(*parts: dict[str, Any], **more: Any) -> dict[str, Any]:
    content = [*parts, {"type": "text", "text": "What is it?"}]
    return {"messages": [{"role": "user", "content": content}]} | more


@pytest.fixture
async def web(broker_url: str) -> AsyncIterator[ApiHarness]:
    async with api_harness(broker_url) as one:
        yield one


@pytest.fixture
def sent(web: ApiHarness, monkeypatch: pytest.MonkeyPatch) -> list[Request]:
    """The requests that are put into the queue from now on."""
    found: list[Request] = []
    jobs = web.client._jobs
    enqueue = jobs.enqueue

    async def recorded(job_id: str, request: Request, *args: Any, **more: Any) -> None:
        found.append(request)
        await enqueue(job_id, request, *args, **more)

    monkeypatch.setattr(jobs, "enqueue", recorded)
    return found


Ask = Callable[..., Awaitable[Request]]


@pytest.fixture
async def ask(web: ApiHarness, sent: list[Request]) -> AsyncIterator[Ask]:
    """Asks with these parts, and gives the request that they become."""

    async def ask(*parts: dict[str, Any], **more: Any) -> Request:
        reply = await web.post(**asks(*parts, **more))
        assert reply.status_code == 200, reply.text
        return sent[-1]

    async with web.working():
        yield ask


async def test_all_pages_are_pictures_of_one_question(ask: Ask) -> None:
    request = await ask(file_part(THREE, filename="offer.pdf"))
    content = request.messages[0].content
    assert content[::2] == (
        "offer.pdf, page 1 of 3:\n",
        "offer.pdf, page 2 of 3:\n",
        "offer.pdf, page 3 of 3:\n",
        "What is it?",
    )
    assert len(set(request.pictures)) == 3
    assert not any(ref.is_first for ref in request.pictures)


@pytest.mark.parametrize(
    ("pages", "expected"),
    [("2", [2]), ("2-", [2, 3]), ("1-2", [1, 2]), ("3,1", [1, 3]), ("2-99", [2, 3])],
)
async def test_pages_can_be_chosen(pages: str, expected: list[int], ask: Ask) -> None:
    whole = await ask(file_part(THREE))
    request = await ask(file_part(THREE, pages=pages))
    assert list(request.pictures) == [whole.pictures[n - 1] for n in expected]


@pytest.mark.parametrize("pages", ["0", "4", "3-2", "a", "1 2", "1-2-3", ",", "-1"])
async def test_other_pages_are_refused(web: ApiHarness, pages: str) -> None:
    reply = await web.post(**asks(file_part(THREE, pages=pages)))
    assert code_of(reply) == (400, "invalid_request")
    error = reply.json()["error"]
    assert error["param"] == "messages[0].content[0].file.pages"
    assert web.live == []


async def test_more_pages_than_a_prompt_has_room_for_are_refused_before_work(
    web: ApiHarness,
) -> None:
    reply = await web.post(**asks(file_part(drawn(*plain(*["red"] * 9)))))
    assert code_of(reply) == (400, "invalid_request")
    assert "9 pages" in reply.json()["error"]["message"]
    assert web.sync.keys(keys.JOB("*")) == []


CLAIMS = pdf(
    [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1048574>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>",
    ]
)


async def test_a_number_of_pages_that_a_file_claims_makes_no_work(
    web: ApiHarness,
) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    replies = [
        await web.post(**asks(*[file_part(CLAIMS)] * MAX_PICTURES)),
        await web.post(**asks(*[file_part(CLAIMS)] * MAX_PAGES, per_page=True)),
        (await shown(web, file_data=url(CLAIMS)))[0],
    ]
    for reply in replies:
        assert code_of(reply) == (400, "invalid_request")
        error = reply.json()["error"]
        assert "This file has 1048574 pages; at most" in error["message"]
        assert error["param"].endswith("file.pages")
    assert web.sync.keys(keys.JOB("*")) == []
    after = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    assert after - before < 10  # one picture for each would take longer


async def test_the_text_layer_is_given_along(ask: Ask) -> None:
    layer = "\nText layer of this page:\nTotal 42.50 EUR\n"
    auto = await ask(file_part(WORDS))
    assert auto.messages[0].content == (auto.pictures[0], layer, "What is it?")
    never = await ask(file_part(WORDS, text_layer="never"))
    assert never.messages[0].content == (auto.pictures[0], "What is it?")
    only = await ask(file_part(WORDS, text_layer="only"))
    assert only.messages[0].content == (layer, "What is it?")


async def test_a_page_without_text_is_not_asked_about_by_its_text(
    web: ApiHarness,
) -> None:
    reply = await web.post(**asks(file_part(THREE, pages="2", text_layer="only")))
    assert code_of(reply) == (400, "invalid_request")
    assert "Page 2 of 3 has no text layer" in reply.json()["error"]["message"]
    await web.until(lambda: web.live == [])


async def test_a_picture_may_be_sent_as_a_file(ask: Ask) -> None:
    png = encode(plain("red")[0], "PNG")
    as_file = await ask(file_part(png))
    as_picture = await ask(picture_part(png))
    assert as_file.messages == as_picture.messages


async def test_a_pdf_in_the_place_of_a_picture_is_refused_with_a_hint(
    web: ApiHarness,
) -> None:
    reply = await web.post(**asks(picture_part(THREE)))
    assert code_of(reply) == (400, "invalid_image")
    assert 'type "file"' in reply.json()["error"]["message"]


@pytest.mark.parametrize(
    ("file", "code"),
    [
        ({"file_id": "file-1"}, "unsupported_parameter"),
        ({"file_data": "https://a/b.pdf"}, "url_not_allowed"),
        ({"file_data": url(b"%PDF-1.7 nothing")}, "invalid_image"),
        ({"file_data": url(b"plain text")}, "invalid_image"),
        ({"file_data": "data:application/pdf;base64,???"}, "invalid_image"),
        ({"file_data": url(THREE), "text_layer": "yes"}, "invalid_request"),
        ({}, "invalid_request"),
    ],
)
async def test_other_files_are_refused(
    web: ApiHarness, file: dict[str, str], code: str
) -> None:
    reply = await web.post(**asks({"type": "file", "file": file}))
    assert code_of(reply) == (400, code)
    assert reply.json()["error"]["param"].startswith("messages[0].content[0]")
    await web.until(lambda: web.live == [])


# --- other APIs -----------------------------------------------------------------------


async def test_the_responses_api_takes_files(
    web: ApiHarness, sent: list[Request]
) -> None:
    part = {"type": "input_file", "filename": "a.pdf", "file_data": url(THREE)}
    item = {"role": "user", "content": [part, {"type": "input_text", "text": "What?"}]}
    async with web.working():
        reply = await web.http.post("/v1/responses", json={"input": [item]})
    assert reply.status_code == 200, reply.text
    assert len(sent[-1].pictures) == 3
    part["pages"] = "7"
    reply = await web.http.post("/v1/responses", json={"input": [item]})
    assert reply.json()["error"]["param"] == "input[0].content[0].pages"


async def test_the_messages_api_takes_documents(
    web: ApiHarness, sent: list[Request]
) -> None:
    data = base64.b64encode(THREE).decode()
    source = {"type": "base64", "media_type": "application/pdf", "data": data}
    block = {"type": "document", "source": source, "pages": "2-3"}
    body = asks(block, max_tokens=5)
    async with web.working():
        reply = await web.http.post("/v1/messages", json=body)
    assert reply.status_code == 200, reply.text
    assert len(sent[-1].pictures) == 2
    source["data"] = base64.b64encode(b"%PDF-1.7").decode()
    reply = await web.http.post("/v1/messages", json=body)
    assert reply.status_code == 400
    assert "damaged" in reply.json()["error"]["message"]


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/messages"])
async def test_they_refuse_answers_per_page_by_name(web: ApiHarness, path: str) -> None:
    body = asks(per_page=True, max_tokens=5)
    if path == "/v1/responses":
        body = {"input": "x", "per_page": True}
    reply = await web.http.post(path, json=body)
    assert reply.status_code == 400
    assert "per_page" in reply.json()["error"]["message"]


async def test_large_bodies_of_all_routes_wait_for_one_another(
    web: ApiHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    load, work, to_thread = strict_json.load, Bodies.work, asyncio.to_thread
    came: list[object] = []
    begun: list[object] = []
    n_begun: list[int] = []  # when each one is read
    both_came = threading.Event()

    async def counts(self: Bodies, n_bytes: int, build: Callable[[], Any]) -> Any:
        came.append(build)
        if len(came) == 2:  # when this one has to wait for the other, or has begun
            asyncio.get_running_loop().call_soon(both_came.set)
        return await work(self, n_bytes, build)

    async def begins(build: Callable[..., Any], *args: Any) -> Any:
        begun.extend([build] if build in came else [])
        return await to_thread(build, *args)

    def reads(data: bytearray) -> Any:
        assert both_came.wait(60)
        n_begun.append(len(begun))
        return load(data)

    monkeypatch.setattr(Bodies, "work", counts)
    monkeypatch.setattr(asyncio, "to_thread", begins)
    monkeypatch.setattr(strict_json, "load", reads)
    large = {"file": {"file_data": "x" * (2 << 20)}}
    paths = ("/v1/chat/completions", "/v1/pages")
    replies = await asyncio.gather(*(web.http.post(at, json=large) for at in paths))
    assert [reply.status_code for reply in replies] == [400, 400]
    assert n_begun == [1, 2]


# --- one answer for each page ---------------------------------------------------------


async def test_each_page_is_a_job_and_has_an_answer(
    web: ApiHarness, sent: list[Request]
) -> None:
    async with web.working():
        reply = await web.post(**asks(file_part(THREE), per_page=True))
    body = reply.json()
    text = body["choices"][0]["message"]["content"]
    assert text.startswith("## Page 1 of 3\n\n0 1 2")
    assert "\n\n## Page 3 of 3\n\n0 1 2" in text
    assert [page["page"] for page in body["pages"]] == [
        f"Page {n} of 3" for n in (1, 2, 3)
    ]
    assert body["usage"]["completion_tokens"] == 30
    assert "x-job-id" not in reply.headers
    assert [len(request.pictures) for request in sent] == [1, 1, 1]
    assert [request.messages[0].content[1:] for request in sent] == [
        ("What is it?",)
    ] * 3


@pytest.mark.parametrize("stream", [False, True])
async def test_a_question_with_pages_is_counted_once(
    web: ApiHarness, stream: bool
) -> None:
    body = asks(file_part(THREE), per_page=True, max_tokens=10, stream=stream)
    value = web.client.metrics.registry.get_sample_value
    async with web.working():
        assert (await web.post(**body)).status_code == 200
    assert value("edge_requests_total", {"outcome": "finished", "code": ""}) == 1
    assert value("edge_tokens_total", {"kind": "answer"}) == 30
    counts = {"queue": 3, "tpot": 3, "ttft": 1, "e2e": 1}
    assert counts == {n: value(f"edge_{n}_seconds_count") for n in counts}
    refused = await web.post(**body | {"model": "unknown"})
    assert code_of(refused) == (404, "model_not_found")
    names = {"outcome": "refused", "code": "model_not_found"}
    assert value("edge_requests_total", names) == 1


async def test_pages_whose_client_leaves_are_one_cancelled_question(
    web: ApiHarness,
) -> None:
    def n_ended(outcome: str) -> float | None:
        names = {"outcome": outcome, "code": "cancelled" * (outcome == "cancelled")}
        return web.client.metrics.registry.get_sample_value(
            "edge_requests_total", names
        )

    asking = web.asking(**asks(file_part(THREE), per_page=True, stream=True))
    await web.until(lambda: len(web.waiting) == 1)
    await asyncio.to_thread(web.relay.answer)
    await web.until(lambda: len(web.waiting) == 1)
    asking.cancel()
    await web.until(lambda: n_ended("cancelled"))
    assert (n_ended("cancelled"), n_ended("finished")) == (1, 0)


async def test_so_has_each_picture_and_those_before_stay(
    web: ApiHarness, sent: list[Request]
) -> None:
    red, blue = (encode(plain(colour)[0], "PNG") for colour in ("red", "blue"))
    before = {"role": "user", "content": [picture_part(red)]}
    said = {"role": "assistant", "content": "red"}
    last = asks(picture_part(red), picture_part(blue))["messages"]
    body = {"messages": [before, said, *last], "per_page": True}
    async with web.working():
        reply = await web.post(**body)
    pages = [page["page"] for page in reply.json()["pages"]]
    assert pages == ["Picture 1", "Picture 2"]
    assert [len(request.pictures) for request in sent] == [2, 2]


async def test_more_pages_than_a_prompt_has_room_for(web: ApiHarness) -> None:
    file = drawn(*plain(*COLOURS * MAX_PICTURES)[: MAX_PICTURES + 2])
    async with web.working():
        reply = await web.post(**asks(file_part(file), per_page=True, stream=True))
    assert text_of(reply).count("## Page") == MAX_PICTURES + 2


async def test_one_page_at_a_time_is_in_the_queue_and_others_come_between(
    web: ApiHarness, sent: list[Request]
) -> None:
    pages = web.asking(**asks(file_part(THREE), per_page=True))
    await web.until(lambda: len(web.waiting) == 1)
    others = [
        web.asking(text=name, address=address)
        for name, address in (("one", "10.0.0.2"), ("two", "10.0.0.3"))
    ]
    await web.until(lambda: len(web.waiting) == 3)
    first, *of_others = web.waiting
    await asyncio.to_thread(web.relay.answer)
    await web.until(lambda: len(web.waiting) == 3)
    assert web.waiting[:2] == of_others  # the second page is behind them
    assert first not in web.waiting
    async with web.working():
        replies = await asyncio.gather(pages, *others)
    assert [reply.status_code for reply in replies] == [200] * 3
    assert len(sent) == 5


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_leaves_ends_the_page_and_those_behind_it(
    web: ApiHarness, stream: bool, sent: list[Request]
) -> None:
    asking = web.asking(**asks(file_part(THREE), per_page=True, stream=stream))
    await web.until(lambda: len(web.waiting) == 1)
    await asyncio.to_thread(web.relay.answer)
    await web.until(lambda: len(web.waiting) == 1)
    asking.cancel()
    await web.until(lambda: web.live == [])
    await web.until(lambda: web.client.pages_in_flight._held == {})
    await asyncio.sleep(0.2)
    assert len(sent) == 2


async def test_the_page_that_is_answered_can_be_cancelled(web: ApiHarness) -> None:
    """Also where it would go on without its client."""
    asks_three = asks(file_part(THREE), per_page=True, stream=True)
    asking = web.asking(**asks_three, headers={"idempotency-key": "abc"})
    await web.until(lambda: len(web.waiting) == 1)
    [first] = web.waiting
    await asyncio.to_thread(web.relay.answer)
    await web.until(lambda: len(web.waiting) == 1)
    [second] = web.waiting
    assert (await web.http.delete(f"/v1/jobs/{second}")).status_code == 200
    reply = await asking
    names = [json.loads(one)["job_id"] for one in PAGE_EVENT.findall(reply.text)]
    assert names == [first, second]
    assert web.live == []


async def test_it_goes_on_where_its_client_had_left(
    web: ApiHarness, sent: list[Request]
) -> None:
    """With the same key the finished pages are not computed again."""
    body = asks(file_part(THREE), per_page=True, stream=True)
    named = {"idempotency-key": "abc"}
    async with web.working():
        whole = text_of(await web.post(**body, headers=named))
        n_jobs = len(sent)
        have = whole.index("## Page 2") + 12
        again = await web.post(**body, headers=named | {"last-event-id": str(have)})
    assert whole[:have] + text_of(again) == whole
    assert n_jobs == len(sent) == 3


async def test_a_page_that_cannot_be_read_ends_the_stream_with_its_error(
    web: ApiHarness,
) -> None:
    cut = THREE.replace(b"/Count 3", b"/Count 9")
    async with web.working():
        body = asks(file_part(cut, pages="3-4"), per_page=True, stream=True)
        reply = await web.post(**body)
    if reply.status_code == 200:
        assert '"error"' in reply.text and "## Page 3" in text_of(reply)
    else:
        assert code_of(reply)[0] == 400


@pytest.mark.parametrize("more", [{"tools": TOOLS}, {"logprobs": True}])
async def test_what_cannot_be_joined_is_refused(
    web: ApiHarness, more: dict[str, Any]
) -> None:
    reply = await web.post(**asks(file_part(THREE), per_page=True, **more))
    assert code_of(reply) == (400, "unsupported_parameter")


async def test_answers_per_page_need_pages(web: ApiHarness) -> None:
    reply: httpx.Response = await web.post(per_page=True)
    assert code_of(reply) == (400, "invalid_request")


# --- pages to look at -----------------------------------------------------------------


async def shown(web: ApiHarness, **file: str) -> tuple[httpx.Response, list[Any]]:
    reply = await web.http.post("/v1/pages", json={"file": file})
    frames = [frame[6:] for frame in reply.text.split("\n\n") if frame[:5] == "data:"]
    return reply, [json.loads(frame) for frame in frames if frame != "[DONE]"]


async def test_the_pages_of_a_document_are_shown_as_pictures(web: ApiHarness) -> None:
    reply, pages = await shown(web, file_data=url(THREE), filename="a.pdf", pages="2-")
    assert reply.text.endswith("data: [DONE]\n\n")
    assert [(page["page"], page["n_pages"]) for page in pages] == [(2, 3), (3, 3)]
    assert pages[0]["label"] == "a.pdf, page 2 of 3"
    with Image.open(io.BytesIO(base64.b64decode(pages[1]["url"][22:]))) as image:
        assert (image.format, image.size) == ("PNG", (128, 96))
    assert web.client.pages_in_flight._held == {}


async def test_a_shown_page_is_the_picture_that_would_be_asked_about(
    web: ApiHarness, ask: Ask
) -> None:
    _, [page] = await shown(web, file_data=url(THREE), pages="2")
    picture = {"type": "image_url", "image_url": {"url": page["url"]}}
    of_file = await ask(file_part(THREE, pages="2"))
    assert of_file.pictures == (await ask(picture)).pictures
    # in which `box_px` are
    [ref] = of_file.pictures
    assert (page["width"], page["height"]) == (ref.width, ref.height)


@pytest.mark.parametrize(
    ("file", "param"),
    [
        ({"file_data": url(b"%PDF-1.7")}, "file"),
        ({"file_data": url(THREE), "pages": "4"}, "file.pages"),
        ({"file_id": "file-1"}, "file.file_id"),
        ({}, "file.file_data"),
    ],
)
async def test_a_wrong_document_is_not_shown(
    web: ApiHarness, file: dict[str, str], param: str
) -> None:
    reply, _ = await shown(web, **file)
    assert reply.status_code == 400
    assert reply.json()["error"]["param"] == param
    assert web.client.pages_in_flight._held == {}
