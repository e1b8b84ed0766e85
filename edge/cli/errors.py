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
    """Turns every EdgeError and OSError into one sentence on stderr and exit status
    1."""
    try:
        yield
        sys.stdout.flush()  # not as Python ends, where a failure is a traceback
    except KeyboardInterrupt:
        sys.exit(130)
    except EdgeError as error:
        print(f"edge: {printable(error.message)}", file=sys.stderr)
        sys.exit(1)
    except BrokenPipeError:  # `head` has read enough: Typer ends with status 1
        raise
    except OSError as error:
        is_forbidden = isinstance(error, PermissionError)
        why = FORBIDDEN if is_forbidden else f"{error.strerror or error}."
        about = f"{error.filename}: {why}" if error.filename else why
        print(f"edge: {printable(about)}", file=sys.stderr)
        sys.exit(1)
