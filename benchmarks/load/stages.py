"""Users in stages: the inside of the load generator, and its command line.

Started by `benchmarks.load.generator`, which says what is printed. Importing this
module patches the process, as Locust does.
"""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import math
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from time import perf_counter
from typing import Any

import gevent
from gevent.event import Event
from locust import events
from locust.env import Environment
from locust.runners import LocalRunner

from benchmarks.load import questions
from benchmarks.load.chat import ChatClient, read_api_key
from benchmarks.load.quota import Quota
from benchmarks.load.scenarios import load_scenario
from benchmarks.load.user import ChatUser
from benchmarks.record import Sample, Stage
from edge.errors import SetupError


class Load:
    """One run of `asker` in stages."""

    def __init__(self, asker: type[ChatUser], options: argparse.Namespace) -> None:
        self.asker, self.options = asker, options
        self.stopping = Event()
        self.bug: Exception | None = None
        self.last_s: float | None = None  # when the stage's last request ended
        self.runner = self._runner()
        asker.began = perf_counter()

    def _runner(self) -> LocalRunner:
        environment = Environment(
            user_classes=[self.asker],
            events=events,
            host=self.options.url,
            parsed_options=self.options,
            catch_exceptions=False,  # a user with a bug would fail without a pause
        )
        events.request.add_listener(self._on_request)  # type: ignore[no-untyped-call]
        events.user_error.add_listener(self._on_bug)  # type: ignore[no-untyped-call]
        return environment.create_local_runner()

    def run(self) -> None:
        """All stages. Raises what a user of ours raised by mistake."""
        for number, users in enumerate(self.options.stages):
            if not self.stopping.is_set():
                self._stage(number, users)
        self.runner.quit()
        if self.bug:
            raise self.bug

    def _stage(self, number: int, users: int) -> None:
        began = perf_counter()
        began_s, self.last_s = began - self.asker.began, None
        say("stage", {"users": users, "began_s": began_s})
        self.asker.quota = Quota(
            stage=number,
            requests=self.options.requests or math.inf,
            until=began + (self.options.duration_s or math.inf),
        )
        self.runner.start(users, spawn_rate=users)  # all of them at once
        all_ended = gevent.spawn(self._join)
        gevent.wait([all_ended, self.stopping], count=1)
        all_ended.kill()
        self.runner.stop()  # whoever still waits for an answer is dropped
        if self.last_s is not None:
            say("ended", asdict(Stage(users, began_s, self.last_s)))

    def _join(self) -> None:
        """Waits until all users have begun, and then until they have ended."""
        assert self.runner.spawning_greenlet is not None  # one not begun yet is False
        self.runner.spawning_greenlet.join()
        self.runner.user_greenlets.join()

    def _on_request(self, context: dict[str, Any], **_: object) -> None:
        sample: Sample = context["sample"]
        self.last_s = sample.began_s + sample.e2e_s
        try:
            say("sample", asdict(sample))
        except BrokenPipeError:  # who started us is gone, and would not stop us
            self.stopping.set()

    def _on_bug(self, exception: Exception, **_: object) -> None:
        self.bug = exception
        self.stopping.set()


def say(what: str, value: object) -> None:
    print(json.dumps({what: value}), flush=True)


def main(words: Sequence[str]) -> int:
    """The exit status of a whole run."""
    logging.basicConfig(level=logging.WARNING)  # on stderr
    try:
        asker, options = _parse(words)
        _check_reachable(options)
    except SetupError as error:
        print(error.message, file=sys.stderr)
        return 1
    questions.picture("warm", 0).message()  # the first picture takes longer
    load = Load(asker, options)
    for kind in (signal.SIGINT, signal.SIGTERM):
        gevent.signal_handler(kind, load.stopping.set)
    say("began", time.time())
    load.run()
    return 0


def _parse(words: Sequence[str]) -> tuple[type[ChatUser], argparse.Namespace]:
    """The user class and the options, which are partly its own."""
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    first.add_argument("--scenario", default="curve")
    name = first.parse_known_args(words)[0].scenario
    defaults = load_scenario(name)
    module = importlib.import_module(f"benchmarks.scenarios.{name}")
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.load.generator",
        description=defaults.about,
        allow_abbrev=False,
        parents=[first],
    )
    parser.add_argument("--url", required=True, help="address of the server")
    parser.add_argument(
        "--stages", type=_stages, default=defaults.stages, help="users, as 1,2,4"
    )
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--duration-s", type=_seconds, help="of each stage")
    length.add_argument("--requests", type=_count, help="in each stage, exactly")
    events.init_command_line_parser.fire(parser=parser)  # type: ignore[no-untyped-call]
    options = parser.parse_args(words)
    if options.duration_s is None and options.requests is None:
        options.duration_s, options.requests = defaults.duration_s, defaults.requests
    return _asker(module.__name__), options


def _asker(module: str) -> type[ChatUser]:
    """The user class of a scenario that has been imported."""
    here = (cls for cls in vars(sys.modules[module]).values() if isinstance(cls, type))
    return next(
        cls for cls in here if issubclass(cls, ChatUser) and cls.__module__ == module
    )


def _check_reachable(options: argparse.Namespace) -> None:
    read_api_key(options.api_key_file)
    try:
        ChatClient(options.url).check_reachable()
    except OSError as error:
        raise SetupError(
            f"{options.url} cannot be reached: {error.strerror or error}. "
            "Start the server, or give another --url."
        ) from None


def _stages(text: str) -> tuple[int, ...]:
    return tuple(_count(users) for users in text.split(","))


def _count(text: str) -> int:
    if not text.strip().isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds above 0")
    return seconds
