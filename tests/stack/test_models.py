"""Several models behind one port, as a user starts and switches them."""

from __future__ import annotations

import base64
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, expect

from edge.host import available_memory_bytes
from edge.models.registry import write_tiny_quant
from tests.conftest import wait_for
from tests.stack.answer_cache import attempts
from tests.stack.conftest import Stack, drawing, running

pytestmark = pytest.mark.stack

QUESTION = "What shape is this?"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    one = tmp_path_factory.mktemp("models")
    for name in ("tiny-q8", "tiny-f16"):
        write_tiny_quant(name, one / "data" / "models")
    return one


@pytest.fixture(scope="module")
def two(edge: str, folder: Path) -> Iterator[Stack]:
    """`tiny` by default, `tiny-q8` beside it."""
    options = ("--model", "tiny", "--model", "tiny-q8", "--no-nginx")
    aliases = "gpt-4o=tiny-q8, moving=default"
    with running(edge, folder, *options, aliases=aliases) as one:
        yield one


def ask(stack: Stack, model: str, i: int = 0) -> tuple[str, str, bool]:
    """Which model answered, its answer, and whether that came from the cache."""
    url = f"data:image/jpeg;base64,{base64.b64encode(drawing(i=i)).decode()}"
    picture = {"type": "image_url", "image_url": {"url": url}}
    content = [picture, {"type": "text", "text": QUESTION}]
    body = {"model": model, "messages": [{"role": "user", "content": content}]}
    reply = httpx.post(f"{stack.url}/v1/chat/completions", json=body, timeout=60)
    assert reply.status_code == 200, reply.text
    found = reply.json()
    answer = found["choices"][0]["message"]["content"]
    return found["model"], answer, reply.headers["x-cache"] == "hit"


