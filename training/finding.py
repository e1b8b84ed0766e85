"""Heads that teach the vision tower to find edges, discarded after training.

They give each step of a way from pixels to edges its own target:

1. the first block sees which part of a patch belongs to an object,
2. the second knows where in the picture this part begins and ends,
3. in the third, four attention heads look at the outermost patches of the object, one
   head for each edge, and bring their places to all patches of the object,
4. the last block and the merger keep them.

Told only the last of these, a tower has to find all of the way at once.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any, Final

import torch
import torch.nn.functional as F

from training.edges import Edges
from training.waves import WAVES, waves, wrong

# A block, and those of its heads that the model needed least: without one of them, what
# the language model sees changed by 3 to 8 % of its variance.
LOOKING: Final = (2, (2, 3, 4, 0))
OWN: Final = ("0", "1")  # blocks after which a patch knows the places of its part
WHOLE: Final = ("2", "3")  # and those after which it knows the edges of the object
RIDGE: Final = 10.0
NEAR: Final = 0.006  # of the picture: as far out as the outermost patch
LEAST: Final = 1e-3  # of attention, where there is none
INNER: Final = 0.2  # weight of the edges of parts that are not edges of the object


# States after each block, merged cells, edges and grid of a batch.
Seen = tuple[list[torch.Tensor], torch.Tensor, Edges, tuple[int, int]]


class Finding(torch.nn.Module):
    """Predicts `training.edges` from the states of the tower's blocks."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.parts = _head(width, 7)
        self.own = torch.nn.ModuleDict({k: _head(width, 4 * WAVES) for k in OWN})
        wholes = {k: _head(width, 4 * WAVES) for k in WHOLE}
        wholes["cells"] = _head(hidden, 4 * WAVES)
        self.whole = torch.nn.ModuleDict(wholes)

    def said(
        self, blocks: list[torch.Tensor], cells: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """Waves of whole objects, of each patch and of each cell."""
        states = {k: blocks[int(k)] for k in WHOLE} | {"cells": cells}
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
        attention of the heads LOOKING, [pictures, heads, patches, patches]."""
        owner = torch.from_numpy(edges.owner)
        inside = (owner > 0)[..., None]
        weight = _weight(owner)
        right = torch.from_numpy(edges.whole)
        found = {}
        for name, said in self.said(blocks, cells).items():
            goal, w = per_cell(right, weight) if name == "cells" else (right, weight)
            found[f"edges {name}"] = _mean(wrong(said, goal).mean(-1), w)

        here = outermost(edges, grid)
        seen = (looking.float() * here).sum(-1).add(LEAST).log().mean(1)
        found["looking"] = _mean(-seen, weight)

        own = own_places(edges, grid)
        shown = here.any(2).transpose(1, 2)  # [pictures, patches, 4]: an object's edge
        for name, head in self.own.items():
            error = wrong(head(blocks[int(name)]), own)
            found[f"own edges {name}"] = _mean(error, inside * (INNER + shown))

        error = 10 * (self.parts(blocks[0]).float() - _parts(edges, grid)).square()
        counted = torch.ones_like(error)
        counted[..., :4] = inside
        found["parts"] = _mean(error, counted)
        return found

    @torch.no_grad()
    def fit(
        self,
        seen: list[tuple[list[torch.Tensor], torch.Tensor, Edges, tuple[int, int]]],
    ) -> None:
        """Sets all heads to the best for these states, by least squares: their large
        first errors would disturb the tower."""
        pairs = defaultdict(list)
        for blocks, cells, edges, grid in seen:
            inside = torch.from_numpy(edges.owner) > 0
            whole = torch.from_numpy(edges.whole)
            pairs[self.parts].append((blocks[0][inside], _parts(edges, grid)[inside]))
            own = waves(own_places(edges, grid))[inside]
            for name, head in self.own.items():
                pairs[head].append((blocks[int(name)][inside], own))
            for name in WHOLE:
                state = blocks[int(name)][inside]
                pairs[self.whole[name]].append((state, waves(whole)[inside]))
            goal, weight = per_cell(whole, inside.float())
            here = weight > 0
            pairs[self.whole["cells"]].append((cells[here], waves(goal)[here]))
        for head, some in pairs.items():
            _solve(head, *map(torch.cat, zip(*some, strict=True)))


def _solve(head: Any, states: torch.Tensor, goals: torch.Tensor) -> None:
    x = F.layer_norm(states.double(), states.shape[-1:])
    x = torch.cat([x, torch.ones(len(x), 1)], dim=1)
    ridge = RIDGE * torch.eye(x.shape[1], dtype=x.dtype)
    best = torch.linalg.solve(x.T @ x + ridge, x.T @ goals.double()).float()
    head[1].weight.copy_(best[:-1].T)
    head[1].bias.copy_(best[-1])


def _parts(edges: Edges, grid: tuple[int, int]) -> torch.Tensor:
    """What the first block sees of each patch: where in it a part of an object begins
    and ends, how much of it that is, and how large a patch is."""
    size = torch.tensor([8 / grid[0], 8 / grid[1]]).expand(*edges.owner.shape, 2)
    share = torch.from_numpy(edges.share)[..., None]
    return torch.cat([torch.from_numpy(edges.part), share, size], -1)


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


def _weight(owner: torch.Tensor) -> torch.Tensor:
    """Small objects have few patches and need the most exact edges."""
    same = (owner[:, :, None] == owner[:, None]).sum(-1)
    return (owner > 0) / same.sqrt()


def per_cell(
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
