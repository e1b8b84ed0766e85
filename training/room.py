"""Room for positions in the states of the tower.

What a patch shows has twenty times the variance of where it is, in the same 192
numbers: a linear layer reads the place of a patch only to two hundredths of the
picture. So the patch kernels and the first blocks stop writing in 16 directions, those
where all other variance is least and the positions' largest, and the position
embeddings become exact waves there.
"""

from __future__ import annotations

from typing import Any, Final

import torch

from training.looks import Look
from training.watch import watch

TURNS: Final = (0.5, 1.0, 2.5, 5.0)  # more than a quarter turn per position is lost
BLOCKS: Final = (0, 1)


@torch.no_grad()
def make_room(visual: Any, looks: list[Look]) -> None:
    proj = visual.patch_embed.proj
    spread = _others(visual, looks)
    positions = visual.pos_embed.weight
    centred = (positions - positions.mean(0)).double()
    right = _waves(visual.num_grid_per_side).double()
    n = len(positions)
    reader = torch.linalg.solve(
        centred.T @ centred / n + spread, centred.T @ right / n
    )  # [width, directions]
    writer = spread @ reader @ torch.linalg.inv(reader.T @ spread @ reader)
    positions += ((right - centred @ reader) @ writer.T).float()
    clear = (torch.eye(len(reader)) - writer @ reader.T).float()
    proj.weight.copy_(torch.einsum("ij,jcthw->icthw", clear, proj.weight))
    proj.bias.copy_(clear @ proj.bias)
    for block in (visual.blocks[k] for k in BLOCKS):
        for last in (block.attn.proj, block.mlp.linear_fc2):
            last.weight.copy_(clear @ last.weight)
            last.bias.copy_(clear @ last.bias)


def _others(visual: Any, looks: list[Look]) -> torch.Tensor:
    """The covariance of all that is not position: of what the patches show, and of the
    states after BLOCKS."""
    found = torch.zeros(())
    for one in looks:
        seen = watch(visual, one)
        for state in (seen.patches, *(seen.blocks[k] for k in BLOCKS)):
            rest = (state - seen.positions).flatten(0, 1)
            found = found + torch.cov(rest.T.double())
    return found / len(looks) / (1 + len(BLOCKS))


def _waves(side: int) -> torch.Tensor:
    """[side * side, directions], of columns and rows."""
    at = torch.arange(side) / (side - 1)
    angle = 2 * torch.pi * at[:, None] * torch.tensor(TURNS)
    one = torch.cat([angle.sin(), angle.cos()], dim=1)
    one = one - one.mean(0)
    rows = one[:, None].expand(-1, side, -1)
    columns = one[None].expand(side, -1, -1)
    return torch.cat([columns, rows], dim=2).flatten(0, 1)
