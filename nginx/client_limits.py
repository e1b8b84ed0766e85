"""Rate and connection limits of one client."""

from nginx.config.api import Block, EmptyBlock
from nginx.config.helpers import duplicate_options as repeated

# Far above what a CPU can answer, so that cached answers still flow: this keeps a
# flood away from Python, which does the fair queueing.
REQUESTS_PER_SECOND = 20
# A classroom behind one address may press Enter together.
REQUESTS_AT_ONCE = 60
# A browser tab holds one while it is being answered, and none while it is idle.
CONNECTIONS_PER_ADDRESS = 256
# With a request body, which lies on the disk meanwhile: in Compose in memory.
POSTS_PER_ADDRESS = 64
# With one of more than 2 MB, or of unknown length.
LARGE_POSTS_PER_ADDRESS = 10
LARGE = '"~^POST ([2-9][0-9]{6}|[0-9]{8,})?$"'
# One customer: an IPv4 address, or a /64 of IPv6, which is written in two or three ways
# because zeros may be left out.
NETWORKS = {
    '"~^::ffff:(?<v4>[0-9.]+)$"': "$v4",
    '"~^(?<four>(?:[0-9a-f]+:){4})"': "$four",
    '"~^(?<fewer>(?:[0-9a-f]+:){0,3}):"': "$fewer:",
}


def client_limits() -> EmptyBlock:
    # A request with an empty key is not counted: only POST is.
    return EmptyBlock(
        Block("map $remote_addr $network", default="$remote_addr", **NETWORKS),
        Block("map $request_method $poster", default='""', POST="$network"),
        Block(
            'map "$request_method $content_length" $large_poster',
            default='""',
            **{LARGE: "$network"},
        ),
        repeated(
            "limit_conn_zone",
            [
                "$network zone=addresses:1m",
                "$poster zone=posts:1m",
                "$large_poster zone=large_posts:1m",
            ],
        ),
        repeated(
            "limit_conn",
            [
                f"addresses {CONNECTIONS_PER_ADDRESS}",
                f"posts {POSTS_PER_ADDRESS}",
                f"large_posts {LARGE_POSTS_PER_ADDRESS}",
            ],
        ),
        limit_req_zone=f"$poster zone=costly:1m rate={REQUESTS_PER_SECOND}r/s",
        limit_req=f"zone=costly burst={REQUESTS_AT_ONCE} nodelay",
        limit_req_status=429,
        limit_conn_status=429,
        client_body_buffer_size="256k",
        large_client_header_buffers="4 8k",
        client_header_timeout="10s",
        client_body_timeout="30s",
        reset_timedout_connection=True,
    )
