"""Train the vision tower alone to find edges.

    python -m training.tower --out FOLDER --start FILES

Without the language model a step costs a fraction. What the language model reads, the
merged cells of each level, is kept close to what it was, so that what the model knows
stays. An interrupted run resumes.
"""

from __future__ import annotations

import copy
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Annotated, Any, Final

import torch
import torch.nn.functional as F
import typer
from torch.utils.data import DataLoader
from transformers.models.qwen3_vl import modeling_qwen3_vl as qwen

from edge.gguf.layout import TINY
from edge.qwen3vl.grounding import SCALE
from training.export import read
from training.finding import LOOKING, Finding
from training.grounding import overlap
from training.looks import Look, Looks, held_out
from training.marking import ENOUGH
from training.model import build
from training.tokens import Tokens
from training.train import append_line, optimizers, save
from training.waves import places

KEPT: Final = 6  # pictures of a step whose cells are compared with those before
KEEP: Final = 2.0  # weight of their difference
WARM_UP: Final = 30
FALL: Final = 0.25  # of all steps, at the end
THREADS: Final = 1  # a second one mostly waits for the first if others use the cores


def watch(visual: Any, seen: Look) -> tuple[list[torch.Tensor], torch.Tensor]:
    """The states after each block, [pictures, patches, width], and the attention of the
    heads LOOKING. As Qwen3VLVisionModel.forward, for pictures of one grid at once."""
    rows, columns = seen.grid
    grid = torch.tensor([[1, 2 * rows, 2 * columns]])
    merge = visual.spatial_merge_size
    index, share = qwen.get_vision_interpolation_indices_and_weights(
        grid,
        num_grid_per_side=visual.num_grid_per_side,
        mode=visual.interpolation_mode,
        align_corners=visual.interpolation_align_corners,
        spatial_merge_size=merge,
        kwargs={},
    )
    at = qwen.get_vision_position_ids(grid, merge, kwargs={})
    pixels = torch.from_numpy(seen.patches).float().div(127.5).sub(1.0)
    proj = visual.patch_embed.proj  # see `fast.embed_patches`
    x = F.linear(pixels, proj.weight.sum(2).flatten(1), proj.bias).float()
    x = x + (visual.pos_embed(index) * share[:, :, None]).sum(1)
    turns = visual.rotary_pos_emb(x, at)
    states = []
    looking_block, heads = LOOKING
    for n, block in enumerate(visual.blocks):
        found, attention = _attend(block.attn, block.norm1(x), *turns)
        x = x + found
        x = x + block.mlp(block.norm2(x))
        states.append(x)
        if n == looking_block:
            looking = attention[:, list(heads)]
    return states, looking


