"""What a chat turn means: Gradio's history to our messages, our events to its text.

Pure: no Gradio, no network, so that each rule can be tested by itself.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edge.events import Embedded, Event, Failed, Queued, Retried, Started
from edge.request import Answer, Message, PictureRef

LANGUAGES = ("en", "zh")

# What the page says, by language. Gradio translates its own chrome.
TEXTS: dict[str, dict[str, str]] = {
    "en": {
        "title": "# Ask about a picture",
        "placeholder": "Add a picture and ask about it",
        "hint": "Drop a picture below and ask what you want to know.",
        "tiny": "Test model: it knows only simple shapes, colours and numbers.",
        "no_worker": "The model is still loading.",
        "default_question": "Describe this picture.",
        "queued": "Waiting, number {position} in the queue.",
        "queued_for": "Waiting, number {position} in the queue, about {about}.",
        "moment": "a few seconds",
        "seconds": "{n} seconds",
        "minutes": "{n} minutes",
        "retried": "The computer was interrupted and begins again …",
        "reading": "Looking …",
        "thinking": "Thinking …",
        "cancelled": "Stopped.",
        "empty": "Write a question or add a picture.",
        "dropped": "The oldest messages no longer fit and were left out.",
    },
    "zh": {
        "title": "# 看图问答",
        "placeholder": "添加图片并提问",
        "hint": "把图片拖到下面，然后提问。",
        "tiny": "测试模型：它只认识简单的图形、颜色和数字。",
        "no_worker": "模型还在加载。",
        "default_question": "请描述这张图片的内容。",
        "queued": "排队中，您排在第 {position} 位。",
        "queued_for": "排队中，您排在第 {position} 位，大约还要 {about}。",
        "moment": "几秒钟",
        "seconds": "{n} 秒",
        "minutes": "{n} 分钟",
        "retried": "处理被中断，正在重新开始 ……",
        "reading": "正在查看 ……",
        "thinking": "正在思考 ……",
        "cancelled": "已停止。",
        "empty": "请输入问题或添加图片。",
        "dropped": "较早的消息已放不下，未包含在内。",
    },
}

# Errors are English sentences; this is what they come to elsewhere, by their code.
ERRORS: dict[str, dict[str, str]] = {
    "en": {},
    "zh": {
        "queue_full": "现在提问的人太多，请过一会儿再试。",
        "client_limit": "您还有问题正在处理，请等回答完成后再提问。",
        "no_worker": "模型还没有准备好，请过一会儿再试。",
        "service_unavailable": "服务暂时不可用，请过一会儿再试。",
        "shutting_down": "服务正在停止，请过一会儿再问一次。",
        "worker_lost": "处理被中断，请再问一次。",
        "deadline_exceeded": "回答没有在规定时间内完成，请再问一次。",
        "engine_error": "处理这个问题时出错，请再问一次。",
        "request_quarantined": "这个问题多次导致处理中断，暂时不再处理，请换一个问题。",
        "invalid_image": "这张图片无法使用，请换一张。（{message}）",
        "context_length_exceeded": "问题太长，请缩短后再试。（{message}）",
    },
}


def language_of(accept_language: str) -> str:
    """The first language of an Accept-Language header that the page speaks."""
    for tag in accept_language.lower().split(","):
        if (language := tag.strip()[:2]) in LANGUAGES:
            return language
    return "en"


@dataclass(frozen=True)
class Turn:
    """One message of a chat: its role, its text, and paths of its pictures."""

    role: str
    text: str
    files: tuple[str, ...] = ()


def turns(history: Iterable[Mapping[str, Any]]) -> list[Turn]:
    """The turns in Gradio's history: dictionaries with a role and a content, which is
    a text or a list of parts {"type": "text" | "file"}."""
    found = []
    for entry in history:
        content = entry["content"]
        parts = [content] if isinstance(content, str | Mapping) else list(content)
        texts = [_text(part) for part in parts]
        files = [path for part in parts if (path := _file(part))]
        found.append(Turn(entry["role"], _said("".join(texts)), tuple(files)))
    return found


def _text(part: Any) -> str:
    if isinstance(part, str):
        return part
    return str(part.get("text", "")) if part.get("type") == "text" else ""


def _said(text: str) -> str:
    """What the model said of what was shown: see `told`."""
    for language in LANGUAGES:
        text = text.removesuffix(_note(language))
    return text


def _file(part: Any) -> str | None:
    if isinstance(part, str) or part.get("type") != "file":
        return None
    return str(part["file"]["path"])


def conversation(
    turns: Sequence[Turn], pictures: Mapping[str, PictureRef], language: str
) -> tuple[Message, ...]:
    """Messages for the model; `pictures` gives the vetted picture of each path.

    A picture without words is asked the default question. Neighbouring turns of one
    role become one message: Gradio keeps files and text apart.
    """
    messages: list[Message] = []
    for turn in turns:
        if turn.role not in ("user", "assistant"):
            continue
        content: list[str | PictureRef] = [pictures[path] for path in turn.files]
        content += [turn.text] if turn.text else []
        if messages and messages[-1].role == turn.role:
            content = [*messages.pop().content, *content]
        messages.append(Message(turn.role, tuple(content)))  # type: ignore[arg-type]
    question = TEXTS[language]["default_question"]
    return tuple(
        Message("user", (*message.content, question))
        if message.content and message.pictures == message.content
        else message
        for message in messages
    )


def told(answer: Answer, language: str) -> str:
    """An answer as the page shows it; `turns` takes off again what is added here."""
    return answer.text + (_note(language) if answer.n_dropped else "")


def _note(language: str) -> str:
    return f"\n\n*{TEXTS[language]['dropped']}*"


def notice(models: Collection[str], language: str) -> str:
    """What to warn of above the conversation; empty when all is well."""
    if not models:
        return TEXTS[language]["no_worker"]
    return TEXTS[language]["tiny"] if "tiny" in models else ""


def status(event: Event | None, language: str) -> str | None:
    """What to tell the person while there is no new text; None = nothing new."""
    texts = TEXTS[language]
    match event:
        case Queued(position, None):
            return texts["queued"].format(position=position)
        case Queued(position, float(seconds)):
            about = _about(seconds, texts)
            return texts["queued_for"].format(position=position, about=about)
        case Retried():
            return texts["retried"]
        case Started():
            return texts["reading"]
        case Embedded():
            return texts["thinking"]
        case Failed("cancelled"):
            return texts["cancelled"]
        case Failed(code, message):
            return ERRORS[language].get(code, "{message}").format(message=message)
        case _:
            return None


def _about(seconds: float, texts: Mapping[str, str]) -> str:
    """A time as people say it: no second of it is exact."""
    if seconds < 7.5:
        return texts["moment"]
    if seconds < 90:
        return texts["seconds"].format(n=5 * round(seconds / 5))
    return texts["minutes"].format(n=round(seconds / 60))
