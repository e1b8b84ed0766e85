"""The boxes and points in an answer, in pixels of the file that was sent. Pure.

Qwen3-VL writes JSON objects with `bbox_2d` or `point_2d`, in thousandths of the upright
picture, and a `label`. Source: the Qwen3-VL cookbook "2d grounding". A resize keeps
thousandths, and no picture is padded: only the orientation of the file is undone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from edge.marks import Mark, SourceFile
from edge.qwen3vl.grounding_reader import Located, located
from edge.qwen3vl.picture_names import Name
from edge.request import PictureRef

MOST: Final = 300  # marks of one answer
MOST_LABEL: Final = 200  # characters
SCALE: Final = 1000
# Numbers further outside are not thousandths: other models write pixels.
SLACK: Final = 20


def marks_in(
    text: str,
    pictures: Sequence[PictureRef],
    n_dropped: int = 0,
    labels: Sequence[str] = (),
) -> tuple[Mark, ...]:
    """The first MOST marks of an answer about `pictures`, of which `n_dropped` before
    them are no longer part of the prompt. `labels` are what the prompt calls them, ""
    where it has no name. Takes time in proportion to the text.

    A mark belongs to the picture that it, an object around it or a heading above it
    names by label or number; the first is 1, or 0 where the answer names a picture 0.
    If there is no number, each list belongs to the picture in the same position, where
    there are as many lists as pictures, and to the last picture otherwise. An answer
    with a number that is not a thousandth has no marks: its other numbers are as
    doubtful.
    """
    if not pictures:
        return ()
    found = located(text, labels)
    if any(not -SLACK <= n <= SCALE + SLACK for one in found for n in one.numbers):
        return ()
    lists = sorted({one.list_index for one in found})
    has_one_each = len(lists) == len(pictures)
    first = 0 if any(one.picture == Name(0) for one in found) else 1
    marks: list[Mark] = []
    for one in found[:MOST]:
        at = len(pictures) - 1
        if one.picture and one.picture.position(first) in range(len(pictures)):
            at = one.picture.position(first)
        elif has_one_each:
            at = lists.index(one.list_index)
        if mark := _mark(one, pictures[at], n_dropped + at):
            marks.append(mark)
    return tuple(marks)


def _mark(found: Located, picture: PictureRef, index: int) -> Mark | None:
    """None for a box without an area inside the picture, for a point outside, and for
    fractions of 1."""
    if max(found.numbers) <= 1 and any(n % 1 for n in found.numbers):
        return None
    numbers = [min(max(0, number), SCALE) for number in found.numbers]
    if len(numbers) == 4:
        left, right = sorted(numbers[::2])
        top, bottom = sorted(numbers[1::2])
        if left == right or top == bottom or max(right, bottom) <= 1:
            return None
        numbers = [left, top, right, bottom]
    elif numbers != list(found.numbers):
        return None
    label = found.label[:MOST_LABEL]
    source = picture.source or SourceFile(picture.width, picture.height)
    return Mark(index, label, tuple(numbers), pixels(numbers, source))


def pixels(thousandths: Sequence[float], source: SourceFile) -> tuple[int, ...]:
    """A point or a box of the upright picture in whole pixels of the file. A box ends
    at the edge of the file, a point in its last row or column."""
    corners = zip(thousandths[::2], thousandths[1::2], strict=True)
    turned = [_stored(x / SCALE, y / SCALE, source.orientation) for x, y in corners]
    columns = sorted(round(x * source.width) for x, _ in turned)
    rows = sorted(round(y * source.height) for _, y in turned)
    if len(turned) == 1:
        return min(columns[0], source.width - 1), min(rows[0], source.height - 1)
    return columns[0], rows[0], columns[1], rows[1]


def _stored(x: float, y: float, orientation: int) -> tuple[float, float]:
    """Where the file stores a point of the upright picture, both in fractions.
    Source: EXIF 2.3, "Orientation"."""
    if orientation in (5, 6, 7, 8):
        x, y = y, x
    if orientation in (2, 3, 7, 8):
        x = 1 - x
    if orientation in (3, 4, 6, 7):
        y = 1 - y
    return x, y
