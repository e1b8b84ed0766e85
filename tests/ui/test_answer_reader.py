"""An answer is read in the same way however its text comes, and from wherever its
client goes on."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge.events import Event, Finished, Retried, Token
from edge.qwen3vl.call_reader import Arguments, Called, Text
from edge.request import Answer
from ui.answer_reader import AnswerReader, Call

ANSWER = (
    'I look.\n<tool_call>\n{"name": "look", "arguments": {"n": 1}}\n</tool_call>\n'
    '<tool_call>\n{"name": "say", "arguments": {"text": "a } b"}}\n</tool_call>'
)
CALLS = [Call(0, "look", {"n": 1}), Call(1, "say", {"text": "a } b"})]
CUTS = st.lists(st.integers(0, len(ANSWER)), max_size=4).map(sorted)


def events(cuts: list[int]) -> list[Event]:
    ends = [*cuts, len(ANSWER)]
    pieces = [ANSWER[a:b] for a, b in zip([0, *cuts], ends, strict=True)]
    return [*map(Token, pieces), Finished(Answer(ANSWER, "stop"))]


@given(skip=st.integers(0, len(ANSWER)), before=CUTS, after=CUTS, n=st.integers(0, 4))
def test_what_follows_is_read_once(
    skip: int, before: list[int], after: list[int], n: int
) -> None:
    """Also when another worker starts over in the middle."""
    told = [*events(before)[:n], Retried(), *events(after)]
    reader = AnswerReader(has_tools=True, skip=skip)
    calls = [p for each in told for p in reader.read_calls(each) if isinstance(p, Call)]
    assert calls == CALLS[len(CALLS) - len(calls) :]
    if skip < ANSWER.index("</tool_call>"):
        assert calls == CALLS
    reader = AnswerReader(has_tools=True, skip=skip)
    found = [part for each in told for part in reader.read(each)]
    texts = [part.text for part in found if isinstance(part, Text)]
    assert "I look.".endswith("".join(texts).strip())
    begun = [part.index for part in found if isinstance(part, Called)]
    assert begun == [0, 1][2 - len(begun) :]
    for i, arguments in enumerate(('{"n": 1}', '{"text": "a } b"}')):
        written = [p.json for p in found if isinstance(p, Arguments) and p.index == i]
        assert arguments.endswith("".join(written))
