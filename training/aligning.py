"""A language model that reads edges goes on with another tower.

    python -m training.aligning --run FOLDER --tower FOLDER

A tower that was trained on writes the waves of edges to cells in other directions than
the heads read (`carrying.py`). Least squares turns the heads to them, and clears these
directions of what the layers before write. `training.train` keeps them clear.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final

import torch
import torch.nn.functional as F
import typer

from edge.gguf.layout import TINY
from edge.qwen3vl.grounding import SCALE
from training import fonts, minding
from training.batch import Batch
from training.carrying import FREE, forget, silence_before
from training.conversations import Conversations
from training.fast import simplify
from training.model import build
from training.spots import N_WAVES, digits_of, read_waves, seen_by, solve
from training.tokens import Tokens

FIRST_BATCH: Final = 9000  # of pictures that no run has seen
N_BATCHES: Final = 28
RIDGE: Final = 30.0


@torch.no_grad()
def align(model: Any, tokens: Tokens, batches: list[Batch]) -> torch.Tensor:
    """Gives the directions of cells that show waves, [hidden, 4 * N_WAVES]."""
    layers = model.model.language_model.layers
    attn = layers[minding.LAYER].self_attn
    cells, values = seen_by(model, batches, layers[0], attn.v_proj)
    x, right = _objects(tokens, batches, cells)
    readers = solve(F.layer_norm(x, x.shape[-1:]), right[:, :-1], RIDGE)
    inside = torch.linalg.qr(readers - readers.mean(0)).Q

    # What the heads bring now, as a function of the places: later layers know that.
    n = 4 * N_WAVES // len(minding.HEADS)
    groups = range(len(minding.HEADS))
    rows = torch.cat([torch.arange(n) + group * attn.head_dim for group in groups])
    x, right = _objects(tokens, batches, values)
    brought = x @ attn.v_proj.weight[rows].double().T
    goal = right @ solve(right, brought, 1e-3)

    silence_before(model, inside)
    (values,) = seen_by(model, batches, attn.v_proj)
    x, _ = _objects(tokens, batches, values)
    attn.v_proj.weight[rows] = solve(x, goal, RIDGE).T.float()
    return inside


def _objects(
    tokens: Tokens, batches: list[Batch], states: list[list[Any]]
) -> tuple[torch.Tensor, torch.Tensor]:
    """The states of the cells of each object that is located, and its waves with a
    one: [cells, hidden] and [cells, 4 * N_WAVES + 1]."""
    x, y = [], []
    for batch, groups in zip(batches, states, strict=True):
        rows = batch.texts[-1]
        looking = {(int(r), int(at)): n for n, (r, at) in enumerate(rows.looking)}
        for digit in digits_of(tokens, batch):
            if digit.context[:2] == (0, 0) and (digit.row, digit.at) in looking:
                here = torch.as_tensor(rows.objects[looking[digit.row, digit.at]])
                x.append(groups[-1][digit.row, here])
                right = read_waves(torch.tensor(digit.box) / SCALE).double()
                y.append(F.pad(right, (0, 1), value=1.0).expand(len(x[-1]), -1))
    return torch.cat(x), torch.cat(y)


def main(
    run: Annotated[Path, typer.Option(help="Of `training.train`: changed in place.")],
    tower: Annotated[Path, typer.Option(help="Of `training.tower`.")],
) -> None:
    torch.set_num_threads(1)  # as in `training.tower`
    tokens, checkpoint = Tokens(), run / "checkpoint.pt"
    state = torch.load(checkpoint)
    learned = torch.load(tower / "checkpoint.pt")["learner"]
    state["learner"] |= {
        f"model.model.{name}": weight
        for name, weight in learned.items()
        if name.startswith("visual.")
    }
    model = build(TINY, tokens)
    learner = torch.nn.ModuleDict({"model": model})
    learner.load_state_dict(state["learner"], strict=False)
    simplify(model)
    made = Conversations(tokens, fonts.training_fonts(), 1, 3, 12)
    batches = [made.batch(FIRST_BATCH + n) for n in range(N_BATCHES)]
    torch.save(align(model, tokens, batches).float(), run / FREE)
    state["learner"] |= learner.state_dict()
    forget(state)
    torch.save(state, checkpoint)


if __name__ == "__main__":
    typer.run(main)
