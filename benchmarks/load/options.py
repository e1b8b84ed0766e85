"""Options of the scenarios, the same for Locust's command line and our runner's.

Locust collects them with an event when it builds its parser; our runner fires the same
event for its own parser. Importing this module patches the process, as Locust does.
"""

from __future__ import annotations

import argparse
import json
import secrets
from collections.abc import Callable

from locust import events

FRESH_SEED = secrets.randbits(32)


def add(addition: Callable[[argparse.ArgumentParser], None]) -> None:
    """Registers a function that adds options to a parser, Locust's or our runner's."""
    events.init_command_line_parser.add_listener(  # type: ignore[no-untyped-call]
        addition
    )


def common(parser: argparse.ArgumentParser) -> None:
    """The options of every scenario.

    No default is None, because Locust's page derives the types from the defaults.
    """
    option = parser.add_argument
    option(
        "--max-tokens",
        type=int,
        default=0,
        help="longest answer in tokens; 0: the server decides",
    )
    option(
        "--timeout-s",
        type=float,
        default=0.0,
        help="seconds until a client gives up; 0: never",
    )
    option("--model", default="", help="model in each request")
    option(
        "--fields",
        type=json.loads,
        default="{}",
        help="more fields of each request, as a JSON object",
    )
    option("--api-key-file", default="", help="file with the API key")
    option(
        "--seed",
        type=int,
        default=FRESH_SEED,
        help="repeats the pictures of an earlier run; default: a new seed",
    )


def share(name: str, default: float, meaning: str) -> None:
    """Adds an option of one scenario: a share from 0 to 1."""

    def add_option(parser: argparse.ArgumentParser) -> None:
        parser.add_argument(name, type=_fraction, default=default, help=meaning)

    add(add_option)


def _fraction(text: str) -> float:
    try:
        fraction = float(text)
        if 0 <= fraction <= 1:
            return fraction
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 1")
