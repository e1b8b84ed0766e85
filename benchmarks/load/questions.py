"""The n-th question of a run, and how long its client waits.

Pure functions of the name of a run and a number: a run can be repeated, two runs never
share a picture, and the order of the users does not matter. Knows neither Locust nor
the network.
"""

from __future__ import annotations

import base64
import random
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from benchmarks.load.exchange import Patience
from benchmarks.load.pictures import FIELD_SIZE, fresh_jpeg

DESCRIBE = "请描述这张图片的内容。"  # field report A
EXTRACT = "请把这张图片中的信息填入 JSON。"
HIGH_RESOLUTION = (1600, 1200)
SMALL = (64, 64)
FOLLOW_UPS = (
    "图中最大的物体是什么颜色？",
    "背景是什么样的？",
    "图中一共有几个物体？",
    "左上角有什么？",
    "哪两个物体离得最近？",
    "用一句话总结这张图片。",
)
N_KNOWN = 20  # pictures of the scenario `cache`
MAX_WAIT_S = 2.0  # until an impatient client hangs up
MAX_PIECES = 8  # of text, until a client hangs up in mid-stream


@dataclass(frozen=True)
class Question:
    """One question of a user. `kind` is its row in the tables of a report."""

    kind: str
    text: str
    size: tuple[int, int] | None = None  # of its picture, in pixels
    name: str = ""  # of its picture: equal names have equal bytes

    def message(self) -> dict[str, Any]:
        """The question as a message of the OpenAI API."""
        if self.size is None:
            return {"role": "user", "content": self.text}
        url = _data_url(self.name, self.size)
        picture = {"type": "image_url", "image_url": {"url": url}}
        return {
            "role": "user",
            "content": [picture, {"type": "text", "text": self.text}],
        }


# The known pictures are made once: every client waits while one is made.
@lru_cache(maxsize=N_KNOWN)
def _data_url(name: str, size: tuple[int, int]) -> str:
    jpeg = fresh_jpeg(random.Random(name), *size)
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"


def picture(run: str, number: int) -> Question:
    """The question of field report A about a new picture."""
    return Question("picture", DESCRIBE, FIELD_SIZE, f"picture {run}/{number}")


def extraction(run: str, number: int) -> Question:
    """A request for the facts in a new picture, to be answered in JSON."""
    return Question("extraction", EXTRACT, FIELD_SIZE, f"picture {run}/{number}")


def high_resolution(run: str, number: int) -> Question:
    """The same question about a picture with four times the pixels."""
    name = f"picture {run}/{number}"
    return Question("high-resolution picture", DESCRIBE, HIGH_RESOLUTION, name)


def filling(run: str, number: int) -> Question:
    """A question about a new small picture, as long as few others: whatever a server
    keeps of each picture, question or length is soon full."""
    text = "为什么？" * (number % 64 + 1)
    return Question("filling", text, SMALL, f"picture {run}/{number}")


def text(run: str, number: int) -> Question:
    """A new question without a picture."""
    n = random.Random(f"text {run}/{number}").randrange(10**12)
    return Question("text", f"请用三句话说说数字 {n} 有什么特别之处。")


def mixed(run: str, number: int, text_share: float) -> Question:
    """Text with probability `text_share`, else a picture."""
    is_text = _draws(run, number).random() < text_share
    return (text if is_text else picture)(run, number)


def alternating(run: str, number: int) -> Question:
    """Text, picture, high-resolution picture, in a cycle."""
    return (text, picture, high_resolution)[number % 3](run, number)


def repeating(run: str, number: int, repeat_rate: float) -> Question:
    """A new question about one of N_KNOWN pictures, or an earlier question with
    probability `repeat_rate`."""
    draws = _draws(run, number)
    kind = "new question"
    while number and draws.random() < repeat_rate:
        kind, number = "repeated question", draws.randrange(number)
        draws = _draws(run, number)
    text = f"{draws.choice(FOLLOW_UPS)} ({number + 1})"
    name = f"picture {run}/known {draws.randrange(N_KNOWN)}"
    return Question(kind, text, FIELD_SIZE, name)


def about_one_picture(run: str, number: int) -> Question:
    """A new question about the single picture of a run."""
    text = f"{FOLLOW_UPS[number % len(FOLLOW_UPS)]} ({number + 1})"
    return Question("same picture", text, FIELD_SIZE, f"picture {run}/shared")


def conversation(run: str, number: int) -> list[Question]:
    """A question about a picture, and three to five follow-up questions."""
    draws = _draws(run, number)
    follow_ups = draws.sample(FOLLOW_UPS, draws.randint(3, 5))
    more = [Question("follow-up", question) for question in follow_ups]
    return [picture(run, number), *more]


def patience(run: str, number: int, abort_share: float) -> Patience:
    """The patience of the client of a question. A share of `abort_share` hangs up: half
    of them after a time, probably while waiting, half in mid-stream."""
    draws = _draws(run, number)
    if draws.random() >= abort_share:
        return Patience()
    if draws.random() < 0.5:
        return Patience(hang_up_s=draws.uniform(0.05, MAX_WAIT_S))
    return Patience(hang_up_pieces=draws.randint(1, MAX_PIECES))


def _draws(run: str, number: int) -> random.Random:
    return random.Random(f"{run}/{number}")
