"""What a list of models says of the files of one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edge.models.facts import facts_of
from edge.models.registry import tiny_files


def test_the_facts_of_the_bundled_model() -> None:
    files = tiny_files()
    found = facts_of(files)
    sizes = [path.stat().st_size for path in (files.model, files.mmproj)]
    assert found.size_bytes == sum(sizes)
    assert found.digest == files.fingerprint
    assert found.quantization == "Q8_0"
    assert found.n_dimensions == 192
    assert 6_000_000 < found.n_parameters < 9_000_000
    assert found.modified_s == pytest.approx(files.model.stat().st_mtime, abs=1e9)


@pytest.mark.parametrize(
    ("pooling", "trained_for"), [(None, "chat"), (3, "embeddings"), (4, "rerank")]
)
def test_a_file_may_say_what_it_is_for(pooling: int | None, trained_for: str) -> None:
    files = tiny_files()
    header = files.model_header
    values = {**header.values, "qwen3vl.pooling_type": pooling}
    files.__dict__["model_header"] = replace(header, values=values)  # where it is kept
    assert facts_of(files).trained_for == trained_for


@pytest.mark.parametrize(
    ("kind", "name"), [(0, "F32"), (15, "Q4_K_M"), (999, ""), (None, ""), ("x", "")]
)
def test_a_quantisation_has_the_name_that_people_know(kind: object, name: str) -> None:
    files = tiny_files()
    header = files.model_header
    values = {**header.values, "general.file_type": kind}
    files.__dict__["model_header"] = replace(header, values=values)  # where it is kept
    assert facts_of(files).quantization == name
