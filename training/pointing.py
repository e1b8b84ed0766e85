"""A head of the vision tower for training, discarded afterwards."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from training.facts import FACTS, UNKNOWN

ANSWERS = (2, *FACTS.values())  # whether a centre is here, and what else
EMPTY = 0.15


class Pointing(torch.nn.Module):
    """Predicts the facts of each patch (`training.facts`)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = torch.nn.LayerNorm(width)
        self.heads = torch.nn.Linear(width, sum(ANSWERS))

    def loss(self, seen: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        """Loss of [n_patches, width] given [n_patches, TRUTHS], background less."""
        total = seen.new_zeros((), dtype=torch.float32)
        said = self.heads(self.norm(seen)).float().split(ANSWERS, dim=1)
        for answer, right in zip(said, truth.long().T, strict=True):
            known = right != UNKNOWN
            right = torch.where(known, right, 0)
            losses = F.cross_entropy(answer, right, reduction="none")
            weights = known * torch.where(right == 0, EMPTY, 1.0)
            total = total + (losses * weights).sum() / weights.sum().clamp(1)
        return total
