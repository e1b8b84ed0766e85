"""Every way a question can be refused or fail, as one tree.

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
    ├── Forbidden .............. 403  not with this key, or not from there
    ├── NotFound ............... 404
    │   └── ModelNotFound
    ├── UnknownHost ............ 421
    ├── QueueFull .............. 429  come back in `retry_after_s`
    │   ├── ClientLimit
    │   └── RateLimited ........      a limit of the key is reached
    ├── Unavailable ............ 503  come back in `retry_after_s`
    │   ├── NoWorker
    │   ├── ShuttingDown
    │   └── WorkerLost
    ├── StorageFull ............ 507
    ├── Cancelled .............. 499  nobody waits for the answer any more
    ├── DeadlineExceeded ....... 504
    ├── EngineError ............ 500  this request failed inside the engine
    │   └── RequestQuarantined
    └── SetupError ............. (never sent) this machine or its settings are wrong

Each class has one `code` and one HTTP `status`; each instance is one sentence that
says what to do next. `from_code` turns what came over a wire back into an error.
"""

from __future__ import annotations

from typing import Any, ClassVar

MAX_MESSAGE = 1000  # characters
MAX_PARAM = 200


class EdgeError(Exception):
    """Root of all errors this package raises on purpose."""

    code: ClassVar[str] = "internal_error"
    status: ClassVar[int] = 500
    type: ClassVar[str] = "server_error"
    default_retry_after_s: ClassVar[int | None] = None
    is_final: ClassVar[bool] = False  # asking again would end in the same way

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.retry_after_s = retry_after_s or self.default_retry_after_s

    def body(self) -> dict[str, Any]:
        """The error in the shape that OpenAI clients read; what a client sent is in it
        only as short, printable text."""
        return {
            "error": {
                "message": printable(self.message, MAX_MESSAGE),
                "type": self.type,
                "param": self.param and printable(self.param, MAX_PARAM),
                "code": self.code,
            }
        }


class InvalidRequest(EdgeError):
    """Raised when a request cannot be understood or breaks a limit."""

    code = "invalid_request"
    status = 400
    type = "invalid_request_error"


class InvalidJson(InvalidRequest):
    """Raised when the body is not JSON."""

    code = "invalid_json"


class InvalidPicture(InvalidRequest):
    """Raised when bytes are not a picture that we accept."""

    code = "invalid_image"


class UrlNotAllowed(InvalidRequest):
    """Raised when a picture is given as a URL that would have to be opened."""

    code = "url_not_allowed"


class UnsupportedParameter(InvalidRequest):
    """Raised when a request asks for something this server does not do."""

    code = "unsupported_parameter"


class ContextLengthExceeded(InvalidRequest):
    """Raised when prompt and answer can never fit the context."""

    code = "context_length_exceeded"


class MethodNotAllowed(InvalidRequest):
    """Raised when a path exists, but not with this method."""

    code = "method_not_allowed"
    status = 405


class BodyTimeout(InvalidRequest):
    """Raised when a body takes too long to arrive."""

    code = "body_timeout"
    status = 408


class KeyReused(InvalidRequest):
    """Raised when an Idempotency-Key comes again with another body."""

    code = "idempotency_key_reused"
    status = 409
    is_final = True


class BodyTooLarge(InvalidRequest):
    """Raised when a body has more bytes, files or texts than it may."""

    code = "request_too_large"
    status = 413


class UnsupportedMedia(InvalidRequest):
    """Raised when a body is not plain JSON by its headers."""

    code = "unsupported_media_type"
    status = 415


class Unauthorized(EdgeError):
    """Raised when a caller has to show a key and shows none that is valid."""

    code = "invalid_api_key"
    status = 401
    type = "authentication_error"


class Forbidden(EdgeError):
    """Raised when a caller is known and may not do this, or not from there."""

    code = "forbidden"
    status = 403
    type = "permission_error"


class UnknownHost(EdgeError):
    """Raised when a request names a host that this server is not."""

    code = "unknown_host"
    status = 421
    type = "invalid_request_error"


class NotFound(EdgeError):
    """Raised when a path or an id does not exist."""

    code = "not_found"
    status = 404
    type = "invalid_request_error"


class ModelNotFound(NotFound):
    """Raised when a request names a model that is not served."""

    code = "model_not_found"


class QueueFull(EdgeError):
    """Raised when all slots are busy and the backlog is full."""

    code = "queue_full"
    status = 429
    type = "rate_limit_error"


class ClientLimit(QueueFull):
    """Raised when one client has as many questions in work as one may have."""

    code = "client_limit"


class RateLimited(QueueFull):
    """Raised when a key has used what it may use in a minute or a day."""

    code = "rate_limit_exceeded"


class Unavailable(EdgeError):
    """Raised when a part that every request needs cannot be reached."""

    code = "service_unavailable"
    status = 503
    default_retry_after_s = 5


class NoWorker(Unavailable):
    """Raised when no worker is alive to compute answers."""

    code = "no_worker"


class ShuttingDown(Unavailable):
    """Raised when this process takes nothing new because it is being stopped."""

    code = "shutting_down"


class WorkerLost(Unavailable):
    """Raised when the worker died while it computed this answer."""

    code = "worker_lost"


class StorageFull(EdgeError):
    """Raised when there is no room left for what a client sends."""

    code = "storage_full"
    status = 507


class Cancelled(EdgeError):
    """Raised when the client left or asked to stop."""

    code = "cancelled"
    status = 499
    type = "invalid_request_error"


class DeadlineExceeded(EdgeError):
    """Raised when an answer was not ready in time."""

    code = "deadline_exceeded"
    status = 504
    is_final = True


class EngineError(EdgeError):
    """Raised when computing this one answer failed."""

    code = "engine_error"


class RequestQuarantined(EngineError):
    """Raised when workers have died of this very request."""

    code = "request_quarantined"
    is_final = True


class SetupError(EdgeError):
    """Raised when this machine or its settings cannot run the service."""

    code = "setup_error"


def printable(text: str, most: int) -> str:
    """`text` for a terminal or a log: at most so many characters, none of which
    controls anything (C0, C1, bidirectional marks, halves of characters)."""
    short = text if len(text) <= most else text[: most - 2] + " …"
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in short)


def _family(root: type[EdgeError]) -> dict[str, type[EdgeError]]:
    tree = {root.code: root}
    for child in root.__subclasses__():
        tree |= _family(child)
    return tree


_BY_CODE = _family(EdgeError)


def from_code(code: str, message: str, param: str | None = None) -> EdgeError:
    """The error that `code` names; an unknown code is a plain `EdgeError`."""
    return _BY_CODE.get(code, EdgeError)(message, param=param)
