"""The contract of Runtime and VisionTower, for the stubs and all backends."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import replace

import jsonschema
import numpy as np
import pytest

from edge.engine.engine import Engine
from edge.engine.protocols import Runtime, VisionTower
from edge.engine.sequence import n_equal
from edge.engine.step import MOST_GUESSED, PictureSpan, Span, Step, TextSpan
from edge.errors import Cancelled, EngineError, InvalidRequest, SetupError
from edge.events import Failed, Finished, Token
from edge.images import Picture
from edge.llamacpp.model import Model
from edge.llamacpp.vision import MtmdTower
from edge.qwen3vl.positions import picture_positions
from edge.request import Message, Request, SamplingParams
from edge.schemas.reading import read
from edge.stubs.runtime import StubRuntime
from tests.contract.conftest import Pair

GREEDY = SamplingParams()


def noise(seed: int, width: int = 96, height: int = 64) -> Picture:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3))
    return Picture(width, height, pixels.astype(np.uint8).tobytes())


def run(runtime: Runtime, *spans: Span) -> list[int]:
    """The tokens that a step of these spans gives, slot by slot."""
    sampled = sorted(runtime.run(Step(spans)), key=lambda each: each.slot)
    assert not any(isinstance(each.tokens, EngineError) for each in sampled)
    return [token for each in sampled for token in each.tokens]


def prompt(runtime: Runtime, slot: int, text: str) -> TextSpan:
    """All of `text`; what follows it is wanted."""
    tokens = tuple(runtime.tokenize(text, special=False))
    return TextSpan(slot, 0, tokens, wanted=(len(tokens) - 1,))


def decode(slot: int, token: int, position: int) -> TextSpan:
    return TextSpan(slot, position, (token,), wanted=(0,))


def answer(
    runtime: Runtime,
    slot: int,
    text: str,
    n: int,
    guess: Callable[[int], Iterable[int]] = lambda n_before: (),
    *,
    ends: bool = True,
) -> list[int]:
    """At least the first `n` tokens of the answer to `text`, but none after its end if
    it `ends`. `guess` gives the guesses behind the first tokens of the answer."""
    asked = prompt(runtime, slot, text)
    tokens, n_fed = run(runtime, asked), 0
    while len(tokens) < n and not (ends and tokens[-1] in runtime.ends):
        known = tokens[n_fed:]
        fed = (*known, *guess(len(tokens)))
        start = asked.n_tokens + n_fed
        wanted = tuple(range(len(known) - 1, len(fed)))
        tokens += run(runtime, TextSpan(slot, start, fed, wanted))
        n_fed += n_equal(fed, tokens[n_fed:])
        runtime.rewind(slot, asked.n_tokens + n_fed)
    return tokens


SCHEMA = {
    "type": "object",
    "properties": {
        "colour": {"enum": ["red", "blue", "绿"]},
        "large": {"type": "boolean"},
        "title": {"type": "string", "maxLength": 5},
    },
    "required": ["colour", "large", "title"],
    "additionalProperties": False,
}


class Stuck:
    """A constraint that nothing fits."""

    def forced(self) -> list[int]:
        return []

    def allows(self, token: int) -> bool:
        return False

    def allowed(self) -> np.ndarray:
        raise EngineError("Nothing fits.")

    def accept(self, token: int) -> None:
        raise AssertionError


TEXTS = [
    "a red circle",
    "请描述这张图片的内容。",
    "<|im_end|>",
    "a\x00b",
    "🙂",
    " \n\t",
    "é",
]


@pytest.mark.parametrize("text", TEXTS)
def test_pieces_of_tokens_give_the_text_back(pair: Pair, text: str) -> None:
    runtime, _ = pair
    tokens = runtime.tokenize(text, special=False)
    assert b"".join(map(runtime.piece, tokens)) == text.encode()


def test_only_the_template_makes_control_tokens(pair: Pair) -> None:
    runtime, _ = pair
    [end] = runtime.tokenize("<|im_end|>", special=True)
    assert end in runtime.ends
    assert runtime.piece(end) == b""
    plain = runtime.tokenize("<|im_end|>", special=False)
    assert len(plain) > 1
    assert not set(plain) & set(runtime.ends)


def test_empty_text_has_no_tokens(pair: Pair) -> None:
    assert pair[0].tokenize("", special=False) == []


def test_each_wanted_token_is_followed_by_one(pair: Pair) -> None:
    runtime, _ = pair
    for slot in range(3):
        runtime.open(slot, GREEDY)
    [token, *_] = runtime.tokenize("word", special=False)
    wanted = [(0,), (), (0,)]
    step = Step(tuple(TextSpan(n, 0, (token,), wanted[n]) for n in range(3)))
    assert sorted(each.slot for each in runtime.run(step)) == [0, 2]


def test_guesses_are_sampled_as_far_as_they_are_right(pair: Pair) -> None:
    runtime, _ = pair
    runtime.open(0, GREEDY)
    real = answer(runtime, 0, "what is it", 5)
    start = len(runtime.tokenize("what is it", special=False))
    wrong = (real[1] + 1) % 256
    for guesses, n_tokens in (
        (real[1:4], 4),
        ([real[1], wrong, real[3]], 2),
        ([wrong, *real[2:4]], 1),
    ):
        runtime.rewind(0, start)
        fed = (real[0], *guesses)
        assert (
            run(runtime, TextSpan(0, start, fed, (0, 1, 2, 3))) == real[1:][:n_tokens]
        )


# Few tokens to draw from: the sums of their probabilities lie far apart.
SAMPLINGS = [
    SamplingParams(),
    SamplingParams(repeat_penalty=1.3, presence_penalty=0.5),
    SamplingParams(temperature=1.2, top_k=20, top_p=0.95),
    SamplingParams(temperature=1.2, top_k=20, frequency_penalty=0.8),
]


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("has_schema", [False, True])
def test_an_answer_is_the_same_with_right_and_wrong_guesses(
    pair: Pair, sampling: SamplingParams, has_schema: bool
) -> None:
    """Also with penalties, at a temperature and within a schema: nothing sees a
    rejected guess.

    OpenVINO's int8 kernels for one row and for several round differently, by up to a
    tenth of the logits' deviation: tokens that are nearly as likely may differ there,
    with guesses as in company. So only the exact runtimes are compared. Even their
    logits differ by 0.0005, and one random number in a thousand falls between two sums.
    """
    runtime, _ = pair
    if runtime.name == "openvino int8":
        return
    if has_schema:
        sampling = replace(sampling, grammar=read(SCHEMA))
    seeds = range(7, 10) if sampling.temperature else [None]
    n_same = sum(
        _is_same_with_guesses(runtime, replace(sampling, seed=seed)) for seed in seeds
    )
    assert n_same >= (len(seeds) + 1) // 2


def _is_same_with_guesses(runtime: Runtime, sampling: SamplingParams) -> bool:
    def answered(guess: Callable[[int], Iterable[int]]) -> list[int]:
        runtime.open(0, sampling, runtime.check(sampling))
        tokens = answer(runtime, 0, "what is it", 40, guess)
        runtime.release(0)
        return tokens[:40]

    real = answered(lambda n: ())
    body = real[:-1] if real[-1] in runtime.ends else real  # no guess ends an answer
    right = answered(lambda n: body[n : n + MOST_GUESSED])
    wrong = answered(lambda n: [*body[n : n + n % 3], 5, *body[n + 1 : n + 3]])
    return right == wrong == real


def test_after_a_rewind_the_same_tokens_follow(
    pair: Pair,
) -> None:
    runtime, _ = pair
    text = (
        "a question of more tokens than one block of the cache may hold, twice as long"
    )
    n_prompt = len(runtime.tokenize(text, special=False))
    for n in (0, 1, 3):  # tokens of the answer that stay
        runtime.open(0, GREEDY)
        first = answer(runtime, 0, text, 5, ends=False)
        # four of them were fed back: a wrong end is written, and taken back too
        runtime.rewind(0, n_prompt + n)
        wrong = TextSpan(0, n_prompt + n, tuple(reversed(first)))
        run(runtime, wrong)
        runtime.rewind(0, n_prompt + n)
        again = run(runtime, decode(0, first[n], n_prompt + n))
        assert again == [first[n + 1]]
        runtime.release(0)


def test_a_rewind_leaves_slots_that_share_cells_intact(
    pair: Pair,
) -> None:
    """The slot that is rewound shares what it writes over."""
    runtime, _ = pair
    tokens = tuple(
        runtime.tokenize("one beginning " * 8 + "and its end", special=False)
    )
    last = len(tokens) - 1
    whole = TextSpan(0, 0, tokens, wanted=(last,))
    runtime.open(0, GREEDY)
    [expected] = run(runtime, whole)
    runtime.open(1, GREEDY)
    runtime.share(0, 1, last)
    runtime.rewind(1, 40)
    run(runtime, TextSpan(1, 40, tuple(reversed(tokens[40:]))))
    runtime.open(2, GREEDY)
    runtime.share(0, 2, 40)
    assert run(runtime, TextSpan(2, 40, tokens[40:], (last - 40,))) == [expected]
    runtime.rewind(0, last)
    assert run(runtime, decode(0, tokens[last], last)) == [expected]
    runtime.rewind(1, 40)
    assert run(runtime, TextSpan(1, 40, tokens[40:], (last - 40,))) == [expected]


def picture_span(tower: VisionTower, slot: int, start: int, seed: int) -> PictureSpan:
    picture = noise(seed)
    rows, columns = tower.grid(picture.width, picture.height)
    positions = picture_positions(start, rows, columns)
    return PictureSpan(slot, tower.embed(picture), positions)


def after_picture(runtime: Runtime, slot: int, span: PictureSpan) -> TextSpan:
    """A question behind a picture that begins at position 0."""
    tokens = tuple(runtime.tokenize("what?", special=False))
    start = int(span.positions.max()) + 1
    return TextSpan(slot, start, tokens, wanted=(len(tokens) - 1,))


def test_a_mixed_step_gives_the_tokens_of_separate_steps(pair: Pair) -> None:
    """Of an answer, a prompt, a picture, and a picture between two texts."""
    runtime, tower = pair
    one = picture_span(tower, 2, 0, seed=5)
    behind = after_picture(runtime, 2, one)
    before = TextSpan(3, 0, tuple(runtime.tokenize("look:", special=False)))
    other = picture_span(tower, 3, before.n_tokens, seed=6)
    end = after_picture(runtime, 3, other)
    prompts = prompt(runtime, 0, "first question"), prompt(runtime, 1, "a second one")

    def open_all() -> TextSpan:
        """All slots; the first one is answering."""
        for slot in range(4):
            runtime.open(slot, GREEDY)
        [token] = run(runtime, prompts[0])
        return decode(0, token, prompts[0].n_tokens)

    answering = open_all()
    alone = [
        run(runtime, answering),
        run(runtime, prompts[1]),
        [*run(runtime, one), *run(runtime, behind)],
        [*run(runtime, before), *run(runtime, other), *run(runtime, end)],
    ]
    for slot in range(4):
        runtime.release(slot)
    mixed = run(runtime, open_all(), prompts[1], one, before, other, end)
    mixed[2:2] = run(runtime, behind)
    assert [[token] for token in mixed] == alone


def test_greedy_answers_repeat_in_every_slot(pair: Pair) -> None:
    runtime, _ = pair
    answers = []
    for slot in (0, 1, 2, 3, 0):
        runtime.open(slot, GREEDY)
        answers.append(answer(runtime, slot, "what is it", 8))
        runtime.release(slot)
    assert len({tuple(tokens) for tokens in answers}) == 1


def test_slots_do_not_influence_each_other(pair: Pair) -> None:
    runtime, _ = pair
    runtime.open(0, GREEDY)
    alone = answer(runtime, 0, "first question", 6)
    runtime.release(0)
    runtime.open(0, GREEDY)
    runtime.open(1, GREEDY)
    run(runtime, prompt(runtime, 1, "another question altogether"))
    assert answer(runtime, 0, "first question", 6) == alone


def test_a_shared_prefix_equals_a_computed_one(pair: Pair) -> None:
    runtime, _ = pair
    tokens = tuple(runtime.tokenize("one beginning and two ends", special=False))

    def computed(slot: int, begin: int) -> list[int]:
        wanted = (len(tokens) - 1 - begin,)
        answered = run(runtime, TextSpan(slot, begin, tokens[begin:], wanted))
        for at in range(len(tokens), len(tokens) + 5):
            answered += run(runtime, decode(slot, answered[-1], at))
        return answered

    runtime.open(0, GREEDY)
    alone = computed(0, 0)
    runtime.open(1, GREEDY)
    runtime.share(0, 1, 7)
    runtime.release(0)  # its cells live on in slot 1
    runtime.open(2, GREEDY)
    runtime.share(1, 2, 7)
    assert computed(1, 7) == computed(2, 7) == alone


@pytest.mark.parametrize(
    ("grammar", "param"),
    [
        ('{"type": "nonsense"}', "response_format"),
        ("[" * 5000, None),  # a grammar may come from several fields
        ("no grammar", None),
    ],
)
def test_an_unusable_grammar_is_refused(
    pair: Pair, grammar: str, param: str | None
) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        pair[0].check(SamplingParams(grammar=grammar))
    assert refusal.value.param == param


@pytest.mark.parametrize("temperature", [0.0, 1.5])
def test_an_answer_fits_its_schema(pair: Pair, temperature: float) -> None:
    runtime, _ = pair
    sampling = SamplingParams(grammar=read(SCHEMA), temperature=temperature)
    runtime.open(0, sampling, runtime.check(sampling))
    [*tokens, end] = answer(runtime, 0, "what is it", 200)
    assert end in runtime.ends
    text = b"".join(map(runtime.piece, tokens))
    jsonschema.validate(json.loads(text), SCHEMA)


def test_an_answer_that_cannot_continue_fails_alone(pair: Pair) -> None:
    runtime, _ = pair
    if isinstance(runtime, StubRuntime):
        impossible = Stuck()
    else:
        sampling = SamplingParams(grammar=read(SCHEMA))
        impossible = runtime.check(sampling)
        impossible._left_s = -1e9  # its budget of time is spent
    runtime.open(0, GREEDY, impossible)
    runtime.open(1, GREEDY)
    token = runtime.tokenize("?", special=False)[0]
    sampled = runtime.run(Step((decode(0, token, 0), decode(1, token, 0))))
    by_slot = {each.slot: each.tokens for each in sampled}
    assert isinstance(by_slot[0], EngineError)
    assert isinstance(by_slot[1], tuple)


def test_a_slot_that_failed_to_open_can_be_released(pair: Pair) -> None:
    runtime, _ = pair
    if isinstance(runtime, StubRuntime):
        return  # it opens for anybody
    with pytest.raises(InvalidRequest):
        runtime.open(0, SamplingParams(logit_bias=((10**8, 1.0),)))
    runtime.release(0)
    runtime.open(0, GREEDY)
    assert len(answer(runtime, 0, "what is it", 3)) == 3


def test_a_released_slot_frees_its_cells(pair: Pair) -> None:
    runtime, _ = pair
    for _ in range(3 * runtime.n_cells // 100):
        runtime.open(0, GREEDY)
        run(runtime, prompt(runtime, 0, "a" * 90))
        runtime.release(0)


def test_embeddings_have_one_row_for_each_image_token(pair: Pair) -> None:
    _, tower = pair
    for width, height in ((96, 64), (64, 96), (1, 1), (500, 40), (640, 480)):
        rows, columns = tower.grid(width, height)
        embeddings = tower.embed(noise(1, width, height))
        assert embeddings.shape[0] == rows * columns
        assert embeddings.dtype == np.float16
        assert np.isfinite(embeddings).all()


def test_only_equal_pictures_have_equal_embeddings(pair: Pair) -> None:
    _, tower = pair
    first, again, other = (tower.embed(noise(seed)) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.allclose(first, other)


def test_a_tower_calls_each_pause_in_order_and_then_continues(pair: Pair) -> None:
    _, tower = pair
    whole = tower.embed(noise(4))
    running = threading.Lock()
    n_pauses = []
    for _ in range(2):
        pauses = []

        def pause(pauses: list[int] = pauses) -> None:
            with running:  # never two at once
                pauses.append(len(pauses))

        assert np.array_equal(tower.embed(noise(4), pause), whole)
        n_pauses.append(len(pauses))
    assert n_pauses[0] == n_pauses[1]
    assert n_pauses[0] == tower.n_stages - 1


@pytest.mark.parametrize("at", [0, 2])
def test_what_a_pause_raises_ends_the_picture_and_the_next_is_whole(
    pair: Pair, at: int
) -> None:
    _, tower = pair
    whole = tower.embed(noise(4))
    n_pauses = 0

    def pause() -> None:
        nonlocal n_pauses
        n_pauses += 1
        if n_pauses > at:
            raise Cancelled("enough")

    if tower.n_stages > 1:
        with pytest.raises(Cancelled, match="enough"):
            tower.embed(noise(5), pause)
        assert n_pauses == at + 1
    assert np.array_equal(tower.embed(noise(4)), whole)


def test_another_thread_computes_while_a_picture_pauses(pair: Pair) -> None:
    runtime, tower = pair
    runtime.open(0, GREEDY)
    alone = answer(runtime, 0, "what is it", 4)
    runtime.release(0)
    whole = tower.embed(noise(4))
    is_paused, may_proceed = threading.Semaphore(0), threading.Semaphore(0)
    found = []

    def pause() -> None:
        is_paused.release()
        assert may_proceed.acquire(timeout=120)

    def embed() -> None:
        found.append(tower.embed(noise(4), pause))
        is_paused.release()

    thread = threading.Thread(target=embed)
    thread.start()
    while assert_acquired(is_paused) and not found:
        runtime.open(0, GREEDY)
        assert answer(runtime, 0, "what is it", 4) == alone
        runtime.release(0)
        may_proceed.release()
    thread.join()
    assert np.array_equal(found[0], whole)


def assert_acquired(semaphore: threading.Semaphore) -> bool:
    assert semaphore.acquire(timeout=120)
    return True


def test_a_picture_may_be_computed_in_parts(pair: Pair) -> None:
    runtime, tower = pair
    picture = noise(3)
    embeddings = tower.embed(picture)
    rows, columns = tower.grid(picture.width, picture.height)
    positions = picture_positions(0, rows, columns)
    last = runtime.tokenize("?", special=False)[-1]
    answers = []
    for n in (len(embeddings), 4, 1):
        runtime.open(0, GREEDY)
        for at in range(0, len(embeddings), n):
            part = slice(at, at + n)
            span = PictureSpan(0, embeddings[part], positions[:, part])
            assert not runtime.run(Step((span,)))
        answers += run(runtime, decode(0, last, max(rows, columns)))
        runtime.release(0)
    assert len(set(answers)) == 1


def test_a_seed_makes_sampling_repeatable(pair: Pair) -> None:
    runtime, _ = pair
    drawn = []
    for _ in range(2):
        runtime.open(0, SamplingParams(temperature=1.5, top_p=0.99, seed=42))
        drawn.append(answer(runtime, 0, "once more", 12))
        runtime.release(0)
    assert drawn[0] == drawn[1]


def test_an_engine_answers_with_each_pair(pair: Pair) -> None:
    runtime, tower = pair
    picture = noise(4)
    request = Request(
        (Message("user", (picture.ref, "what?")),), SamplingParams(max_tokens=12)
    )
    with closing(Engine(runtime, tower, chunk_tokens=32)) as engine:
        ticket = engine.submit(request, {picture.ref.sha256: picture})
        seen = []
        while not seen or not isinstance(seen[-1], Finished | Failed):
            seen.append(ticket.next(timeout_s=20))
    text = "".join(event.text for event in seen if isinstance(event, Token))
    assert seen[-1].answer.text == text != ""


@pytest.mark.model
@pytest.mark.parametrize("damage", ["missing", "empty", "text", "half"])
def test_a_damaged_model_file_is_one_clear_sentence(tiny, tmp_path, damage) -> None:
    path = tmp_path / "model.gguf"
    whole = tiny[0].read_bytes()
    contents = {
        "empty": b"",
        "text": b"<html>404</html>",
        "half": whole[: len(whole) // 2],
    }
    if damage in contents:
        path.write_bytes(contents[damage])
    with pytest.raises(SetupError, match=r"model\.gguf"):
        Model(path)


@pytest.mark.model
def test_a_language_model_is_not_a_vision_file(tiny) -> None:
    with closing(Model(tiny[0])) as model, pytest.raises(SetupError, match="mmproj"):
        MtmdTower(tiny[0], model, threads=1, min_tokens=16, max_tokens=256)
