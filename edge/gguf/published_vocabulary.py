"""Qwen's published vocabulary, from the `tokenizer.json` of its repositories.

The form is that of the library `tokenizers`: plain tokens with their ids, merges, and
added tokens, which follow the plain ones.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from edge.errors import SetupError
from edge.gguf.vocabulary import Vocabulary


def read_vocabulary(path: Path, n_tokens: int) -> Vocabulary:
    """The vocabulary in the `tokenizer.json` at `path`, padded to `n_tokens`, since an
    embedding has more rows than the vocabulary has tokens. Raises SetupError.
    """
    try:
        found = json.loads(path.read_bytes())
        plain = found["model"]["vocab"]
        added = {token["content"]: token["id"] for token in found["added_tokens"]}
        merges = tuple(map(_pair, found["model"]["merges"]))
        ids = plain | added
        tokens = sorted(ids, key=ids.__getitem__)
        in_order = [*sorted(plain.values()), *sorted(added.values())]
    except OSError as error:
        raise SetupError(f"{path} cannot be read: {error.strerror}.") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise SetupError(
            f"{path} is not a vocabulary: give the tokenizer.json of a Qwen3-VL."
        ) from None
    if in_order != [*range(len(tokens))] or len(tokens) > n_tokens:
        raise SetupError(
            f"{path} has tokens that are not numbered from 0 to {n_tokens - 1:,}: give "
            "the tokenizer.json of a Qwen3-VL."
        )
    unused = (f"<|unused_{n}|>" for n in range(n_tokens - len(tokens)))
    return Vocabulary(
        tuple(tokens[: len(plain)]), (*tokens[len(plain) :], *unused), merges
    )


def _pair(merge: Any) -> tuple[str, str]:
    """Older files write "a b" for ["a", "b"]."""
    left, right = merge.split(" ") if isinstance(merge, str) else merge
    return left, right
