"""New pictures, and answers in JSON with a schema of eight keys.

Every value has a bounded length, so that an answer ends with random weights too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from benchmarks.load import questions
from benchmarks.load.questions import Question
from benchmarks.load.user import ChatUser

STAGES = (1, 4)
REQUESTS = 20

PROPERTIES = {
    "kind": {"enum": ["receipt", "invoice", "letter", "photograph", "other"]},
    "language": {"enum": ["Chinese", "English", "other"]},
    "title": {"type": "string", "maxLength": 24},
    "place": {"type": "string", "maxLength": 16},
    "year": {"type": "integer", "minimum": 1900, "maximum": 2099},
    "people": {"type": "integer", "minimum": 0, "maximum": 99},
    "handwritten": {"type": "boolean"},
    "signed": {"type": "boolean"},
}
SCHEMA = {
    "type": "object",
    "properties": PROPERTIES,
    "required": list(PROPERTIES),
    "additionalProperties": False,
}


JSON_FIELDS = {
    "response_format": {
        "type": "json_schema",
        "json_schema": {"name": "document", "strict": True, "schema": SCHEMA},
    }
}


class Extraction(ChatUser):
    fields: ClassVar[Mapping[str, Any]] = JSON_FIELDS

    def question(self, number: int) -> Question:
        return questions.extraction(self.run_name, number)
