"""How much quicker JSON extraction is when the tokens that have no alternative take no
steps of their own.

    python -m benchmarks.json_extraction

One picture, a schema of eight keys, the model of EDGE_MODEL in this process, sampling
with a seed at temperature 1. With random weights the values are babble; the keys,
quotes and brackets are those that any model has to write.
"""

from __future__ import annotations

from contextlib import closing
from statistics import median
from time import perf_counter
from unittest.mock import patch

import numpy as np

import edge.sampling.sampler as sampler
from edge.engine.engine import Engine
from edge.engine.step import MOST_TOKENS
from edge.errors import EngineError
from edge.events import Failed, Finished
from edge.images import Picture
from edge.models.registry import find_model
from edge.request import Answer, Message, Request, SamplingParams
from edge.schemas.reading import read
from edge.serving.build import build_engine
from edge.serving.plan import make_plan
from edge.settings import Settings

N_TIMES = 5
FIELDS = {
    "vendor": {"type": "string", "maxLength": 20},
    "invoice_number": {"type": "string", "pattern": "^[A-Z]{2}-[0-9]{6}$"},
    "issue_date": {"type": "string", "format": "date"},
    "currency": {"enum": ["EUR", "USD", "CNY"]},
    "total_amount": {"type": "number", "minimum": 0, "maximum": 100_000},
    "tax_included": {"type": "boolean"},
    "payment_method": {"enum": ["cash", "card", "bank transfer"]},
    "number_of_items": {"type": "integer", "minimum": 1, "maximum": 99},
}
SCHEMA = {
    "type": "object",
    "properties": FIELDS,
    "required": [*FIELDS],
    "additionalProperties": False,
}


def noise(width: int, height: int) -> Picture:
    pixels = np.random.default_rng(1).integers(0, 256, (height, width, 3))
    return Picture(width, height, pixels.astype(np.uint8).tobytes())


def ask(engine: Engine, picture: Picture, seed: int) -> tuple[float, Answer]:
    """Seconds, and the answer. Raises EngineError."""
    sampling = SamplingParams(
        max_tokens=300, temperature=1.0, seed=seed, grammar=read(SCHEMA)
    )
    question = Message("user", (picture.ref, "Extract all fields as JSON."))
    begun = perf_counter()
    request = Request((question,), sampling)
    ticket = engine.submit(request, {picture.ref.sha256: picture})
    while not isinstance(event := ticket.next(), Finished):
        if isinstance(event, Failed):
            raise EngineError(event.message)
    return perf_counter() - begun, event.answer


def main() -> None:
    settings = Settings.load()
    picture = noise(800, 600)
    engine = build_engine(make_plan(settings, find_model(settings)))
    seconds: dict[int, list[float]] = {1: [], MOST_TOKENS: []}
    with closing(engine):
        ask(engine, picture, seed=0)
        for seed in range(1, N_TIMES + 1):
            for most in seconds:  # alternating
                with patch.object(sampler, "MOST_TOKENS", most):
                    took_s, answer = ask(engine, picture, seed)
                seconds[most].append(took_s)
                n_tokens = answer.usage.completion_tokens
                n_steps = n_tokens - answer.timings.saved_steps
                print(
                    f"at most {most:2} tokens a step: {took_s:.2f} s, "
                    f"{n_tokens} tokens in {n_steps} steps"
                )
    one_s, several_s = map(median, seconds.values())
    print(f"medians: {one_s:.2f} s and {several_s:.2f} s, {one_s / several_s:.2f}x")


if __name__ == "__main__":
    main()
