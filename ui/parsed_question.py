"""A question as its API body holds it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby

from edge.caller import Caller
from edge.errors import EdgeError, InvalidRequest
from edge.images import Detail
from edge.qwen3vl.tools import RESPONSE_CLOSE, RESPONSE_OPEN, calls_text
from edge.request import Message, PictureRef, Request, Role, SamplingParams, Wants
from ui.openai.body import ChatBody
from ui.openai.data_url import decode_picture
from ui.openai.messages import AssistantMessage, ChatMessage, ImagePart, parts_of
from ui.openai.open_webui import is_unasked
from ui.openai.values import MOST_TEXT
from ui.picture_hosts import PictureHosts, is_link
from ui.question import LinkedPicture, SentPicture, check_count, digest_of

NO_HOSTS = PictureHosts()
Content = list[str | SentPicture | LinkedPicture]

# Some programs write a picture into the text, as Markdown: it is looked at all the
# same. No letter of base64 begins another picture, so that the search is linear.
MARKDOWN_PICTURE = re.compile(r"!\[[^\]\n]{0,200}\]\(\s*(data:image/[^)\s!\[]+)\s*\)")


class ParsedQuestion:
    """A question of `caller` for an answer of at most `max_tokens`; the body itself,
    which may be long, is not kept. `body_hash` is its sha256 where a client named the
    question with an Idempotency-Key. `wants` says what is computed of it.

    Raises InvalidRequest for a picture that is not a data URL of one, nor an address on
    one of `hosts`.
    """

    def __init__(
        self,
        body: ChatBody,
        max_tokens: int,
        caller: Caller,
        body_hash: str = "",
        hosts: PictureHosts = NO_HOSTS,
        *,
        wants: Wants = "answer",
    ) -> None:
        self.model = body.model
        self.streams = body.stream
        self.includes_usage = body.stream_options.include_usage
        is_flex = body.service_tier == "flex" or body.priority > 0
        self.is_batch = is_flex or is_unasked(body)
        self.max_tokens = max_tokens
        self.n_answers = body.n
        self.body_hash = body_hash
        self._scope = caller.scope
        self._truncate = body.truncate == "auto"
        self._thinks = body.thinks
        self.thinking_field = body.thinking_field
        self._is_raw = body.is_raw
        self._continues = body.continues or body.is_raw
        offer = body.offer()
        self.has_tools = bool(offer)
        self.wants = wants
        if wants != "answer":
            self._sampling = SamplingParams(max_tokens)
        else:
            self._sampling = body.sampling(max_tokens, offer)
        # equal ones once
        self.n_computed = 1 if self._sampling.is_greedy else body.n
        self._n_spare = 0
        self._hosts = hosts
        self.pictures: list[SentPicture | LinkedPicture] = []
        self._messages = list(self._read(body.messages))
        if offer:
            n_added = self._put_system(offer.system_text)
            self._n_spare = 0 if offer.must_call else n_added

    def request(self, refs: Sequence[PictureRef]) -> Request:
        """See `Question.request`."""
        found = iter(refs)
        messages = tuple(
            Message(
                role, tuple(p if isinstance(p, str) else next(found) for p in content)
            )
            for role, content in self._messages
        )
        return Request(
            messages,
            self._sampling,
            self.model,
            self._truncate,
            self._scope,
            n_spare=self._n_spare,
            continues=self._continues,
            thinks=self._thinks,
            wants=self.wants,
        )

    def _read(self, messages: Sequence[ChatMessage]) -> Iterator[tuple[Role, Content]]:
        """The messages in the prompt's order, what neighbouring calls gave in one."""
        for is_result, group in groupby(
            enumerate(messages), lambda item: item[1].role == "tool"
        ):
            if is_result:
                results = [self._content(i, message) for i, message in group]
                yield "tool", response_content(results)
                continue
            for i, message in group:
                content = self._content(i, message)
                if isinstance(message, AssistantMessage) and message.tool_calls:
                    calls = [call.written for call in message.tool_calls]
                    content = [calls_text("".join(map(str, content)), calls)]
                role = "system" if message.role == "developer" else message.role
                yield "raw" if self._is_raw else role, content

    def _content(self, i: int, message: ChatMessage) -> Content:
        is_list = isinstance(message.content, list)
        content: Content = []
        for j, part in enumerate(parts_of(message)):
            at = f"messages[{i}].content" + (f"[{j}]" if is_list else "")
            if isinstance(part, ImagePart):
                url, detail = part.image_url.url, part.image_url.detail
                content.append(self._picture(url, f"{at}.image_url", detail))
            elif message.role in ("user", "tool"):
                content += self._with_pictures(part.text, at)
            else:
                content.append(part.text)
        return content

    def _with_pictures(self, text: str, at: str) -> Content:
        """A text, and the pictures in it, in their order."""
        pieces = MARKDOWN_PICTURE.split(text)  # each second one is the URL of a picture
        n_characters = sum(map(len, pieces[::2]))
        if n_characters > MOST_TEXT:
            raise InvalidRequest(
                f"{at}: A text may have {MOST_TEXT:,} characters at most.", param=at
            )
        content: Content = [pieces[0]]
        for url, behind in zip(pieces[1::2], pieces[2::2], strict=True):
            content += [self._picture(url, at), behind]
        return [part for part in content if part != ""] or [""]

    def _picture(
        self, url: str, param: str, detail: Detail = "auto"
    ) -> SentPicture | LinkedPicture:
        with _blaming(param):
            check_count(len(self.pictures) + 1, self.wants)
            picture: SentPicture | LinkedPicture
            if self._hosts and is_link(url):
                picture = LinkedPicture(self._hosts.link(url), detail, param)
            else:
                encoded = decode_picture(url)
                digest = digest_of(encoded)
                picture = SentPicture(digest, lambda: encoded, detail, param)
        self.pictures.append(picture)
        return picture

    def _put_system(self, write: Callable[[str], str]) -> int:
        """Puts the text that `write` makes of the system message at the beginning.
        Returns how many characters it adds."""
        text = ""
        if self._messages[0][0] == "system":
            text = "".join(map(str, self._messages.pop(0)[1]))
        written = write(text)
        self._messages.insert(0, ("system", [written]))
        return len(written) - len(text)


def response_content(results: Sequence[Content]) -> Content:
    """The content of the message with what calls gave, in their order."""
    content: Content = []
    for result in results:
        content += ["\n"] if content else []
        content += [f"{RESPONSE_OPEN}\n", *result, f"\n{RESPONSE_CLOSE}"]
    return content


@contextmanager
def _blaming(param: str) -> Iterator[None]:
    """Says of an error which part of the body it is about."""
    try:
        yield
    except EdgeError as refusal:
        refusal.param = param
        raise
