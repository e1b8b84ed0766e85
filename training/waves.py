"""Places as waves: sines and cosines, of which a linear layer can read digits.

One turn over the picture shows the hundreds of a place in thousandths, ten turns show
its tens.
"""

from __future__ import annotations

from typing import Final

import torch

TURNS: Final = (0.5, 1.0, 2.5, 5.0, 10.0)
WAVES: Final = 2 * len(TURNS)
# Weights of errors: slow waves matter until they are exact and lead to the fast ones.
LADDER: Final = torch.tensor((10.0, 6.0, 3.0, 1.5, 1.0))


def waves(at: torch.Tensor) -> torch.Tensor:
    """[..., 4] places from 0 to 1 as [..., 4 * WAVES]."""
    angle = 2 * torch.pi * at[..., None] * torch.tensor(TURNS)
    return torch.cat([angle.sin(), angle.cos()], dim=-1).flatten(-2)


SPOTS: Final = torch.arange(1001) / 1000
CODE: Final = waves(SPOTS[:, None])


def places(said: torch.Tensor) -> torch.Tensor:
    """The inverse of `waves`: the places whose waves are nearest, [..., 4]."""
    return SPOTS[(said.unflatten(-1, (-1, WAVES)) @ CODE.T).argmax(-1)]


def wrong(said: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Of waves, [..., 4 * WAVES] given the places [..., 4]: errors [..., 4], where 1 is
    that of saying nothing."""
    error = (said.float() - waves(right)).square().unflatten(-1, (4, 2, -1)).sum(-2)
    return (error * LADDER).sum(-1) / LADDER.sum()
