"""PDFs over the whole system: right answers to each page, nobody held up."""

from __future__ import annotations

import asyncio
import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openai import AsyncOpenAI
from PIL import Image
from playwright.sync_api import Browser, expect

from tests.conftest import wait_for
from tests.images.pdf_files import drawn, one_page
from tests.images.test_hostile_pdf import forms
from tests.stack.conftest import Stack, drawing, rounds, running
from tests.stack.test_keys import run
from tests.stack.visitor import ANSWER_MS, visiting

pytestmark = [pytest.mark.stack, pytest.mark.nginx, pytest.mark.model]

WHICH = "What shape is this, and which colour?"
SHAPES = [("red", "circle"), ("blue", "square"), ("green", "triangle")]
ANSWERS = [f"A {colour} {shape}." for colour, shape in SHAPES]


def pages(n: int = 3) -> bytes:
    """A PDF with a drawing on each page."""
    drawings = [drawing(*SHAPES[i % 3][:1], shape=SHAPES[i % 3][1]) for i in range(n)]
    return drawn(*(Image.open(io.BytesIO(one)) for one in drawings))


def asks(file: bytes, **more: str) -> list[dict[str, Any]]:
    data = "data:application/pdf;base64," + base64.b64encode(file).decode()
    part = {"type": "file", "file": {"filename": "a.pdf", "file_data": data} | more}
    return [{"role": "user", "content": [part, {"type": "text", "text": WHICH}]}]


def client_of(stack: Stack, key: str = "unused") -> AsyncOpenAI:
    url, http = f"{stack.url}/v1", stack.async_sdk_client()
    return AsyncOpenAI(base_url=url, api_key=key, max_retries=0, http_client=http)


async def test_each_page_has_its_right_answer(stack: Stack) -> None:
    async with client_of(stack) as client:
        reply = await client.chat.completions.create(
            model="tiny", messages=asks(pages()), extra_body={"per_page": True}
        )
    told = reply.model_extra["pages"]
    assert [page["content"] for page in told] == ANSWERS
    labels = [page["page"] for page in told]
    assert labels == [f"a.pdf, page {n} of 3" for n in (1, 2, 3)]


async def test_one_page_is_asked_about_as_a_picture(stack: Stack) -> None:
    async with client_of(stack) as client:
        reply = await client.chat.completions.create(
            model="tiny", messages=asks(pages(), pages="2")
        )
    assert reply.choices[0].message.content == ANSWERS[1]


@pytest.mark.parametrize(
    "file",
    [
        forms(12, 10),
        b"%PDF-1.7\n" + bytes(1 << 20),
        one_page(trailer=b"/Encrypt<</Filter/X/V 99>>"),
    ],
    ids=["forms in forms", "zeros", "encrypted"],
)
def test_a_hostile_document_costs_a_sentence(stack: Stack, file: bytes) -> None:
    body = {"messages": asks(file), "max_tokens": 5}
    reply = stack.post("/v1/chat/completions", body)
    assert reply.status_code == 400, reply.text
    assert reply.json()["error"]["code"] == "invalid_image"
    assert stack.get("/ready").status_code == 200


# --- two tenants ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def shared(edge: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A stack with one slot, and the keys of two tenants."""
    folder = tmp_path_factory.mktemp("tenants")
    keys = [
        run(edge, folder / "data", "keys", "create", name).strip()
        for name in ("alice", "bob")
    ]
    with running(edge, folder, slots="1") as stack:
        yield stack, keys


async def n_pages_before(one: AsyncOpenAI, other: AsyncOpenAI) -> int:
    """How many of 20 pages were asked before another's question had its answer."""
    text, computed = "", {"cache": "no-store"}  # in each round

    async def ask() -> int:
        reply = await other.chat.completions.create(
            model="tiny", messages=asks(pages(1)), extra_body=computed
        )
        assert reply.choices[0].message.content == ANSWERS[0]
        return text.count("## ")

    asking: asyncio.Task[int] | None = None
    stream = await one.chat.completions.create(
        model="tiny",
        messages=asks(pages(20)),
        stream=True,
        extra_body={"per_page": True} | computed,
    )
    async for chunk in stream:
        text += chunk.choices[0].delta.content or ""
        if text.count("## ") >= 2 and asking is None:
            asking = asyncio.create_task(ask())
    assert asking is not None
    n_pages_then = await asking
    assert text.count("## ") == 20
    return n_pages_then


