"""A compiler over the vocabulary of the bundled model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from edge.gguf.tokenizer import read_tokenizer
from edge.request import SamplingParams
from edge.sampling.sampler import Sampler
from edge.sampling.samplers import compiler_over
from edge.structured.compiler import Compiler
from tests.structured.hostile import HostileModel


@dataclass
class Writer:
    """Writes answers as a model would that wants something else."""

    compiler: Compiler
    pieces: list[bytes]
    ends: list[int]

    def write(
        self, schema: str, push: str, seed: int, *, most: int = 200, **sampling: object
    ) -> tuple[bytes, bool]:
        """An answer to `schema`, and whether it ended before `most` tokens."""
        params = SamplingParams(seed=seed, **sampling)  # type: ignore[arg-type]
        constraint = self.compiler.constraint(schema)
        model = HostileModel(self.pieces, self.ends, push, seed)
        sampler = Sampler(params, len(self.pieces), constraint)
        text = b""
        for _ in range(most):
            for token in sampler.sample(model.logits()).tokens:
                if token in self.ends:
                    return text, True
                text += self.pieces[token]
        return text, False


@pytest.fixture(scope="session")
def writer(tiny: tuple[Path, Path]) -> Iterator[Writer]:
    tokenizer = read_tokenizer(tiny[0])
    with closing(compiler_over(tokenizer)) as compiler:
        yield Writer(compiler, tokenizer.pieces, tokenizer.ends)
