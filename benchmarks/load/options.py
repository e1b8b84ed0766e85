"""Options of the scenarios, the same on Locust's command line and on our runner's.

Locust asks for them with an event when it builds its parser; our runner fires the same
event at its own. Importing this module patches the process, as Locust does.
"""

from __future__ import annotations

import argparse
import secrets
from collections.abc import Callable

from locust import events

FRESH_SEED = secrets.randbits(32)


def add(addition: Callable[[argparse.ArgumentParser], None]) -> None:
    """Lets `addition` add its options to the parser, whosever it is."""
    events.init_command_line_parser.add_listener(  # type: ignore[no-untyped-call]
        addition
    )


def common(parser: argparse.ArgumentParser) -> None:
    """Options of every scenario, on Locust's command line and on ours.

    None of them is None by default: Locust's page guesses their types from it.
    """
    option = parser.add_argument
    option(
        "--max-tokens",
        type=int,
        default=0,
        help="longest answer; 0 leaves it to the server",
    )
    option(
        "--timeout-s",
        type=float,
        default=0.0,
        help="seconds until a client gives up; 0: it does not",
    )
    option("--model", default="", help="model to name in each request")
    option("--api-key-file", default="", help="file that holds the API key")
    option(
        "--seed",
        type=int,
        default=FRESH_SEED,
        help="repeats the pictures of the run that had it; a new one each time",
    )


def share(name: str, default: float, meaning: str) -> None:
    """An option of one scenario: a share from 0 to 1."""

    def add_option(parser: argparse.ArgumentParser) -> None:
        parser.add_argument(name, type=_fraction, default=default, help=meaning)

    add(add_option)


def _fraction(text: str) -> float:
    try:
        fraction = float(text)
    except ValueError:
        fraction = -1
    if not 0 <= fraction <= 1:
        raise argparse.ArgumentTypeError(f"{text} is no share from 0 to 1")
    return fraction
