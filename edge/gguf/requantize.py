"""A GGUF file written again with its matrices in another type; all else stays."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from gguf import GGML_QUANT_SIZES, GGUFReader, GGUFValueType, GGUFWriter, LlamaFileType
from gguf import GGMLQuantizationType as Kind
from gguf.quants import dequantize, quantize

KINDS: Final = {
    "Q4_0": (Kind.Q4_0, LlamaFileType.MOSTLY_Q4_0),
    "Q8_0": (Kind.Q8_0, LlamaFileType.MOSTLY_Q8_0),
    "F16": (Kind.F16, LlamaFileType.MOSTLY_F16),
}


def requantized(source: Path, name: str, quant: str) -> GGUFWriter:
    """The file at `source` as a model called `name`, for `layout.write_files`, with
    matrices of the type `quant`, one of KINDS.

    What is float32 stays so; rows that no block of the type fits become F16. The whole
    file is read into memory: for small models.
    """
    kind, file_type = KINDS[quant]
    reader = GGUFReader(source)
    writer = GGUFWriter(None, str(reader.fields["general.architecture"].contents()))
    for key, field in reader.fields.items():
        if key.startswith("GGUF.") or key == "general.architecture":
            continue
        value = {
            "general.name": name,
            "general.file_type": int(file_type),
        }.get(key, field.contents())
        is_array = field.types[0] == GGUFValueType.ARRAY
        inner = field.types[-1] if is_array else None
        writer.add_key_value(key, value, field.types[0], inner)
    for tensor in reader.tensors:
        into = _fitting(kind, tensor.tensor_type, int(tensor.shape[0]))
        values = dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        packed = np.ascontiguousarray(quantize(np.ascontiguousarray(values), into))
        writer.add_tensor(tensor.name, packed, raw_dtype=into)
    return writer


def _fitting(kind: Kind, before: Kind, width: int) -> Kind:
    if before == Kind.F32:
        return before
    return kind if width % GGML_QUANT_SIZES[kind][0] == 0 else Kind.F16
