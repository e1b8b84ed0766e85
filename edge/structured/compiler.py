"""From the schema of a request to the constraint of its answer.

Nothing here runs on the engine thread. A schema is tried out in the jail before this
process makes a matcher of it, and the verdict is cached.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence

from edge.errors import InvalidRequest
from edge.structured.jail import Jail
from edge.structured.matcher import Constraint, Unusable, Vocabulary

CACHED = 1_000  # schemas; a hash and a sentence each


class Compiler:
    """Makes constraints over a vocabulary; the arguments are those of `Vocabulary`."""

    def __init__(
        self,
        pieces: Sequence[bytes],
        ends: Sequence[int],
        tokenize: Callable[[str], list[int]],
    ) -> None:
        self._vocabulary = Vocabulary(pieces, ends, tokenize)
        self._jail = Jail(pieces, ends)
        self._judging = threading.Lock()
        self._lock = threading.Lock()  # of the cache; never held for long
        self._faults: OrderedDict[bytes, str] = OrderedDict()  # "" of a harmless one

    def constraint(self, schema: str) -> Constraint:
        """A constraint for one answer; `schema` comes from `edge.schemas.reading.read`.

        Blocks while the schema is tried out. Raises InvalidRequest when it cannot be
        used, EngineError when it cannot be tried out.
        """
        if fault := self._fault(schema):
            raise _refusal(fault, schema)
        try:
            return Constraint(self._vocabulary, schema)
        except Unusable as unusable:
            raise _refusal(str(unusable), schema) from None

    def close(self) -> None:
        self._jail.close()

    def _fault(self, schema: str) -> str:
        """Why it cannot be used, or "" if it can; found out once for each schema."""
        name = hashlib.sha256(schema.encode()).digest()
        fault = self._known(name)
        if fault is None:
            with self._judging:
                # a thread that waited here may find the verdict in the cache
                fault = self._known(name)
                if fault is None:
                    fault = self._judged(schema)
                    self._cache(name, fault)
        return fault

    def _known(self, name: bytes) -> str | None:
        with self._lock:
            if name in self._faults:
                self._faults.move_to_end(name)
            return self._faults.get(name)

    def _cache(self, name: bytes, fault: str) -> None:
        with self._lock:
            self._faults[name] = fault
            if len(self._faults) > CACHED:
                self._faults.popitem(last=False)

    def _judged(self, schema: str) -> str:
        try:
            self._jail.judge(schema)
        except Unusable as unusable:
            return str(unusable)
        return ""


def _refusal(fault: str, schema: str) -> InvalidRequest:
    """A grammar may come from several fields, and tools add to it."""
    is_schema = schema.startswith("{")
    kind = "JSON schema" if is_schema else "grammar, or that of the tools,"
    return InvalidRequest(
        f"This {kind} cannot be used: {fault}. Use a simpler one.",
        param="response_format" if is_schema else None,
    )
