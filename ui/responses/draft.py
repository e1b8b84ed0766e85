"""A body of the Responses API, and the conversation that it goes on with."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pydantic import TypeAdapter

from edge.errors import BodyTooLarge, EdgeError, InvalidRequest
from edge.events import Finished
from ui.body import parse
from ui.field_names import FieldNames
from ui.openai.body import ChatBody
from ui.responses.body import ResponsesBody
from ui.responses.items import Item, ReferenceItem, items_of
from ui.responses.reply import Response
from ui.responses.store import MOST_BYTES
from ui.responses.stored import Stored
from ui.responses.translate import chat_body

PREVIOUS = "previous_response_id"
MOST_TURNS = 200  # of a conversation
ITEM_ID = re.compile(r"(?:msg|fc)_([0-9a-f]{32})_([0-9]{1,4})")
ITEMS: TypeAdapter[list[Item]] = TypeAdapter(list[Item])

# What a response tells of its body, and what it tells where a field is absent.
TOLD: dict[str, Any] = {
    "background": False,
    "instructions": None,
    "max_output_tokens": None,
    "metadata": {},
    "parallel_tool_calls": True,
    PREVIOUS: None,
    "prompt_cache_key": None,
    "reasoning": {"effort": None, "summary": None},
    "safety_identifier": None,
    "service_tier": "default",
    "store": True,
    "temperature": None,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": None,
    "truncation": "disabled",
    "user": None,
}


class ResponseDraft:
    """See `ui.questions.Draft`. `kept` is what the response tells of its body."""

    def __init__(self, stored: Stored) -> None:
        self.is_background = False
        self.stores = False
        self.sent = ""  # the input items as JSON, if they are to be stored
        self.kept: dict[str, Any] = {}
        self._names = FieldNames()
        self._stored = stored
        self._earlier: list[tuple[bytes, list[dict[str, Any]]]] = []
        self._referred: dict[str, dict[str, Any]] = {}

    @contextmanager
    def in_errors(self) -> Iterator[None]:
        """Errors that leave the block name fields as the Responses API does."""
        with self._names.in_errors():
            yield

    def read(self, data: bytearray) -> None:
        body = self._body = parse(ResponsesBody, data)
        body.refuse_unsupported()
        self._items = items_of(body.input)
        self.is_background, self.stores = body.background, body.store
        given = body.model_dump(
            mode="json", by_alias=True, exclude_unset=True, exclude={"input"}
        )
        self.kept = TOLD | {n: given[n] for n in TOLD if given.get(n) is not None}

    @property
    def is_whole(self) -> bool:
        refers = any(isinstance(item, ReferenceItem) for item in self._items)
        return not refers and not self._body.previous_response_id

    async def recall(self, hold: Callable[[int], None]) -> int:
        n_bytes = await self._recall_items()
        response_id = self._body.previous_response_id
        while response_id and len(self._earlier) < MOST_TURNS:
            response, outcome = await self._found(response_id, PREVIOUS)
            size = await self._stored.store.n_sent(response_id)
            hold(size)
            n_bytes += size
            sent = await self._stored.store.sent(response_id)
            self._earlier.insert(0, (sent, response.output(outcome)))
            response_id = response.asked.get(PREVIOUS)
        if response_id:
            raise InvalidRequest(
                f"This conversation has more than {MOST_TURNS} responses. Begin "
                "another.",
                param=PREVIOUS,
            )
        return n_bytes

    def body(self) -> ChatBody:
        items: list[tuple[str, Item]] = []
        for sent, output in self._earlier:
            earlier = [*json.loads(sent), *output]
            items += [(PREVIOUS, item) for item in ITEMS.validate_python(earlier)]
        self._earlier.clear()
        own = [self._resolved(item) for item in self._items]
        items += [(f"input[{i}]", item) for i, item in enumerate(own)]
        self._keep(own)
        chat = chat_body(self._body, items, self._names)
        del self._body, self._items  # which hold the pictures
        return chat

    def _keep(self, items: Sequence[Item]) -> None:
        if not self.stores:
            return
        given = [
            item.model_dump(mode="json", by_alias=True, exclude_unset=True)
            for item in items
        ]
        self.sent = json.dumps(given)
        if len(self.sent) + len(json.dumps(self.kept)) > MOST_BYTES:
            if self.is_background:
                raise BodyTooLarge(
                    "A response in the background is stored, and this one is larger "
                    f"than {MOST_BYTES >> 20} MiB. Send smaller pictures."
                )
            self.stores, self.sent = False, ""
            self.kept["store"] = False

    async def _recall_items(self) -> int:
        """Fetches the items of earlier responses that the input names."""
        n_bytes = 0
        for i, item in enumerate(self._items):
            if not isinstance(item, ReferenceItem) or item.id in self._referred:
                continue
            at = f"input[{i}].id"
            found = ITEM_ID.fullmatch(item.id)
            if not found:
                raise InvalidRequest(
                    f"{at} is not the id of an item of a response. Send the item "
                    "itself.",
                    param=at,
                )
            response, outcome = await self._found(f"resp_{found[1]}", at)
            output = response.output(outcome)
            n_bytes += len(outcome.answer.text)
            for one in output:
                self._referred[one["id"]] = one
            if item.id not in self._referred:
                raise InvalidRequest("There is no such item. Send it.", param=at)
        return n_bytes

    def _resolved(self, item: Item) -> Item:
        if not isinstance(item, ReferenceItem):
            return item
        [found] = ITEMS.validate_python([self._referred[item.id]])
        return found

    async def _found(self, response_id: str, param: str) -> tuple[Response, Finished]:
        """A finished response. Raises the error about `param` where there is none."""
        try:
            found = await self._stored.find(response_id)
        except EdgeError as error:
            error.param = param
            raise
        if not isinstance(found.outcome, Finished):
            raise InvalidRequest(
                f"The response {response_id[:80]} has no answer. Wait for it, or ask "
                "again.",
                param=param,
            )
        return found.response, found.outcome
