"""Log lines that show where something happened, not what people asked.

One line for each record, of bounded length, without control characters. An exception
is logged by its kind and its traceback. Its message may quote a question, so it is
logged only for errors of network, disk and engine, and for one that ends the process.
"""

from __future__ import annotations

import logging
import re
import shutil
import sys
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from edge.errors import EngineError, SetupError
from edge.redis_clients import AWAY

LONGEST_LINE = 1000  # characters
MOST_FRAMES = 12
MOST_EXCEPTIONS = 5  # of a chain or a group
LARGEST_BYTES = 10 << 20  # of one log, of which KEPT older parts are kept
KEPT = 2

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"

_WITHOUT_QUESTIONS = (*AWAY, EngineError, SetupError)

# Characters that move a terminal's cursor or change the direction of text, except
# \n and \t.
_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)

log = logging.getLogger(__name__)


def printable(text: str) -> str:
    """`text` that is safe for a terminal: control characters become escapes."""
    return _UNPRINTABLE.sub(lambda found: ascii(found[0])[1:-1], text)


class LogFormatter(logging.Formatter):
    """Formats a record as the module describes."""

    def __init__(self) -> None:
        super().__init__(FORMAT)

    def formatMessage(self, record: logging.LogRecord) -> str:
        line = printable(super().formatMessage(record)).replace("\n", "\\n")
        if len(line) > LONGEST_LINE:
            line = f"{line[:LONGEST_LINE]} ... ({len(line)} characters)"
        return line

    def formatException(self, ei: object) -> str:
        assert isinstance(ei, tuple)
        error = ei[1]
        return "" if error is None else "\n".join(_describe(error))


def _describe(error: BaseException) -> Iterator[str]:
    """The kinds and tracebacks of an exception and of its causes."""
    seen: list[BaseException] = []
    waiting = [error]
    while waiting and len(seen) < MOST_EXCEPTIONS:
        one = waiting.pop(0)
        if one in seen:
            continue
        seen.append(one)
        yield f"  {_name(one)}, newest call last:"
        for frame in traceback.extract_tb(one.__traceback__)[-MOST_FRAMES:]:
            yield f"    {frame.filename}:{frame.lineno} in {frame.name}"
        waiting += one.exceptions if isinstance(one, BaseExceptionGroup) else ()
        waiting += filter(None, (one.__cause__ or one.__context__,))


def _name(error: BaseException) -> str:
    name = f"{type(error).__module__}.{type(error).__qualname__}"
    if isinstance(error, _WITHOUT_QUESTIONS):
        message = printable(str(error)).replace("\n", "\\n")[:LONGEST_LINE]
        return f"{name}: {message}"
    return name


def set_up_logs() -> None:
    """Sends all records of this process through LogFormatter, and exceptions that
    libraries would print. To call before anything else."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LogFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.captureWarnings(True)
    sys.excepthook = _log_fatal
    threading.excepthook = _log_thread_end
    traceback.print_exc = _print_exc


def _log_fatal(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    log.critical("the process ends: %s", error, exc_info=(kind, error, trace))


def _log_thread_end(args: threading.ExceptHookArgs) -> None:
    error = args.exc_value or args.exc_type()
    log.error("a thread has ended", exc_info=error)


def _print_exc(*_: object, **__: object) -> None:
    log.error("an exception", exc_info=True)


def rotate(path: Path) -> None:
    """Moves the content of a large log from `path` to PATH.1, and PATH.1 to PATH.2.

    Processes keep writing to the same file, which must be open for appending: it is
    copied and emptied, not renamed. On a full disk it is only emptied.
    """
    if not path.exists() or path.stat().st_size <= LARGEST_BYTES:
        return
    older = [path.with_name(f"{path.name}.{n}") for n in range(1, KEPT + 1)]
    try:
        for older_one, newer in zip(older[::-1], [*older[-2::-1], path], strict=True):
            if newer == path:
                shutil.copyfile(path, older_one)
            elif newer.exists():
                newer.replace(older_one)
    except OSError as error:
        log.warning("%s is emptied and not kept: %s", path, error.strerror)
    with path.open("r+b") as file:
        file.truncate(0)


def start_afresh(path: Path) -> None:
    """Creates an empty log and removes those of earlier starts."""
    for n in range(1, KEPT + 1):
        path.with_name(f"{path.name}.{n}").unlink(missing_ok=True)
    path.write_bytes(b"")
