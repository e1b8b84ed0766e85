"""Print the nginx.conf of the front door: limits and JSON errors, no business.

A script, never imported: the library it is written with owns the name `nginx`.
There, equal names replace one another, so what repeats goes through `repeated`; and
nothing is escaped, so every value from outside is checked on its way in.
"""

import argparse
import ipaddress
import json
import re
import sys
from pathlib import Path

from nginx.config.api import Block, EmptyBlock, Location
from nginx.config.helpers import duplicate_options as repeated

CONF = Path(__file__).with_name("nginx.conf")
HEADER = "# Written by nginx/build.py --write; change that file, not this one."

# The routes that cost real work. Loading the page is 67 requests within one second
# from one address and must never be limited.
COSTLY = (
    "POST /v1/chat/completions",
    "POST /gradio_api/queue/join",
    "POST /gradio_api/upload",
)
# Far above what a CPU can answer, so that cached answers still flow: this keeps a
# flood away from Python, which does the fair queueing.
REQUESTS_PER_SECOND = 20
# A classroom behind one address may press Enter together.
REQUESTS_AT_ONCE = 60
# A browser tab holds two connections for as long as it is open: over 100 tabs.
CONNECTIONS_PER_ADDRESS = 256
# Pictures travel as base64, a third larger than their files.
LARGEST_BODY_MIB = 32
# The first token may be a while coming on a slow CPU with a full queue.
LONGEST_SILENCE = "600s"
# uvicorn drops idle connections after 5 s. Let go first: nothing is ever sent twice,
# so a question that met a closing connection would end as a 502.
UPSTREAM_IDLE = "4s"

# Answered here, whatever the ui has there.
CLOSED = {
    r"~ ^/(docs|redoc|openapi\.json|gradio_api/(call|runs))(/|$)": 404,
}

LARGER = f"The request is larger than {LARGEST_BODY_MIB} MiB."
# What nginx itself says, in the shape of OpenAI's errors: type, code, message.
REFUSALS = {
    400: ("invalid_request_error", "invalid_request", "This is not valid HTTP."),
    403: ("permission_error", "forbidden", "This address is not public."),
    404: ("invalid_request_error", "not_found", "There is nothing at this address."),
    413: ("invalid_request_error", "request_too_large", LARGER),
    414: ("invalid_request_error", "uri_too_long", "The address is too long."),
    429: ("rate_limit_error", "rate_limit_exceeded", "Too many requests at once."),
    500: ("server_error", "internal_error", "The front server failed."),
    502: ("server_error", "service_unavailable", "The service is not running."),
    503: ("server_error", "service_unavailable", "The service is not ready."),
    504: ("server_error", "service_unavailable", "The service did not answer."),
}
RETRY_AFTER_S = {429: 2, 502: 5, 503: 5, 504: 5}

SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    # Gradio's page is inline scripts and styles. Pictures from elsewhere stay out,
    # lest an answer carry the conversation away in the address of one.
    "Content-Security-Policy": "default-src 'self'; "
    "script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; "
    "object-src 'none'; frame-ancestors 'self'",
}


def process(run_dir: str, user: str | None) -> EmptyBlock:
    return EmptyBlock(
        **({"user": user} if user else {}),
        daemon="off",
        worker_processes=1,
        worker_rlimit_nofile=8192,
        # After a reload running answers may end, but open tabs not stay for ever.
        worker_shutdown_timeout="120s",
        pid=f"{run_dir}/nginx.pid",
        # Not /dev/stderr: that cannot be opened when it belongs to somebody else.
        error_log="stderr warn",
    )


def temporary_files(run_dir: str) -> EmptyBlock:
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    return EmptyBlock(**{f"{kind}_temp_path": f"{run_dir}/{kind}" for kind in kinds})


def trusted_proxies(networks: list[str]) -> EmptyBlock:
    """Who may tell us a client's address and that it came by https."""
    trusted = {"default": 0, **dict.fromkeys(networks, 1)}
    scheme = {"default": "$scheme", '"1 https"': "https"}
    return EmptyBlock(
        repeated("set_real_ip_from", networks),
        Block("geo $realip_remote_addr $trusted", **trusted),
        Block('map "$trusted $http_x_forwarded_proto" $client_scheme', **scheme),
        real_ip_header="X-Forwarded-For",
        real_ip_recursive=True,
    )


def limits() -> EmptyBlock:
    # A request with an empty key is not counted.
    askers = {f'"{route}"': "$binary_remote_addr" for route in COSTLY}
    return EmptyBlock(
        Block('map "$request_method $uri" $asker', default='""', **askers),
        limit_req_zone=f"$asker zone=costly:1m rate={REQUESTS_PER_SECOND}r/s",
        limit_req=f"zone=costly burst={REQUESTS_AT_ONCE} nodelay",
        limit_req_status=429,
        limit_conn_zone="$binary_remote_addr zone=addresses:1m",
        limit_conn=f"addresses {CONNECTIONS_PER_ADDRESS}",
        limit_conn_status=429,
        client_max_body_size=f"{LARGEST_BODY_MIB}m",
        client_body_buffer_size="256k",
        large_client_header_buffers="4 8k",
        client_header_timeout="10s",
        client_body_timeout="30s",
        reset_timedout_connection=True,
    )


def upstream(address: str) -> Block:
    pool = EmptyBlock(keepalive=32, keepalive_timeout=UPSTREAM_IDLE)
    return Block("upstream ui", pool, server=address)


