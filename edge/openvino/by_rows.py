"""Two compiled graphs of one model over one state: one computes few rows, one many.

The kernels that are fastest for the steps of answers may be slow for prompts: on a CPU
with AMX, int8 dot products are fastest for few rows and bf16 tiles for many.
"""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

from edge.openvino.compiled import Compiled


class ByRows:
    """`many` computes inputs of at least `many_rows` rows, `few` all others. The two
    must have the same inputs and agree about the types of their state."""

    def __init__(self, few: Compiled, many: Compiled, many_rows: int) -> None:
        self._few = few
        self._many = many
        self._many_rows = many_rows

    def allocate_state(self, word: str, n: int) -> list[npt.NDArray[Any]]:
        """As of a Compiled: both graphs read and write it."""
        state = self._few.allocate_state(word, n)
        self._many.share_state(self._few, word)
        return state

    def run(self, *inputs: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
        """As of a Compiled; the rows are those of the first input."""
        is_many = len(inputs[0]) >= self._many_rows
        return (self._many if is_many else self._few).run(*inputs)

    def close(self) -> None:
        self._few.close()
        self._many.close()
