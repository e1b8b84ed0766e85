"""Errors of commands: one sentence and an exit status instead of a traceback."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from edge.errors import EdgeError
from edge.logs import printable

FORBIDDEN = "this account may not do that. Run it as the account of the service."


@contextmanager
def clear_errors() -> Iterator[None]:
    """Turns every EdgeError into one sentence on stderr and exit status 1."""
    try:
        yield
    except KeyboardInterrupt:
        sys.exit(130)
    except EdgeError as error:
        print(f"edge: {printable(error.message)}", file=sys.stderr)
        sys.exit(1)
    except PermissionError as error:
        what = printable(str(error.filename or error))
        print(f"edge: {what}: {FORBIDDEN}", file=sys.stderr)
        sys.exit(1)
