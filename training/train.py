"""Train the tiny model: `python -m training.train --out FOLDER [--start FILES]`.

An interrupted run resumes with the same result. Every 25 steps appends a line to
FOLDER/log.csv; every 250 steps the model answers questions about new pictures.
"""

from __future__ import annotations

import csv
import os
import time
from pathlib import Path
from typing import Annotated, Any

import torch
import torch.nn.functional as F
import typer
from torch.utils.data import DataLoader, Dataset

from edge.gguf.layout import TINY
from training import fonts
from training.conversations import Conversations
from training.evaluate import as_batches, by_kind, teacher_forced
from training.examination import examination
from training.export import read
from training.facts import EDGES, FACTS, UNKNOWN
from training.fast import speed_up
from training.model import build
from training.rows import IGNORED, Batch
from training.tokens import Tokens

STEPS = 7600
BATCH = 36
PEAK = {"muon": 2e-3, "adam": 1.5e-3}
WARM_UP = 100
FALL = 0.3  # of all steps, at the end: linearly down to zero
# A later run starts from earlier files with new pictures, and its rate only falls.
STEPS_AGAIN = 4000
PEAK_AGAIN = 0.5
ANSWERS = (2, *FACTS.values(), *EDGES)  # whether a centre is here, and what else
EMPTY = 0.15
EDGE_WEIGHT = 0.5  # four similar facts, with many values
LOSSES = ("answering", "seeing", "judging")
JUDGING = 1.0  # one word, so its loss counts as much as that of all answers
STRIDE = 256  # oneDNN compiles a kernel per length: keep them few


class Batches(Dataset[tuple[Batch, Batch]]):
    """Batches made in another process, one ahead."""

    def __init__(self, seed: int, size: int, first: int, last: int) -> None:
        self._seed = seed
        self._size = size
        self._steps = range(first, last)

    def __len__(self) -> int:
        return len(self._steps)

    def __getitem__(self, n: int) -> tuple[Batch, Batch]:
        if not hasattr(self, "_all"):
            os.nice(19)  # drawing uses the cores while the arithmetic leaves gaps
            self._all = Conversations(
                Tokens(), fonts.training_fonts(), self._seed, self._size
            )
        return self._all.batches(self._steps[n])


