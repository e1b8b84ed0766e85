"""Attention heads of the language model that carry edges, by construction.

The heads that are told where to look (`minding.py`) look at the cells of the object,
and these know its edges as waves. Least squares lets the heads carry these to where a
box is written.
"""

from __future__ import annotations

from typing import Any, Final

import torch

from training import minding
from training.batch import Batch
from training.spots import N_WAVES, READ, cells_of, seen_by, solve
from training.tokens import Tokens

SHARE: Final = 0.25  # of the variance of the residual: how loud waves are
RIDGE: Final = 3.0
FREE: Final = "free.pt"  # directions of cells, in the folder of a run


@torch.no_grad()
def keep_free(model: Any, head: torch.Tensor) -> torch.Tensor:
    """Keeps the directions in which `head`, [4 * WAVES, hidden], reads waves of cells
    free of all else that is added before the heads look. Gives them, [hidden, n]."""
    rows = head.double().unflatten(0, (4, 2, -1))[:, :, list(READ)].flatten(0, 2)
    inside = torch.linalg.qr((rows - rows.mean(1, keepdim=True)).T).Q
    silence_before(model, inside)
    return inside


@torch.no_grad()
def silence_before(model: Any, inside: torch.Tensor) -> None:
    """Nothing that is added before the heads look has a part in these directions,
    [hidden, n]."""
    visual, layers = model.model.visual, model.model.language_model.layers
    for layer, merger in zip(
        layers[: minding.LAYER], visual.deepstack_merger_list, strict=False
    ):
        _silence(inside, merger.linear_fc2.weight, merger.linear_fc2.bias)
        _silence(inside, layer.self_attn.o_proj.weight, layer.mlp.down_proj.weight)


def _silence(inside: torch.Tensor, *writers: torch.Tensor) -> None:
    for one in writers:
        one -= (inside @ (inside.T @ one.double())).float()


@torch.no_grad()
def carry(
    model: Any, tokens: Tokens, batches: list[Batch], cells: torch.Tensor
) -> torch.Tensor:
    """Lets the heads carry waves from the directions `cells`, in the least used numbers
    of their values, to directions of the residual in which little else is. Gives
    these, [hidden, 4 * N_WAVES]."""
    text = model.model.language_model
    layers, attn = text.layers, text.layers[minding.LAYER].self_attn
    later = layers[minding.LAYER + 1 :]
    values, *residuals = seen_by(model, batches, attn.v_proj, *later, text.norm)
    each = [x.flatten(0, 1) for seen in residuals for batch in seen for x in batch]
    spread = sum((x.T @ x / len(x) for x in each), torch.zeros(())) / len(each)
    read = model.lm_head.weight.double() * text.norm.weight.double()
    cost = spread / spread.trace() + 0.5 * read.T @ read / read.square().sum()
    quiet = torch.linalg.eigh(cost).eigenvectors[:, : 4 * N_WAVES]
    loud = (SHARE * spread.trace() / (2 * N_WAVES)).sqrt()

    x, right = cells_of(tokens, batches, values)
    readers = cells @ solve(x @ cells, right, RIDGE)

    _silence(quiet, attn.o_proj.weight, layers[minding.LAYER].mlp.down_proj.weight)
    for layer in later:
        _silence(quiet, layer.self_attn.o_proj.weight, layer.mlp.down_proj.weight)
    for layer in layers[minding.LAYER :]:
        norm = layer.post_attention_layernorm.weight
        _deafen(quiet, norm, layer.mlp.gate_proj.weight, layer.mlp.up_proj.weight)
    for layer in later:
        a = layer.self_attn
        norm = layer.input_layernorm.weight
        _deafen(quiet, norm, a.q_proj.weight, a.k_proj.weight, a.v_proj.weight)
    states = torch.cat([x.flatten(0, 1) for b in values for x in b])
    _rewire(attn, states, readers, loud * quiet)
    return quiet


def _deafen(quiet: torch.Tensor, norm: torch.Tensor, *readers: torch.Tensor) -> None:
    scale = norm.double()
    for one in readers:
        heard = one.double() * scale @ quiet @ quiet.T / scale
        one -= heard.float()


def _rewire(
    attn: Any, states: torch.Tensor, readers: torch.Tensor, writers: torch.Tensor
) -> None:
    """In each group of heads that share values: turns the values so that the least
    important come first, and gives these to the head that looks."""
    size, n = attn.head_dim, readers.shape[1] // len(minding.HEADS)
    for group, looks in enumerate(minding.HEADS):
        rows = slice(group * size, (group + 1) * size)
        heads = range(looks, looks + attn.num_key_value_groups)
        values = states @ attn.v_proj.weight[rows].double().T
        cov = values.T @ values / len(values) + 1e-6 * torch.eye(size).double()
        root = torch.linalg.cholesky(cov)
        outs = [attn.o_proj.weight[:, h * size : (h + 1) * size] for h in heads]
        used = sum(out.double().T @ out.double() for out in outs)
        turn = torch.linalg.eigh(root.T @ used @ root).eigenvectors
        new = turn.T @ torch.linalg.inv(root) @ attn.v_proj.weight[rows].double()
        mine = slice(group * n, (group + 1) * n)
        new[:n] = readers[:, mine].T
        attn.v_proj.weight[rows] = new.float()
        for head, out in zip(heads, outs, strict=True):
            turned = out.double() @ root @ turn
            turned[:, :n] = writers[:, mine] if head == looks else 0
            out.copy_(turned.float())
