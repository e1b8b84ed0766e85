"""Write trained weights into the two GGUF files of the engine.

    python -m training.export --weights FOLDER/weights.pt --out FOLDER

The tables map names of Transformers' Qwen3-VL to names of llama.cpp.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Final

import gguf
import numpy as np
import numpy.typing as npt
import torch
import typer

from edge.gguf.layout import (
    TINY,
    Shapes,
    must_be_float32,
    text_file,
    text_tensors,
    vision_file,
    vision_tensors,
    write_files,
)
from training.vocabulary import vocabulary

DESCRIPTION: Final = "A small test model that knows simple shapes, colours and numbers."
FILES: Final = ("tiny.gguf", "mmproj-tiny.gguf")
KINDS: Final = {
    "Q8_0": (gguf.GGMLQuantizationType.Q8_0, gguf.LlamaFileType.MOSTLY_Q8_0),
    "F16": (gguf.GGMLQuantizationType.F16, gguf.LlamaFileType.MOSTLY_F16),
}

Weights = dict[str, torch.Tensor]

NAMES: Final = (
    (r"model\.language_model\.embed_tokens\.", "token_embd."),
    (r"model\.language_model\.norm\.", "output_norm."),
    (r"model\.language_model\.layers\.(\d+)\.input_layernorm\.", r"blk.\1.attn_norm."),
    (
        r"model\.language_model\.layers\.(\d+)\.post_attention_layernorm\.",
        r"blk.\1.ffn_norm.",
    ),
    (
        r"model\.language_model\.layers\.(\d+)\.self_attn\.([qkv])_proj\.",
        r"blk.\1.attn_\2.",
    ),
    (
        r"model\.language_model\.layers\.(\d+)\.self_attn\.([qk])_norm\.",
        r"blk.\1.attn_\2_norm.",
    ),
    (
        r"model\.language_model\.layers\.(\d+)\.self_attn\.o_proj\.",
        r"blk.\1.attn_output.",
    ),
    (
        r"model\.language_model\.layers\.(\d+)\.mlp\.(gate|up|down)_proj\.",
        r"blk.\1.ffn_\2.",
    ),
    (r"model\.visual\.patch_embed\.proj\.", "v.patch_embd."),
    (r"model\.visual\.pos_embed\.", "v.position_embd."),
    (r"model\.visual\.blocks\.(\d+)\.norm([12])\.", r"v.blk.\1.ln\2."),
    (r"model\.visual\.blocks\.(\d+)\.attn\.qkv\.", r"v.blk.\1.attn_qkv."),
    (r"model\.visual\.blocks\.(\d+)\.attn\.proj\.", r"v.blk.\1.attn_out."),
    (r"model\.visual\.blocks\.(\d+)\.mlp\.linear_fc1\.", r"v.blk.\1.ffn_up."),
    (r"model\.visual\.blocks\.(\d+)\.mlp\.linear_fc2\.", r"v.blk.\1.ffn_down."),
    (r"model\.visual\.merger\.norm\.", "v.post_ln."),
    (r"model\.visual\.merger\.linear_fc1\.", "mm.0."),
    (r"model\.visual\.merger\.linear_fc2\.", "mm.2."),
)
LEVEL: Final = re.compile(
    r"model\.visual\.deepstack_merger_list\.(\d+)\.(norm|linear_fc([12]))\."
)


def gguf_name(name: str, shapes: Shapes) -> str | None:
    """llama.cpp's name of a parameter; None for the head: it is the embedding."""
    if name.startswith("lm_head."):
        return None
    if level := LEVEL.match(name):
        block = shapes.deepstack_blocks[int(level[1])]
        part = f"fc{level[3]}" if level[3] else "norm"
        return f"v.deepstack.{block}.{part}.{name[level.end() :]}"
    for pattern, replacement in NAMES:
        if match := re.match(pattern, name):
            return match.expand(replacement) + name[match.end() :]
    raise ValueError(f"{name} has no place in the GGUF files.")


