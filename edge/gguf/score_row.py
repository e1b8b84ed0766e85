"""How a language model's file says "yes" or "no" about a document.

Sources: `get_binary_linear` in Qwen3-VL-Embedding's `src/models/qwen3_vl_reranker.py`;
for a file that was converted for ranking, llama.cpp's `convert_hf_to_gguf.py` and
`src/llama-graph.cpp` (`build_pooling`).
"""

from __future__ import annotations

from typing import Final

import numpy as np

from edge.gguf.tokenizer import BpeTokenizer
from edge.gguf.weights import Floats, Weights

CLASSIFIER: Final = "cls.output.weight"
WORDS: Final = ("yes", "no")


def read_score_row(weights: Weights, tokenizer: BpeTokenizer) -> Floats:
    """See `Runtime.score_row`. Each word counts by its first token. Raises SetupError
    when the rows are of a type that cannot be read."""
    tensors = weights.header.tensors
    if CLASSIFIER in tensors:
        rows = weights.rows(CLASSIFIER)
        if len(rows) == 1:
            return np.ravel(rows)
        name = f"{weights.header.architecture}.classifier.output_labels"
        labels = list(weights.header.get(name) or WORDS)
        yes, no = (rows[labels.index(word)] for word in WORDS)
    else:
        head = "output" if "output.weight" in tensors else "token_embd"
        numbers = [tokenizer.tokenize(word, special=False)[0] for word in WORDS]
        yes, no = weights.rows(f"{head}.weight", numbers)
    difference: Floats = yes - no
    return difference
