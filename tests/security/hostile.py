"""All hostile inputs of the tests, as attacks on a running service, by kind.

The inputs come from the tests of each weakness; here is only how to send all of it,
one after the other and without end, from an address of one's own.
"""

from __future__ import annotations

import itertools
import json
import random
import secrets
from collections.abc import Iterator
from typing import Any

from tests import test_images
from tests.images import test_hostile_formats
from tests.security import (
    test_bodies,
    test_failures,
    test_origins,
    test_pictures,
    test_schemas,
    test_surface,
)
from tests.security.conftest import Answer
from tests.security.stranger import (
    CHAT,
    Attack,
    Attacker,
    drip,
    garbage,
    hang_up_while_answered,
    hang_up_while_asking,
    hold,
    question,
)
from ui.surface import SURFACE


def cases(test: Any) -> list[Any]:
    """The values that a test is parametrized with."""
    [mark] = [mark for mark in test.pytestmark if mark.name == "parametrize"]
    return list(mark.args[1])


def attacks() -> dict[str, Iterator[Attack]]:
    """Endless attacks of each kind. What is slow to make is made here."""
    kinds = {
        "bodies": bodies(),
        "headers": headers(),
        "schemas": schemas(),
        "pictures": pictures(),
        "routes": routes(),
        "origins": origins(),
        "failures": iter(test_failures.BAD),
        "conversations": conversations(),
        "keys": keys(),
        "hang-ups": iter([hang_up_while_answered, hang_up_while_asking, garbage]),
        "slow clients": iter([hold, hold, drip]),
    }
    order = random.Random(1)
    return {
        kind: itertools.cycle(order.sample(all_of_it, len(all_of_it)))
        for kind, all_of_it in ((kind, list(some)) for kind, some in kinds.items())
    }


def bodies() -> Iterator[Attack]:
    for _, make in test_bodies.HOSTILE.values():
        body = make()
        yield lambda site, body=body: site.tell(CHAT, body)
    for body in cases(test_surface.test_a_payload_that_is_not_an_object_is_refused):
        for path in (CHAT, "/login", "/logout"):
            yield lambda site, path=path, body=body: site.tell(path, body)


def headers() -> Iterator[Attack]:
    wrong = test_bodies.test_an_unsupported_media_type_is_refused
    for named, _ in cases(wrong):
        given = {name.replace("-", "_"): value for name, value in named.items()}
        body = question("x")
        yield lambda site, given=given, body=body: site.ask(
            "POST",
            CHAT,
            json.dumps(body).encode(),
            **({"content_type": "application/json"} | given),
        )
    for size in (4_000, 9_000, 100_000):
        yield lambda site, size=size: site.ask("GET", "/health", x_long="a" * size)
        yield lambda site, size=size: site.ask("GET", f"/{'a' * size}")


def schemas() -> Iterator[Attack]:
    known = [json.dumps(schema) for schema in test_schemas.ATTACKS.values()]
    for schema in (*known, *test_schemas.RAW.values()):
        named = '{"type": "json_schema", "json_schema": {"name": "a", "schema": %s}}'
        body = json.dumps(question("x", temperature=1.0, response_format=0))
        placed = '"response_format": 0', f'"response_format": {named % schema}'
        raw = body.replace(*placed).encode()
        yield lambda site, raw=raw: site.tell(CHAT, raw)


def pictures() -> Iterator[Attack]:
    made: list[bytes] = [
        *(make() for make in test_pictures.SLOW.values()),
        *(make() for make in test_images.TOO_MANY_PIXELS.values()),
        *(test_images.black_png(*size) for size in test_images.TOO_LONG.values()),
        *(test_images.black_png(8, 8, extra=e) for e in test_images.REMARKS.values()),
        *(test_images.with_exif(bytes.fromhex(j)) for j in test_images.JUNK.values()),
        *test_images.NO_PICTURES.values(),
        *test_images.DAMAGED.values(),
        test_images.gif_of(10_000),
        *(make() for make in test_hostile_formats.REFUSED.values()),
        *(make() for make in test_hostile_formats.HARMLESS.values()),
    ]
    new = itertools.count()
    for make in test_pictures.HOSTILE_PICTURES.values():
        make(0)
    # good ones that take long, and are never the same
    slow = itertools.cycle(test_pictures.HOSTILE_PICTURES.values())
    for encoded in made:
        body = test_pictures.question(encoded)
        yield lambda site, body=body: site.chat(body)
        yield lambda site: site.chat(test_pictures.question(next(slow)(next(new))))


