"""Write what Transformers makes of videos, as fixtures for the engine's parity tests.

    python -m training.parity_video --out tests/qwen3vl/video

`tiny` knows stills only: both of its patch kernels are equal. So the weights are random
ones, those of the tests' `babble`. The prompt is in Qwen3's published vocabulary too.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Annotated, Any, Final

import numpy as np
import numpy.typing as npt
import torch
import typer
from transformers import Qwen3VLProcessor
from transformers.video_utils import VideoMetadata

from edge.gguf.layout import TINY
from edge.gguf.published_vocabulary import read_vocabulary
from edge.gguf.synthetic import N_TOKENS as N_QWEN_TOKENS
from edge.gguf.synthetic import synthetic_vocabulary, write_synthetic
from edge.images import Picture
from edge.models.qwen3_tokenizer import fetch
from edge.qwen3vl.preprocess import patches
from training.export import FILES, read
from training.model import build
from training.tokens import Tokens

SHAPES: Final = replace(TINY, min_image_tokens=0, max_image_tokens=0)
N_TOKENS: Final = 1024
GRIDS: Final = ((1, 2), (3, 4), (4, 6))  # rows and columns of image tokens
N_PAIRS: Final = 2  # of the video in the prompt, on the second grid
INDICES: Final = [0, 8, 15, 23]  # its frames, of a video of FPS
FPS: Final = 24.0
QUESTION: Final = "What happens?"
VIDEO: Final = "<|video_pad|>"

Frames = npt.NDArray[np.uint8]


def network(words: Tokens) -> Any:
    """Qwen3VLForConditionalGeneration in float32 with the weights of `babble`."""
    kinds = {"quant": "F16", "mmproj": "F16"}
    with TemporaryDirectory() as name:
        folder = Path(name)
        files = write_synthetic(folder, shapes=SHAPES, n_tokens=N_TOKENS, **kinds)
        for written, wanted in zip(files, FILES, strict=True):
            written.rename(folder / wanted)
        net = build(SHAPES, words)
        net.load_state_dict(read(folder, list(net.state_dict()), SHAPES))
    return net.eval()


def draw(rows: int, columns: int, n: int) -> Frames:
    """Frames that differ everywhere, uint8 [n, height, width, 3]."""
    y, x = np.mgrid[: 32 * rows, : 32 * columns] // 8 * 8  # squares: a small file
    colours = [(3 * x + 40 * i, 2 * y + 90 * i, x + y + 150 * i) for i in range(n)]
    return np.stack([np.stack(frame, axis=2) for frame in colours]).astype(np.uint8)


def pixel_values(frames: Frames) -> torch.Tensor:
    """[n_pairs * n_patches, 3 * 2 * 16 * 16]: in each patch colour by colour, and the
    two frames of each."""
    _, height, width, _ = frames.shape
    stills = [patches(Picture(width, height, one.tobytes())) for one in frames]
    pairs = np.stack(stills).reshape(len(frames) // 2, 2, -1, 3, 256)
    values = np.moveaxis(pairs, 1, 3).reshape(-1, 3 * 2 * 256)
    return torch.from_numpy(values).float().div(127.5).sub(1.0)


def grid_thw(frames: Frames) -> torch.Tensor:
    n, height, width, _ = frames.shape
    return torch.tensor([(n // 2, height // 16, width // 16)])


@torch.no_grad()
def embeddings(net: Any, frames: Frames) -> npt.NDArray[np.float16]:
    """Of a pair, float16 [rows * columns, width], the final level first."""
    out = net.model.visual(pixel_values(frames), grid_thw=grid_thw(frames))
    levels = [out.pooler_output, *out.deepstack_features]
    return torch.cat(levels, dim=1).numpy().astype(np.float16)


def video_text(frames: Frames) -> str:
    """The prompt as `Qwen3VLProcessor` writes it."""
    processor = SimpleNamespace(
        video_token=VIDEO,
        vision_start_token="<|vision_start|>",
        vision_end_token="<|vision_end|>",
        video_processor=SimpleNamespace(merge_size=2, temporal_patch_size=2),
        _calculate_timestamps=lambda *given: Qwen3VLProcessor._calculate_timestamps(
            None, *given
        ),
    )
    metadata = VideoMetadata(24, fps=FPS, frames_indices=list(INDICES))
    inputs = {"video_grid_thw": grid_thw(frames), "video_metadata": [metadata]}
    video = Qwen3VLProcessor.replace_video_token(processor, inputs, 0)
    user = f"<|im_start|>user\n{video}{QUESTION}<|im_end|>\n"
    return f"{user}<|im_start|>assistant\n"


@torch.no_grad()
def answer(
    net: Any, ids: list[int], video: int, frames: Frames
) -> npt.NDArray[np.float32]:
    """Logits of the first token, float32 [N_TOKENS]."""
    tokens = torch.tensor([ids])
    out = net(
        input_ids=tokens,
        attention_mask=torch.ones_like(tokens),
        mm_token_type_ids=2 * (tokens == video).int(),
        pixel_values_videos=pixel_values(frames),
        video_grid_thw=grid_thw(frames),
    )
    return out.logits[0, -1].numpy()


def prompt(net: Any, frames: Frames) -> dict[str, Any]:
    """Tokens of Qwen's vocabulary, and their positions in time, height and width."""
    folder = fetch(Path("~/.cache/edge-vl").expanduser())
    words = Tokens(read_vocabulary(folder / "tokenizer.json", N_QWEN_TOKENS))
    ids = list(words.template(video_text(frames)))
    tokens = torch.tensor([ids])
    types = 2 * (tokens == words.id_of(VIDEO)).int()
    positions, _ = net.model.get_rope_index(
        tokens, types, video_grid_thw=grid_thw(frames)
    )
    return {"tokens": ids, "positions": positions[:, 0].tolist()}


def main(
    out: Annotated[Path, typer.Option(help="The folder of the fixtures.")],
) -> None:
    words = Tokens(synthetic_vocabulary(N_TOKENS))
    net = network(words)
    held: dict[str, npt.NDArray[Any]] = {}
    for rows, columns in GRIDS:
        frames = draw(rows, columns, 2)
        held[f"frames_{rows}x{columns}"] = frames
        held[f"embeddings_{rows}x{columns}"] = embeddings(net, frames)
    frames = draw(*GRIDS[1], 2 * N_PAIRS)
    ids = list(words.template(video_text(frames)))
    held["frames"] = frames
    held["logits"] = np.stack(
        [
            answer(net, ids, words.id_of(VIDEO), shown)
            for shown in (frames, frames[::-1].copy())
        ]
    )
    out.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(out / "parity.npz", **held)
    (out / "prompt.json").write_text(json.dumps(prompt(net, frames)) + "\n")


if __name__ == "__main__":
    typer.run(main)
