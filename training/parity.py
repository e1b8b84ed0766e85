"""Write Transformers' answers as fixtures for the engine's parity test.

    python -m training.parity --out tests/models/parity

The weights are read from the two bundled files, so both sides compute with identical
weights: only the arithmetic may differ.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import numpy.typing as npt
import torch
import typer

from edge.gguf.layout import TINY
from edge.models.registry import TINY_FOLDER
from training.batch import collate
from training.examination import Item, parity_questions
from training.export import read
from training.model import build
from training.rows import Row, ask_turn, to_vision_input
from training.tokens import Tokens

N_LOGITS: Final = 8
LONGEST: Final = 64  # tokens of an answer


def network(files: Path, tokens: Tokens) -> Any:
    """Qwen3VLForConditionalGeneration in float32 with the weights of a folder."""
    empty = build(TINY, tokens)
    empty.load_state_dict(read(files, list(empty.state_dict())))
    return empty.eval()


@torch.no_grad()
def answer(net: Any, tokens: Tokens, item: Item) -> tuple[npt.NDArray[np.float32], str]:
    """Logits of the first token, float32 [n_tokens], and the whole greedy answer, both
    computed by Transformers alone."""
    row = Row()
    ask_turn(row, tokens, item.question.text, to_vision_input(item.scene, item.picture))
    ids = torch.tensor([row.ids])
    (seen,) = row.pictures
    batch = collate([row])
    one_frame = batch.patches[: 4 * seen.rows * seen.columns].reshape(-1, 3, 1, 256)
    frames = np.repeat(one_frame, 2, axis=2).reshape(-1, 2 * 3 * 256)
    out = net.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        mm_token_type_ids=(ids == tokens.image).int(),
        pixel_values=torch.from_numpy(frames).float().div(127.5).sub(1.0),
        image_grid_thw=torch.tensor([(1, 2 * seen.rows, 2 * seen.columns)]),
        max_new_tokens=LONGEST,
        do_sample=False,
        eos_token_id=tokens.end,
        pad_token_id=tokens.id_of("<|endoftext|>"),
        use_cache=True,
        output_logits=True,
        return_dict_in_generate=True,
    )
    new = out.sequences[0, ids.shape[1] :].tolist()
    return out.logits[0][0].numpy(), tokens.decode([n for n in new if n != tokens.end])


def main(
    out: Annotated[Path, typer.Option(help="The folder of the fixtures.")],
    files: Path = TINY_FOLDER,
) -> None:
    tokens = Tokens()
    net = network(files, tokens)
    replies = [answer(net, tokens, item) for item in parity_questions()]
    out.mkdir(parents=True, exist_ok=True)
    firsts = np.stack([first for first, _ in replies[:N_LOGITS]])
    np.savez_compressed(out / "logits.npz", logits=firsts)
    texts = [text for _, text in replies]
    (out / "answers.json").write_text(
        json.dumps(texts, ensure_ascii=False, indent=0) + "\n"
    )


if __name__ == "__main__":
    typer.run(main)
