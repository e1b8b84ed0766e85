"""What a list of models says of each: facts about its two files."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from gguf import LlamaFileType, PoolingType

from edge.gguf.header import Header
from edge.models.registry import ModelFiles


@dataclass(frozen=True)
class Facts:
    """Of both files together: their size, their sha256, when the newer one changed
    (seconds since 1970), and how many weights they have; and the quantisation of the
    language model, as in `Q4_K_M` ("" if its file does not say). What it is
    `trained_for` its file says, if llama.cpp converted it for that, or the registry.
    Its embeddings of texts and pictures have `n_dimensions`."""

    size_bytes: int
    digest: str
    modified_s: float
    n_parameters: int
    quantization: str
    trained_for: str
    n_dimensions: int


def facts_of(files: ModelFiles) -> Facts:
    """Raises SetupError when a file is not the published one, or no whole GGUF file."""
    model = files.model_header
    headers = model, files.mmproj_header
    found = [path.stat() for path in (files.model, files.mmproj)]
    tensors = [tensor for header in headers for tensor in header.tensors.values()]
    return Facts(
        size_bytes=sum(one.st_size for one in found),
        digest=files.fingerprint,
        modified_s=max(one.st_mtime for one in found),
        n_parameters=sum(prod(tensor.shape) for tensor in tensors),
        quantization=_quantization(model.get("general.file_type")),
        trained_for=_POOLED.get(_pooling(model), files.trained_for),
        n_dimensions=model.number(f"{model.architecture}.embedding_length"),
    )


_POOLED = {PoolingType.LAST: "embeddings", PoolingType.RANK: "rerank"}


def _pooling(header: Header) -> object:
    return header.get(f"{header.architecture}.pooling_type")


def _quantization(kind: object) -> str:
    try:
        name: str = LlamaFileType(kind).name
    except ValueError:
        return ""
    return name.removeprefix("MOSTLY_").removeprefix("ALL_")
