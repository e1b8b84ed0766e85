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
import typer
from torch.utils.data import DataLoader

from edge.gguf.layout import TINY
from edge.qwen3vl.grounding import SCALE
from training.bringing import bring, keep_in_cells
from training.export import read
from training.finding import Finding
from training.grounding import overlap
from training.looks import Look, Looks, drawn_for_fit, held_out
from training.marking import ENOUGH
from training.model import build
from training.room import make_room
from training.tokens import Tokens
from training.train import append_line, optimizers, save
from training.watch import levels, shift, watch
from training.waves import places

KEPT: Final = 6  # pictures of a step whose cells are compared with those before
KEEP: Final = 2.0  # weight of their difference
WARM_UP: Final = 20
FALL: Final = 0.6  # of all steps, at the end
THREADS: Final = 1  # a second one mostly waits for the first if others use the cores


@torch.no_grad()
def measure(visual: Any, finding: Finding, looks: list[Look]) -> dict[str, float]:
    """The share of objects whose box overlaps enough, and of edges no more than 15
    thousandths off, with the mean of what the patches of an object say."""
    marks: dict[str, list[float]] = defaultdict(list)
    for seen in looks:
        states = watch(visual, seen).blocks
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


@torch.no_grad()
def fit(visual: Any, finding: Finding, seed: int) -> None:
    seen = []
    for one in drawn_for_fit(seed, 10):
        states = watch(visual, one).blocks
        seen.append((states, levels(visual, states)[0], one.edges, one.grid))
    finding.fit(seen)


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
    room: Annotated[bool, typer.Option(help="Make room for positions first.")] = True,
    brought: Annotated[
        bool, typer.Option(help="Let heads and the merger bring edges.")
    ] = False,
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
    visual.deepstack_merger_list.requires_grad_(False)
    finding = Finding(TINY.vision_hidden, TINY.hidden)
    learner = torch.nn.ModuleDict({"visual": visual, "finding": finding})
    if checkpoint:
        found = torch.load(checkpoint)["learner"]
        learner.load_state_dict(
            {name: w for name, w in found.items() if name.startswith("visual.")},
            strict=False,
        )
    before = copy.deepcopy(visual).requires_grad_(False)
    opts = optimizers(learner)
    peaks = [opt.param_groups[0]["lr"] for opt in opts]
    first, own = 0, out / "checkpoint.pt"
    if own.is_file():
        state = torch.load(own)
        learner.load_state_dict(state["learner"])
        for opt, saved in zip(opts, state["optimizers"], strict=True):
            opt.load_state_dict(saved)
        first = state["step"]
    else:
        if room:
            make_room(visual, drawn_for_fit(seed, 5))
        if brought:
            bring(visual, drawn_for_fit(seed + 1, 10))
            keep_in_cells(visual, drawn_for_fit(seed + 2, 14))
        fit(visual, finding, seed)
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
            now = watch(visual, seen)
            read_now = levels(visual, now.blocks)
            with torch.no_grad():
                then = watch(before, seen.first(KEPT)).blocks
                read_before = levels(before, then)
            losses = finding.losses(
                now.blocks, read_now[0], now.looking, seen.edges, seen.grid
            )
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
