"""A step as llama.cpp computes it: in batches that hold either tokens or embeddings."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from llama_cpp import llama_cpp as lib

from edge.engine.step import PictureSpan, Span, TextSpan


def batches(spans: Iterable[Span]) -> list[list[Span]]:
    """As few batches as possible for a step. The tokens whose state is read are the
    last one: where states are wanted, llama.cpp gives those of all its tokens."""
    whole: list[Span] = []
    last: list[Span] = []
    for span in spans:
        if not reads(span):
            whole.append(span)
            continue
        n, (index,) = span.n_tokens - 1, span.wanted
        assert isinstance(span, TextSpan)
        assert index == n
        if n:
            whole.append(replace(span, tokens=span.tokens[:n], wanted=()))
        last.append(
            replace(span, start=span.start + n, tokens=span.tokens[n:], wanted=(0,))
        )
    return [*group_by_kind(whole), last] if last else group_by_kind(whole)


def reads(span: Span) -> bool:
    """Whether the state of a token of `span` is wanted."""
    return isinstance(span, TextSpan) and span.reads_state and bool(span.wanted)


def group_by_kind(spans: Iterable[Span]) -> list[list[Span]]:
    """As few groups as possible, each of one kind of spans. Computed one after the
    other, they keep the order of the spans of each slot."""
    groups: list[list[Span]] = []
    for span in spans:
        before = (n for n, group in enumerate(groups) if _holds(group, span.slot))
        first = max(before, default=0)
        for group in groups[first:]:
            if type(group[0]) is type(span):
                group.append(span)
                break
        else:
            groups.append([span])
    return groups


def _holds(group: list[Span], slot: int) -> bool:
    return any(span.slot == slot for span in group)


def native_batch(spans: list[Span]) -> lib.llama_batch:
    """A batch of `spans`, which are all of text or all of pictures."""
    at = [span.positions for span in spans]
    positions = np.concatenate(at, axis=1, dtype=np.int32)
    embeddings = [s.embeddings for s in spans if isinstance(s, PictureSpan)]
    tokens = [t for s in spans if isinstance(s, TextSpan) for t in s.tokens]
    wanted = np.concatenate([_wanted(span) for span in spans])
    slots = [span.slot for span in spans for _ in range(span.n_tokens)]
    if embeddings:
        return _native(
            slots=slots,
            embd=np.concatenate(embeddings, dtype=np.float32),
            pos=positions,
            logits=wanted,
        )
    token = np.array(tokens, np.int32)
    return _native(slots=slots, token=token, pos=positions[0], logits=wanted)


def _wanted(span: Span) -> npt.NDArray[np.int8]:
    wanted = np.zeros(span.n_tokens, np.int8)
    wanted[list(span.wanted)] = 1
    return wanted


def _native(*, slots: list[int], **arrays: npt.NDArray[Any]) -> lib.llama_batch:
    """A llama_batch over `arrays`, which it keeps alive: `token` i32 [n] or `embd` f32
    [n, width], `pos` i32 [n] for tokens or [4, n] for embeddings, `logits` i8 [n]."""
    n = len(slots)
    seq_ids = (lib.llama_seq_id * n)(*slots)
    step = ctypes.sizeof(lib.llama_seq_id)
    pointer = ctypes.POINTER(lib.llama_seq_id)
    rows = (pointer * n)(
        *(ctypes.cast(ctypes.addressof(seq_ids) + i * step, pointer) for i in range(n))
    )
    batch = lib.llama_batch(n_tokens=n)
    batch.n_seq_id = (ctypes.c_int32 * n)(*[1] * n)
    batch.seq_id = rows
    types = dict(lib.llama_batch._fields_)
    for name, array in arrays.items():
        setattr(batch, name, array.ctypes.data_as(types[name]))
    batch.keep_alive = (seq_ids, rows, arrays)
    return batch
