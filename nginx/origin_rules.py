"""Checks of Host, Origin and Sec-Fetch-Site in nginx, with --hosts."""

import re

from error_pages import FOREIGN
from nginx.config.api import Block, EmptyBlock

from ui.origins import Origins
from ui.surface import SURFACE


def own_names(origins: Origins) -> EmptyBlock:
    """Whether a request names this server, and comes from a page of its own: the rules
    of `ui.origins`, where the ui checks them too."""
    known = {"default": 0, "localhost": 1}
    # No name at all: what is not valid HTTP gets the page that says so, and the ui
    # refuses the rest.
    known |= {'""': 1}
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
