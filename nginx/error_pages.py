"""What nginx itself says, in the shape of OpenAI's errors: type, code, message."""

LARGER = "The request is larger than this address takes."
UNKNOWN = (
    "This server does not know this name. Whoever runs it can add it to EDGE_HOSTS; "
    "until then, use its address."
)
GUEST = "Pages of other sites may not call this server, unless EDGE_CORS names them."
FOREIGN = "foreign"
REFUSALS: dict[int | str, tuple[str, str, str]] = {
    400: ("invalid_request_error", "invalid_request", "This is not valid HTTP."),
    403: ("permission_error", "forbidden", "This address is not public."),
    404: ("invalid_request_error", "not_found", "There is nothing at this address."),
    FOREIGN: ("permission_error", "forbidden", GUEST),
    405: ("invalid_request_error", "method_not_allowed", "Not with this method."),
    413: ("invalid_request_error", "request_too_large", LARGER),
    414: ("invalid_request_error", "uri_too_long", "The address is too long."),
    421: ("invalid_request_error", "unknown_host", UNKNOWN),
    429: ("rate_limit_error", "rate_limit_exceeded", "Too many requests at once."),
    500: ("server_error", "internal_error", "The front server failed."),
    502: ("server_error", "service_unavailable", "The service is not running."),
    503: ("server_error", "service_unavailable", "The service is not ready."),
    504: ("server_error", "service_unavailable", "The service did not answer."),
}
RETRY_AFTER_S = {429: 2, 502: 5, 503: 5, 504: 5}
