"""Several models behind one port, as a user starts and switches them."""

from __future__ import annotations

import base64
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Request, expect

from edge.host import available_memory_bytes
from edge.models.registry import write_tiny_quant
from tests.conftest import wait_for
from tests.stack.answer_cache import attempts
from tests.stack.conftest import ASK_S, N_TRIES, Stack, drawing, running
from tests.stack.visitor import ANSWER_MS, AWAITED

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


def question(model: str, i: int) -> dict[str, Any]:
    url = f"data:image/jpeg;base64,{base64.b64encode(drawing(i=i)).decode()}"
    picture = {"type": "image_url", "image_url": {"url": url}}
    content = [picture, {"type": "text", "text": QUESTION}]
    return {"model": model, "messages": [{"role": "user", "content": content}]}


def ask_once(stack: Stack, model: str, i: int) -> httpx.Response:
    """Also if it is refused."""
    url, body = f"{stack.url}/v1/chat/completions", question(model, i)
    return httpx.post(url, json=body, timeout=ASK_S)


def read(reply: httpx.Response) -> tuple[str, str, bool]:
    """Which model answered, its answer, and whether that came from the cache."""
    assert reply.status_code == 200, reply.text
    found = reply.json()
    answer = found["choices"][0]["message"]["content"]
    return found["model"], answer, reply.headers["x-cache"] == "hit"


def ask(stack: Stack, model: str, i: int = 0) -> tuple[str, str, bool]:
    """What `read` reads, as soon as a worker of the model is there."""
    for _ in range(N_TRIES):  # a starved one is soon back
        reply = stack.post("/v1/chat/completions", question(model, i))
        if reply.status_code != 404:
            break
        time.sleep(1)
    return read(reply)


def models(stack: Stack) -> Any:
    return stack.get("/v1/models").json()["data"]


def served(stack: Stack, name: str) -> str:
    """Which of two models answers to `name`, when both are there: the other one stands
    in for one that is away for a moment."""
    for _ in range(N_TRIES):
        found, *_ = ask(stack, name)
        if len(models(stack)) == 2:
            break
        time.sleep(1)
    return found