def headers_added(headers: dict[str, str]) -> EmptyBlock:
    """Headers on every answer; a block that adds its own inherits none of these."""
    rows = [[name, f'"{value}"', "always"] for name, value in headers.items()]
    return repeated("add_header", rows)


def chat_and_api(scheme: str) -> Location:
    headers = {
        "Host": "$http_host",
        "Connection": '""',
        # Set, not appended: what a client claims about itself is dropped.
        "X-Forwarded-For": "$remote_addr",
        "X-Forwarded-Host": "$http_host",
        "X-Forwarded-Proto": scheme,
        "X-Request-ID": "$request_id",
    }
    return Location(
        "/",
        repeated("proxy_set_header", [[*header] for header in headers.items()]),
        proxy_pass="http://ui",
        proxy_http_version="1.1",
        proxy_buffering=False,
        proxy_request_buffering=True,
        proxy_next_upstream="off",
        proxy_connect_timeout="5s",
        proxy_read_timeout=LONGEST_SILENCE,
    )


def metrics() -> Location:
    """The ui's, for this machine; a proxy of yours on it must be named by --trust."""
    return Location(
        "~ ^/metrics(/|$)",
        repeated("allow", ["127.0.0.1", "::1"]),
        EmptyBlock(deny="all"),  # after the others: the first rule that fits decides
        proxy_pass="http://ui",
    )


def refusal(status: int, kind: str, code: str, message: str) -> EmptyBlock:
    page = f"/nginx-refusals/{status}"
    error = {"message": message, "type": kind, "param": None, "code": code}
    headers = {"X-Content-Type-Options": "nosniff", "X-Request-ID": "$request_id"}
    if status in RETRY_AFTER_S:
        headers["Retry-After"] = str(RETRY_AFTER_S[status])
    answer = Location(
        f"= {page}",
        headers_added(headers),
        internal=None,
        default_type="application/json",
        **{"return": [str(status), f"'{json.dumps({'error': error})}'"]},
    )
    return EmptyBlock(answer, error_page=f"{status} {page}")


def server(listen: str, scheme: str) -> Block:
    health = {"default_type": "text/plain", "return": "200 ok"}
    return Block(
        "server",
        headers_added(SECURITY_HEADERS),
        Location("= /nginx-health", **health),
        *(Location(path, **{"return": status}) for path, status in CLOSED.items()),
        metrics(),
        chat_and_api(scheme),
        *(refusal(status, *why) for status, why in REFUSALS.items()),
        listen=listen,
        server_tokens=False,
        # nginx's own number for headers that are too large.
        error_page="494 /nginx-refusals/400",
    )


def config(args: argparse.Namespace) -> str:
    """The whole file for these (checked) arguments."""
    http = Block(
        "http",
        temporary_files(args.run_dir),
        limits(),
        *([trusted_proxies(args.trust)] if args.trust else []),
        upstream(args.upstream),
        server(args.listen, "$client_scheme" if args.trust else "$scheme"),
        # The ui logs what it answers, the error log what is refused here.
        access_log="off",
    )
    events = Block("events", worker_connections=4096)
    whole = EmptyBlock(process(args.run_dir, args.user), events, http)
    return f"{HEADER}{whole}\n"


def port(text: str) -> str:
    if not re.fullmatch("[0-9]{1,5}", text) or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port from 1 to 65535.")
    return text


def host_and_port(text: str) -> str:
    host, _, number = text.rpartition(":")
    if not re.fullmatch(r"\w[\w.-]*|\[[0-9a-fA-F:.]+\]", host):
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT.")
    return f"{host}:{port(number)}"


def server_address(text: str) -> str:
    if text.startswith("unix:"):
        return f"unix:{directory(text.removeprefix('unix:'))}"
    return host_and_port(text)


def listening(text: str) -> str:
    return host_and_port(text) if ":" in text else port(text)


def directory(text: str) -> str:
    if not re.fullmatch(r"(/[\w.@+-]+)+/?", text):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not an absolute path of letters, digits and . _ - + @ only."
        )
    return text.rstrip("/")


def network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{error}.") from None


def account(text: str) -> str:
    if not re.fullmatch(r"[a-z_][a-z0-9_-]*", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not the name of a user.")
    return text


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Print nginx.conf.")
    action = parser.add_mutually_exclusive_group()
    action.add_argument(
        "--check", action="store_true", help="fail if nginx.conf is old"
    )
    action.add_argument("--write", action="store_true", help="rewrite nginx.conf")
    option = parser.add_argument
    option("--listen", type=listening, default="8080", metavar="[HOST:]PORT")
    option(
        "--upstream",
        type=server_address,
        default="ui:8000",
        metavar="HOST:PORT|unix:PATH",
    )
    option("--run-dir", type=directory, default="/tmp", metavar="DIR")
    option(
        "--trust",
        type=network,
        default=[],
        action="append",
        metavar="CIDR",
        help="proxies in front of this one; may be repeated",
    )
    option("--user", type=account, help="whom the workers run as, if started by root")
    return parser.parse_args()


def main() -> int:
    args = arguments()
    wanted = config(args)
    if args.write:
        CONF.write_text(wanted)
    elif not args.check:
        sys.stdout.write(wanted)
    elif not CONF.exists() or CONF.read_text() != wanted:
        print(
            "nginx.conf is stale: run `python nginx/build.py --write`.", file=sys.stderr
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
