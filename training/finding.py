"""Heads that teach the vision tower to find edges, discarded after training.

They give each step of a way from pixels to edges its own target:

1. the first block sees which part of a patch belongs to an object,
2. the second knows where in the picture this part begins and ends, as a number: the
   positions of patches are exactly linear in their embeddings,
3. in the third, four attention heads look at the outermost patches of the object, one
   head for each edge, and bring their places to all patches of the object,
4. the last block turns the places into waves, and the merger keeps them.

Told only the last of these, a tower has to find all of the way at once.
"""

from __future__ import annotations

from typing import Final

import torch

from training.edges import Edges
from training.waves import WAVES, waves

# A block, and those of its heads that the model needed least: without one of them, what
# the language model sees changed by 3 to 8 % of its variance.
LOOKING: Final = (2, (2, 3, 4, 0))
DEEP: Final = (3,)  # blocks after which the patches know the waves
EXACT: Final = 0.01
NEAR: Final = 0.006  # of the picture: as far out as the outermost patch
LEAST: Final = 1e-3  # of attention, where there is none
INNER: Final = 0.2  # weight of the edges of parts that are not edges of the object


class Finding(torch.nn.Module):
    """Predicts `training.edges` from the states of the tower's blocks."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.local = torch.nn.ModuleDict({"0": _head(width, 7)})
        self.own = _head(width, 4)
        self.brought = _head(width, 4)
        wholes = {str(k): _head(width, 4 * WAVES) for k in DEEP}
        wholes["cells"] = _head(hidden, 4 * WAVES)
        self.whole = torch.nn.ModuleDict(wholes)

    def said(
        self, blocks: list[torch.Tensor], cells: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """Waves of whole objects, of each patch and of each cell."""
        states = {str(k): blocks[k] for k in DEEP} | {"cells": cells}
        return {k: self.whole[k](state).float() for k, state in states.items()}

    def losses(
        self,
        blocks: list[torch.Tensor],
        cells: torch.Tensor,
        looking: torch.Tensor,
        edges: Edges,
        grid: tuple[int, int],
    ) -> dict[str, torch.Tensor]:
        """Losses given the states after each block, the merged cells, and the shares of
        attention of the heads LOOKING, [pictures, heads, patches, patches]. Waves that
        say nothing have the loss 1."""
        owner = torch.from_numpy(edges.owner)
        inside = owner > 0
        weight = _weight(owner)
        right = waves(torch.from_numpy(edges.whole))
        found = {}
        for name, said in self.said(blocks, cells).items():
            goal, w = _per_cell(right, weight) if name == "cells" else (right, weight)
            error = 2 * (said - goal).square().mean(-1)
            found[f"edges {name}"] = _mean(error, w)

        here = outermost(edges, grid)
        seen = (looking.float() * here).sum(-1).add(LEAST).log().mean(1)
        found["looking"] = _mean(-seen, weight)

        error = _off(self.own(blocks[1]), own_places(edges, grid))
        shown = here.any(2).transpose(1, 2)  # [pictures, patches, 4]: an object's edge
        found["own edges"] = _mean(error, inside[..., None] * (INNER + shown))
        error = _off(self.brought(blocks[2]), torch.from_numpy(edges.whole))
        found["brought"] = _mean(error.mean(-1), weight)

        size = torch.tensor([8 / grid[0], 8 / grid[1]]).expand(*owner.shape, 2)
        share = torch.from_numpy(edges.share)[..., None]
        goal = torch.cat([torch.from_numpy(edges.part), share, size], -1)
        counted = torch.ones_like(goal)
        counted[..., :4] = inside[..., None]
        error = 10 * (self.local["0"](blocks[0]).float() - goal).square()
        found["parts"] = _mean(error, counted)
        return found


def own_places(edges: Edges, grid: tuple[int, int]) -> torch.Tensor:
    """Where the part of an object in each patch begins and ends, as fractions of the
    picture: [pictures, patches, 4]. `grid`: rows and columns of cells."""
    rows, columns = 2 * grid[0], 2 * grid[1]
    y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    at = torch.stack([x, y, x, y], -1).reshape(rows // 2, 2, columns // 2, 2, 4)
    at = at.transpose(1, 2).reshape(-1, 4)
    inside = torch.from_numpy(edges.part)
    return (at + inside) / torch.tensor([columns, rows, columns, rows])


def outermost(edges: Edges, grid: tuple[int, int]) -> torch.Tensor:
    """For each patch and edge, which patches show that edge of the same object: bool
    [pictures, 4, patches, patches]."""
    owner = torch.from_numpy(edges.owner)
    same = (owner[:, :, None] == owner[:, None]) & (owner > 0)[:, :, None]
    same = same[:, None]
    out = own_places(edges, grid) * torch.tensor([1.0, 1, -1, -1])  # small: far out
    out = out.transpose(1, 2)[:, :, None].expand(-1, -1, owner.shape[1], -1)
    least = out.masked_fill(~same, 9).amin(-1, keepdim=True)
    return same & (out <= least + NEAR)


def _off(said: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Almost the distance, with a smooth end at EXACT: 1 for a tenth of a picture."""
    return 0.1 * ((1 + ((said.float() - right) / EXACT).square()).sqrt() - 1)


def _weight(owner: torch.Tensor) -> torch.Tensor:
    """Small objects have few patches and need the most exact edges."""
    same = (owner[:, :, None] == owner[:, None]).sum(-1)
    return (owner > 0) / same.sqrt()


def _per_cell(
    right: torch.Tensor, weight: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The targets of the heaviest of the four patches of each cell."""
    weight, at = weight.unflatten(1, (-1, 4)).max(2)
    at = at[..., None, None].expand(-1, -1, 1, right.shape[-1])
    return right.unflatten(1, (-1, 4)).gather(2, at)[:, :, 0], weight


def _mean(error: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return (error * weight).sum() / weight.sum().clamp(1e-6)


def _head(width: int, n: int) -> torch.nn.Module:
    return torch.nn.Sequential(torch.nn.LayerNorm(width), torch.nn.Linear(width, n))