def routes() -> Iterator[Attack]:
    """Each method at each address of the application, and at some of Gradio's."""
    addresses = {path for one in SURFACE for path in test_surface.samples(one.path)}
    for path in (*sorted(addresses), *test_surface.STRANGE, *test_surface.GRADIOS):
        for method in test_surface.METHODS:
            yield lambda site, method=method, path=path: site.ask(method, path)


def origins() -> Iterator[Attack]:
    of_nobody = test_origins.test_a_name_that_is_not_this_servers_is_misdirected
    for host in cases(of_nobody):
        yield lambda site, host=host: site.ask("GET", "/", host=host)
        yield lambda site, host=host: site.ask("POST", CHAT, b"{}", host=host)
    for origin in test_origins.FOREIGN:
        for path in test_origins.POSTS:
            yield lambda site, origin=origin, path=path: site.ask(
                "POST", path, b"{}", origin=origin
            )
        yield lambda site, origin=origin: site.ask(
            "OPTIONS", CHAT, origin=origin, access_control_request_method="POST"
        )
    crossing = {"sec_fetch_site": "cross-site", "sec_fetch_mode": "no-cors"}
    for path in ("/theme.css", "/v1/models", "/logout"):
        yield lambda site, path=path: site.ask("GET", path, **crossing)


def conversations() -> Iterator[Attack]:
    sizes = cases(test_bodies.test_a_long_conversation_is_truncated_at_once)
    for n_messages, n_chars in sizes:

        def talk(site: Attacker, n: int = n_messages, chars: int = n_chars) -> Answer:
            text = secrets.token_hex(4) + " word" * (chars // 5 - 2)
            more = {"truncate": "auto", "max_tokens": 3}
            return site.tell(CHAT, test_bodies.talk(n, text, **more))

        yield talk
    # an honest question that is answered at length, and never the same
    yield lambda site: site.chat(
        question(secrets.token_hex(8), temperature=1.0, max_tokens=256)
    )
    yield lambda site: site.chat(question("x", max_tokens=2**31 - 1, stop=["a"] * 4))
    yield lambda site: site.chat(question("x", n=10**9, seed=10**30))
    yield lambda site: site.chat(
        question("x", logit_bias={str(n): 100 for n in range(5000)})
    )


def keys() -> Iterator[Attack]:
    """Names, keys and ids that are made up."""

    def ask(site: Attacker, **named: str) -> Answer:
        return site.chat(question(secrets.token_hex(4), max_tokens=3), **named)

    yield lambda site: ask(site, authorization=f"Bearer sk-{secrets.token_hex(32)}")
    yield lambda site: ask(site, authorization="Basic " + "A" * 4000)
    yield lambda site: ask(site, cookie=f"edge_session={secrets.token_hex(40)}")
    yield lambda site: ask(site, x_forwarded_for=f"10.1.{secrets.randbelow(255)}.1")
    yield lambda site: ask(site, idempotency_key="the same")  # other bodies: 409
    yield lambda site: ask(site, idempotency_key=secrets.token_hex(16))
    yield lambda site: ask(site, idempotency_key="x" * 300)
    yield lambda site: ask(site, last_event_id="9" * 4000)
    for method, end in (("GET", ""), ("DELETE", ""), ("GET", "/events")):
        yield lambda site, method=method, end=end: site.ask(
            method, f"/v1/jobs/{secrets.token_hex(16)}{end}"
        )
    yield lambda site: site.ask(
        "POST",
        "/login",
        b"name=admin&key=" + secrets.token_hex(32).encode(),
        content_type="application/x-www-form-urlencoded",
    )
    yield lambda site: site.ask("GET", "/v1/usage?day=../../x")
    yield lambda site: site.ask("GET", "/metrics")
