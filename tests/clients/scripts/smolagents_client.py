"""smolagents: a model call, and an agent whose steps are calls."""

from __future__ import annotations

from unittest import TestCase

from given import BASE_URL, CIRCLE, RIGHT, SQUARE, WHAT, check
from PIL import Image
from smolagents import OpenAIModel, ToolCallingAgent

model = OpenAIModel(model_id="tiny", api_base=BASE_URL, api_key="unused")


def question(picture: str) -> dict[str, object]:
    picture = {"type": "image", "image": Image.open(picture)}
    return {"role": "user", "content": [picture, {"type": "text", "text": WHAT}]}


class Chat(TestCase):
    def test_pictures(self) -> None:
        for picture in RIGHT:
            check(model.generate([question(picture)]).content, picture)

    def test_stream(self) -> None:
        deltas = model.generate_stream([question(SQUARE)])
        check("".join(delta.content or "" for delta in deltas), SQUARE)


class Agents(TestCase):
    def test_calls(self) -> None:
        """Its steps are required calls; the bundled model chooses any of them."""
        agent = ToolCallingAgent(tools=[], model=model, max_steps=2)
        assert agent.run(WHAT, images=[Image.open(CIRCLE)]) is not None
        assert agent.memory.steps[-1].error is None
