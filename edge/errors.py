"""All errors of this package, as one tree.

    EdgeError
    ├── InvalidRequest ......... 400  the request itself is wrong
    │   ├── InvalidJson
    │   ├── InvalidPicture
    │   ├── UrlNotAllowed
    │   ├── UnsupportedParameter
    │   ├── ContextLengthExceeded
    │   ├── MethodNotAllowed ... 405
    │   ├── BodyTimeout ........ 408
    │   ├── KeyReused .......... 409
    │   ├── BodyTooLarge ....... 413
    │   └── UnsupportedMedia ... 415
    ├── Unauthorized ........... 401  no valid key
    ├── Forbidden .............. 403  not allowed with this key or from this origin
    ├── NotFound ............... 404
    │   └── ModelNotFound
    ├── UnknownHost ............ 421
    ├── QueueFull .............. 429  try again in `retry_after_s`
    │   ├── ClientLimit
    │   └── RateLimited ........      a quota of the key is used up
    ├── Unavailable ............ 503  try again in `retry_after_s`
    │   ├── NoWorker
    │   ├── ShuttingDown
    │   └── WorkerLost
    ├── Cancelled .............. 499  the client no longer waits for the answer
    ├── DeadlineExceeded ....... 504
    ├── EngineError ............ 500  computing this answer failed
    │   └── RequestQuarantined
    └── SetupError ............. (never sent) the machine or the settings are unsuitable

Each class has one `code` and one HTTP `status`. The message of an instance says what
happened and what to do next. `from_code` restores an error from its code.
docs/reference.md lists when each is raised, from the docstrings.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

MAX_MESSAGE = 1000  # characters
MAX_PARAM = 200


class EdgeError(Exception):
    """Raised when something unexpected fails."""

    code: ClassVar[str] = "internal_error"
    status: ClassVar[int] = 500
    type: ClassVar[str] = "server_error"
    default_retry_after_s: ClassVar[int | None] = None
    is_final: bool = False  # the same request would fail again

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        after_s = retry_after_s or self.default_retry_after_s
        self.retry_after_s = after_s and math.ceil(after_s)
        self.retry_after_ms = after_s and math.ceil(1000 * after_s)

    def body(self) -> dict[str, Any]:
        """The error in OpenAI's shape, with `retry_after_s` beside it where trying
        again may help. Text of the client appears in it only short and printable."""
        again = {"retry_after_s": self.retry_after_s} if self.retry_after_s else {}
        error = {
            "message": printable(self.message, MAX_MESSAGE),
            "type": self.type,
            "param": self.param and printable(self.param, MAX_PARAM),
            "code": self.code,
        }
        return {"error": error | again}


class InvalidRequest(EdgeError):
    """Raised when a request is malformed or exceeds a limit."""

    code = "invalid_request"
    status = 400
    type = "invalid_request_error"


class InvalidJson(InvalidRequest):
    """Raised when the body is not valid JSON."""

    code = "invalid_json"


class InvalidPicture(InvalidRequest):
    """Raised when a picture is damaged, too large or of an unsupported format."""

    code = "invalid_image"


class UrlNotAllowed(InvalidRequest):
    """Raised when a picture is a URL that the server would have to open."""

    code = "url_not_allowed"


class UnsupportedParameter(InvalidRequest):
    """Raised when a request uses an unsupported feature."""

    code = "unsupported_parameter"


class ContextLengthExceeded(InvalidRequest):
    """Raised when prompt and answer do not fit into the context."""

    code = "context_length_exceeded"


class MethodNotAllowed(InvalidRequest):
    """Raised when a path does not support this method."""

    code = "method_not_allowed"
    status = 405


class BodyTimeout(InvalidRequest):
    """Raised when a body takes too long to arrive."""

    code = "body_timeout"
    status = 408


class KeyReused(InvalidRequest):
    """Raised when an Idempotency-Key is used again with another body."""

    code = "idempotency_key_reused"
    status = 409
    is_final = True


class BodyTooLarge(InvalidRequest):
    """Raised when a body has too many bytes, files or texts."""

    code = "request_too_large"
    status = 413


class UnsupportedMedia(InvalidRequest):
    """Raised when the headers of a body do not say uncompressed JSON."""

    code = "unsupported_media_type"
    status = 415


class Unauthorized(EdgeError):
    """Raised when a key is required and the request has no valid one."""

    code = "invalid_api_key"
    status = 401
    type = "authentication_error"


class Forbidden(EdgeError):
    """Raised when the key, the origin or the address is not allowed to do this."""

    code = "forbidden"
    status = 403
    type = "permission_error"


class UnknownHost(EdgeError):
    """Raised when the Host header is not a name of this server."""

    code = "unknown_host"
    status = 421
    type = "invalid_request_error"


class NotFound(EdgeError):
    """Raised when a path or an id does not exist."""

    code = "not_found"
    status = 404
    type = "invalid_request_error"


class ModelNotFound(NotFound):
    """Raised when the requested model is not served."""

    code = "model_not_found"


class QueueFull(EdgeError):
    """Raised when all slots are busy and the backlog is full."""

    code = "queue_full"
    status = 429
    type = "rate_limit_error"


class ClientLimit(QueueFull):
    """Raised when a client or address has its share of the queue or of streams."""

    code = "client_limit"


class RateLimited(QueueFull):
    """Raised when a quota of a key is used up, or an address asks too often."""

    code = "rate_limit_exceeded"


class Unavailable(EdgeError):
    """Raised when a required part of the service does not answer."""

    code = "service_unavailable"
    status = 503
    default_retry_after_s = 5


class NoWorker(Unavailable):
    """Raised when no worker is running, or that of a model has died."""

    code = "no_worker"


class ShuttingDown(Unavailable):
    """Raised when the process is being stopped."""

    code = "shutting_down"


class WorkerLost(Unavailable):
    """Raised when the worker died while it computed this answer."""

    code = "worker_lost"


class Cancelled(EdgeError):
    """Raised when the client disconnected or cancelled."""

    code = "cancelled"
    status = 499
    type = "invalid_request_error"


class DeadlineExceeded(EdgeError):
    """Raised when the deadline of a question has passed."""

    code = "deadline_exceeded"
    status = 504
    is_final = True


class EngineError(EdgeError):
    """Raised when computing this answer failed."""

    code = "engine_error"


class RequestQuarantined(EngineError):
    """Raised when workers died repeatedly while computing this request."""

    code = "request_quarantined"
    is_final = True


class SetupError(EdgeError):
    """Raised when this machine or its settings cannot run the service."""

    code = "setup_error"


def printable(text: str, most: int) -> str:
    """`text` for a terminal or a log: at most `most` characters, and no control
    characters (C0, C1, bidirectional marks, halves of surrogate pairs)."""
    short = text if len(text) <= most else text[: most - 2] + " …"
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in short)


def _family(root: type[EdgeError]) -> dict[str, type[EdgeError]]:
    tree = {root.code: root}
    for child in root.__subclasses__():
        tree |= _family(child)
    return tree


_BY_CODE = _family(EdgeError)


def from_code(code: str, message: str, param: str | None = None) -> EdgeError:
    """The error with this `code`; an unknown code becomes a plain `EdgeError`."""
    return _BY_CODE.get(code, EdgeError)(message, param=param)
