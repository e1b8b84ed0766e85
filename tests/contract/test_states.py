"""The state of a token, for the stub and all backends: scores and embeddings use it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from edge.engine.protocols import Runtime
from edge.engine.step import Chosen, PictureSpan, Row, Sampled, Span, Step, TextSpan
from edge.engine.verify import sample_rows
from edge.errors import EngineError
from edge.images import Picture
from edge.qwen3vl.positions import picture_positions
from edge.request import SamplingParams
from tests.contract.conftest import Pair
from tests.contract.test_runtime import noise, prompt, run

GREEDY = SamplingParams()
TEXT = "<Query>:a red circle\n<Document>:a blue square"


def reading(runtime: Runtime, slot: int, text: str, start: int = 0) -> TextSpan:
    """All of `text`; the state of its last token is wanted."""
    tokens = tuple(runtime.tokenize(text, special=False))
    return TextSpan(slot, start, tokens, (len(tokens) - 1,), reads_state=True)


def results(runtime: Runtime, *spans: Span) -> dict[int, Sampled]:
    return {each.slot: each for each in runtime.run(Step(spans))}


def state(runtime: Runtime, *spans: Span) -> npt.NDArray[np.float32]:
    [found] = results(runtime, *spans).values()
    assert found.tokens == ()
    assert found.state is not None
    return found.state


def test_an_unusable_state_ends_one_question() -> None:
    span = TextSpan(0, 0, (1, 2), (1,), reads_state=True)
    other = replace(span, slot=1)
    none = np.empty(0, np.float32)
    rows = [
        Row(span, 1, none, np.array([1, np.nan], np.float32)),
        Row(other, 1, none, np.array([1, 2], np.float32)),
    ]
    failed, whole = sample_rows(rows, lambda slot, logits: Chosen((7,)))
    assert isinstance(failed.tokens, EngineError)
    assert whole.tokens == () and whole.state is not None


def test_a_state_is_a_vector_that_has_a_score(pair: Pair) -> None:
    runtime, _ = pair
    runtime.open(0, GREEDY)
    found = state(runtime, reading(runtime, 0, TEXT))
    assert found.dtype == np.float32
    assert found.shape == runtime.score_row.shape
    assert np.isfinite(float(found @ runtime.score_row))


def test_a_state_does_not_depend_on_the_pieces_of_the_prompt(pair: Pair) -> None:
    runtime, _ = pair
    for slot in range(2):
        runtime.open(slot, GREEDY)
    whole = reading(runtime, 0, TEXT)
    expected = state(runtime, whole)
    for begin, end in ((0, 7), (7, 8)):
        piece = TextSpan(1, begin, whole.tokens[begin:end])
        assert runtime.run(Step((piece,))) == []
    n = whole.n_tokens - 8
    rest = TextSpan(1, 8, whole.tokens[8:], (n - 1,), reads_state=True)
    found = state(runtime, rest)
    assert np.linalg.norm(found - expected) < 0.03 * np.linalg.norm(expected)


def test_states_and_answers_share_a_step(pair: Pair) -> None:
    """Each is as if it were alone, whichever of them comes first."""
    runtime, _ = pair
    for slot in range(4):
        runtime.open(slot, GREEDY)
    expected = state(runtime, reading(runtime, 0, TEXT))
    [token] = run(runtime, prompt(runtime, 1, "Hello"))
    found = results(runtime, reading(runtime, 2, TEXT), prompt(runtime, 3, "Hello"))
    assert found[3].tokens[0] == token
    assert found[3].state is None
    close = np.linalg.norm(found[2].state - expected)
    assert close < 0.03 * np.linalg.norm(expected)


def test_several_states_of_one_step_are_their_own(pair: Pair) -> None:
    runtime, _ = pair
    texts = {0: TEXT, 1: "no", 2: "another text, 红色"}
    for slot in texts:
        runtime.open(slot, GREEDY)
    spans = [reading(runtime, slot, text) for slot, text in texts.items()]
    together = results(runtime, *spans)
    for slot in texts:
        runtime.release(slot)
        runtime.open(slot, GREEDY)
        alone = state(runtime, reading(runtime, slot, texts[slot]))
        found = together[slot].state
        assert found is not None
        assert np.linalg.norm(found - alone) < 0.03 * np.linalg.norm(alone)


def test_the_next_answer_is_sampled_as_before(pair: Pair) -> None:
    runtime, _ = pair
    runtime.open(0, GREEDY)
    expected = run(runtime, prompt(runtime, 0, "Hello"))
    runtime.release(0)
    runtime.open(0, GREEDY)
    state(runtime, reading(runtime, 0, TEXT))
    runtime.release(0)
    runtime.open(0, GREEDY)
    assert run(runtime, prompt(runtime, 0, "Hello")) == expected


def test_a_state_behind_a_picture_depends_on_it(pair: Pair) -> None:
    runtime, tower = pair
    found = []
    for slot, seed in enumerate((1, 1, 2)):
        picture: Picture = noise(seed)
        runtime.open(slot, GREEDY)
        rows, columns = tower.grid(picture.width, picture.height)
        at = picture_positions(1, rows, columns)
        before = TextSpan(slot, 0, tuple(runtime.tokenize("x", special=False))[:1])
        shown = PictureSpan(slot, tower.embed(picture), at)
        behind = reading(runtime, slot, TEXT, 1 + max(rows, columns))
        found.append(state(runtime, before, shown, behind))
    same = np.linalg.norm(found[0] - found[1])
    assert same < 1e-3 * np.linalg.norm(found[0])
    if runtime.name != "stub":  # which sees nothing
        assert np.linalg.norm(found[0] - found[2]) > 10 * same
