"""A language model that writes places, by construction.

    python -m training.telling --run FOLDER --tower FOLDER

When the heads that are told where to look (`minding.py`) look at the cells of the
object that is asked for, and these know its edges as waves, what is left is linear or a
product of two linear things, and least squares finds it at once:

1. nothing else writes to the directions that show waves in cells (`keep_free`),
2. the heads carry the waves to where a box is written, in directions of their own
   (`carry`),
3. hidden units of a feed-forward layer, each open at one digit of one edge only, turn
   them into what the head of the model reads as digits (`tell`).

In 800 steps without this the model had learned where to look, and a quarter of the
hundreds. Changes a checkpoint of `training.train`, whose run goes on with it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final

import torch
import torch.nn.functional as F
import typer

from edge.gguf.layout import TINY
from edge.qwen3vl.grounding import SCALE
from training import minding
from training.batch import Batch
from training.carrying import FREE, carry, keep_free
from training.fast import simplify
from training.model import build
from training.spots import N_WAVES, digits_of, read_waves, seen_by, solve, unseen
from training.tokens import Tokens
from training.train import forget

TELLS: Final = minding.LAYER + 1  # the layer whose feed-forward writes the digits


@torch.no_grad()
def tell(model: Any, tokens: Tokens, batches: list[Batch], quiet: torch.Tensor) -> None:
    """Gives the least used hidden units to the digits."""
    text = model.model.language_model
    layer = text.layers[TELLS]
    states, hidden, last = seen_by(
        model, batches, layer.mlp, layer.mlp.down_proj, text.norm
    )
    found, others = [], []
    for batch, groups in zip(batches, states, strict=True):
        alone = torch.ones(groups[-1].shape[:2], dtype=torch.bool)
        for digit in digits_of(tokens, batch):
            alone[digit.row, digit.at] = False
            found.append((groups[-1][digit.row, digit.at], digit))
        others += [groups[-1][alone], *(x.flatten(0, 1)[::4] for x in groups[:-1])]
    x = torch.stack([state for state, _ in found])
    boxes = torch.tensor([digit.box for _, digit in found]) / SCALE
    read = quiet / layer.post_attention_layernorm.weight.double()[:, None]
    ups = read @ solve(x @ read, read_waves(boxes).double(), 1e-3)
    said = (x @ ups).unflatten(1, (4, N_WAVES))
    everything = torch.cat([x, *others])
    rms = torch.cat([b[-1].flatten(0, 1) for b in last]).square().mean(1).sqrt().mean()
    ids = [tokens.encode(str(n))[0] for n in range(10)]
    shown = model.lm_head.weight[ids].double() * text.norm.weight.double()
    write = torch.linalg.pinv(shown)
    write = write - write.mean(1, keepdim=True)

    used = torch.cat([h.flatten(0, 1) for b in hidden for h in b]).square().mean(0)
    used *= layer.mlp.down_proj.weight.double().square().sum(0)
    units = iter(used.argsort())
    values = torch.tensor([digit.value for _, digit in found])
    for context in sorted({digit.context for _, digit in found}):
        here = torch.tensor([digit.context == context for _, digit in found])
        gate = _open_at(everything, F.pad(here, (0, len(everything) - len(here))))
        opened = F.silu(x[here] @ gate).mean()
        edge = context[0]
        table = _digits(said[here, edge], values[here])
        for nth, column in enumerate(table.T):
            unit = next(units)
            layer.mlp.gate_proj.weight[unit] = gate.float()
            layer.mlp.up_proj.weight[unit] = ups[:, edge * N_WAVES + nth].float()
            layer.mlp.down_proj.weight[:, unit] = (
                write @ column * rms / opened
            ).float()


def _open_at(states: torch.Tensor, here: torch.Tensor) -> torch.Tensor:
    """A row whose product with the states is positive `here` and negative elsewhere."""
    sign = torch.where(here, 1.0, -1.0).double()
    share = torch.where(here, 0.5 / here.sum(), 0.5 / (~here).sum()) * len(here)
    weighed = states * share.double()[:, None]
    row = torch.linalg.solve(
        states.T @ weighed + 5 * torch.eye(states.shape[1]).double(), weighed.T @ sign
    )

    def loss(row: torch.Tensor) -> torch.Tensor:
        errors = F.softplus(-sign * (states @ row)) * share
        return errors.mean() + 1e-4 * row.square().sum()

    return _least(loss, row, 60)


def _digits(said: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """How much each wave speaks for each digit, [10, N_WAVES]."""

    def loss(table: torch.Tensor) -> torch.Tensor:
        odds = said @ table[:, :-1].T + table[:, -1]
        return F.cross_entropy(odds, values) + 1e-3 * table[:, :-1].square().sum()

    return _least(loss, torch.zeros(10, N_WAVES + 1).double(), 80)[:, :-1]


@torch.enable_grad()
def _least(loss: Any, start: torch.Tensor, steps: int) -> torch.Tensor:
    found = start.clone().requires_grad_()
    search = torch.optim.LBFGS([found], max_iter=steps)

    def closure() -> torch.Tensor:
        search.zero_grad()
        now: torch.Tensor = loss(found)
        now.backward()
        return now

    search.step(closure)
    return found.detach()


def main(
    run: Annotated[Path, typer.Option(help="Of `training.train`: changed in place.")],
    tower: Annotated[Path, typer.Option(help="Of `training.tower`.")],
    n_batches: int = 24,
) -> None:
    torch.set_num_threads(1)  # as in `training.tower`
    tokens, checkpoint = Tokens(), run / "checkpoint.pt"
    state = torch.load(checkpoint)
    model = build(TINY, tokens)
    learner = torch.nn.ModuleDict({"model": model})
    learner.load_state_dict(state["learner"], strict=False)
    simplify(model)
    learned = torch.load(tower / "checkpoint.pt")["learner"]
    norm, head = (learned[f"finding.whole.cells.{n}.weight"] for n in (0, 1))
    batches = unseen(tokens, n_batches)
    free = keep_free(model, head * norm)
    torch.save(free.float(), run / FREE)
    quiet = carry(model, tokens, batches, free)
    tell(model, tokens, batches, quiet)
    state["learner"] |= learner.state_dict()
    forget(state)
    torch.save(state, checkpoint)


if __name__ == "__main__":
    typer.run(main)
