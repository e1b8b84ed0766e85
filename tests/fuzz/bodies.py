"""Bodies of questions in the form of each API, and their check."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

from PIL import Image

from edge.caller import ANONYMOUS, Caller
from edge.errors import EdgeError, InvalidRequest
from tests.test_images import encode
from ui.anthropic.routes import read_messages
from ui.body import parse
from ui.completions.body import CompletionBody
from ui.embeddings.body import EmbeddingsBody
from ui.field_names import FieldNames
from ui.ollama.body import OllamaBody, OllamaChat, OllamaPrompt
from ui.ollama.translation import NothingAsked, chat_of
from ui.openai.body import ChatBody
from ui.parsed_question import ParsedQuestion
from ui.rerank.body import RerankBody
from ui.rerank.reply import Ranking
from ui.responses.draft import ResponseDraft

CALLER = Caller(ANONYMOUS, "me", "127.0.0.1", "me")
PICTURE = encode(Image.linear_gradient("L").resize((24, 16)), "PNG")
GOOD_URL = "data:image/png;base64," + base64.b64encode(PICTURE).decode()
BODIES: list[Any] = [
    {"messages": [{"role": "user", "content": "Hello"}]},
    {
        "model": "tiny",
        "messages": [
            {"role": "system", "content": [{"type": "text", "text": "Be brief."}]},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is it?"},
                    {"type": "image_url", "image_url": {"url": GOOD_URL}},
                ],
            },
            {"role": "assistant", "content": "A ramp."},
        ],
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": 5,
        "temperature": 0.5,
        "top_p": 0.9,
        "stop": ["a", "b"],
        "logit_bias": {"5": -100},
        "seed": 7,
        "truncate": "auto",
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "n", "schema": {"type": "object"}},
        },
    },
]


MESSAGES: list[Any] = [
    {
        "model": "tiny",
        "max_tokens": 5,
        "system": [{"type": "text", "text": "Be brief.", "cache_control": {}}],
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is it?"},
                    {"type": "image", "source": {"type": "url", "url": GOOD_URL}},
                    {"type": "image_url", "image_url": {"url": GOOD_URL}},
                ],
            },
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "Hm.", "signature": "x"},
                    {"type": "tool_use", "id": "t", "name": "f", "input": {"n": 1}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {
                        "type": "tool_result",
                        "tool_use_id": "t",
                        "is_error": True,
                        "content": [
                            {
                                "type": "image",
                                "source": {
                                    "type": "base64",
                                    "media_type": "image/png",
                                    "data": GOOD_URL.partition(",")[2],
                                },
                            }
                        ],
                    }
                ],
            },
        ],
        "tools": [{"name": "f", "input_schema": {"type": "object"}, "strict": True}],
        "tool_choice": {"type": "tool", "name": "f"},
        "output_config": {"format": {"type": "json_schema", "schema": {}}},
        "stop_sequences": ["a"],
        "thinking": {"type": "disabled"},
    }
]
CALL = {"function": {"name": "f", "arguments": {"n": 1}}}
CHATS: list[Any] = [
    {
        "model": "tiny:latest",
        "messages": [
            {"role": "user", "content": "What?", "images": [GOOD_URL.split(",")[1]]},
            {"role": "assistant", "content": "", "tool_calls": [CALL]},
            {"role": "tool", "tool_name": "f", "content": "7"},
        ],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}],
        "options": {"num_predict": 5, "stop": ["a"], "temperature": 0.5, "top_k": 3},
        "format": {"type": "object"},
        "keep_alive": "5m",
        "think": False,
    }
]
PROMPTS: list[Any] = [
    {"prompt": "What?", "system": "Be brief.", "images": [GOOD_URL], "format": "json"}
]

COMPLETIONS: list[Any] = [
    {"prompt": ["Once"], "echo": True, "max_tokens": 3, "stop": "x", "best_of": 1},
]
RESPONSES: list[Any] = [
    {"input": "What?", "instructions": "Be brief.", "store": False},
    {
        "input": [
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "What?"},
                    {"type": "input_image", "image_url": GOOD_URL, "detail": "low"},
                ],
            },
            {"type": "reasoning", "id": "rs_1", "summary": []},
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c", "output": "1"},
        ],
        "tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}}],
        "tool_choice": {"type": "function", "name": "f"},
        "text": {
            "format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}}
        },
        "metadata": {"a": "b"},
        "include": ["reasoning.encrypted_content"],
        "max_output_tokens": 5,
        "truncation": "auto",
    },
]

RERANKS: list[Any] = [
    {
        "query": {"image": {"url": GOOD_URL, "detail": "low"}},
        "documents": [
            "a",
            {"text": "b", "image": GOOD_URL.split(",")[1]},
            {"image_url": {"url": GOOD_URL}},
            [
                {"type": "text", "text": "c"},
                {"type": "image_url", "image_url": GOOD_URL},
            ],
            {"content": ["d"]},
        ],
        "instruction": "Find it.",
        "top_n": 2,
        "return_documents": True,
        "user": "me",
    }
]
EMBEDDINGS: list[Any] = [
    {"input": "a", "dimensions": 8, "encoding_format": "base64"},
    {"input": [{"image": GOOD_URL, "text": "b"}, "c"], "instruction": "d"},
]


def chat(data: bytearray) -> ChatBody:
    return parse(ChatBody, data)


def messages(data: bytearray) -> ChatBody:
    return read_messages(data, FieldNames())


def completion(data: bytearray) -> ChatBody:
    return parse(CompletionBody, data).chat_body(FieldNames())


def response(data: bytearray) -> ChatBody:
    draft = ResponseDraft(None)  # type: ignore[arg-type]  # nothing is recalled
    with draft.in_errors():
        draft.read(data)
        if not draft.is_whole:
            raise InvalidRequest("It refers to others.")
        return draft.body()


def rerank(data: bytearray) -> ChatBody:
    body = parse(RerankBody, data)
    Ranking.of(body)
    return body.chat_body(FieldNames())


def embeddings(data: bytearray) -> ChatBody:
    return parse(EmbeddingsBody, data).chat_body(FieldNames())


def ollama(kind: type[OllamaBody]) -> Callable[[bytearray], ChatBody]:
    return lambda data: chat_of(parse(kind, data), FieldNames())


def check_body(body: Any, read: Callable[[bytearray], ChatBody] = chat) -> str:
    """As the web process does it: parse, refuse, or make a question of it."""
    try:
        asked = read(bytearray(json.dumps(body).encode()))
        asked.refuse_unsupported()
        ParsedQuestion(asked, 100, CALLER)
    except NothingAsked:
        return "nothing asked"
    except EdgeError as refusal:
        assert 400 <= refusal.status < 500
        assert refusal.body()["error"]["message"]
        return "refused"
    return "accepted"


# The bodies of each API, and how it reads them.
OTHERS: dict[str, tuple[list[Any], Callable[[bytearray], ChatBody]]] = {
    "Anthropic's bodies": (MESSAGES, messages),
    "Ollama's chats": (CHATS, ollama(OllamaChat)),
    "Ollama's prompts": (PROMPTS, ollama(OllamaPrompt)),
    "completions": (COMPLETIONS, completion),
    "responses": (RESPONSES, response),
    "reranking": (RERANKS, rerank),
    "embeddings": (EMBEDDINGS, embeddings),
}
