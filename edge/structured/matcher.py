"""llguidance: which tokens may follow, so that an answer fits its grammar.

A matcher never raises: after a fault it is in an error state, which becomes an error of
that one answer.
Source: https://github.com/guidance-ai/llguidance (docs/json_schema.md, docs/syntax.md).
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
from llguidance import LLMatcher, LLParserLimits, LLTokenizer, TokenizerWrapper
from llguidance.gbnf_to_lark import GbnfToLarkError, gbnf_to_lark

from edge.errors import EngineError

log = logging.getLogger(__name__)

Ids = npt.NDArray[np.intp]

# CPU seconds that an answer may spend on its grammar: a reserve for rare slow steps,
# and a share for each token, of which a usual step takes a few hundredths.
BUDGET_S = 0.5
BUDGET_PER_TOKEN_S = 0.004

# Otherwise a grammar is GBNF, llama.cpp's notation, whose rules have ::=.
_LARK = re.compile(r"(?m)^\s*[?!]?start\s*:(?!:)")


def _limits() -> LLParserLimits:
    """Limits of one step and of one matcher: about 10 ms and 100 MB at the worst."""
    return LLParserLimits(
        step_lexer_fuel=100_000,
        step_max_items=20_000,
        max_items_in_row=2_000,
        initial_lexer_fuel=1_000_000,
        max_lexer_states=65_536,
        max_grammar_size=200_000,
        verbose_errors=False,
    )


class Unusable(ValueError):
    """No answer can be made to fit a grammar; the text says why."""


class Vocabulary:
    """The tokens of a model, as a tree of bytes that matchers walk.

    `pieces` are the bytes of each token, none for a control token; `ends` the tokens
    that end an answer; `tokenize` splits a text as the model does. About 0.3 s and
    40 MB for 151,936 tokens.
    """

    def __init__(
        self,
        pieces: Sequence[bytes],
        ends: Sequence[int],
        tokenize: Callable[[str], list[int]] | None = None,
    ) -> None:
        self.n_tokens = len(pieces)
        self.ends = tuple(ends)
        self.tree = LLTokenizer(
            TokenizerWrapper(_Tokenizer(pieces, ends, tokenize or self._split)),
            eos_token=list(ends),
        )

    def matcher(self, grammar: str) -> LLMatcher:
        """A matcher at the beginning of an answer; `grammar` as in `SamplingParams`.
        Raises Unusable."""
        matcher = LLMatcher(self.tree, _read(grammar), log_level=0, limits=_limits())
        if matcher.is_error():
            raise Unusable(_reason(matcher.get_error()))
        return matcher

    def _split(self, text: str) -> list[int]:
        return self.tree.greedy_tokenize(text)


def _read(grammar: str) -> str:
    """The grammar in the matcher's own form. Raises Unusable."""
    if grammar.startswith("{"):
        # compact JSON: no tokens for whitespace, and no answer loops in it
        return LLMatcher.grammar_from_json_schema(
            grammar, overrides={"whitespace_flexible": False}
        )
    if not _LARK.search(grammar):
        try:
            grammar = gbnf_to_lark(grammar)
        except (GbnfToLarkError, RecursionError) as error:
            raise Unusable(str(error)[:200]) from None
    return LLMatcher.grammar_from_lark(grammar)


class _Tokenizer:
    """A tokenizer in the form that LLTokenizer expects."""

    bos_token_id = None
    special_token_ids = ()

    def __init__(
        self,
        pieces: Sequence[bytes],
        ends: Sequence[int],
        tokenize: Callable[[str], list[int]],
    ) -> None:
        self.eos_token_id = ends[0]
        # 0xFF is in no UTF-8: text never matches a control token
        self.tokens = [piece or b"\xff[%d]" % i for i, piece in enumerate(pieces)]
        self._tokenize = tokenize

    def __call__(self, text: str) -> list[int]:
        return self._tokenize(text)


class Constraint:
    """Keeps one answer within its grammar. For one thread at a time.

    Each method raises EngineError when the answer cannot continue, or when checking it
    has taken more time than its budget.
    """

    def __init__(self, vocabulary: Vocabulary, grammar: str) -> None:
        self._matcher = vocabulary.matcher(grammar)
        self._n_tokens = vocabulary.n_tokens
        self._ends = vocabulary.ends
        self._has_ended = False
        self._mask = np.zeros((vocabulary.n_tokens + 31) // 32, np.int32)
        self._forced: list[int] = []
        self._left_s = BUDGET_S

    def forced(self) -> list[int]:
        """The next tokens that have no alternative; often none, and none after the
        end. A complete answer has no alternative but its end."""
        if not self._forced and not self._has_ended:
            with self._measured():
                self._forced = self._matcher.compute_ff_tokens()
            if not self._forced and self._matcher.is_stopped():
                self._forced = [self._ends[0]]
        return self._forced

    def allowed(self) -> Ids:
        """Ids of all tokens that may come next, ascending; at least one."""
        with self._measured():
            self._matcher.unsafe_compute_mask_ptr(
                self._mask.ctypes.data, self._mask.nbytes
            )
            bits = np.unpackbits(
                self._mask.view(np.uint8), count=self._n_tokens, bitorder="little"
            )
            found = np.flatnonzero(
                bits.view(np.bool_)
            )  # three times as fast as on bytes
        if not found.size:
            raise _stuck("no token is allowed")
        return found

    def allows(self, token: int) -> bool:
        """Whether this token may come next; far cheaper than `allowed`."""
        with self._measured():
            return self._matcher.validate_tokens([token]) == 1

    def accept(self, token: int) -> None:
        """Advances by the token that was chosen."""
        self._left_s += BUDGET_PER_TOKEN_S
        with self._measured():
            self._matcher.consume_token(token)
        self._forced = self._forced[1:]
        self._has_ended = token in self._ends

    @contextmanager
    def _measured(self) -> Iterator[None]:
        begun = time.thread_time()
        yield
        self._left_s -= time.thread_time() - begun
        if self._matcher.is_error():  # its full text would put the answer into the log
            raise _stuck(self._matcher.stop_reason())
        if self._left_s < 0:
            raise _stuck("its time budget is spent")


def _stuck(why: str) -> EngineError:
    log.warning("an answer could not be held to its grammar: %s", why)
    return EngineError(
        "This answer could not be held to its schema or grammar within the limits on "
        "time and memory. Use a simpler one."
    )


def _reason(error: str) -> str:
    """The part of the matcher's message that is useful to clients."""
    if "egex is empty" in error:
        return "no text fits its pattern, format and lengths together"
    first_line = error.strip().partition("\n")[0]
    return first_line.removeprefix("Unsatisfiable schema: ")[:200]
