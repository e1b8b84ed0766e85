"""All hostile inputs of the tests, as attacks on a running service, by kind.

The inputs come from the tests of each weakness; here is only how to send all of it,
one after the other and without end, from an address of one's own.
"""

from __future__ import annotations

import itertools
import json
import random
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests import test_images
from tests.security import (
    test_bodies,
    test_failures,
    test_files,
    test_origins,
    test_pictures,
    test_schemas,
    test_surface,
    test_uploads,
)
from tests.security.conftest import Answer
from tests.security.stranger import (
    CHAT,
    JOIN,
    UPLOAD,
    Attack,
    Attacker,
    drip,
    garbage,
    hang_up_while_answered,
    hang_up_while_asking,
    hold,
    question,
)
from ui import surface


def cases(test: Any) -> list[Any]:
    """The values that a test is parametrized with."""
    [mark] = [mark for mark in test.pytestmark if mark.name == "parametrize"]
    return list(mark.args[1])


def attacks(port: int) -> dict[str, Iterator[Attack]]:
    """Endless attacks of each kind. What is slow to make is made here."""
    kinds = {
        "bodies": bodies(),
        "headers": headers(),
        "schemas": schemas(),
        "pictures": pictures(),
        "paths": paths(port),
        "routes": routes(),
        "functions": functions(),
        "uploads": uploads(),
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
        yield lambda site, body=body: site.tell(JOIN, body)
    for body in cases(test_surface.test_a_payload_that_is_not_an_object_is_refused):
        for path in (CHAT, JOIN, "/gradio_api/cancel", "/login", "/logout"):
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


def paths(port: int) -> Iterator[Attack]:
    for path in test_files.outside(port).values():
        quoted = path.replace("\0", "%00").replace(" ", "%20").encode("ascii", "ignore")
        for prefix in ("file=", "file/", "proxy="):
            address = f"/gradio_api/{prefix}{quoted.decode()[:8000]}"
            yield lambda site, address=address: site.ask("GET", address)
        for n_inputs in (1, 2):
            for data in test_files.nestings(path, n_inputs):
                yield lambda site, data=data: site.join(secrets.randbelow(8), data)


def routes() -> Iterator[Attack]:
    """Each method at each address of the application and of Gradio."""
    script = Path(__file__).with_name("walk.py")
    told = subprocess.run(
        [sys.executable, str(script)], capture_output=True, check=True
    )
    templates = {path for _, path in json.loads(told.stdout)["routes"]}
    addresses = {path for one in templates for path in test_surface.samples(one)}
    for path in (*sorted(addresses), *test_surface.STRANGE):
        for method in test_surface.METHODS:
            if path.startswith("/gradio_api/queue/data") and method == "GET":
                continue  # of a session: waits for its events
            yield lambda site, method=method, path=path: site.ask(method, path)
    for name in cases(test_files.test_the_two_requests_that_read_any_file):
        body = {"fn_index": 0, "session_hash": "a", "data": ["/etc/hostname"]}
        path = f"/gradio_api/{name}"
        yield lambda site, path=path, body=body: site.tell(path, body)


def functions() -> Iterator[Attack]:
    for number in test_surface.NUMBERS:
        for data in ([], [[]], [None], [None, None], [{}, []]):
            yield lambda site, number=number, data=data: site.join(number, data)
    for session in cases(test_surface.test_a_session_is_a_plain_name):
        body = {"fn_index": 0, "data": [], "session_hash": session}
        yield lambda site, body=body: site.tell(JOIN, body)
    for query in cases(test_surface.test_a_query_of_no_session_is_refused):
        address = f"/gradio_api/queue/data{query}"
        yield lambda site, address=address: site.ask("GET", address)
    for event in cases(test_surface.test_cancelling_an_ended_event_succeeds):
        body = {"session_hash": "abc", "fn_index": 0, "event_id": event}
        yield lambda site, body=body: site.tell("/gradio_api/cancel", body)
    for number in range(8):  # pages without end

        def open_page(site: Attacker, number: int = number) -> Answer:
            name = secrets.token_hex(8)
            return site.tell(
                JOIN, {"fn_index": number, "data": [], "session_hash": name}
            )

        yield open_page


def uploads() -> Iterator[Attack]:
    for data in test_uploads.NO_PICTURES:
        yield lambda site, data=data: site.upload(("a.png", data))
    for kind, body in cases(test_uploads.test_an_invalid_form_is_refused):
        yield lambda site, kind=kind, body=body: site.ask(
            "POST", UPLOAD, body, content_type=kind
        )
    for name in cases(test_uploads.test_a_name_is_only_a_name):
        plain = name.encode("utf-8", "replace").decode()
        yield lambda site, plain=plain: site.upload((plain, test_uploads.PNG))
    many = [(f"{i}.png", test_uploads.PNG) for i in range(surface.UPLOAD_FILES + 1)]
    large = test_uploads.PNG + bytes(24 * surface.MIB)
    yield lambda site: site.upload(*many)
    yield lambda site: site.upload(*many * 100)
    yield lambda site: site.upload(("x.png", large))
    yield lambda site: site.upload(("x.png", large), ("y.png", large))
    for encoded in (*test_images.NO_PICTURES.values(), *test_images.DAMAGED.values()):
        yield lambda site, encoded=encoded: site.upload(("x.png", encoded))


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
