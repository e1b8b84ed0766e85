"""The tokens of a text or a conversation, and back: /tokenize and /detokenize.

Sources: vLLM's OpenAI-compatible server ("Tokenizer API") and llama-server's README.
Control tokens come from the chat template only: their names in a text are text.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import Field
from starlette.responses import Response

from edge.errors import InvalidRequest, UnsupportedParameter
from edge.request import Wants
from ui.body import parse, validate
from ui.client import Client
from ui.completions.body import RawBody
from ui.event_streams import await_answer, unless_gone
from ui.field_names import FieldNames
from ui.openai.answers import Answered
from ui.openai.body import ChatBody
from ui.openai.misplaced import refuse_fields
from ui.openai.values import Body, LongText, Number, Text
from ui.openapi import documented
from ui.questions import Questions, Received
from ui.request_caller import limits_of

MOST_TOKENS = 16_384  # of one body
REFUSED = {
    "parse_special": "Send messages: the chat template has the control tokens.",
    "return_token_strs": "Send tokens to /detokenize.",
    "with_pieces": "Send tokens to /detokenize.",
}
SOURCES = ("prompt", "content", "messages")


class TokenizeBody(Body):
    """One of `prompt` (vLLM), `content` (llama-server) and `messages`. Other fields are
    those of /v1/chat/completions. Qwen's vocabulary adds no special tokens to a text,
    whether `add_special_tokens` asks for them or not."""

    prompt: Annotated[LongText, Field(min_length=1)] | None = None
    content: Annotated[LongText, Field(min_length=1)] | None = None
    messages: list[dict[str, Any]] = Field([], max_length=1000)
    model: Annotated[str, Field(max_length=1000)] = ""
    add_special_tokens: bool = True
    add_special: bool = True
    add_generation_prompt: bool = True
    continue_final_message: bool = False

    def chat_body(self, names: FieldNames) -> ChatBody:
        """The question whose prompt is counted; `names` learns where its fields come
        from. Raises InvalidRequest, UnsupportedParameter."""
        extra = self.model_extra or {}
        refuse_fields(extra, REFUSED)
        sent = [name for name in SOURCES if getattr(self, name)]
        if len(sent) != 1:
            raise InvalidRequest(
                "Send either prompt (or content), a text, or messages.",
                param=sent[1] if sent else "prompt",
            )
        [source] = sent
        given = extra | {"model": self.model}
        if source == "messages":
            if not (self.add_generation_prompt or self.continue_final_message):
                raise UnsupportedParameter(
                    "add_generation_prompt: false is not supported here, except with "
                    "continue_final_message. Leave it out.",
                    param="add_generation_prompt",
                )
            given["continue_final_message"] = self.continue_final_message
            return validate(ChatBody, given | {"messages": self.messages})
        names.add("messages", source)
        names.add("messages[0].content", source)
        message = {"role": "user", "content": getattr(self, source)}
        return validate(RawBody, given | {"messages": [message]})


class DetokenizeBody(Body):
    tokens: list[Number] = Field(min_length=1, max_length=MOST_TOKENS, fail_fast=True)
    model: Text = ""

    def chat_body(self, names: FieldNames) -> ChatBody:
        """See `TokenizeBody.chat_body`; and `edge.request.Wants`."""
        names.add("messages", "tokens")
        numbers = " ".join(map(str, self.tokens))
        message = {"role": "user", "content": numbers}
        return validate(RawBody, {"model": self.model, "messages": [message]})


def token_routes(client: Client, questions: Questions) -> APIRouter:
    """The API over `client`, whose questions are asked by `questions`."""
    router = APIRouter()

    async def ask(
        http: Request, kind: type[TokenizeBody | DetokenizeBody], wants: Wants
    ) -> tuple[Received[None], str]:
        """What was asked, and the text of its answer."""
        names = FieldNames()
        with names.in_errors():
            received = await questions.receive(
                http,
                lambda data: (parse(kind, data).chat_body(names), None),
                wants=wants,
            )
            answer = await unless_gone(http, await_answer(received.asked.events))
        return received, answer.text

    @router.post("/tokenize")
    @documented(body=TokenizeBody, answer=Answered)
    async def tokenize(http: Request) -> Response:
        received, numbers = await ask(http, TokenizeBody, "tokens")
        served = await client.serving(received.asked.model, limits_of(http))
        tokens = [int(number) for number in numbers.split()]
        body = {"tokens": tokens, "count": len(tokens), "max_model_len": served.n_cells}
        return JSONResponse(body, headers=received.headers)

    @router.post("/detokenize")
    @documented(body=DetokenizeBody, answer=Answered)
    async def detokenize(http: Request) -> Response:
        """`prompt` and `content` are the same: the names of vLLM and llama-server."""
        received, text = await ask(http, DetokenizeBody, "text")
        body = {"prompt": text, "content": text}
        return JSONResponse(body, headers=received.headers)

    return router
