"""A question as its API body holds it."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

from edge.caller import Caller
from edge.errors import InvalidRequest, UnsupportedParameter
from edge.images import Detail
from edge.qwen3vl.tools import RESPONSE_CLOSE, RESPONSE_OPEN, calls_text
from edge.request import (
    PictureRef,
    Request,
    Role,
    SamplingParams,
    Wants,
)
from edge.videos import ClipRef
from ui.openai.body import ChatBody
from ui.openai.data_url import decode_picture
from ui.openai.files import File, FilePart, document_of
from ui.openai.messages import AssistantMessage, ChatMessage, ImagePart, parts_of
from ui.openai.open_webui import is_unasked
from ui.openai.values import MOST_TEXT
from ui.openai.videos import FramesPart, VideoUrlPart, video_of
from ui.picture_hosts import PictureHosts, is_link
from ui.prompt_parts import (
    Content,
    Turn,
    about_each,
    blaming,
    chosen_pages,
    messages_of,
    opened,
    pictures_in,
    smaller,
)
from ui.question import (
    MAX_COMPARED,
    MAX_PAGES,
    MAX_PICTURES,
    LinkedPicture,
    Sent,
    SentDocument,
    SentPicture,
    Video,
    check_count,
    digest_of,
)

NO_HOSTS = PictureHosts()

# Some programs write a picture into the text, as Markdown: it is looked at all the
# same. No letter of base64 begins another picture, so that the search is linear.
MARKDOWN_PICTURE = re.compile(r"!\[[^\]\n]{0,200}\]\(\s*(data:image/[^)\s!\[]+)\s*\)")


class ParsedQuestion:
    """A question of `caller` for an answer of at most `max_tokens`; the body itself,
    which may be long, is not kept. `body_hash` is its sha256 where a client named the
    question with an Idempotency-Key. `wants` says what is computed of it.

    The pages of its `documents` have to be chosen and opened before it is asked; if it
    `asks_each`, then each of its pictures and pages is asked about by itself.

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
        self.asks_each = body.per_page
        self._truncate = body.truncate == "auto"
        self._thinks = body.thinks and not body.per_page
        self.thinking_field = body.thinking_field
        self._is_raw = body.is_raw
        self._continues = body.continues or body.is_raw
        offer = body.offer()
        self.has_tools = bool(offer)
        self.wants = wants
        self._cache = body.cache
        if wants != "answer":
            self._sampling = SamplingParams(max_tokens)
        else:
            self._sampling = body.sampling(max_tokens, offer)
        # equal ones once
        self.n_computed = 1 if self._sampling.is_greedy else body.n
        self._n_spare = 0
        self._hosts = hosts
        self.pictures: list[Sent] = []
        self.documents: list[SentDocument] = []
        self._pages: dict[SentDocument, tuple[list[range], int]] = {}
        self._put(list(self._read(body.messages)))
        if offer:
            n_added = self._put_system(offer.system_text)
            self._n_spare = 0 if offer.must_call else n_added

    def choose(self, document: SentDocument, n_pages: int) -> None:
        """Chooses the pages of one of the `documents`, which has this many. Raises
        InvalidRequest for pages that there are not, and for more than one prompt, or
        with `asks_each` one request, may have."""
        n_uncounted = len(self.documents) - len(self._pages) - 1  # each has a page
        n_chosen = sum(len(one) for found, _ in self._pages.values() for one in found)
        n_others = len(self.pictures) + n_chosen + n_uncounted
        each = ", or send per_page: true for one answer to each"
        instead = "" if self.asks_each or self._compares else each
        found = chosen_pages(document, n_pages, self._most_pictures, n_others, instead)
        self._pages[document] = found, n_pages

    def open(self) -> None:
        """Puts the pages that are asked about in the places of the `documents`, whose
        pages are all chosen."""
        self._put(opened(self._turns, self._pages))

    def each(self) -> list[tuple[str, ParsedQuestion]]:
        """The same question about each picture and page of its last message alone, with
        a label. Raises InvalidRequest if there is none."""
        questions = []
        for i, turns in enumerate(about_each(self._turns), 1):
            one = copy.copy(self)
            one._turns, one.pictures = turns, pictures_in(turns)
            with blaming("messages"):  # those before the last have too many
                check_count(len(one.pictures))
            questions.append((one.pictures[-1].label or f"Picture {i}", one))
        if not questions:
            raise InvalidRequest(
                "per_page needs pages or pictures in the last message.",
                param="per_page",
            )
        return questions

    def request(
        self, refs: Sequence[PictureRef | ClipRef], texts: Sequence[str] = ()
    ) -> Request:
        """See `Question.request`."""
        messages = messages_of(
            self._turns,
            refs,
            texts or [""] * len(refs),
            # each in a prompt of its own needs no name
            is_named=len(refs) > 1 and not self._compares,
        )
        return Request(
            tuple(messages),
            self._sampling,
            self.model,
            self._truncate,
            self._scope,
            n_spare=self._n_spare,
            continues=self._continues,
            thinks=self._thinks,
            wants=self.wants,
            cache=self._cache,
        )

    @property
    def _compares(self) -> bool:
        return self.wants in ("score", "embedding")

    @property
    def _most_pictures(self) -> int:
        if self._compares:
            return MAX_COMPARED
        return MAX_PAGES if self.asks_each else MAX_PICTURES

    def _put(self, turns: list[Turn]) -> None:
        """To compare more pictures than one prompt may have, each gets fewer tokens."""
        if self._compares and len(pictures_in(turns)) > MAX_PICTURES:
            turns = smaller(turns)
        self._turns, self.pictures = turns, pictures_in(turns)

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
            if isinstance(part, FilePart):
                content.append(self._document(part.file, f"{at}.file"))
            elif isinstance(part, ImagePart):
                url, detail = part.image_url.url, part.image_url.detail
                content.append(self._picture(url, f"{at}.image_url", detail))
            elif isinstance(part, VideoUrlPart | FramesPart):
                content.append(self._video(part, at))
            elif message.role in ("user", "tool"):
                content += self._with_pictures(part.text, at)
            else:
                content.append(part.text)
        return content

    def _with_pictures(self, text: str, at: str) -> Content:
        """A text, and the pictures in it, in their order. In a raw prompt, which stays
        as it is, the space behind a picture counts."""
        pieces = MARKDOWN_PICTURE.split(text)  # each second one is the URL of a picture
        n_characters = sum(map(len, pieces[::2]))
        if n_characters > MOST_TEXT:
            raise InvalidRequest(
                f"{at}: A text may have {MOST_TEXT:,} characters at most.", param=at
            )
        content: Content = [pieces[0]]
        for url, behind in zip(pieces[1::2], pieces[2::2], strict=True):
            text = behind if self._is_raw else behind.removeprefix(" ")
            content += [self._picture(url, at), text]
        return [part for part in content if part != ""] or [""]

    def _picture(
        self, url: str, param: str, detail: Detail = "auto"
    ) -> SentPicture | LinkedPicture:
        self._check_room(param)
        with blaming(param):
            picture: SentPicture | LinkedPicture
            if self._hosts and is_link(url):
                picture = LinkedPicture(self._hosts.link(url), detail, param)
            else:
                encoded = decode_picture(url)
                digest = digest_of(encoded)
                picture = SentPicture(digest, lambda: encoded, detail, param)
        self.pictures.append(picture)
        return picture

    def _video(self, part: VideoUrlPart | FramesPart, param: str) -> Video:
        if self._compares:
            raise UnsupportedParameter(
                "Videos are neither scored nor embedded here. Send pictures of it.",
                param=param,
            )
        self._check_room(param)
        video = video_of(part, param, self._hosts)
        self.pictures.append(video)
        return video

    def _document(self, file: File, param: str) -> SentDocument:
        self._check_room(param)
        document = document_of(file, param)
        self.documents.append(document)
        return document

    def _check_room(self, param: str) -> None:
        with blaming(param):
            n = len(self.pictures) + len(self.documents)
            check_count(n + 1, self._most_pictures)

    def _put_system(self, write: Callable[[str], str]) -> int:
        """Puts the text that `write` makes of the system message at the beginning.
        Returns how many characters it adds."""
        text = ""
        if self._turns[0][0] == "system":
            text = "".join(map(str, self._turns.pop(0)[1]))
        written = write(text)
        self._turns.insert(0, ("system", [written]))
        return len(written) - len(text)


def response_content(results: Sequence[Content]) -> Content:
    """The content of the message with what calls gave, in their order."""
    content: Content = []
    for result in results:
        content += ["\n"] if content else []
        content += [f"{RESPONSE_OPEN}\n", *result, f"\n{RESPONSE_CLOSE}"]
    return content
