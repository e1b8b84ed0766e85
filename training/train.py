"""Train the tiny model: `python -m training.train --out FOLDER [--start FILES]`.

An interrupted run resumes with the same result. Every 25 steps appends a line to
FOLDER/log.csv; every 250 steps the model answers questions about new pictures.
"""

from __future__ import annotations

import csv
import os
import time
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import torch
import torch.nn.functional as F
import typer
from torch.utils.data import DataLoader, Dataset

from edge.gguf.layout import TINY
from edge.qwen3vl.rerank import NO, YES
from training import fonts
from training.batch import Batch, TextInput
from training.carrying import FREE, silence_before
from training.conversations import Conversations
from training.evaluate import as_batches, by_kind, teacher_forced
from training.examination import examination
from training.export import read
from training.fast import speed_up
from training.minding import Minding
from training.model import build, forward
from training.pointing import Pointing
from training.rows import IGNORED
from training.tokens import Tokens

STEPS = 7600
BATCH = 36
PEAK = {"muon": 2e-3, "adam": 1.5e-3}
WARM_UP = 100
FALL = 0.3  # of all steps, at the end: linearly down to zero
# A later run starts from earlier files with new pictures, and its rate only falls.
STEPS_AGAIN = 4000
PEAK_AGAIN = 0.5
WORDS = 0.05  # of a judge's loss
STRIDE = 256  # oneDNN compiles a kernel per length: keep them few


YES_NO = torch.tensor([Tokens().encode(word)[0] for word in (YES, NO)])


class Batches(Dataset[Batch]):
    """Batches made in another process, one ahead."""

    def __init__(self, seed: int, size: int, boxes: int, first: int, last: int) -> None:
        self._seed = seed
        self._size = size
        self._boxes = boxes
        self._steps = range(first, last)

    def __len__(self) -> int:
        return len(self._steps)

    def __getitem__(self, n: int) -> Batch:
        if not hasattr(self, "_all"):
            os.nice(5)  # drawing uses the cores while the arithmetic leaves gaps
            self._all = Conversations(
                Tokens(), fonts.training_fonts(), self._seed, self._size, self._boxes
            )
        return self._all.batch(self._steps[n])


def losses_of(
    learner: torch.nn.ModuleDict, minding: Minding, batch: Batch, *, aside: bool
) -> dict[str, torch.Tensor]:
    """Losses of the conversations, of both kinds of judging, and of the facts of the
    patches. `aside`: only the training head learns from the latter."""
    model: Any = learner["model"]
    states = forward(model, batch)
    talk, short, long, *boxes = zip(states.last, batch.texts, strict=True)
    seen = states.seen.detach() if aside else states.seen
    losses = {
        "answering": answer_loss(model, *talk),
        "judging": judge_loss(model, *short),
        "judging as published": judge_loss(model, *long),
    }
    if states.seen.requires_grad:
        truth = torch.from_numpy(batch.truth)
        losses["seeing"] = learner["pointing"].loss(seen, truth)
    if boxes:
        losses["locating"] = answer_loss(model, *boxes[0])
        losses["minding"] = minding.loss(batch.texts[-1])
    return losses


def judge_loss(model: Any, hidden: torch.Tensor, text: TextInput) -> torch.Tensor:
    """Mean loss of "yes" against "no". Their difference is the score, and conversations
    have taught most of it; that both words are rare as answers is learned beside it."""
    labels = torch.from_numpy(text.labels)
    here = torch.isin(labels, YES_NO)
    logits = model.lm_head(hidden[here])[:, YES_NO].float()
    right = (labels[here] == YES_NO[1]).long()
    return F.cross_entropy(logits, right) + WORDS * answer_loss(model, hidden, text)


def answer_loss(model: Any, hidden: torch.Tensor, text: TextInput) -> torch.Tensor:
    """Mean loss of the next tokens of [batch, n, hidden]."""
    labels = torch.from_numpy(text.labels).flatten()
    weights = torch.from_numpy(text.weights).flatten()
    counted = (labels != IGNORED).nonzero()[:, 0]
    counted = F.pad(counted, (0, -len(counted) % STRIDE))  # with weight 0: see STRIDE
    weights = weights[counted] * (labels[counted] != IGNORED)
    losses = F.cross_entropy(
        model.lm_head(hidden.flatten(0, 1)[counted]).float(),
        labels[counted].clamp(0),
        reduction="none",
    )
    return (losses * weights).sum() / weights.sum()


def optimizers(model: torch.nn.Module) -> list[torch.optim.Optimizer]:
    """Muon for the matrices between layers (Jordan et al. 2024, with the step size of
    arXiv:2502.16982), AdamW for everything else."""
    matrices, rest = [], []
    for name, p in model.named_parameters():
        if not p.requires_grad:
            continue
        inner = p.ndim == 2 and not any(
            word in name for word in ("embed", "pointing", "finding")
        )
        (matrices if inner else rest).append(p)
    adam = torch.optim.AdamW(
        rest, lr=PEAK["adam"], betas=(0.9, 0.98), weight_decay=0.01, fused=True
    )
    muon = torch.optim.Muon(
        matrices, lr=PEAK["muon"], weight_decay=0.05, adjust_lr_fn="match_rms_adamw"
    )
    return [muon, adam]


