"""Function calls as Qwen3-VL was trained to write and read them. Pure.

    <tool_call>
    {"name": "look_up", "arguments": {"code": 7}}
    </tool_call>

Source: the `chat_template` in Qwen3-VL's published tokenizer_config.json.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

OPEN, CLOSE = "<tool_call>", "</tool_call>"
RESPONSE_OPEN, RESPONSE_CLOSE = "<tool_response>", "</tool_response>"

_BEGIN = """# Tools

You may call one or more functions to assist with the user query.

You are provided with function signatures within <tools></tools> XML tags:
<tools>
"""
_END = """
</tools>

For each function call, return a json object with function name and arguments within \
<tool_call></tool_call> XML tags:
<tool_call>
{"name": <function-name>, "arguments": <args-json-object>}
</tool_call>"""


@dataclass(frozen=True)
class Function:
    """A function that an answer may call: `schema` is that of its arguments, as
    `edge.schemas.reading.read` gives it."""

    name: str
    schema: str


def system_text(system: str, tools: Iterable[Mapping[str, Any]]) -> str:
    """The system message that offers `tools`, in OpenAI's form, after `system`."""
    listed = "\n".join(json.dumps(tool, ensure_ascii=False) for tool in tools)
    return (f"{system}\n\n" if system else "") + _BEGIN + listed + _END


def calls_text(text: str, calls: Sequence[tuple[str, str]]) -> str:
    """An earlier answer: its text, and its calls as names and arguments in JSON."""
    written = [
        f'{OPEN}\n{{"name": {json.dumps(name)}, "arguments": {arguments}}}\n{CLOSE}'
        for name, arguments in calls
    ]
    return "\n".join([text, *written] if text else written)


def grammar(
    functions: Sequence[Function], *, must_call: bool, one_call: bool, answer: str = ""
) -> str:
    """The grammar, in Lark's notation, of an answer that calls `functions`.

    With `must_call` it does nothing else; otherwise it is text, with calls in it or
    behind it. With `one_call` it ends after the first. If `answer`, a JSON schema, is
    not empty, it takes the place of the text.
    """
    bodies = " | ".join(f"f{i}" for i in range(len(functions)))
    rules = [
        f'f{i}: "\\n{{\\"name\\": \\"{f.name}\\", \\"arguments\\": " %json '
        f'{_compact(f.schema)} "}}\\n{CLOSE}"'
        for i, f in enumerate(functions)
    ]
    if must_call or answer:
        more = "" if one_call else ' ("\\n" call)*'
        rules += [f"calls: call{more}", f'call: "{OPEN}" ({bodies})']
        if answer and not must_call:
            rules += ["start: calls | answer", f"answer: %json {_compact(answer)}"]
        else:
            rules += ["start: calls"]
    else:
        rules += [
            "start: call | TEXT" if one_call else "start: call* TEXT",
            f"call: begin ({bodies})",
            f'begin[lazy]: TEXT "{OPEN}"',
            r"TEXT: /(.|\n)*/",
        ]
    return "\n".join(["%llguidance {}", *rules]) + "\n"


def _compact(schema: str) -> str:
    """The schema, of JSON without white space."""
    first = '{"x-guidance":{"whitespace_flexible":false}'
    return first + ("," if schema != "{}" else "") + schema[1:]
