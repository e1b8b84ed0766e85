"""The body of a request that names a ready task, without the name: as if its client had
written out the prompt, and how the answer is computed."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from edge.errors import InvalidRequest
from edge.qwen3vl.tasks import Task, find_task
from ui.openai.body import ChatBody
from ui.openai.files import FilePart
from ui.openai.formats import FORMS, SchemaFormat
from ui.openai.messages import (
    ChatMessage,
    ImagePart,
    TextPart,
    UserMessage,
    parts_of,
)
from ui.openai.videos import FramesPart, VideoUrlPart


def without_task(body: ChatBody) -> ChatBody:
    """The text of the last message goes into the prompt of the task. What the client
    has said itself stays: pictures without a `detail` get that of the task, and so on.
    A body without a task is returned unchanged.

    Raises InvalidRequest for an unknown task, and where the last message cannot ask it.
    """
    if not body.task:
        return body
    task = find_task(body.task)
    *before, last = body.messages
    if not isinstance(last, UserMessage):
        raise InvalidRequest("A task needs a last message of the user.", param="task")
    messages = [_detailed(message, task) for message in (*before, _asked(last, task))]
    return body.model_copy(update=_how(body, task) | {"messages": messages})


def _asked(message: UserMessage, task: Task) -> UserMessage:
    """The message with its pictures as they are, and then the prompt."""
    parts = [*parts_of(message)]
    words = "\n".join(part.text for part in parts if isinstance(part, TextPart))
    pictures = [part for part in parts if not isinstance(part, TextPart)]
    prompt = TextPart(type="text", text=task.prompt(words))
    return message.model_copy(update={"content": [*pictures, prompt]})


def _detailed(message: ChatMessage, task: Task) -> ChatMessage:
    if isinstance(message.content, str):
        return message
    parts = [_in_detail(part, task) for part in message.content]
    return message.model_copy(update={"content": parts})


def _in_detail(part: BaseModel, task: Task) -> BaseModel:
    detail = {"detail": task.detail}
    match part:
        case ImagePart(image_url=held) if "detail" not in held.model_fields_set:
            update: dict[str, Any] = {"image_url": held.model_copy(update=detail)}
        case FilePart(file=file) if "detail" not in file.model_fields_set:
            update = {"file": file.model_copy(update=detail)}
        case VideoUrlPart(detail=None, video_url=video) if video.detail is None:
            update = detail
        case FramesPart(detail=None):
            update = detail
        case _:
            return part
    return part.model_copy(update=update)


def _how(body: ChatBody, task: Task) -> dict[str, Any]:
    """The fields that the client has left to the task."""
    given = body.model_fields_set
    fields: dict[str, Any] = {}
    if not given & task.sampling.keys():
        fields |= task.sampling
    if body.longest_answer is None:
        fields["max_tokens"] = task.max_tokens
    if task.schema and not given & FORMS:
        schema = {"name": task.name, "schema": task.schema}
        form = {"type": "json_schema", "json_schema": schema}
        fields["response_format"] = SchemaFormat.model_validate(form)
    return fields
