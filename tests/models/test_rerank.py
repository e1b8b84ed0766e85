"""The bundled model ranks drawings that it has not seen."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Final

import pytest

from edge.engine.engine import Engine
from edge.events import Failed, Finished
from edge.images import Picture
from edge.models.registry import tiny_files
from edge.qwen3vl import rerank
from edge.request import Message, Request, SamplingParams
from edge.serving.build import build_engine
from edge.serving.plan import make_plan
from edge.settings import Settings
from training import draw, fonts, scenes
from training.scenes import Kind

pytestmark = pytest.mark.model

N_QUERIES: Final = 20
N_DRAWINGS: Final = 6
LEAST_FIRST: Final = 0.95  # of the queries


@pytest.fixture(scope="module")
def engine(towers: Path) -> Iterator[Engine]:
    plan = make_plan(Settings(threads=1, data_dir=towers), tiny_files())
    with closing(build_engine(plan)) as one:
        yield one


def drawings(seed: int) -> tuple[list[Kind], list[Picture]]:
    """One shape each, all of different kinds; seeds and sizes are not those of the
    training."""
    rng = Random(f"rank {seed}")
    all_kinds = [Kind(c, s) for c in scenes.COLOURS for s in scenes.SHAPES]
    kinds = rng.sample(all_kinds, N_DRAWINGS)
    style = draw.Style((fonts.BUILT_IN,))
    pictures = []
    for kind in kinds:
        x, y, radius = (
            rng.uniform(0.4, 0.6),
            rng.uniform(0.4, 0.6),
            rng.uniform(0.2, 0.4),
        )
        scene = scenes.Shapes((scenes.Object(kind, x, y, radius),))
        size = rng.randint(160, 420), rng.randint(160, 420)
        image = draw.picture(rng, scene, *size, style)
        pictures.append(Picture(*image.size, image.tobytes()))
    return kinds, pictures


def scores(engine: Engine, query: str, pictures: list[Picture]) -> tuple[float, ...]:
    beginning = (rerank.before_query(rerank.INSTRUCTION), query)
    request = Request(
        (
            Message("system", (rerank.SYSTEM,)),
            Message("user", beginning),
            *(Message("user", (rerank.DOCUMENT, one.ref)) for one in pictures),
        ),
        SamplingParams(1),
        wants="score",
    )
    asked = engine.submit(request, {one.ref.sha256: one for one in pictures})
    while not isinstance(event := asked.next(60), Finished):
        assert event is not None and not isinstance(event, Failed), event
    return event.answer.scores


def test_the_drawing_that_a_query_describes_comes_first(engine: Engine) -> None:
    n_first = 0
    for seed in range(N_QUERIES):
        kinds, pictures = drawings(seed)
        found = scores(engine, f"a {kinds[0].colour} {kinds[0].shape}", pictures)
        assert len(found) == N_DRAWINGS
        n_first += max(range(N_DRAWINGS), key=found.__getitem__) == 0
    assert n_first >= LEAST_FIRST * N_QUERIES


def test_equal_requests_have_equal_scores(engine: Engine) -> None:
    """Also where the beginning is computed already."""
    _, pictures = drawings(100)
    first = scores(engine, "a red circle", pictures)
    again = scores(engine, "a red circle", pictures)
    assert again == pytest.approx(first, abs=0.02)
