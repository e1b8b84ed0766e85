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
from training import minding
from training.batch import Batch
from training.carrying import FREE, silence_before
from training.fast import simplify
from training.model import build
from training.spots import N_WAVES, cells_of, seen_by, solve, unseen
from training.tokens import Tokens
from training.train import forget

N_BATCHES: Final = 28
RIDGE: Final = 30.0


@torch.no_grad()
def align(model: Any, tokens: Tokens, batches: list[Batch]) -> torch.Tensor:
    """Gives the directions of cells that show waves, [hidden, 4 * N_WAVES]."""
    layers = model.model.language_model.layers
    attn = layers[minding.LAYER].self_attn
    cells, values = seen_by(model, batches, layers[0], attn.v_proj)
    x, right = cells_of(tokens, batches, cells)
    readers = solve(F.layer_norm(x, x.shape[-1:]), right, RIDGE)
    inside = torch.linalg.qr(readers - readers.mean(0)).Q

    # What the heads bring now, as a function of the places: later layers know that.
    n = 4 * N_WAVES // len(minding.HEADS)
    groups = range(len(minding.HEADS))
    rows = torch.cat([torch.arange(n) + group * attn.head_dim for group in groups])
    x, _ = cells_of(tokens, batches, values)
    right = F.pad(right, (0, 1), value=1.0)
    brought = x @ attn.v_proj.weight[rows].double().T
    goal = right @ solve(right, brought, 1e-3)

    silence_before(model, inside)
    (values,) = seen_by(model, batches, attn.v_proj)
    x, _ = cells_of(tokens, batches, values)
    attn.v_proj.weight[rows] = solve(x, goal, RIDGE).T.float()
    return inside


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
    batches = unseen(tokens, N_BATCHES)
    torch.save(align(model, tokens, batches).float(), run / FREE)
    state["learner"] |= learner.state_dict()
    forget(state)
    torch.save(state, checkpoint)


if __name__ == "__main__":
    typer.run(main)