def forward(model: Any, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """Hidden states before the output head, [batch, n, hidden], and the output of the
    last block of the vision tower, [n_patches, vision hidden].

    As Qwen3VLModel.forward, without its search for pictures and positions, which the
    batch already has.
    """
    pixels = torch.from_numpy(batch.patches).float().div(127.5).sub(1.0)
    ids = torch.from_numpy(batch.ids)
    inside = model.model
    seen = inside.visual(pixels, torch.from_numpy(batch.grids))
    embedded = inside.language_model.embed_tokens(ids)
    is_picture = ids == model.config.image_token_id
    n = int(is_picture.sum())  # the rest is padding
    embedded = embedded.masked_scatter(
        is_picture[..., None], seen.pooler_output[:n].to(embedded.dtype)
    )
    hidden = inside.language_model(
        inputs_embeds=embedded,
        position_ids=torch.from_numpy(batch.positions),
        visual_pos_masks=is_picture,
        deepstack_visual_embeds=[level[:n] for level in seen.deepstack_features],
        use_cache=False,
    ).last_hidden_state
    return hidden, seen.last_hidden_state


class Pointing(torch.nn.Module):
    """A training head that predicts the facts of each patch (`training.facts`)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = torch.nn.LayerNorm(width)
        self.heads = torch.nn.Linear(width, sum(ANSWERS))

    def loss(self, seen: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        """Loss of [n_patches, width] given [n_patches, TRUTHS], background less."""
        total = seen.new_zeros((), dtype=torch.float32)
        said = self.heads(self.norm(seen)).float().split(ANSWERS, dim=1)
        importance = [1.0] * (1 + len(FACTS)) + [EDGE_WEIGHT] * len(EDGES)
        targets = zip(said, truth.long().T, importance, strict=True)
        for answer, right, factor in targets:
            known = right != UNKNOWN
            right = torch.where(known, right, 0)
            losses = F.cross_entropy(answer, right, reduction="none")
            weights = known * torch.where(right == 0, EMPTY, 1.0)
            mean = (losses * weights).sum() / weights.sum().clamp(1)
            total = total + factor * mean
        return total


def loss_of(
    model: Any, pointing: Pointing, batch: Batch, *, aside: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Loss of the next tokens, and of the facts of the patches. `aside`: only the
    training head learns from the latter."""
    hidden, seen = forward(model, batch)
    hidden = hidden.flatten(0, 1)
    labels = torch.from_numpy(batch.labels).flatten()
    weights = torch.from_numpy(batch.weights).flatten()
    counted = (labels != IGNORED).nonzero()[:, 0]
    counted = F.pad(counted, (0, -len(counted) % STRIDE))  # with weight 0: see STRIDE
    weights = weights[counted] * (labels[counted] != IGNORED)
    losses = F.cross_entropy(
        model.lm_head(hidden[counted]).float(),
        labels[counted].clamp(0),
        reduction="none",
    )
    answers = (losses * weights).sum() / weights.sum()
    seen = seen.detach() if aside else seen
    return answers, pointing.loss(seen, torch.from_numpy(batch.truth))


def optimizers(model: torch.nn.Module) -> list[torch.optim.Optimizer]:
    """Muon for the matrices between layers (Jordan et al. 2024, with the step size of
    arXiv:2502.16982), AdamW for everything else."""
    matrices, rest = [], []
    for name, p in model.named_parameters():
        inner = p.ndim == 2 and not any(word in name for word in ("embed", "pointing"))
        (matrices if inner else rest).append(p)
    adam = torch.optim.AdamW(
        rest, lr=PEAK["adam"], betas=(0.9, 0.98), weight_decay=0.01, fused=True
    )
    muon = torch.optim.Muon(
        matrices, lr=PEAK["muon"], weight_decay=0.05, adjust_lr_fn="match_rms_adamw"
    )
    return [muon, adam]


def rate(step: int, steps: int, *, again: bool) -> float:
    """The fraction of the peak learning rate at `step`."""
    fall = (steps - step) / (steps if again else steps * FALL)
    height = PEAK_AGAIN if again else 1.0
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
    seed: int = 1,
) -> None:
    out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(2)
    torch.manual_seed(seed)
    tokens = Tokens()
    model = build(TINY, tokens)
    again = start is not None
    steps = steps or (STEPS_AGAIN if again else STEPS)
    before = STEPS if again else 0
    if start is not None:
        model.load_state_dict(read(start, list(model.state_dict())))
    speed_up(model)
    pointing = Pointing(TINY.vision_hidden)
    learner = torch.nn.ModuleDict({"model": model, "pointing": pointing})
    opts = optimizers(learner)
    peaks = [opt.param_groups[0]["lr"] for opt in opts]
    checkpoint = out / "checkpoint.pt"
    first = 0
    if checkpoint.is_file():
        state = torch.load(checkpoint)
        learner.load_state_dict(state["learner"])
        for opt, saved in zip(opts, state["optimizers"], strict=True):
            opt.load_state_dict(saved)
        first = state["step"]
    batches = Batches(seed, size, before + first, before + steps)
    loader = DataLoader(batches, batch_size=None, num_workers=1, prefetch_factor=3)
    started, sums = time.monotonic(), torch.zeros(4)
    for step, (conversations, judged) in enumerate(loader, first):
        for opt, peak in zip(opts, peaks, strict=True):
            for group in opt.param_groups:
                group["lr"] = peak * rate(step, steps, again=again)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            # A new training head must not disturb what the tower knows.
            aside = again and step < WARM_UP
            answering, seeing = loss_of(model, pointing, conversations, aside=aside)
            judging, _ = loss_of(model, pointing, judged, aside=True)
        (answering + seeing + JUDGING * judging).backward()
        torch.nn.utils.clip_grad_norm_(learner.parameters(), 1.0)
        for opt in opts:
            opt.step()
            opt.zero_grad()
        losses = answering.item(), seeing.item(), judging.item()
        sums += torch.tensor([1.0, *losses])
        done = step + 1
        if done % 25 == 0 or done == steps:
            n = sums[0].item()
            means = (sums[1:] / n).tolist()
            line: dict[str, Any] = dict(zip(LOSSES, means, strict=True))
            line |= {"step": done, "seconds_per_step": (time.monotonic() - started) / n}
            if done % 250 == 0 or done == steps:
                exam = examination(seed, per_kind=12)
                asked = as_batches(tokens, exam)
                line |= by_kind(exam, teacher_forced(forward, model, tokens, asked))
            save(checkpoint, learner, opts, done)
            append_line(out / "log.csv", line)
            started, sums = time.monotonic(), torch.zeros(4)
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
