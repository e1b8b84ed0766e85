"""The field `task`: what it writes into a body, and what it leaves to the client."""

from __future__ import annotations

from typing import Any

import pytest

from edge.errors import InvalidRequest
from edge.qwen3vl.tasks import TASKS
from tests.ui.pictures import part, png
from ui.openai.body import ChatBody
from ui.openai.files import FilePart
from ui.openai.messages import ImagePart, TextPart, parts_of
from ui.openai.ready_task import without_task
from ui.openai.videos import FramesPart, VideoUrlPart, video_of
from ui.parsed_question import NO_HOSTS

PICTURE = part(png())
VIDEO = "data:video/mp4;base64,AAAA"


def asked(task: str, *content: Any, **more: Any) -> ChatBody:
    messages = [{"role": "user", "content": [PICTURE, *content]}]
    body = ChatBody.model_validate({"task": task, "messages": messages} | more)
    return without_task(body)


def prompt_of(body: ChatBody) -> str:
    texts = [p.text for p in parts_of(body.messages[-1]) if isinstance(p, TextPart)]
    return "".join(texts)


def details_of(body: ChatBody) -> list[str]:
    parts = [part for message in body.messages for part in parts_of(message)]
    return [part.image_url.detail for part in parts if isinstance(part, ImagePart)]


def test_a_task_asks_with_its_own_prompt_and_detail() -> None:
    body = asked("locate", {"type": "text", "text": "red cups"})
    assert prompt_of(body) == TASKS["locate"].prompt("red cups")
    assert details_of(body) == ["high"]
    assert body.longest_answer == 1024
    assert body.sampling(64).is_greedy


def test_a_task_needs_no_words() -> None:
    assert prompt_of(asked("describe")) == "Describe this picture."


def test_long_texts_are_sampled_as_the_authors_recommend() -> None:
    sampling = asked("read").sampling(64)
    assert (sampling.temperature, sampling.presence_penalty) == (0.7, 1.5)
    assert asked("read", temperature=0.0).sampling(64).is_greedy


def test_fields_come_as_json() -> None:
    assert '"kind"' in asked("fields").sampling(64).grammar
    schema = {"type": "object", "properties": {"total": {"type": "number"}}}
    form = {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}
    own = asked("fields", response_format=form).sampling(64).grammar
    assert "total" in own
    assert "kind" not in own
    assert (
        asked("fields", guided_regex="[a-z]+").sampling(64).grammar.startswith("start")
    )


def test_what_the_client_says_stays() -> None:
    low = part(png(), detail="low")
    assert details_of(asked("read", low)) == ["high", "low"]
    auto = part(png(), detail="auto")
    assert details_of(asked("read", auto)) == ["high", "auto"]
    assert asked("read", max_completion_tokens=7).longest_answer == 7


def test_pages_of_files_get_the_detail_too() -> None:
    def file(**more: str) -> dict[str, Any]:
        return {"type": "file", "file": {"file_data": "JVBERi0=", **more}}

    body = asked("read", file(), file(detail="low"), file(detail="auto"))
    files = [p.file for p in parts_of(body.messages[0]) if isinstance(p, FilePart)]
    assert [one.detail for one in files] == ["high", "low", "auto"]


def test_videos_get_the_detail_too() -> None:
    def details(**more: str) -> list[str]:
        clip = {"type": "video_url", "video_url": {"url": VIDEO}}
        inside = {"type": "video_url", "video_url": {"url": VIDEO} | more}
        frames = {"type": "video", "video": [VIDEO.replace("video/mp4", "image/png")]}
        body = asked("read", clip | more, inside, frames | more)
        parts = [*parts_of(body.messages[0])][1:4]
        return [
            video_of(part, "video", NO_HOSTS).detail
            for part in parts
            if isinstance(part, VideoUrlPart | FramesPart)
        ]

    assert details() == ["high"] * 3
    assert details(detail="auto") == ["auto"] * 3
    assert details(detail="low") == ["low"] * 3


def test_earlier_pictures_get_the_detail_too() -> None:
    earlier = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [PICTURE]},
        {"role": "assistant", "content": "A square."},
        {"role": "user", "content": "squares"},
    ]
    body = without_task(
        ChatBody.model_validate({"task": "locate", "messages": earlier})
    )
    assert details_of(body) == ["high"]
    assert prompt_of(body) == TASKS["locate"].prompt("squares")


def test_a_body_without_a_task_stays_the_same() -> None:
    body = ChatBody.model_validate({"messages": [{"role": "user", "content": "hello"}]})
    assert without_task(body) is body


@pytest.mark.parametrize(
    ("task", "role", "said"),
    [
        ("dance", "user", "There is no task 'dance'. Tasks: describe, read,"),
        ("read", "assistant", "A task needs a last message of the user."),
    ],
)
def test_a_task_that_cannot_be_asked_is_refused(
    task: str, role: str, said: str
) -> None:
    body = ChatBody.model_validate(
        {"task": task, "messages": [{"role": role, "content": "hello"}]}
    )
    with pytest.raises(InvalidRequest) as refusal:
        without_task(body)
    assert refusal.value.message.startswith(said)
    assert refusal.value.param == "task"
