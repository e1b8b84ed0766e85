"""Reranking over a real Redis, with the stub behind it: each plus says yes."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

import httpx
import pytest
from PIL import Image

from edge.events import Failed, Queued
from edge.jobs import keys
from edge.jobs.estimate import Pace
from edge.jobs.fleet import CAPABILITIES
from edge.qwen3vl import rerank
from tests.images.pdf_files import drawn, text_page
from tests.images.test_pdf import plain
from tests.jobs.jobs_harness import caller
from tests.test_images import encode
from tests.ui.api_harness import POOL, ApiHarness, code_of
from tests.ui.pictures import part, png
from ui.body import parse
from ui.event_streams import NumberedEvents
from ui.field_names import FieldNames
from ui.openai.body import ChatBody
from ui.parsed_question import ParsedQuestion
from ui.question import MAX_COMPARED, MAX_PICTURES
from ui.reply_in_one import ReplyInOne
from ui.rerank.body import RerankBody
from ui.sse import DONE, KEEP_ALIVE
from ui.strict_json import MAX_TEXT

DOCUMENTS = ["one +", "none", "three +++", "two ++"]


@pytest.fixture
def web(web: ApiHarness) -> ApiHarness:
    web.beat("here-1", n_slots=1, capabilities=CAPABILITIES)
    return web


async def ask(
    web: ApiHarness, path: str = "/v1/rerank", **given: Any
) -> httpx.Response:
    body = {"query": "which has most?", "documents": DOCUMENTS} | given
    return await web.http.post(path, json=body)


def png_url() -> str:
    url: str = part(png())["image_url"]["url"]
    return url


def pages_of(file: bytes, **more: str) -> dict[str, Any]:
    data = "data:application/pdf;base64," + base64.b64encode(file).decode()
    return {"type": "file", "file": {"file_data": data} | more}


def chat_body(**given: Any) -> ChatBody:
    return RerankBody.model_validate(given).chat_body(FieldNames())


@pytest.mark.redis
async def test_the_best_document_comes_first(web: ApiHarness) -> None:
    async with web.working():
        reply = (await ask(web)).json()
        best = (await ask(web, top_n=1, return_documents=True)).json()
    assert [each["index"] for each in reply["results"]] == [2, 3, 0, 1]
    scores = [each["relevance_score"] for each in reply["results"]]
    assert scores == pytest.approx([rerank.probability(n) for n in (3, 2, 1, 0)])
    assert "document" not in reply["results"][0]
    assert (reply["model"], reply["object"]) == ("stub", "list")
    assert reply["usage"]["prompt_tokens"] > 4 * len(rerank.SYSTEM)
    assert reply["meta"]["tokens"]["input_tokens"] == reply["usage"]["prompt_tokens"]
    [first] = best["results"]
    assert (first["index"], first["document"]) == (2, {"text": "three +++"})


@pytest.mark.redis
async def test_report_d_gets_scores_in_its_order(web: ApiHarness) -> None:
    documents = [{"text": text} for text in DOCUMENTS]
    async with web.working():
        found = await ask(
            web, "/api/rerank", query={"text": "most?"}, documents=documents
        )
    expected = [rerank.probability(n) for n in (1, 0, 3, 2)]
    assert found.json()["scores"] == pytest.approx(expected)


@pytest.mark.redis
async def test_pictures_are_queries_and_documents(web: ApiHarness) -> None:
    url = png_url()
    documents = [
        {"image": url, "text": "++"},
        {"image": url.partition(",")[2]},
        {"image_url": {"url": url}},
        {"content": [part(png()), {"type": "text", "text": "+"}]},
        [{"type": "text", "text": "+++"}, part(png(), detail="high")],
        part(png()),
    ]
    async with web.working():
        found = await ask(
            web, query={"image": url}, documents=documents, return_documents=True
        )
    assert found.status_code == 200, found.text
    results = found.json()["results"]
    assert [each["index"] for each in results] == [4, 0, 3, 1, 2, 5]
    assert results[0]["document"] == {"text": "+++"}  # pictures are not sent back


@pytest.mark.redis
async def test_a_picture_may_be_as_large_as_a_photo(web: ApiHarness) -> None:
    noise = Image.effect_noise((700, 700), 90).convert("RGB")
    photo = "data:image/png;base64," + base64.b64encode(encode(noise, "PNG")).decode()
    assert len(photo) > MAX_TEXT
    async with web.working():
        for sent in (photo, {"url": photo}, photo.partition(",")[2]):
            found = await ask(web, documents=["+", {"image": sent}])
            assert found.status_code == 200, found.text


@pytest.mark.redis
@pytest.mark.parametrize(
    ("given", "order"),
    [
        ({"top_n": 99}, [2, 3, 0, 1]),
        ({"top_n": 2.0}, [2, 3]),
        ({"top_k": 1}, [2]),  # Voyage's name
        ({"documents": ["+", "+", "++", "+"]}, [2, 0, 1, 3]),
        ({"documents": ["", {}, "+"]}, [2, 0, 1]),
        ({"documents": [{"text": "+", "title": "++"}, {"text": "++"}]}, [1, 0]),
        ({"documents": [{"text": "a+", "image": png_url()}, {"text": "b"}]}, [0, 1]),
        (
            {"raw_scores": False, "return_text": False, "truncation": False},
            [2, 3, 0, 1],
        ),
    ],
)
async def test_forms_of_other_servers(
    web: ApiHarness, given: dict[str, Any], order: list[int]
) -> None:
    async with web.working():
        reply = await ask(web, **given)
    assert reply.status_code == 200, reply.text
    assert [each["index"] for each in reply.json()["results"]] == order
    assert "warnings" not in reply.json()["meta"]


@pytest.mark.redis
@pytest.mark.parametrize("name", ["max_tokens_per_doc", "max_chunks_per_doc"])
async def test_a_bound_that_cuts_nothing_is_warned_of(
    web: ApiHarness, name: str
) -> None:
    async with web.working():
        reply = await ask(web, **{name: 512})
    assert reply.status_code == 200
    [warning] = reply.json()["meta"]["warnings"]
    assert name in warning


@pytest.mark.redis
async def test_it_is_one_job_and_one_known_answer(web: ApiHarness) -> None:
    async with web.working():
        first = await ask(web)
        second = await ask(web, top_n=2)
        other = await ask(web, instruction="Find the fewest.")
    assert first.headers["x-cache"] == "miss"
    assert len(first.headers["x-job-id"].split(",")) == 1
    assert second.headers["x-cache"] == "hit"
    assert len(second.json()["results"]) == 2
    assert other.headers["x-cache"] == "miss"


@pytest.mark.redis
async def test_its_size_is_known_before_it_runs(web: ApiHarness) -> None:
    """What the prompts have in common is computed once, so it counts once."""
    asking = asyncio.create_task(ask(web))
    await web.until(lambda: web.waiting)
    [job_id] = web.waiting
    unchecked = web.jobs.unchecked(1)
    assert unchecked is not None
    prepared = web.engine.check(unchecked.request)
    web.jobs.accept(job_id, prepared.n_prompt, prepared.n_image, prepared.n_encode)
    async with web.working(checks=False):
        reply = (await asking).json()
    n_common = len(rerank.SYSTEM)
    assert prepared.n_prompt < reply["usage"]["prompt_tokens"] - 3 * n_common


@pytest.mark.redis
async def test_its_cost_is_learned(web: ApiHarness) -> None:
    async with web.working():
        for n in range(3):
            assert (await ask(web, documents=["a"] * (n + 1))).status_code == 200
    pace = Pace.read(web.sync.get(keys.PACE(POOL)))
    assert (pace.n_compared, pace.n_jobs) == (3, 0)
    assert pace.answer_tokens == Pace().answer_tokens


@pytest.mark.redis
async def test_progress_is_in_the_events_of_its_job(
    web: ApiHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.engine.batch.SHOW_S", 0.0)
    asking = asyncio.create_task(ask(web, documents=["+"] * 20))
    await web.until(lambda: web.waiting)
    [job_id] = web.waiting
    following = asyncio.create_task(web.http.get(f"/v1/jobs/{job_id}/events"))
    await web.until(lambda: web.client.subscriptions._n_open == 2)
    async with web.working():
        reply = await asking
        events = (await following).text
    assert reply.status_code == 200
    assert '"stage": "prefill", "done"' in events, events


@pytest.mark.redis
@pytest.mark.parametrize("path", ["/v1/rerank", "/api/rerank", "/v1/embeddings"])
async def test_a_stream_has_progress_and_then_the_whole_body(
    web: ApiHarness, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """With the id of its job before its end."""
    monkeypatch.setattr("edge.engine.batch.SHOW_S", 0.0)
    texts = ["+", "+++", "none"] * 7
    sent: dict[str, Any] = {"query": "most?", "documents": texts}
    if path == "/v1/embeddings":
        sent = {"input": texts}
    job_id = ""
    async with web.working():
        body = {**sent, "stream": True}
        async with web.http.stream("POST", path, json=body) as streamed:
            job_id = streamed.headers["x-job-id"]
            lines = [line async for line in streamed.aiter_lines() if line]
        whole = (await web.http.post(path, json=sent)).json()  # from the cache
    assert streamed.headers["content-type"].startswith("text/event-stream")
    assert any('"stage": "prefill", "done"' in line for line in lines), lines
    assert all(line.startswith(":") for line in lines[:-2]), lines
    last, done = (line.removeprefix("data: ") for line in lines[-2:])
    assert done == "[DONE]"
    found = json.loads(last)
    for each in (found, whole):
        each["usage"].pop("cached_tokens", None)
        del each["timings"]
        each.pop("id", None)
    assert found == whole
    assert (await web.http.get(f"/v1/jobs/{job_id}")).json()["status"] == "finished"


async def test_a_stream_that_fails_ends_with_the_error() -> None:
    """Of the field that its client sent."""

    async def events() -> NumberedEvents:
        yield 0, Queued(2, 3.0)
        yield 0, None
        yield 0, Failed("invalid_request", "messages[1] is odd.", "messages[1]")

    names = FieldNames()
    names.add("messages[1]", "documents[0]")
    reply = ReplyInOne(lambda answer: {"never": answer}, names)
    progress, quiet, error, done = [
        line async for line in reply.stream(events(), include_usage=False)
    ]
    assert progress.startswith(': progress {"stage": "queue", "position": 2')
    assert (quiet, done) == (KEEP_ALIVE, DONE)
    said = json.loads(error.removeprefix("data: "))["error"]
    assert (said["param"], said["message"]) == ("documents[0]", "documents[0] is odd.")


@pytest.mark.redis
async def test_a_client_that_leaves_ends_it(web: ApiHarness) -> None:
    asking = asyncio.create_task(ask(web))
    await web.followed()
    asking.cancel()
    await web.until(lambda: not web.live)


@pytest.mark.redis
@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({"documents": []}, "documents"),
        ({"documents": ["a"] * 129}, "documents"),
        ({"documents": ["a", 5]}, "documents[1]"),
        ({"documents": ["a", {"image": "data:image/png;base64,AAAA"}]}, None),
        (
            {"documents": ["a", {"image": "https://else.where/a.png"}]},
            "documents[1].image",
        ),
        ({"documents": ["a", "x" * 50_000]}, "documents[1]"),
        ({"query": "x" * 200_001}, "query"),
        ({"top_n": 0}, "top_n"),
        ({"top_n": -1}, "top_n"),
        ({"top_n": "two"}, "top_n"),
        ({"documents": ["a"] * 1001}, "documents"),
        ({"documents": ["a", {"title": "b"}]}, "documents[1]"),
        ({"documents": ["a", None]}, "documents[1]"),
        ({"documents": {"0": "a"}}, "documents"),
        ({"texts": ["a"]}, "texts"),
        ({"raw_scores": True}, "raw_scores"),
        ({"rank_fields": ["a"]}, "rank_fields"),
        ({"colour": "red"}, "colour"),
        ({"model": "other"}, "model"),
    ],
)
async def test_a_wrong_body_is_refused_by_name(
    web: ApiHarness, given: dict[str, Any], param: str | None
) -> None:
    async with web.working():
        found = await ask(web, **given)
    assert 400 <= found.status_code < 500
    error = found.json()["error"]
    if param:
        assert error["param"] == param
    assert not web.live


@pytest.mark.redis
async def test_errors_of_its_other_path_have_the_shape_of_that_api(
    web: ApiHarness,
) -> None:
    found = await ask(web, "/api/rerank", documents=[])
    assert isinstance(found.json()["error"], str)


@pytest.mark.redis
async def test_a_model_that_cannot_is_refused(web: ApiHarness) -> None:
    web.beat("here-1", n_slots=1, capabilities=("chat",))
    found = await ask(web, model="stub")
    assert code_of(found) == (400, "invalid_request")
    assert "rerank" in found.json()["error"]["message"]


def test_the_prompt_is_the_published_one() -> None:
    """Source: Qwen3-VL-Embedding, `src/models/qwen3_vl_reranker.py`."""
    url = "data:image/png;base64,AAAA"
    body = chat_body(query="a cat", documents=["text", {"image": url, "text": "b"}, ""])
    texts = [
        "".join(getattr(one, "text", "<picture>") for one in message.content)
        if isinstance(message.content, list)
        else message.content
        for message in body.messages
    ]
    assert texts == [
        "Judge whether the Document meets the requirements based on the Query and the "
        'Instruct provided. Note that the answer can only be "yes" or "no".',
        "<Instruct>: Given a search query, retrieve relevant candidates that answer "
        "the query.<Query>:a cat",
        "\n<Document>:text",
        "\n<Document>:<picture>b",
        "\n<Document>:NULL",
    ]


def test_many_pictures_and_pages_get_fewer_tokens() -> None:
    def details(n: int, file: bytes) -> set[str]:
        body = chat_body(query=part(png()), documents=[pages_of(file)] * n)
        question = ParsedQuestion(body, 1, caller("me"), wants="score")
        for document in question.documents:
            question.choose(document, 2)
        question.open()
        return {one.detail for one in question.pictures}

    file = drawn(*plain("red", "blue"))
    assert details((MAX_PICTURES - 1) // 2, file) == {"auto"}
    assert details(MAX_PICTURES // 2, file) == {"low"}


@pytest.mark.redis
async def test_pages_are_queries_and_documents(web: ApiHarness) -> None:
    documents = [
        pages_of(text_page(b"one +")),
        {"content": [pages_of(text_page(b"two ++")), part(png())]},
        [pages_of(drawn(*plain("red", "blue")), pages="2")],
        "+++",
    ]
    query = pages_of(text_page(b"which has most?"), filename="query.pdf")
    async with web.working():
        found = await ask(web, query=query, documents=documents)
        again = await ask(web, query=query, documents=[documents[0], "+++", "++++"])
        absent = await ask(web, documents=["a", pages_of(png(), pages="3")])
        many = pages_of(drawn(*plain(*["red"] * (MAX_COMPARED + 1))))
        too_many = await ask(web, documents=["a", many])
    assert found.status_code == 200, found.text
    assert [each["index"] for each in found.json()["results"]] == [3, 1, 0, 2]
    # what else is compared does not change a score
    scores = {
        each["index"]: each["relevance_score"] for each in again.json()["results"]
    }
    assert scores[0] == found.json()["results"][2]["relevance_score"]
    for refused in (absent, too_many):
        assert refused.status_code == 400
        assert refused.json()["error"]["param"].startswith("documents[1].")
    assert "per_page" not in too_many.json()["error"]["message"]


@pytest.mark.redis
async def test_pictures_have_a_bound(web: ApiHarness) -> None:
    documents = [part(png())] * (MAX_COMPARED + 1)
    found = await ask(web, documents=documents)
    assert found.status_code == 400
    assert str(MAX_COMPARED) in found.json()["error"]["message"]


def test_unknown_fields_that_change_nothing_are_ignored() -> None:
    data = bytearray(b'{"query":"a","documents":["b"],"user":"me","rank_fields":null}')
    parse(RerankBody, data).chat_body(FieldNames())
