"""One engine, one build and one stack for all tests; nothing is left behind."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from tests.compose.engine import Engine, bring_base_images
from tests.compose.stack import Stack, copy_project, seconds_since
from tests.stack.conftest import data_url, draw

__all__ = ["data_url", "draw"]

Report = Callable[[str], None]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/compose" in item.path.as_posix():
            item.add_marker(pytest.mark.compose)


@pytest.fixture(scope="session")
def report(pytestconfig: pytest.Config) -> Report:
    """Prints a line at once, past pytest's capture."""
    capture = pytestconfig.pluginmanager.getplugin("capturemanager")

    def print_line(line: str) -> None:
        with capture.global_and_fixture_disabled():
            print(f"\n[compose] {line}", flush=True)

    return print_line


@pytest.fixture(scope="session")
def engine(
    tmp_path_factory: pytest.TempPathFactory, report: Report
) -> Iterator[Engine]:
    one = Engine(tmp_path_factory.mktemp("engine"))
    version = one.run("version", "--format", "{{.Server.Version}}")
    whose = "our own" if one.is_own else "this machine's"
    report(f"Docker engine {version}, {whose}. {bring_base_images(one)}")
    yield one
    if one.is_own:
        one.stop()


@pytest.fixture(scope="session")
def stack(
    engine: Engine, tmp_path_factory: pytest.TempPathFactory, report: Report
) -> Iterator[Stack]:
    """The whole system, built from a copy of the project and started."""
    one = Stack(engine, copy_project(tmp_path_factory.mktemp("project")))
    started = time.monotonic()
    one.compose("--profile", "commands", "build")
    report(f"Images built in {seconds_since(started)}.")
    started = time.monotonic()
    try:
        one.up()
        report(f"Healthy {seconds_since(started)} after `docker compose up`.")
        yield one
    finally:
        one.compose("--profile", "*", "down", "--volumes", "--remove-orphans")