def _attend(
    attn: Any, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    q, k, v = attn.qkv(x).unflatten(-1, (3, attn.num_heads, -1)).unbind(2)
    q, k = qwen.apply_rotary_pos_emb_vision(q, k, cos, sin)
    q, k, v = (one.transpose(1, 2) for one in (q, k, v))
    attention = ((q * attn.scaling) @ k.transpose(-1, -2)).softmax(-1)
    mixed = attention.to(v.dtype) @ v
    return attn.proj(mixed.transpose(1, 2).flatten(2)), attention


def levels(visual: Any, states: list[torch.Tensor]) -> list[torch.Tensor]:
    """What the language model reads, [pictures, cells, hidden]: the merged cells, and
    those of each level of deepstack."""
    deep = [states[block] for block in visual.deepstack_visual_indexes]
    mergers = [visual.merger, *visual.deepstack_merger_list]
    pairs = zip(mergers, [states[-1], *deep], strict=True)
    return [merger(state).unflatten(0, (len(state), -1)) for merger, state in pairs]


def shift(new: list[torch.Tensor], old: list[torch.Tensor]) -> torch.Tensor:
    """How far cells are from what they were, as a share of their variance."""
    shares = [
        F.mse_loss(a[: len(b)].float(), b.float()) / b.float().var()
        for a, b in zip(new, old, strict=True)
    ]
    return torch.stack(shares).mean()


@torch.no_grad()
def measure(visual: Any, finding: Finding, looks: list[Look]) -> dict[str, float]:
    """The share of objects whose box overlaps enough, and of edges no more than 15
    thousandths off, with the mean of what the patches of an object say."""
    marks: dict[str, list[float]] = defaultdict(list)
    for seen in looks:
        states, _ = watch(visual, seen)
        said = finding.said(states, levels(visual, states)[0])
        whole = torch.from_numpy(seen.edges.whole)
        for name, all_waves in said.items():
            owner = torch.from_numpy(seen.edges.owner)
            if name == "cells":
                owner = owner.unflatten(1, (-1, 4)).amax(2)
            for i, k in _objects(owner):
                patch = (seen.edges.owner[i] == k).argmax()
                right = (whole[i, patch] * SCALE).round()
                box = (places(all_waves[i, owner[i] == k].mean(0)) * SCALE).round()
                fits = overlap(_box(box), _box(right)) >= ENOUGH
                marks[f"boxes {name}"].append(fits)
                near = (box - right).abs() <= 15
                marks[f"near {name}"].append(near.float().mean().item())
    return {name: sum(all_) / len(all_) for name, all_ in marks.items()}


def _objects(owner: torch.Tensor) -> list[tuple[int, int]]:
    return [
        (i, int(k)) for i, one in enumerate(owner) for k in one.unique() if int(k) > 0
    ]


def _box(edges: torch.Tensor) -> tuple[int, int, int, int]:
    left, top, right, bottom = edges.int().tolist()
    return left, top, right, bottom


def main(
    out: Annotated[Path, typer.Option(help="Checkpoint, log and weights go here.")],
    start: Annotated[Path, typer.Option(help="Folder of tiny's two files.")],
    checkpoint: Annotated[
        Path | None, typer.Option(help="Of another run, to start from its tower.")
    ] = None,
    steps: int = 1500,
    height: Annotated[float, typer.Option(help="Largest rate, of PEAK.")] = 0.7,
    seed: int = 1,
) -> None:
    out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(THREADS)
    torch.manual_seed(seed)
    model = build(TINY, Tokens())
    model.load_state_dict(read(start, list(model.state_dict())))
    visual: Any = model.model.visual
    before = copy.deepcopy(visual).requires_grad_(False)
    visual.deepstack_merger_list.requires_grad_(False)
    finding = Finding(TINY.vision_hidden, TINY.hidden)
    learner = torch.nn.ModuleDict({"visual": visual, "finding": finding})
    if checkpoint:
        learner.load_state_dict(torch.load(checkpoint)["learner"], strict=False)
    opts = optimizers(learner)
    peaks = [opt.param_groups[0]["lr"] for opt in opts]
    first, own = 0, out / "checkpoint.pt"
    if own.is_file():
        state = torch.load(own)
        learner.load_state_dict(state["learner"])
        for opt, saved in zip(opts, state["optimizers"], strict=True):
            opt.load_state_dict(saved)
        first = state["step"]
    exam = held_out(seed, 6)
    looks = Looks(seed, first, steps)
    loader = DataLoader(looks, batch_size=None, num_workers=1, prefetch_factor=4)
    started, sums = time.monotonic(), Counter[str]()
    for step, seen in enumerate(loader, first):
        part = min((step + 1) / WARM_UP, 1.0, (steps - step) / (steps * FALL))
        for opt, peak in zip(opts, peaks, strict=True):
            for group in opt.param_groups:
                group["lr"] = peak * height * part
        with torch.autocast("cpu", dtype=torch.bfloat16):
            states, looking = watch(visual, seen)
            read_now = levels(visual, states)
            with torch.no_grad():
                read_before = levels(before, watch(before, seen.first(KEPT))[0])
            losses = finding.losses(states, read_now[0], looking, seen.edges, seen.grid)
            losses["shift"] = KEEP * shift(read_now, read_before)
        sum(losses.values()).backward()
        torch.nn.utils.clip_grad_norm_(learner.parameters(), 1.0)
        for opt in opts:
            opt.step()
            opt.zero_grad()
        sums.update({"n": 1} | {name: loss.item() for name, loss in losses.items()})
        done = step + 1
        if done % 25 == 0 or done == steps:
            n = sums.pop("n")
            line: dict[str, Any] = {name: value / n for name, value in sums.items()}
            line |= {"step": done, "seconds_per_step": (time.monotonic() - started) / n}
            if done % 50 == 0 or done == steps:
                line |= measure(visual, finding, exam)
                save(own, learner, opts, done)
            append_line(out / "log.csv", line)
            started, sums = time.monotonic(), Counter[str]()
    torch.save(model.state_dict(), out / "weights.pt")


if __name__ == "__main__":
    typer.run(main)
