"""The compose file keeps its promises: one way in, hardened, watched, and limited."""

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from edge.parts import AFTER_GRACE_S
from edge.settings import Settings

ROOT = Path(__file__).parents[1]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
DOCKERFILE = (ROOT / "Dockerfile").read_text()
NGINX_CONF = (ROOT / "nginx" / "nginx.conf").read_text()
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]

DURATION = {"type": "string", "pattern": r"^[0-9]+(s|m)$"}
MEMORY = {"type": "string", "pattern": r"^(\$\{[A-Z_]+:-)?[0-9]+(m|g)\}?$"}
HEALTHCHECK = {
    "type": "object",
    "required": ["test", "interval", "timeout", "retries"],
    "properties": {
        # Without a shell: its quoting is one more thing to go wrong.
        "test": {"type": "array", "prefixItems": [{"const": "CMD"}], "minItems": 2},
        "interval": DURATION,
        "timeout": DURATION,
        "retries": {"type": "integer", "minimum": 1},
        "start_period": DURATION,
    },
    "additionalProperties": False,
}
DEPENDENCY = {
    "type": "object",
    "required": ["condition"],
    "properties": {
        "condition": {"enum": ["service_started", "service_healthy"]},
        "restart": {"type": "boolean"},
    },
    "additionalProperties": False,
}
TEXTS = {"type": "array", "items": {"type": "string"}, "minItems": 1}
SERVICE = {
    "type": "object",
    "required": [
        "cap_drop",
        "healthcheck",
        "image",
        "init",
        "logging",
        "mem_limit",
        "networks",
        "pids_limit",
        "read_only",
        "restart",
        "security_opt",
        "stop_grace_period",
        "tmpfs",
    ],
    "properties": {
        "build": {
            "type": "object",
            "required": ["context", "target"],
            "additionalProperties": {"type": "string"},
        },
        "cap_drop": {"const": ["ALL"]},
        "command": {"type": ["array", "string"]},
        "depends_on": {"type": "object", "additionalProperties": DEPENDENCY},
        "environment": {"type": "object", "additionalProperties": {"type": "string"}},
        "healthcheck": HEALTHCHECK,
        "hostname": {"type": "string"},
        "image": {"type": "string"},
        "init": {"const": True},
        "logging": {"type": "object"},
        "mem_limit": MEMORY,
        "networks": TEXTS,
        "pids_limit": {"type": "integer", "minimum": 1},
        "ports": TEXTS,
        "profiles": TEXTS,
        "read_only": {"const": True},
        "restart": {"const": "unless-stopped"},
        "security_opt": {"const": ["no-new-privileges:true"]},
        "stop_grace_period": DURATION,
        "tmpfs": {**TEXTS, "items": {"pattern": "^/[a-z]+:size=[0-9]+m$"}},
        "ulimits": {"type": "object"},
        "user": {"type": "string", "pattern": "^[1-9][0-9]*:[1-9][0-9]*$"},
        "volumes": TEXTS,
    },
    # A misspelt key would be a limit that is silently not there.
    "additionalProperties": False,
}


