"""Prints the nginx.conf of the front door: limits, JSON errors.

A script, never imported: the library it is written with owns the name `nginx`.
In that library equal names replace one another, so repeated directives go through
`repeated`; and it escapes nothing, so every value from outside is checked first.
"""

import argparse
import socket
import sys
from pathlib import Path

from arguments import arguments  # this and two more lie beside this script
from client_limits import client_limits
from error_pages import ERROR_PAGES, apis, away, error_page
from nginx.config.api import Block, EmptyBlock, Location
from nginx.config.helpers import duplicate_options as repeated
from origin_rules import own_names, turned_away

from edge.errors import SetupError
from ui.origins import Origins
from ui.surface import SURFACE, Route

CONF = Path(__file__).with_name("nginx.conf")
HEADER = "# Written by nginx/build.py --write; change that file, not this one."

# On a slow CPU with a full queue the first token takes minutes: more than the largest
# EDGE_DEADLINE_S.
LONGEST_SILENCE = "3600s"
# uvicorn closes idle connections after 5 s. Close them first: nothing is sent twice, so
# a question on a closing connection would end as a 502.
UPSTREAM_IDLE = "4s"
# For how long an address of the ui is used: Docker would allow ten minutes.
LOOK_UP = "1s"


def process(run_dir: str, user: str | None) -> EmptyBlock:
    return EmptyBlock(
        **({"user": user} if user else {}),
        daemon="off",
        worker_processes=1,
        worker_rlimit_nofile=8192,
        # After a reload running answers may end, but open tabs do not hold it for ever.
        worker_shutdown_timeout="120s",
        pid=f"{run_dir}/nginx.pid",
        # Not /dev/stderr, which cannot be opened when it belongs to another user.
        error_log="stderr warn",
    )


def temporary_files(run_dir: str) -> EmptyBlock:
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    return EmptyBlock(**{f"{kind}_temp_path": f"{run_dir}/{kind}" for kind in kinds})


def trusted_proxies(networks: list[str]) -> EmptyBlock:
    """Proxies whose word on a client's address and on https is trusted."""
    trusted = {"default": 0, **dict.fromkeys(networks, 1)}
    scheme = {"default": "$scheme", '"1 https"': "https"}
    return EmptyBlock(
        repeated("set_real_ip_from", networks),
        Block("geo $realip_remote_addr $trusted", **trusted),
        Block('map "$trusted $http_x_forwarded_proto" $client_scheme', **scheme),
        real_ip_header="X-Forwarded-For",
        real_ip_recursive=True,
    )


def upstream(address: str) -> Block:
    """The ui at an address that stays."""
    pool = EmptyBlock(keepalive=32, keepalive_timeout=UPSTREAM_IDLE)
    return Block("upstream ui", pool, server=address)


def looked_up(address: str, resolver: str) -> EmptyBlock:
    """The ui at an address that is looked up again and again: a new container has
    another one. Unlike `upstream` it keeps no connections."""
    name = Block('map "" $ui', default=address)
    return EmptyBlock(name, resolver=f"{resolver} valid={LOOK_UP} ipv6=off")


def upstream_rules(scheme: str) -> EmptyBlock:
    """Rules of every location for its requests to the ui."""
    headers = {
        "Host": "$http_host",
        "Connection": '""',
        # Set, not appended: the claims of a client about itself are dropped.
        "X-Forwarded-For": "$remote_addr",
        "X-Forwarded-Host": "$http_host",
        "X-Forwarded-Proto": scheme,
        "X-Request-ID": "$request_id",
    }
    return EmptyBlock(
        repeated("proxy_set_header", [[*header] for header in headers.items()]),
        proxy_http_version="1.1",
        proxy_buffering=False,
        proxy_request_buffering=True,
        # On a connection that the ui has closed: again on another one, but no POST,
        # which nginx never repeats by itself.
        proxy_next_upstream="error",
        proxy_connect_timeout="5s",
        proxy_read_timeout=LONGEST_SILENCE,
    )


def in_kib(n_bytes: int) -> str:
    return (
        f"{n_bytes >> 20}m"
        if n_bytes % (1 << 20) == 0 < n_bytes
        else (f"{max(1, n_bytes >> 10)}k")
    )


def open_route(route: Route, ui: str, metrics_from: list[str]) -> Location:
    """One row of the surface, answered by `ui`. A preflight is the ui's to answer."""
    is_exact = "{" not in route.path
    allowed = "|".join((*route.methods, "OPTIONS"))
    # 1k, because 0 would mean no limit
    limits = EmptyBlock(client_max_body_size=in_kib(route.body))
    if route.path == "/metrics":  # proxies on this machine are named by --trust
        allowed = "|".join(route.methods)
        # deny after allow: the first rule that fits decides
        rules = repeated("allow", metrics_from or ["127.0.0.1", "::1"])
        limits = EmptyBlock(rules, EmptyBlock(deny="all"), limits)
    return Location(
        f"= {route.path}" if is_exact else f'~ "^{route.pattern}$"',
        EmptyBlock(set=f'$allow "{", ".join(route.methods)}"'),
        Block(f'if ($request_method !~ "^({allowed})$")', **{"return": "405"}),
        limits,
        proxy_pass=f"http://{ui}",
    )


def tls(certificate: str) -> EmptyBlock:
    """The folder's certificate; requests without TLS are redirected."""
    return EmptyBlock(
        ssl_certificate=f"{certificate}/fullchain.pem",
        ssl_certificate_key=f"{certificate}/privkey.pem",
        error_page="497 =308 https://$http_host$request_uri",
    )


def server(
    listen: str,
    scheme: str,
    ui: str,
    has_names: bool,
    certificate: str | None,
    metrics_from: list[str],
) -> Block:
    health = {"default_type": "text/plain", "return": "200 ok"}
    return Block(
        "server",
        upstream_rules(scheme),
        *([turned_away()] if has_names else []),
        *([tls(certificate)] if certificate else []),
        Location("= /nginx-health", **health),
        *(open_route(route, ui, metrics_from) for route in SURFACE),
        Location("/", **{"return": "404"}),
        *(error_page(name, page) for name, page in ERROR_PAGES.items()),
        away(),
        listen=f"{listen} ssl" if certificate else listen,
        server_tokens=False,
        # `//v1` is another path than `/v1`, here as in the ui
        merge_slashes=False,
        # nginx's own number for headers that are too large.
        error_page="494 /nginx-refusals/400",
    )


def config(args: argparse.Namespace) -> str:
    """The whole file for these (checked) arguments. Raises SetupError."""
    names = None
    if args.hosts is not None:
        names = Origins.of(args.hosts, args.cors, [socket.gethostname()])
    scheme = "$client_scheme" if args.trust else "$scheme"
    stays = args.resolver is None or args.upstream.startswith("unix:")
    http = Block(
        "http",
        temporary_files(args.run_dir),
        client_limits(),
        apis(),
        *([trusted_proxies(args.trust)] if args.trust else []),
        upstream(args.upstream) if stays else looked_up(args.upstream, args.resolver),
        *([own_names(names)] if names else []),
        server(
            args.listen,
            scheme,
            "ui" if stays else "$ui",
            names is not None,
            args.certificate,
            args.metrics_from,
        ),
        # The ui logs what it answers, the error log what is refused here.
        access_log="off",
    )
    events = Block("events", worker_connections=4096)
    whole = EmptyBlock(process(args.run_dir, args.user), events, http)
    return f"{HEADER}{whole}\n"


def main() -> int:
    args = arguments()
    try:
        wanted = config(args)
    except SetupError as error:
        print(error.message, file=sys.stderr)
        return 2
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
