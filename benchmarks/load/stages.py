"""The load generator inside its process: users in stages, and its command line.

Started by `benchmarks.load.generator`, which documents the output. Importing this
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


class StagedLoad:
    """One run of users of `user_class`, in stages."""

    def __init__(self, user_class: type[ChatUser], options: argparse.Namespace) -> None:
        self.user_class, self.options = user_class, options
        self.stopping = Event()
        self.bug: Exception | None = None
        self.last_s: float | None = None  # end of the last request of this stage
        self.runner = self._runner()
        user_class.began = perf_counter()

    def _runner(self) -> LocalRunner:
        environment = Environment(
            user_classes=[self.user_class],
            events=events,
            host=self.options.url,
            parsed_options=self.options,
            catch_exceptions=False,  # a user with a bug would fail without a pause
        )
        events.request.add_listener(self._on_request)  # type: ignore[no-untyped-call]
        events.user_error.add_listener(self._on_bug)  # type: ignore[no-untyped-call]
        return environment.create_local_runner()

    def run(self) -> None:
        """Runs all stages. Raises the unexpected exception of a user."""
        for number, users in enumerate(self.options.stages):
            if not self.stopping.is_set():
                self._run_stage(number, users)
        self.runner.quit()
        if self.bug:
            raise self.bug

    def _run_stage(self, number: int, users: int) -> None:
        began = perf_counter()
        began_s, self.last_s = began - self.user_class.began, None
        emit("stage", {"users": users, "began_s": began_s})
        self.user_class.quota = Quota(
            stage=number,
            requests=self.options.requests or math.inf,
            until=began + (self.options.duration_s or math.inf),
        )
        self.runner.start(users, spawn_rate=users)  # all of them at once
        all_ended = gevent.spawn(self._join)
        gevent.wait([all_ended, self.stopping], count=1)
        all_ended.kill()
        self.runner.stop()  # drops requests that are still waiting
        if self.last_s is not None:
            emit("ended", asdict(Stage(users, began_s, self.last_s)))

    def _join(self) -> None:
        """Waits until all users have begun, and then until they have ended."""
        assert self.runner.spawning_greenlet is not None  # before its start it is False
        self.runner.spawning_greenlet.join()
        self.runner.user_greenlets.join()

    def _on_request(self, context: dict[str, Any], **_: object) -> None:
        sample: Sample = context["sample"]
        self.last_s = sample.began_s + sample.e2e_s
        try:
            emit("sample", asdict(sample))
        except BrokenPipeError:  # the parent process is gone
            self.stopping.set()

    def _on_bug(self, exception: Exception, **_: object) -> None:
        self.bug = exception
        self.stopping.set()


def emit(event: str, value: object) -> None:
    print(json.dumps({event: value}), flush=True)


def main(words: Sequence[str]) -> int:
    """Runs the load with the command line `words`; returns the exit status."""
    logging.basicConfig(level=logging.WARNING)  # on stderr
    try:
        options = _parse(words)
        _check_reachable(options)
    except SetupError as error:
        print(error.message, file=sys.stderr)
        return 1
    questions.picture("warm", 0).message()  # the first picture takes longer
    load = StagedLoad(_user_class(options.scenario), options)
    for kind in (signal.SIGINT, signal.SIGTERM):
        gevent.signal_handler(kind, load.stopping.set)
    emit("began", time.time())
    load.run()
    return 0


def _parse(words: Sequence[str]) -> argparse.Namespace:
    """The options, some of which the scenario adds. Raises SetupError for an unknown
    scenario."""
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    first.add_argument("--scenario", default="curve", help="name of the scenario")
    name = first.parse_known_args(words)[0].scenario
    defaults = load_scenario(name)
    importlib.import_module(_module(name))  # adds its options to the event below
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
    length.add_argument("--duration-s", type=_seconds, help="length of each stage")
    length.add_argument("--requests", type=_count, help="requests in each stage")
    events.init_command_line_parser.fire(parser=parser)  # type: ignore[no-untyped-call]
    options = parser.parse_args(words)
    if options.duration_s is None and options.requests is None:
        options.duration_s, options.requests = defaults.duration_s, defaults.requests
    return options


def _module(scenario: str) -> str:
    return f"benchmarks.scenarios.{scenario}"


def _user_class(scenario: str) -> type[ChatUser]:
    """The user class of a scenario that has been imported."""
    module = _module(scenario)
    classes = (c for c in vars(sys.modules[module]).values() if isinstance(c, type))
    return next(
        c for c in classes if issubclass(c, ChatUser) and c.__module__ == module
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
        if 0 < seconds < math.inf:
            return seconds
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
