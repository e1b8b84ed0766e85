"""Gradio's components with fewer abilities: no payload creates a component, and no file
that a payload names is opened or copied."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr
from gradio import component_meta
from gradio.components.base import Component
from gradio.components.chatbot import (
    ChatbotDataMessages,
    FileMessage,
    NormalizedMessageDict,
    TextMessage,
)
from gradio.data_classes import GradioModel, GradioRootModel

from ui.markup import escape, unescape

# Gradio writes a file of types beside the source of each component.
component_meta.create_or_modify_pyi = lambda *_: None


class _KeepsFilesWhereTheyAre(Component):
    """Gradio would open a URL and copy a file before a component sees it. Here every
    path is that of an upload, which `ui.guard` has looked up."""

    async def async_move_resource_to_block_cache(
        self, url_or_file_path: str | Path | None
    ) -> str | None:
        return None if url_or_file_path is None else str(url_or_file_path)

    def move_resource_to_block_cache(
        self, url_or_file_path: str | Path | None
    ) -> str | None:
        return None if url_or_file_path is None else str(url_or_file_path)


class Part(GradioModel):
    """One message: texts and files."""

    role: str
    content: list[TextMessage | FileMessage]


class Parts(GradioRootModel):
    """A conversation as a browser sends it."""

    root: list[Part]


class Conversation(_KeepsFilesWhereTheyAre, gr.Chatbot):
    """A chatbot of texts and files, whose texts are Markdown without HTML."""

    data_model = Parts  # type: ignore[assignment]

    def get_block_name(self) -> str:
        return "chatbot"

    def preprocess(self, payload: Any) -> list[NormalizedMessageDict]:
        messages: list[Any] = [part.model_dump() for part in payload.root]
        for message in messages:
            for part in message["content"]:
                if part["type"] == "text":
                    part["text"] = unescape(part["text"])
        return messages

    def postprocess(self, value: Any) -> ChatbotDataMessages:
        found = super().postprocess(value)
        for message in found.root:
            for part in message.content:
                if isinstance(part, TextMessage):
                    part.text = escape(part.text)
        return found


class QuestionBox(_KeepsFilesWhereTheyAre, gr.MultimodalTextbox):
    """A text box with files."""

    def get_block_name(self) -> str:
        return "multimodaltextbox"
