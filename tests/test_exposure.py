"""Other machines reach a service only if it needs keys or the operator says so."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edge.errors import SetupError
from edge.exposure import (
    check_exposure,
    described,
    in_url,
    metrics_readers,
    reached_at,
    trusted,
)
from edge.keys import Keys, create_key
from edge.limits import NO_LIMITS
from edge.settings import Settings

NEAR = ["127.0.0.1", "127.8.9.1", "::1", "localhost"]
FAR = ["0.0.0.0", "::", "192.168.1.5", "10.0.0.1", "fe80::1", "8.8.8.8", "169.254.1.1"]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path)


def test_keys_that_are_gone_are_still_asked_for_and_it_is_said(
    settings: Settings,
) -> None:
    create_key(settings.keys_path, "ann", NO_LIMITS)
    assert described(settings).endswith("a key is required.")
    settings.keys_path.unlink()
    assert Keys(settings.keys_path).look()
    assert "there is none" in described(settings)


@pytest.mark.parametrize("host", NEAR)
def test_this_machine_needs_no_keys(settings: Settings, host: str) -> None:
    check_exposure(replace(settings, host=host))
    assert "no key is required" in described(replace(settings, host=host))
    assert "Only this machine" in described(replace(settings, host=host))


@pytest.mark.parametrize("host", FAR)
def test_any_other_address_needs_keys(settings: Settings, host: str) -> None:
    with pytest.raises(SetupError) as refusal:
        check_exposure(replace(settings, host=host))
    assert "edge keys create" in refusal.value.message
    assert "--open" in refusal.value.message
    assert refusal.value.message.count(". ") == 1  # what happened, what to do


@pytest.mark.parametrize("host", FAR)
def test_an_open_service_may_have_no_keys(settings: Settings, host: str) -> None:
    opened = replace(settings, host=host, open=True)
    check_exposure(opened)
    assert "no key is required" in described(opened)


@pytest.mark.parametrize("host", FAR)
def test_with_keys_it_may_be_reached(settings: Settings, host: str) -> None:
    create_key(settings.keys_path, "ann", NO_LIMITS)
    check_exposure(replace(settings, host=host))
    assert "a key is required" in described(replace(settings, host=host))


@pytest.mark.parametrize("what", ["absent", "no entry", "damaged", "folder", "device"])
def test_a_file_without_keys_does_not_count(settings: Settings, what: str) -> None:
    if what == "no entry":
        settings.keys_path.write_text('{"keys": []}')
    elif what == "damaged":
        settings.keys_path.touch()
    elif what == "folder":
        settings.keys_path.mkdir()
    elif what == "device":
        settings = replace(settings, keys_file="/dev/null")
    with pytest.raises(SetupError):
        check_exposure(replace(settings, host="0.0.0.0"))


def test_the_keys_may_lie_elsewhere(settings: Settings, tmp_path: Path) -> None:
    elsewhere = tmp_path / "secret"
    create_key(elsewhere, "ann", NO_LIMITS)
    check_exposure(replace(settings, host="0.0.0.0", keys_file=str(elsewhere)))


@pytest.mark.parametrize("host", ["", "edge.lan", "0", "1.2.3", "127.0.0.1:80", "*"])
def test_a_name_is_not_an_address(settings: Settings, host: str) -> None:
    with pytest.raises(SetupError, match="not an address"):
        check_exposure(replace(settings, host=host))


def test_networks_of_proxies_are_named_with_commas() -> None:
    assert trusted(Settings()) == []
    assert trusted(Settings(trust=" 10.0.0.0/8,fd00::/8 ,, 10.1.2.3")) == [
        "10.0.0.0/8",
        "fd00::/8",
        "10.1.2.3/32",
    ]


@pytest.mark.parametrize("trust", ["all", "10.0.0.0/33", "10.0.0.1/8", "::/0; evil {"])
def test_an_invalid_network_is_refused(trust: str) -> None:
    with pytest.raises(SetupError, match="EDGE_TRUST"):
        trusted(Settings(trust=trust))


@pytest.mark.parametrize(
    ("host", "url", "reached"),
    [
        ("localhost", "127.0.0.1", "127.0.0.1"),
        ("0.0.0.0", "0.0.0.0", "127.0.0.1"),
        ("::", "[::]", "::1"),
        ("10.1.2.3", "10.1.2.3", "10.1.2.3"),
        ("0:0:0:0:0:0:0:1", "[::1]", "::1"),
    ],
)
def test_how_an_address_is_written(host: str, url: str, reached: str) -> None:
    assert (in_url(host), reached_at(host)) == (url, reached)


def test_a_trusted_proxy_exposes_this_machine(settings: Settings) -> None:
    behind = replace(settings, trust="127.0.0.1/32")
    with pytest.raises(SetupError, match="EDGE_TRUST"):
        check_exposure(behind)
    check_exposure(replace(behind, open=True))
    create_key(settings.keys_path, "ann", NO_LIMITS)
    check_exposure(behind)


def test_networks_of_metrics_are_checked_before_anything_starts() -> None:
    given = "127.0.0.0/8, 10.0.0.0/8"
    assert metrics_readers(Settings(metrics_from=given)) == given.split(", ")
    with pytest.raises(SetupError, match=r"EDGE_METRICS_FROM.*10\.1\.2\.3/8"):
        metrics_readers(Settings(metrics_from="10.1.2.3/8"))


def test_this_machine_reads_metrics_at_its_own_address() -> None:
    """`edge doctor` asks where the service listens."""
    lan = metrics_readers(Settings(host="192.168.1.5", metrics_from="127.0.0.0/8"))
    assert lan == ["127.0.0.0/8", "192.168.1.5/32"]
    for host in ("127.0.0.1", "0.0.0.0", "::1"):
        settings = Settings(host=host, metrics_from="127.0.0.0/8")
        assert metrics_readers(settings) == ["127.0.0.0/8"]


def test_a_file_of_keys_that_is_missing_lets_nobody_in(tmp_path: Path) -> None:
    settings = Settings(keys_file=str(tmp_path / "keys.json"))
    assert "a key is required, and there is none" in described(settings)