def test_the_file_fits_the_compose_specification() -> None:
    checker = [sys.executable, "-m", "check_jsonschema"]
    schema = ["--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run(
        [*checker, *schema, str(ROOT / "docker-compose.yml")],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_hardened_watched_and_limited(name: str) -> None:
    jsonschema.validate(SERVICES[name], SERVICE)


def test_what_a_service_names_exists() -> None:
    for service in SERVICES.values():
        assert set(service["networks"]) <= COMPOSE["networks"].keys()
        assert set(service.get("depends_on", {})) <= SERVICES.keys()
    optional = {name for name in SERVICES if "profiles" in SERVICES[name]}
    assert optional == {"prometheus"}
    assert SERVICES.keys() - optional == {"broker", "cache", "worker", "ui", "nginx"}


def test_only_nginx_can_be_reached_and_can_reach_out() -> None:
    published = {n: s["ports"] for n, s in SERVICES.items() if "ports" in s}
    only_here = ["127.0.0.1:9090:9090"]
    assert published == {"nginx": ["${PORT:-8080}:8080"], "prometheus": only_here}
    for name, service in SERVICES.items():
        ways_out = {
            network
            for network in service["networks"]
            if not COMPOSE["networks"][network].get("internal")
        }
        outside = {"public"}
        allowed = {"nginx": outside, "prometheus": outside, "worker": {"hub"}}
        assert ways_out == allowed.get(name, set())
    for name in ("nginx", "prometheus"):
        networks = set(SERVICES[name]["networks"])
        assert not networks & set(SERVICES["broker"]["networks"])
    assert "metrics" not in SERVICES["nginx"]["networks"]


def test_nobody_runs_as_root() -> None:
    for name, service in SERVICES.items():
        if "build" not in service:
            assert "user" in service, name
            continue
        stage = final_stage(service["build"]["target"])
        assert re.findall(r"^USER (.+)$", stage, re.MULTILINE) == ["10001"]


def test_the_queue_never_forgets_and_the_cache_may() -> None:
    def options(name: str) -> dict[str, str]:
        server, *words = shlex.split(SERVICES[name]["command"])
        assert server == "valkey-server"
        return dict(zip(words[::2], words[1::2], strict=True))

    broker, cache = options("broker"), options("cache")
    assert broker["--appendonly"] == "yes"
    assert broker["--maxmemory-policy"] == "noeviction"
    assert "broker:/data" in SERVICES["broker"]["volumes"]
    assert cache["--appendonly"] == "no"
    assert cache["--maxmemory-policy"] == "allkeys-lru"
    assert "volumes" not in SERVICES["cache"]
    assert broker["--save"] == cache["--save"] == ""


def test_nginx_and_the_ui_agree_on_ports() -> None:
    assert SERVICES["nginx"]["ports"] == ["${PORT:-8080}:8080"]
    assert "listen 8080;" in NGINX_CONF
    assert "server ui:8000;" in NGINX_CONF
    assert '"--port", "8000"' in final_stage("ui")
    assert "./nginx/nginx.conf:/etc/nginx/nginx.conf:ro" in SERVICES["nginx"]["volumes"]


@pytest.mark.parametrize("name", ["worker", "ui"])
def test_running_answers_have_the_time_to_end(name: str) -> None:
    seconds = int(SERVICES[name]["stop_grace_period"].removesuffix("s"))
    assert seconds >= Settings().grace_s + AFTER_GRACE_S


def test_prometheus_scrapes_what_is_served() -> None:
    folder, inside, _ = SERVICES["prometheus"]["volumes"][0].split(":")
    [option] = SERVICES["prometheus"]["command"]
    path = option.removeprefix("--config.file=")
    config = yaml.safe_load((ROOT / path.replace(inside, folder, 1)).read_text())
    ui, worker = config["scrape_configs"]
    assert ui["static_configs"] == [{"targets": ["ui:8000"]}]
    [found] = worker["dns_sd_configs"]
    environ = SERVICES["worker"]["environment"]
    assert found["names"] == ["worker"]
    assert str(found["port"]) == environ["EDGE_METRICS_PORT"]
    assert environ["EDGE_METRICS_ADDRESS"] == "0.0.0.0"
    for name in ("ui", "worker", "prometheus"):
        assert "metrics" in SERVICES[name]["networks"]


def test_large_bodies_fit_where_nginx_keeps_them() -> None:
    (tmpfs,) = SERVICES["nginx"]["tmpfs"]
    limits = re.findall(r"client_max_body_size ([0-9]+)m;", NGINX_CONF)
    largest = max(int(limit) for limit in limits)
    assert int(re.findall("[0-9]+", tmpfs)[0]) >= 4 * largest
    assert set(re.findall(r"_temp_path (/\w+)/", NGINX_CONF)) == {"/tmp"}


def test_both_halves_get_settings_that_exist() -> None:
    for name in ("ui", "worker"):
        environ = SERVICES[name]["environment"]
        defaults = {
            key: re.sub(r"\$\{\w+:-(.*)\}", r"\1", text)
            for key, text in environ.items()
        }
        settings = Settings.read(defaults)
        assert settings.broker_url == "redis://broker:6379/0"
        assert settings.cache_url == "redis://cache:6379/0"
        assert (settings.model, settings.slots) == ("auto", 4)


def final_stage(target: str) -> str:
    """The instructions of the Dockerfile's stage of that name."""
    stages = re.split(r"^FROM .+ AS (.+)$", DOCKERFILE, flags=re.MULTILINE)
    return dict(zip(stages[1::2], stages[2::2], strict=True))[target]
