"""Print the nginx.conf of the front door: limits and JSON errors, no business.

A script, never imported: the library it is written with owns the name `nginx`.
There, equal names replace one another, so what repeats goes through `repeated`; and
nothing is escaped, so every value from outside is checked on its way in.
"""

import argparse
import json
import re
import socket
import sys
from pathlib import Path

from arguments import arguments  # beside this script
from error_pages import FOREIGN, REFUSALS, RETRY_AFTER_S
from nginx.config.api import Block, EmptyBlock, Location
from nginx.config.helpers import duplicate_options as repeated

from edge.errors import SetupError
from ui.origins import Origins
from ui.surface import SURFACE, Route

CONF = Path(__file__).with_name("nginx.conf")
HEADER = "# Written by nginx/build.py --write; change that file, not this one."

# Far above what a CPU can answer, so that cached answers still flow: this keeps a
# flood away from Python, which does the fair queueing.
REQUESTS_PER_SECOND = 20
# A classroom behind one address may press Enter together.
REQUESTS_AT_ONCE = 60
# A browser tab holds one while it is being answered, and none while it is idle.
CONNECTIONS_PER_ADDRESS = 256
# Those that send something: their bodies lie on the disk meanwhile.
POSTS_PER_ADDRESS = 64
# What one customer has: an IPv4 address, or a /64 of IPv6, by one of its two or three
# names: zeros are left out.
NETWORKS = {
    '"~^::ffff:(?<v4>[0-9.]+)$"': "$v4",
    '"~^(?<four>(?:[0-9a-f]+:){4})"': "$four",
    '"~^(?<fewer>(?:[0-9a-f]+:){0,3}):"': "$fewer:",
}
# The first token may be a while coming on a slow CPU with a full queue.
LONGEST_SILENCE = "600s"
# uvicorn drops idle connections after 5 s. Let go first: nothing is ever sent twice,
# so a question that met a closing connection would end as a 502.
UPSTREAM_IDLE = "4s"


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
    files = [route for route in SURFACE if route.is_limited]
    patterns = ["^POST ", *(rf"^\S+ {route.pattern}$" for route in files)]
    askers = {f'"~{pattern}"': "$network" for pattern in patterns}
    return EmptyBlock(
        Block("map $remote_addr $network", default="$remote_addr", **NETWORKS),
        Block('map "$request_method $uri" $asker', default='""', **askers),
        Block("map $request_method $poster", default='""', POST="$network"),
        repeated(
            "limit_conn_zone",
            [
                "$network zone=addresses:1m",
                "$poster zone=posts:1m",
            ],
        ),
        repeated(
            "limit_conn",
            [
                f"addresses {CONNECTIONS_PER_ADDRESS}",
                f"posts {POSTS_PER_ADDRESS}",
            ],
        ),
        limit_req_zone=f"$asker zone=costly:1m rate={REQUESTS_PER_SECOND}r/s",
        limit_req=f"zone=costly burst={REQUESTS_AT_ONCE} nodelay",
        limit_req_status=429,
        limit_conn_status=429,
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


def upstream_rules(scheme: str) -> EmptyBlock:
    """How every location talks to the ui."""
    headers = {
        "Host": "$http_host",
        "Connection": '""',
        # Set, not appended: what a client claims about itself is dropped.
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


def open_route(route: Route) -> Location:
    """One row of the surface. A preflight is the ui's to answer."""
    is_exact = "{" not in route.path
    allowed = "|".join((*route.methods, "OPTIONS"))
    # 1k, because 0 would mean no limit
    limits = EmptyBlock(client_max_body_size=in_kib(route.body))
    if route.path == "/metrics":  # for this machine; proxies on it are named by --trust
        allowed = "|".join(route.methods)
        # deny after allow: the first rule that fits decides
        rules = repeated("allow", ["127.0.0.1", "::1"])
        limits = EmptyBlock(rules, EmptyBlock(deny="all"), limits)
    return Location(
        f"= {route.path}" if is_exact else f'~ "^{route.pattern}$"',
        EmptyBlock(set=f'$allow "{", ".join(route.methods)}"'),
        Block(f'if ($request_method !~ "^({allowed})$")', **{"return": "405"}),
        limits,
        proxy_pass="http://ui",
    )


def own_names(origins: Origins) -> EmptyBlock:
    """Whether a request names this server, and comes from a page of its own: the rules
    of `ui.origins`, which holds them again for whoever comes by another way."""
    known = {"default": 0, "localhost": 1}
    known |= dict.fromkeys((r'"~^[0-9]{1,3}(\.[0-9]{1,3}){3}$"', r'"~^\["'), 1)
    known |= dict.fromkeys(sorted(origins.hosts), 1)
    cors = {"default": 0} | {f'"{origin}"': 1 for origin in sorted(origins.cors)}
    own = {"default": 1, '"~^1 "': 0, '"~^0  "': 0, r'"~*^0 https?://(\S+) \1$"': 0}
    names = "|".join(re.escape(name) for name in sorted(origins.hosts))
    own |= {f'"~*^0 https?://({names}) "': 0} if names else {}
    pages = "|".join(route.path for route in SURFACE if route.is_page)
    crossing = f'"~^0 cross-site (?!(GET|HEAD) ({pages})$)"'
    return EmptyBlock(
        Block("map $host $is_known", **known),
        Block("map $http_origin $is_guest", **cors),
        Block('map "$is_guest $http_origin $http_host" $is_foreign', **own),
        Block(
            'map "$is_guest $http_sec_fetch_site $request_method $uri" $is_crossing',
            **{"default": 0, crossing: 1},
        ),
    )


def turned_away() -> EmptyBlock:
    """At the top of the server, before any location."""
    rules = {"$is_known = 0": 421, "$is_foreign": FOREIGN, "$is_crossing": FOREIGN}
    return EmptyBlock(
        *(
            Block(f"if ({test})", rewrite=f"^ /nginx-refusals/{name} last")
            for test, name in rules.items()
        )
    )


def refusal(name: int | str, kind: str, code: str, message: str) -> EmptyBlock:
    """An answer of nginx's own, by its status; by another name, a 403."""
    status = name if isinstance(name, int) else 403
    page = f"/nginx-refusals/{name}"
    error = {"message": message, "type": kind, "param": None, "code": code}
    headers = {"X-Content-Type-Options": "nosniff", "X-Request-ID": "$request_id"}
    if status in RETRY_AFTER_S:
        headers["Retry-After"] = str(RETRY_AFTER_S[status])
    if status == 405:
        headers["Allow"] = "$allow"
    answer = Location(
        f"= {page}",
        headers_added(headers),
        internal=None,
        default_type="application/json",
        **{"return": [str(status), f"'{json.dumps({'error': error})}'"]},
    )
    if name != status:
        return EmptyBlock(answer)
    return EmptyBlock(answer, error_page=f"{status} {page}")


def server(listen: str, scheme: str, has_names: bool) -> Block:
    health = {"default_type": "text/plain", "return": "200 ok"}
    return Block(
        "server",
        upstream_rules(scheme),
        *([turned_away()] if has_names else []),
        Location("= /nginx-health", **health),
        *(open_route(route) for route in SURFACE),
        Location("/", **{"return": "404"}),
        *(refusal(name, *why) for name, why in REFUSALS.items()),
        listen=listen,
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
    http = Block(
        "http",
        temporary_files(args.run_dir),
        limits(),
        *([trusted_proxies(args.trust)] if args.trust else []),
        upstream(args.upstream),
        *([own_names(names)] if names else []),
        server(args.listen, scheme, names is not None),
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