def switch(edge: str, stack: Stack, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [edge, "switch", *words, "--port", str(stack.port)],
        env={"EDGE_DATA_DIR": str(stack.data_dir), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_each_model_answers_under_its_names(two: Stack) -> None:
    names = ("id", "aliases", "quantization")
    wait_for(
        lambda: (
            [tuple(model[name] for name in names) for model in models(two)]
            == [
                ("tiny", ["default", "moving"], "Q8_0"),
                ("tiny-q8", ["gpt-4o"], "Q8_0"),
            ]
        )
    )
    for name, model in (("", "tiny"), ("moving", "tiny"), ("gpt-4o", "tiny-q8")):
        assert served(two, name) == model
        assert "circle" in ask(two, name)[1]


def test_caches_of_two_models_never_mix(two: Stack) -> None:
    for n in attempts(two):
        both = ("tiny", "tiny-q8")
        hits = [[ask(two, model, i=7 + n)[2] for _ in range(2)] for model in both]
        if hits == [[False, True]] * 2:
            break
    assert hits == [[False, True]] * 2


def test_a_switch_between_served_models_is_one_step(edge: str, two: Stack) -> None:
    assert switch(edge, two, "tiny-q8").returncode == 0
    assert served(two, "") == served(two, "moving") == "tiny-q8"
    assert ask(two, "tiny")[0] == "tiny"  # it is still served
    assert switch(edge, two, "--back").returncode == 0
    assert served(two, "") == "tiny"


def test_what_cannot_be_switched_to_is_said(edge: str, two: Stack) -> None:
    ended = switch(edge, two, "unknown")
    assert ended.returncode == 1
    assert "There is no model 'unknown'" in ended.stderr
    assert "tiny serves on" in ended.stderr
    assert switch(edge, two).returncode == 1
    assert served(two, "") == "tiny"


def switch_under_load(edge: str, stack: Stack, *words: str) -> None:
    """To `tiny-f16` and back, while three users ask and all get right answers."""
    over = threading.Event()

    def go_on_asking() -> list[tuple[str, str, bool]]:
        answers = []
        while not over.is_set():
            answers.append(read(ask_once(stack, "", i=len(answers))))
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


@pytest.mark.slow
@pytest.mark.faults
def test_a_model_that_was_given_as_two_paths_comes_back(
    edge: str, folder: Path, tiny: tuple[Path, Path]
) -> None:
    paths = [folder / name for name in ("my-model.gguf", "my-eyes.gguf")]
    for copy, source in zip(paths, tiny, strict=True):
        shutil.copyfile(source, copy)
    options = ("--model", str(paths[0]), "--mmproj", str(paths[1]), "--no-nginx")
    with running(edge, folder, *options) as stack:
        for words, name in ((["tiny-f16"], "tiny-f16"), (["--back"], "my-model")):
            ended = switch(edge, stack, *words)
            assert ended.returncode == 0, ended.stderr
            assert ask(stack, "")[0] == name


@pytest.mark.slow
@pytest.mark.faults
def test_a_model_that_sleeps_and_cannot_be_loaded_is_said(
    edge: str, tmp_path: Path
) -> None:
    """Nothing tries again when nobody asks, and another switch may follow."""
    models = tmp_path / "data" / "models"
    write_tiny_quant("tiny-q8", models)
    options = ("--model", "tiny", "--model", "tiny-q8", "--no-nginx")
    with running(edge, tmp_path, *options, idle_unload_s="2") as stack:
        wait_for(lambda: stack.said().count("stopped") >= 2, 60)
        file = models / "tiny-q8.gguf"
        file.rename(models / "away")
        ended = switch(edge, stack, "tiny-q8")
        assert ended.returncode == 1
        assert "It loads, about" in ended.stderr
        assert "tiny-q8 is not in" in ended.stderr
        assert "tiny serves on" in ended.stderr
        (models / "away").rename(file)
        ended = switch(edge, stack, "tiny-q8")
        assert (ended.returncode, ask(stack, "")[0]) == (0, "tiny-q8")


@pytest.mark.slow
@pytest.mark.faults
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
        wait_for(lambda: stack.get("/api/ps").json() == {"models": []})
        wait_for(lambda: [one["id"] for one in models(stack)] == ["tiny"])
        assert stack.get("/ready").status_code == 200
        assert ask(stack, "", i=3)[0] == "tiny"
        wait_for(lambda: stack.said().count("ready, tiny") >= 2)


@pytest.mark.slow
@pytest.mark.faults
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
                asked = pool.submit(ask_once, stack, name, n)
                time.sleep(0.3)  # it loads for that
                assert switch(edge, stack, name).returncode == 0
                assert "circle" in read(asked.result())[1]
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
            assert "circle" in read(ask_once(stack, "", i=5))[1]
            assert switching.result().returncode == 0


@pytest.mark.browser
def test_the_page_asks_the_model_that_was_chosen(two: Stack, browser: Browser) -> None:
    page = browser.new_page()
    page.goto(two.url)
    sent = []
    for n, model in enumerate(("tiny", "tiny-q8"), 1):
        page.get_by_role("button", name="More", exact=True).click()
        page.locator("#more-model").select_option(model)
        page.locator("dialog button.main").click()
        expect(page.locator(".model").first).to_have_text(model)
        text = f"What is this, in picture {n}?"

        def asks_it(request: Request, text: str = text) -> bool:
            """Not the one before it again."""
            return text in (request.post_data or "").rpartition('"role"')[2]

        with page.expect_request(asks_it) as request:
            page.locator("textarea").first.fill(text)
            page.keyboard.press("Enter")
        sent.append(request.value.post_data_json.get("model"))
        expect(page.locator(".answer")).to_have_count(n)
        expect(page.locator(AWAITED)).to_have_count(0, timeout=ANSWER_MS)
    assert sent == [None, "tiny-q8"]  # without a name: the default, whichever it is