def tensors(weights: Weights, shapes: Shapes) -> dict[str, npt.NDArray[np.float32]]:
    """All parameters in float32 by llama.cpp's names. The Conv3d of the patches becomes
    two convolutions, one per frame."""
    found = {}
    for name, parameter in weights.items():
        target = gguf_name(name, shapes)
        if target is None:
            continue
        values = parameter.detach().float().numpy()
        if target == "v.patch_embd.weight":
            found[target], found[f"{target}.1"] = values[:, :, 0], values[:, :, 1]
        else:
            found[target] = values
    return found


def read(folder: Path, names: list[str], shapes: Shapes = TINY) -> Weights:
    """The inverse: the parameters `names` from the two files, in float32."""
    held = {
        tensor.name: gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        for file in FILES
        for tensor in gguf.GGUFReader(folder / file).tensors
    }
    weights = {}
    for name in names:
        target = gguf_name(name, shapes) or "token_embd.weight"
        values = held[target]
        if f"{target}.1" in held:
            values = np.stack([values, held[f"{target}.1"]], axis=2)
        weights[name] = torch.from_numpy(np.array(values, np.float32))
    return weights


def between(
    before: Weights, after: Weights, share: float, tower: float = 0.0
) -> Weights:
    """Weights of which those of the language model are a `share` of the way through a
    run, and those of the vision tower a share `tower`, by default none: they keep what
    the first model knew, with most of what the run taught (arXiv:2109.01903)."""
    shares = {name: tower if ".visual." in name else share for name in after}
    return {name: torch.lerp(before[name], after[name], shares[name]) for name in after}


def write(
    weights: Weights, folder: Path, kind: str, shapes: Shapes = TINY
) -> tuple[Path, Path]:
    """Write FILES with matrices as `kind`, Q8_0 or F16.

    Raises ValueError if a tensor is missing, unknown or of another shape.
    """
    quant, file_type = KINDS[kind]
    words = vocabulary()
    values = tensors(weights, shapes)
    plans = (
        (
            text_file(shapes, words, "tiny", DESCRIPTION, file_type),
            text_tensors(shapes, len(words.tokens)),
        ),
        (
            vision_file(shapes, "tiny", DESCRIPTION, file_type),
            vision_tensors(shapes),
        ),
    )
    planned = {name: shape for _, plan in plans for name, shape in plan.items()}
    if planned != {name: value.shape for name, value in values.items()}:
        raise ValueError("These weights are not those of the tiny model.")
    for file, plan in plans:
        for name, shape in plan.items():
            as_is = must_be_float32(name, shape)
            _add(file, name, values[name], None if as_is else quant)
    files = [file for file, _ in plans]
    write_files(folder, dict(zip(FILES, files, strict=True)))
    text, vision = (folder / name for name in FILES)
    return text, vision


def _add(
    file: gguf.GGUFWriter,
    name: str,
    values: npt.NDArray[np.float32],
    quant: gguf.GGMLQuantizationType | None,
) -> None:
    if quant is None:
        file.add_tensor(name, np.ascontiguousarray(values))
        return
    if values.shape[-1] % 32:  # the patch kernels, with rows of 16
        quant = gguf.GGMLQuantizationType.F16
    packed = gguf.quants.quantize(np.ascontiguousarray(values), quant)
    file.add_tensor(name, packed, raw_dtype=quant)


def main(
    weights: Annotated[Path, typer.Option(help="weights.pt of a training run.")],
    out: Annotated[Path, typer.Option(help="The two files go here.")],
    kind: Annotated[str, typer.Option(help="Q8_0 or F16.")] = "Q8_0",
    start: Annotated[
        Path | None, typer.Option(help="The two files that the run started from.")
    ] = None,
    share: Annotated[float, typer.Option(help="Of the way from them.")] = 0.45,
    tower: Annotated[float, typer.Option(help="The same of the tower.")] = 0.0,
) -> None:
    trained: Weights = torch.load(weights)
    if start is not None:
        trained = between(read(start, list(trained)), trained, share, tower)
    for path in write(trained, out, kind):
        print(f"{path} {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    typer.run(main)
