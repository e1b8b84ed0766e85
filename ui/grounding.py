"""The boxes and points of an answer, as every API tells them."""

from __future__ import annotations

from typing import Any

from edge.request import Answer


def grounding(answer: Answer) -> dict[str, Any]:
    """The field `grounding`, if the answer names boxes or points: `bbox_2d` or
    `point_2d` in thousandths of the upright picture, as the model wrote them, and
    `box_px` or `point_px` in pixels of the file that was sent. No API has such a field:
    an answer without marks has none either."""
    if not answer.marks:
        return {}
    return {
        "grounding": [
            {
                "picture": mark.picture,
                "label": mark.label,
                "bbox_2d" if mark.is_box else "point_2d": mark.thousandths,
                "box_px" if mark.is_box else "point_px": mark.pixels,
            }
            for mark in answer.marks
        ]
    }