async def test_a_long_document_holds_nobody_up(shared: Any) -> None:
    """On one slot: another tenant's question is answered between two of its pages."""
    stack, (alice, bob) = shared
    async with client_of(stack, alice) as one, client_of(stack, bob) as other:
        for numbers in rounds(20):
            numbers.append(await n_pages_before(one, other))
    assert min(numbers) < 20


# --- the page -------------------------------------------------------------------------


@pytest.mark.browser
def test_a_person_asks_about_each_page(
    browser: Browser, stack: Stack, tmp_path: Path
) -> None:
    path = tmp_path / "shapes.pdf"
    path.write_bytes(pages())
    with visiting(browser, stack.url) as visitor:
        visitor.choose(path)
        strip = visitor.page.locator(".strip-picture")
        expect(strip).to_have_count(3, timeout=20_000)
        expect(strip.nth(1)).to_have_attribute("title", "shapes.pdf, page 2 of 3")
        visitor.page.get_by_label("One answer for each page").check()
        visitor.ask(WHICH)
        answer = visitor.answers.last
        for text in ANSWERS:
            expect(answer).to_contain_text(text, timeout=ANSWER_MS)
        expect(answer.locator("h2")).to_have_text(
            [f"shapes.pdf, page {n} of 3" for n in (1, 2, 3)]
        )
        visitor.wait_done()


@pytest.mark.browser
def test_a_long_document_is_asked_about_page_by_page(
    browser: Browser, stack: Stack, tmp_path: Path
) -> None:
    path = tmp_path / "long.pdf"
    path.write_bytes(pages(10))
    with visiting(browser, stack.url) as visitor:
        visitor.choose(path)
        expect(visitor.page.locator(".strip-picture")).to_have_count(10, timeout=30_000)
        choice = visitor.page.get_by_label("One answer for each page")
        expect(choice).to_be_checked()
        expect(choice).to_be_disabled()  # they do not fit into one question


@pytest.mark.browser
def test_the_pages_of_a_tiff_are_pictures_too(
    browser: Browser, stack: Stack, tmp_path: Path
) -> None:
    several, single = tmp_path / "scan.tif", tmp_path / "one.tif"
    first, *others = (Image.new("RGB", (640, 480), name) for name in ("red", "blue"))
    first.save(several, save_all=True, append_images=others)
    first.save(single)
    with visiting(browser, stack.url) as visitor:
        visitor.choose(several)
        strip = visitor.page.locator(".strip-picture")
        expect(strip).to_have_count(2, timeout=20_000)
        expect(strip.nth(1)).to_have_attribute("title", "scan.tif, page 2 of 2")
        visitor.choose(single)
        expect(strip).to_have_count(3, timeout=20_000)
        expect(strip.nth(2)).to_have_attribute("title", "one.tif")


@pytest.mark.browser
def test_stop_ends_the_page_that_is_being_answered(
    browser: Browser, slow_stack: Stack, tmp_path: Path
) -> None:
    path = tmp_path / "shapes.pdf"
    path.write_bytes(pages())

    def n_running() -> int:
        status = slow_stack.get("/v1/status").json()
        return int(status["running"] + status["waiting"])

    with visiting(browser, slow_stack.url) as visitor:
        visitor.choose(path)
        expect(visitor.page.locator(".strip-picture")).to_have_count(3, timeout=20_000)
        visitor.page.get_by_label("One answer for each page").check()
        visitor.ask(WHICH)
        expect(visitor.answers.last).to_contain_text("page 1 of 3", timeout=ANSWER_MS)
        wait_for(lambda: n_running() == 1)
        visitor.stop.click()
        wait_for(lambda: n_running() == 0)
        visitor.page.wait_for_timeout(3000)  # nor is another page asked
        assert n_running() == 0
        expect(visitor.page.get_by_text("Stopped after")).to_be_visible()


@pytest.mark.browser
def test_a_damaged_document_is_refused_in_a_sentence(
    browser: Browser, stack: Stack, tmp_path: Path
) -> None:
    path = tmp_path / "cut.pdf"
    path.write_bytes(b"%PDF-1.7\nnothing")
    with visiting(browser, stack.url) as visitor:
        visitor.choose(path)
        hint = visitor.page.locator("#composer .hint")
        expect(hint).to_contain_text("cut.pdf could not be read", timeout=20_000)
