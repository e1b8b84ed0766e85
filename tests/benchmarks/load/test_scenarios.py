"""The scenarios: their defaults and their requests."""

from __future__ import annotations

import base64
import io
import json
import re
import threading
import time

import pytest
from PIL import Image

from benchmarks.load import questions, rerank
from benchmarks.load.questions import Question
from benchmarks.load.scenarios import load_scenario, scenario_names
from edge.errors import SetupError
from tests.benchmarks.load.chat_server import Request, Wire, answer_with, chat_server
from tests.benchmarks.load.load_process import PATIENCE_S, load, start

MANY = 4000
NEAR = 0.03  # four standard deviations of a share of MANY


def test_every_scenario_has_a_description_and_defaults() -> None:
    assert scenario_names() == [
        "aborts",
        "baseline",
        "burst",
        "cache",
        "conversations",
        "curve",
        "extraction",
        "overload",
        "rerank",
        "shared",
        "soak",
        "steady",
        "switch",
        "tail",
    ]
    for name in scenario_names():
        about = load_scenario(name)
        assert about.about.endswith((".", "?"))
        assert about.stages == tuple(sorted(about.stages))
        assert (about.duration_s is None) != (about.requests is None)


def test_the_curve_has_the_stages_of_field_report_a() -> None:
    curve = load_scenario("curve")
    assert curve.stages == (1, 2, 4, 8, 16)
    assert curve.duration_s == 300


def test_an_unknown_scenario_lists_the_known_ones() -> None:
    with pytest.raises(SetupError, match=r"'curv' is not a scenario.*curve"):
        load_scenario("curv")


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_a_mixture_has_its_share_of_text(share: float) -> None:
    kinds = [questions.mixed("run", n, share).kind for n in range(MANY)]
    assert set(kinds) <= {"text", "picture"}
    assert kinds.count("text") / MANY == pytest.approx(share, abs=NEAR)


@pytest.mark.parametrize("rate", [0.0, 0.64])
def test_questions_repeat_at_the_given_rate(rate: float) -> None:
    drawn = [questions.repeating("run", n, rate) for n in range(MANY)]
    asked = [(question.name, question.text) for question in drawn]
    repeated = 1 - len(set(asked)) / MANY
    assert repeated == pytest.approx(rate, abs=NEAR)
    for n in range(100):
        is_repeated = drawn[n].kind == "repeated question"
        assert is_repeated == (asked[n] in asked[:n])
    assert len({question.name for question in drawn}) == questions.N_KNOWN


def test_shared_questions_are_new_and_about_one_picture() -> None:
    drawn = [questions.about_one_picture("run", n) for n in range(50)]
    assert len(set(drawn)) == 50
    assert len({question.name for question in drawn}) == 1
    assert questions.about_one_picture("other", 0).name != drawn[0].name


def test_a_conversation_is_a_picture_and_three_to_five_questions() -> None:
    talks = [questions.conversation("run", n) for n in range(200)]
    assert {len(talk) - 1 for talk in talks} == {3, 4, 5}
    for first, *more in talks:
        assert first.kind == "picture"
        assert {question.kind for question in more} == {"follow-up"}
        assert len({question.text for question in more}) == len(more)


def test_half_of_the_impatient_clients_hang_up_in_mid_stream() -> None:
    patiences = [questions.patience("run", n, 0.5) for n in range(MANY)]
    waiting = [p.hang_up_s for p in patiences if p.hang_up_s is not None]
    streaming = [p.hang_up_pieces for p in patiences if p.hang_up_pieces]
    assert len(waiting) / MANY == pytest.approx(0.25, abs=NEAR)
    assert len(streaming) / MANY == pytest.approx(0.25, abs=NEAR)
    assert not any(p.ends_s for p in (questions.patience("run", 1, 0.0),))


def test_runs_share_neither_pictures_nor_texts() -> None:
    for ask in (questions.text, questions.picture, questions.high_resolution):
        ours = {ask("1/0/0", n) for n in range(50)}
        others = {ask("1/0/1", n) for n in range(50)} | {ask("2/0/0", 1)}
        assert len(ours) == 50
        assert not ours & others


def test_a_question_is_the_same_message_each_time() -> None:
    for question in (questions.picture("run", 1), questions.text("run", 1)):
        assert question.message() == question.message()
    assert Question("text", "why?").message() == {"role": "user", "content": "why?"}


def test_documents_to_rank_are_texts_and_new_pictures() -> None:
    assert rerank.rerank_body("one") == rerank.rerank_body("one")
    pictures = set()
    for n in range(50):
        body = json.loads(rerank.rerank_body(f"run/{n}", "m", {"top_n": 2}))
        assert (body["query"], body["model"], body["top_n"]) == ("a red circle", "m", 2)
        images = [one["image"] for one in body["documents"] if isinstance(one, dict)]
        assert len(images) == 4 and len(body["documents"]) == 8
        pictures.update(images)
    assert len(pictures) == 200
    for image in images:
        data = base64.b64decode(image.partition(",")[2])
        assert Image.open(io.BytesIO(data)).size == (rerank.SIDE, rerank.SIDE)


def test_the_rerank_users_ask_the_reranker() -> None:
    scored = {"results": [{"index": 0, "relevance_score": 1.0}]}
    with chat_server(lambda wire, _: wire.whole(scored)) as server:
        run = load(server.url, "--scenario", "rerank", "--stages", "2", "--requests", 4)
    assert [sample.outcome for sample in run.samples] == ["answered"] * 4
    asked = [request.body["documents"] for request in server.requests]
    assert len(asked) == 4 and all(one not in asked[:i] for i, one in enumerate(asked))


