"""What the text of an answer costs beside the model: its tokens read, held to a schema,
and searched for stop strings.

    python -m benchmarks.token_costs

The vocabulary is that of EDGE_MODEL; `edge models make synthetic-2b --vocabulary qwen3`
makes a model with the published one. One thread and its CPU time; no model is loaded.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from time import thread_time_ns
from typing import Any

import numpy as np

from benchmarks.json_extraction import SCHEMA
from edge.engine.detokenizer import Detokenizer
from edge.gguf.tokenizer import BpeTokenizer, read_tokenizer
from edge.models.registry import find_model
from edge.schemas.reading import read
from edge.settings import Settings
from edge.structured.matcher import Constraint, Vocabulary

N_TIMES = 200
N_ANSWERS = 20
TEXTS = {
    "English": "The picture shows three red circles beside a small, dark-blue square. ",
    "Chinese": "图片里有三个红色的圆形，左边是一个深蓝色的小正方形。",
    "code": 'def area(r):\n    return {"area": 3.14159 * r**2}["area"]\n',
    "emoji": "👩‍👩‍👧🏽 ❤️‍🔥 🇨🇳 ",
}
STOPS = ["\n\nUser:", "###", "</answer>", "<|im_end|>", "。。", "END", "\n---", "Q:"]
# Any string is allowed almost everywhere, and the keys nowhere.
PROSE = {"type": "object", "properties": {"text": {"type": "string"}}}
ANSWERS = {
    "8 keys, 3 enums": (
        SCHEMA,
        {
            "vendor": "Müller & Söhne",
            "invoice_number": "AB-123456",
            "issue_date": "2026-11-29",
            "currency": "EUR",
            "total_amount": 1234.5,
            "tax_included": True,
            "payment_method": "bank transfer",
            "number_of_items": 12,
        },
    ),
    "a text": (PROSE, {"text": TEXTS["English"] + TEXTS["Chinese"]}),
}


def microseconds(act: Callable[[], object], n_times: int = N_TIMES) -> float:
    """The least CPU time of `act`."""
    found = []
    for _ in range(n_times):
        begun = thread_time_ns()
        act()
        found.append(thread_time_ns() - begun)
    return min(found) / 1000


def detokenize(tokenizer: BpeTokenizer, tokens: list[int], stops: list[str]) -> None:
    reader = Detokenizer(stops)
    for token in tokens:
        reader.feed(tokenizer.piece(token))
    reader.flush()


def show_text(tokenizer: BpeTokenizer, name: str, text: str) -> None:
    tokens = tokenizer.tokenize(text, special=False)
    acts: dict[str, Callable[[], object]] = {
        "tokenise": partial(tokenizer.tokenize, text, special=False),
        "detokenise": partial(detokenize, tokenizer, tokens, []),
        f"with {len(STOPS)} stop strings": partial(
            detokenize, tokenizer, tokens, STOPS
        ),
    }
    n = len(tokens)
    costs = [f"{what} {microseconds(act) / n:.2f}" for what, act in acts.items()]
    print(f"{name}: {len(text) / n:.2f} characters a token; microseconds a token:")
    print("  " + ", ".join(costs))


def show_masks(vocabulary: Vocabulary, schema: Any, tokens: list[int]) -> None:
    times: dict[str, list[float]] = {"check": [], "mask": [], "advance": []}
    n_forced = 0
    for _ in range(N_ANSWERS):
        constraint = Constraint(vocabulary, read(schema))
        for token in tokens:
            n_forced += bool(constraint.forced())
            check, advance = constraint.allows, constraint.accept
            for act, what in (
                (partial(check, token), "check"),
                (constraint.allowed, "mask"),
                (partial(advance, token), "advance"),
            ):
                times[what].append(microseconds(act, n_times=1))
    n_forced //= N_ANSWERS
    print(f"  {len(tokens)} tokens, {n_forced} without an alternative")
    for what, found in times.items():
        p50, p99, most = np.percentile(found, [50, 99, 100]) / 1000
        print(f"  {what}: P50 {p50:.3f}, P99 {p99:.3f}, max {most:.3f} ms")


def main() -> None:
    tokenizer = read_tokenizer(find_model(Settings.load()).model)
    tokenize = partial(tokenizer.tokenize, special=False)
    for name, text in TEXTS.items():
        show_text(tokenizer, name, text * 20)
    vocabulary = Vocabulary(tokenizer.pieces, tokenizer.ends, tokenize)
    for name, (schema, value) in ANSWERS.items():
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        print(f"{name}:")
        show_masks(vocabulary, schema, tokenize(text))


if __name__ == "__main__":
    main()
