"""What it costs to encode a picture, against the number of its image tokens.

Each patch is compared with all others of its picture, so that a token of a large one
takes longer. Measured with OpenVINO and the shapes of the 2B model, CPU time in ms a
token: 6.4 of 256 tokens, 7.6 of 475, 10.5 of 1,024, 14.1 of 1,536.
"""

from __future__ import annotations

from typing import Final

# At this number attention takes as long as the rest of the encoder.
ATTENTION_TOKENS: Final = 900


def encode_tokens(n_tokens: int) -> float:
    """The image tokens of one picture, weighed by the time that it takes to encode
    them: one of a very small picture counts 1."""
    return n_tokens * (1 + n_tokens / ATTENTION_TOKENS)