def switch(edge: str, stack: Stack, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [edge, "switch", *words, "--port", str(stack.port)],
        env={"EDGE_DATA_DIR": str(stack.data_dir), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_each_model_answers_under_its_names(two: Stack) -> None:
    models = httpx.get(f"{two.url}/v1/models").json()["data"]
    assert [m["id"] for m in models] == ["tiny", "tiny-q8"]
    assert [m["aliases"] for m in models] == [["default", "moving"], ["gpt-4o"]]
    assert [m["quantization"] for m in models] == ["Q8_0", "Q8_0"]
    for name, model in (("", "tiny"), ("moving", "tiny"), ("gpt-4o", "tiny-q8")):
        served, answer, _ = ask(two, name)
        assert served == model
        assert "circle" in answer


def test_caches_of_two_models_never_mix(two: Stack) -> None:
    for n in attempts(two):
        models = ("tiny", "tiny-q8")
        hits = [[ask(two, model, i=7 + n)[2] for _ in range(2)] for model in models]
        if hits == [[False, True]] * 2:
            break
    assert hits == [[False, True]] * 2


def test_a_switch_between_served_models_is_one_step(edge: str, two: Stack) -> None:
    assert switch(edge, two, "tiny-q8").returncode == 0
    assert ask(two, "")[0] == ask(two, "moving")[0] == "tiny-q8"
    assert ask(two, "tiny")[0] == "tiny"  # it is still served
    assert switch(edge, two, "--back").returncode == 0
    assert ask(two, "")[0] == "tiny"


def test_what_cannot_be_switched_to_is_said(edge: str, two: Stack) -> None:
    ended = switch(edge, two, "unknown")
    assert ended.returncode == 1
    assert "There is no model 'unknown'" in ended.stderr
    assert "tiny serves on" in ended.stderr
    assert switch(edge, two).returncode == 1
    assert ask(two, "")[0] == "tiny"


def switch_under_load(edge: str, stack: Stack, *words: str) -> None:
    """To `tiny-f16` and back, while three users ask and all get right answers."""
    over = threading.Event()

    def go_on_asking() -> list[tuple[str, str, bool]]:
        answers = []
        while not over.is_set():
            answers.append(ask(stack, "", i=len(answers)))
        return answers

    with ThreadPoolExecutor(3) as pool:
        users = [pool.submit(go_on_asking) for _ in range(3)]
        try:
            both = ("tiny-f16", "--back")
            ended = [switch(edge, stack, name, *words) for name in both]
        finally:
            over.set()
    answers = [answer for user in users for answer in user.result()]
    assert [one.returncode for one in ended] == [0, 0], ended
    assert {model for model, *_ in answers} == {"tiny", "tiny-f16"}
    assert all("circle" in answer for _, answer, _ in answers)


def test_no_question_is_lost_in_a_switch(edge: str, folder: Path) -> None:
    with running(edge, folder, "--no-nginx", answer_cache="off") as stack:
        switch_under_load(edge, stack)


def test_what_does_not_fit_beside_the_old_model_is_offered_with_a_gap(
    edge: str, folder: Path
) -> None:
    """Each may take six tenths of the free memory, of which it needs little."""
    settings = {"embeddings_mb": str(available_memory_bytes() * 6 // 10**7)}
    settings["answer_cache"] = "off"
    with running(edge, folder, "--no-nginx", **settings) as stack:
        refused = switch(edge, stack, "tiny-f16")
        assert refused.returncode == 1
        assert "It would fit alone: `edge switch tiny-f16 --with-gap`" in refused.stderr
        assert "tiny serves on" in refused.stderr
        switch_under_load(edge, stack, "--with-gap")


def test_an_idle_model_leaves_memory_and_comes_back(edge: str, folder: Path) -> None:
    with running(edge, folder, "--no-nginx", idle_unload_s="2") as stack:
        wait_for(lambda: "sleeps" in stack.said(), 60)
        wait_for(lambda: "stopped" in stack.said(), 60)
        assert httpx.get(f"{stack.url}/api/ps").json() == {"models": []}
        [model] = httpx.get(f"{stack.url}/v1/models").json()["data"]
        assert model["id"] == "tiny"
        assert httpx.get(f"{stack.url}/ready").status_code == 200
        assert ask(stack, "", i=3)[0] == "tiny"
        wait_for(lambda: stack.said().count("ready, tiny") == 2)


def test_a_switch_waits_for_a_model_that_wakes_or_falls_asleep(
    edge: str, folder: Path
) -> None:
    options = ("--model", "tiny", "--model", "tiny-q8", "--no-nginx")
    with running(edge, folder, *options, idle_unload_s="2") as stack:
        n_slept = 0
        for n in range(4):
            name = ("tiny-q8", "tiny")[n % 2]
            wait_for(lambda n=n_slept: stack.said().count("sleeps") > n, 60)
            if n >= 2:  # in the moment in which it leaves memory
                assert switch(edge, stack, name).returncode == 0
            with ThreadPoolExecutor(2) as pool:
                asked = pool.submit(ask, stack, name, n)
                time.sleep(0.3)  # it loads for that
                assert switch(edge, stack, name).returncode == 0
                assert "circle" in asked.result()[1]
            n_slept = stack.said().count("sleeps")  # the next one sleeps after this
            assert "circle" in ask(stack, "", i=10 + n)[1]
        assert "a step of a model failed" not in stack.said()


def test_a_sleeping_default_answers_what_comes_during_a_switch(
    edge: str, folder: Path
) -> None:
    with running(edge, folder, "--no-nginx", idle_unload_s="2") as stack:
        wait_for(lambda: "stopped" in stack.said(), 60)
        with ThreadPoolExecutor(1) as pool:
            switching = pool.submit(switch, edge, stack, "tiny-f16")
            wait_for(lambda: "worker-tiny-f16" in stack.said(), 60)
            began = time.monotonic()
            assert "circle" in ask(stack, "", i=5)[1]
            assert time.monotonic() - began < 60
            assert switching.result().returncode == 0


@pytest.mark.browser
def test_the_page_asks_the_model_that_was_chosen(two: Stack, browser: Browser) -> None:
    page = browser.new_page()
    page.goto(two.url)
    sent = []
    for model in ("tiny", "tiny-q8"):
        page.get_by_role("button", name="More", exact=True).click()
        page.locator("#more-model").select_option(model)
        page.locator("dialog button.main").click()
        expect(page.locator(".model").first).to_have_text(model)
        with page.expect_request("**/chat/completions") as request:
            page.locator("textarea").first.fill("What is this?")
            page.keyboard.press("Enter")
        sent.append(request.value.post_data_json.get("model"))
        page.wait_for_timeout(3000)  # for the answer
    assert sent == [None, "tiny-q8"]  # without a name: the default, whichever it is
