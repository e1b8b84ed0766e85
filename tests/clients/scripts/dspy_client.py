"""DSPy: its language model with a picture. The bundled model cannot follow the forms of
its adapters, which are only described to it."""

from __future__ import annotations

from unittest import TestCase

import dspy
from given import BASE_URL, RIGHT, WHAT, check, data_url

model = dspy.LM("openai/tiny", api_base=BASE_URL, api_key="unused", max_tokens=200)


class Chat(TestCase):
    def test_pictures(self) -> None:
        for picture in RIGHT:
            image = {"type": "image_url", "image_url": {"url": data_url(picture)}}
            content = [image, {"type": "text", "text": WHAT}]
            [answer] = model(messages=[{"role": "user", "content": content}])
            check(answer if isinstance(answer, str) else answer["text"], picture)