def rate(step: int, steps: int, height: float, *, again: bool) -> float:
    """The fraction of the peak learning rate at `step`, of which `height` is the
    largest."""
    fall = (steps - step) / (steps if again else steps * FALL)
    return height * min((step + 1) / WARM_UP, 1.0, fall)


def main(
    out: Annotated[Path, typer.Option(help="Checkpoint, log and weights go here.")],
    start: Annotated[
        Path | None, typer.Option(help="Folder of tiny's two files to start from.")
    ] = None,
    steps: Annotated[
        int, typer.Option(help="0 = the default for this kind of run.")
    ] = 0,
    size: Annotated[int, typer.Option(help="Pictures of a step.")] = BATCH,
    boxes: Annotated[
        int, typer.Option(help="Pictures of a step whose objects are located.")
    ] = 0,
    tower: Annotated[bool, typer.Option(help="Train the vision tower too.")] = True,
    weights: Annotated[
        Path | None, typer.Option(help="Of `training.tower`, instead of the files'.")
    ] = None,
    height: Annotated[
        float, typer.Option(help="Largest rate, of PEAK; 0 = the default.")
    ] = 0.0,
    seed: int = 1,
) -> None:
    out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(2)
    torch.manual_seed(seed)
    tokens = Tokens()
    model = build(TINY, tokens)
    again = start is not None
    steps = steps or (STEPS_AGAIN if again else STEPS)
    height = height or (PEAK_AGAIN if again else 1.0)
    before = STEPS if again else 0
    if start is not None:
        model.load_state_dict(read(start, list(model.state_dict())))
    if weights is not None:
        model.load_state_dict(torch.load(weights))
    model.model.visual.requires_grad_(tower)
    # what the language model reads of a tower that was trained without it
    model.model.visual.merger.requires_grad_(True)
    minding = Minding(model.model.language_model)
    speed_up(model)
    pointing = Pointing(TINY.vision_hidden)
    learner = torch.nn.ModuleDict({"model": model, "pointing": pointing})
    opts = optimizers(learner)
    peaks = [opt.param_groups[0]["lr"] for opt in opts]
    free = torch.load(out / FREE).double() if (out / FREE).is_file() else None
    checkpoint = out / "checkpoint.pt"
    first = 0
    if checkpoint.is_file():
        state = torch.load(checkpoint)
        learner.load_state_dict(state["learner"])
        for opt, saved in zip(opts, state["optimizers"], strict=True):
            opt.load_state_dict(saved)
        first = state["step"]
    batches = Batches(seed, size, boxes, before + first, before + steps)
    loader = DataLoader(batches, batch_size=None, num_workers=1, prefetch_factor=3)
    started, sums = time.monotonic(), Counter[str]()
    for step, batch in enumerate(loader, first):
        for opt, peak in zip(opts, peaks, strict=True):
            for group in opt.param_groups:
                group["lr"] = peak * rate(step, steps, height, again=again)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            # A new training head must not disturb what the tower knows.
            losses = losses_of(learner, minding, batch, aside=again and step < WARM_UP)
        sum(losses.values()).backward()
        torch.nn.utils.clip_grad_norm_(learner.parameters(), 1.0)
        for opt in opts:
            opt.step()
            opt.zero_grad()
        if free is not None:
            silence_before(model, free)
        sums.update({"n": 1} | {name: loss.item() for name, loss in losses.items()})
        done = step + 1
        if done % 25 == 0 or done == steps:
            n = sums.pop("n")
            line: dict[str, Any] = {name: value / n for name, value in sums.items()}
            line |= {"step": done, "seconds_per_step": (time.monotonic() - started) / n}
            if done % 250 == 0 or done == steps:
                exam = examination(seed, per_kind=12)
                asked = as_batches(tokens, exam)
                line |= by_kind(exam, teacher_forced(forward, model, tokens, asked))
            save(checkpoint, learner, opts, done)
            append_line(out / "log.csv", line)
            started, sums = time.monotonic(), Counter[str]()
    torch.save(model.state_dict(), out / "weights.pt")


def save(
    path: Path, learner: torch.nn.Module, opts: list[torch.optim.Optimizer], step: int
) -> None:
    state = {
        "step": step,
        "learner": learner.state_dict(),
        "optimizers": [opt.state_dict() for opt in opts],
    }
    torch.save(state, path.with_suffix(".new"))
    path.with_suffix(".new").replace(path)


def forget(state: dict[str, Any]) -> None:
    """What the optimizers of a checkpoint remember is of other weights."""
    for one in state["optimizers"]:
        for kept in one["state"].values():
            for value in kept.values():
                if torch.is_tensor(value) and value.ndim:
                    value.zero_()


def append_line(path: Path, line: dict[str, Any]) -> None:
    shown = {k: f"{v:.4f}" if isinstance(v, float) else str(v) for k, v in line.items()}
    print(" ".join(f"{k}={v}" for k, v in shown.items()), flush=True)
    new = not path.exists()
    with path.open("a", newline="") as file:
        rows = csv.writer(file)
        if new:
            rows.writerow(["step", "what", "value"])
        rows.writerows((shown["step"], k, v) for k, v in shown.items() if k != "step")


if __name__ == "__main__":
    typer.run(main)
