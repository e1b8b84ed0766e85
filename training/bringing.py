"""Attention heads and a merger that bring the places of edges, by construction.

When the heads LOOKING look at the outermost patches of an object, and these know where
their part of it begins and ends, what is left is linear: to read these places there,
and to write them where little else is written. Least squares finds it at once.
"""

from __future__ import annotations

from typing import Any, Final

import torch

from training.edges import Edges
from training.finding import LOOKING, outermost, own_places, per_cell
from training.looks import Look
from training.watch import watch
from training.waves import WAVES, waves

LOUD: Final = 6.0  # of the waves that are written
LOUD_CELLS: Final = 1.0  # the same in cells, of the deviation of their numbers
INNER: Final = 0.05  # weight of patches that do not show the edge
RIDGE: Final = 10.0


@torch.no_grad()
def bring(visual: Any, looks: list[Look]) -> None:
    block, heads = LOOKING
    states, goals, weights, spread = [], [], [], torch.zeros(())
    for one in looks:
        seen = watch(visual, one)
        inside = torch.from_numpy(one.edges.owner) > 0
        states.append(visual.blocks[block].norm1(seen.blocks[block - 1])[inside])
        goals.append(waves(own_places(one.edges, one.grid))[inside])
        weights.append(INNER + _shown(one.edges, one.grid)[inside].double())
        for after in seen.blocks[block:]:
            spread = spread + torch.cov(after.flatten(0, 1).T.double())
    x = torch.cat(states).double()
    x = torch.cat([x, torch.ones(len(x), 1)], dim=1)
    quiet = torch.linalg.eigh(spread).eigenvectors[:, : 4 * WAVES].float()
    for later in visual.blocks[block:]:
        for last in (later.attn.proj, later.mlp.linear_fc2):
            last.weight -= quiet @ (quiet.T @ last.weight)
            last.bias -= quiet @ (quiet.T @ last.bias)
    attn = visual.blocks[block].attn
    width, size = len(attn.proj.weight), attn.head_dim
    all_goals, all_weights = torch.cat(goals).double(), torch.cat(weights)
    for edge, head in enumerate(heads):
        these = slice(edge * WAVES, (edge + 1) * WAVES)
        w = all_weights[:, edge : edge + 1]
        ridge = RIDGE * torch.eye(x.shape[1], dtype=x.dtype)
        best = torch.linalg.solve(
            x.T @ (x * w) + ridge, x.T @ (all_goals[:, these] * w)
        )
        first = 2 * width + head * size
        attn.qkv.weight[first : first + WAVES] = best[:-1].T.float()
        attn.qkv.bias[first : first + WAVES] = best[-1].float()
        columns = slice(head * size, head * size + WAVES)
        attn.proj.weight[:, columns] = LOUD * quiet[:, these]


def _shown(edges: Edges, grid: tuple[int, int]) -> torch.Tensor:
    """[pictures, patches, 4]: whether a patch shows an edge of its object."""
    return outermost(edges, grid).any(2).transpose(1, 2)


@torch.no_grad()
def keep_in_cells(visual: Any, looks: list[Look]) -> None:
    """The same for the merger: pairs of its least used hidden units become linear,
    because gelu(x) - gelu(-x) = x."""
    merger = visual.merger
    states, goals, used, spread = [], [], torch.zeros(()), torch.zeros(())
    for one in looks:
        last = watch(visual, one).blocks[-1]
        state = merger.norm(last).unflatten(1, (-1, 4)).flatten(2)
        hidden = merger.act_fn(merger.linear_fc1(state))
        used = used + hidden.flatten(0, 1).var(0)
        spread = spread + torch.cov(merger.linear_fc2(hidden).flatten(0, 1).T.double())
        inside = torch.from_numpy(one.edges.owner) > 0
        goal, weight = per_cell(torch.from_numpy(one.edges.whole), inside.float())
        states.append(state[weight > 0])
        goals.append(waves(goal)[weight > 0])
    x = torch.cat(states).double()
    x = torch.cat([x, torch.ones(len(x), 1)], dim=1)
    ridge = 10 * RIDGE * torch.eye(x.shape[1], dtype=x.dtype)
    best = torch.linalg.solve(x.T @ x + ridge, x.T @ torch.cat(goals).double())
    first, second = merger.linear_fc1, merger.linear_fc2
    n = 4 * WAVES
    units = (used * second.weight.square().sum(0)).argsort()[: 2 * n]
    found = torch.linalg.eigh(spread / len(looks))
    quiet = found.eigenvectors[:, :n].float()
    second.weight -= quiet @ (quiet.T @ second.weight)
    second.bias -= quiet @ (quiet.T @ second.bias)
    loud = LOUD_CELLS * found.eigenvalues.mean().sqrt().float()
    for sign, some in ((1, units[:n]), (-1, units[n:])):
        first.weight[some] = sign * best[:-1].T.float()
        first.bias[some] = sign * best[-1].float()
        second.weight[:, some] = sign * loud * quiet