def test_locust_finds_the_users_of_all_scenarios() -> None:
    with start("locust", "-f", "benchmarks/scenarios", "--list") as process:
        out, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0
    listed = {line.strip().lower() for line in out.splitlines()[1:]}
    assert listed == set(scenario_names())


def test_locust_alone_runs_a_scenario() -> None:
    """Without our runner: Locust's users, its options and its statistics."""
    enough = threading.Event()

    def script(wire: Wire, request: Request) -> None:
        answer_with("a")(wire, request)
        if len(server.requests) >= 12:
            enough.set()
            time.sleep(0.1)  # keeps the number of requests low

    words = ["-f", "benchmarks/scenarios/steady.py", "--headless", "--only-summary"]
    words += ["--users", "2", "--spawn-rate", "2", "--text-share", "0.5"]
    with (
        chat_server(script) as server,
        start("locust", *words, "--host", server.url, "--seed", 1) as process,
    ):
        is_enough = enough.wait(PATIENCE_S)
        process.terminate()
        out, errors = process.communicate(timeout=PATIENCE_S)
    assert is_enough, errors
    assert process.returncode == 0, errors
    assert re.search(r"POST +picture +[1-9]", out + errors)
    assert re.search(r"POST +text +[1-9]", out + errors)


def test_locust_alone_runs_the_steps_of_a_burst() -> None:
    all_four = threading.Barrier(4 + 1)

    def script(wire: Wire, request: Request) -> None:
        if len(server.requests) <= 4:
            all_four.wait(PATIENCE_S)
        answer_with("a", pause_s=0.1)(wire, request)

    words = ("-f", "benchmarks/scenarios/burst.py", "--headless")
    with (
        chat_server(script) as server,
        start("locust", *words, "--host", server.url) as process,
    ):
        all_four.wait(PATIENCE_S)  # for the four users of the first step
        process.kill()
        process.communicate(timeout=PATIENCE_S)


def test_a_baseline_alternates_its_questions() -> None:
    with chat_server(answer_with("a")) as server:
        output = load(server.url, "--scenario", "baseline", "--requests", 6)
    kinds = [sample.kind for sample in output.samples]
    assert kinds == ["text", "picture", "high-resolution picture"] * 2
    sizes = [size_of(request.picture) for request in server.requests]
    assert sizes == [None, (800, 600), (1600, 1200)] * 2


def size_of(url: str) -> tuple[int, int] | None:
    if not url:
        return None
    jpeg = base64.b64decode(url.removeprefix("data:image/jpeg;base64,"))
    return Image.open(io.BytesIO(jpeg)).size


def test_a_repeated_question_is_a_cache_hit() -> None:
    def script(wire: Wire, request: Request) -> None:
        asked = request.body["messages"]
        known = asked in [other.body["messages"] for other in server.requests[:-1]]
        wire.begin(**{"X-Cache": "hit" if known else "miss"})
        wire.piece("a")
        wire.finish()

    words = ("--scenario", "cache", "--repeat-rate", 0.5, "--seed", 7)
    with chat_server(script) as server:
        output = load(server.url, *words, "--stages", 1, "--requests", 20)
    asked = [questions.repeating("7/0/0", n, 0.5) for n in range(20)]
    drawn = {(question.name, question.text) for question in asked}
    assert 1 < len(drawn) < 20
    assert [sample.cached for sample in output.samples].count(False) == len(drawn)


def test_a_conversation_includes_earlier_answers() -> None:
    def script(wire: Wire, request: Request) -> None:
        answer_with(f"answer {len(request.body['messages'])}")(wire, request)

    words = ("--scenario", "conversations", "--stages", 2, "--requests", 14)
    with chat_server(script) as server:
        output = load(server.url, *words)
    assert len(server.requests) == 14
    assert {sample.kind for sample in output.samples} == {"picture", "follow-up"}
    for request in server.requests:
        for i, message in enumerate(request.body["messages"]):
            assert message["role"] == ("user", "assistant")[i % 2]
            assert isinstance(message["content"], list) == (i == 0)
            if i % 2:
                assert message["content"] == f"answer {i}"
    lengths = [len(request.body["messages"]) for request in server.requests]
    assert max(lengths) >= 7


def test_aborted_requests_are_not_failures() -> None:
    def script(wire: Wire, request: Request) -> None:
        wire.begin()
        while True:
            wire.piece("a")
            time.sleep(0.2)

    words = ("--scenario", "aborts", "--abort-share", 1, "--seed", 3)
    with chat_server(script) as server:
        output = load(server.url, *words, "--stages", 3, "--requests", 9)
    assert len(server.requests) <= 9
    assert [(s.outcome, s.code) for s in output.samples] == [("aborted", "")] * 9


def test_an_extraction_asks_for_json_with_a_schema() -> None:
    with chat_server(answer_with("{}")) as server:
        load(server.url, "--scenario", "extraction", "--requests", 2, "--stages", 1)
    for request in server.requests:
        wanted = request.body["response_format"]["json_schema"]
        assert len(wanted["schema"]["required"]) == 8
        assert request.picture.startswith("data:image/jpeg")
    assert len({request.picture for request in server.requests}) == 2
