"""The compose file: one published port; each service hardened, probed and limited."""

import re
import shlex
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import redis
import yaml

from edge.errors import SetupError
from edge.exposure import check_exposure
from edge.keys import create_key
from edge.limits import NO_LIMITS
from edge.redis_clients import sync_client
from edge.settings import Settings
from edge.up.parts import AFTER_GRACE_S, BROKER, CACHE
from tests.faults.service import Server
from tests.stack.conftest import running
from tests.stack.test_up import answers

ROOT = Path(__file__).parents[1]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
DOCKERFILE = (ROOT / "Dockerfile").read_text()
NGINX_CONF = (ROOT / "nginx" / "nginx.conf").read_text()
DOCKER_MD = (ROOT / "docs" / "docker.md").read_text()
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]

DURATION = {"type": "string", "pattern": r"^[0-9]+(s|m)$"}
MEMORY = {"type": "string", "pattern": r"^(\$\{[A-Z_]+:-)?[0-9]+(m|g)\}?$"}
HEALTHCHECK = {
    "type": "object",
    "required": ["test", "interval", "timeout", "retries"],
    "properties": {
        # Without a shell, whose quoting could go wrong.
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
        "condition": {
            "enum": [
                "service_started",
                "service_healthy",
                "service_completed_successfully",
            ]
        },
    },
    "additionalProperties": False,
}
TEXTS = {"type": "array", "items": {"type": "string"}, "minItems": 1}
# Services that run once and exit; all others are probed and restarted.
ONCE = {"password", "keys", "models", "bench"}
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
            "properties": {
                "context": {"const": "."},
                "target": {"type": "string"},
                "args": {"type": "object"},
            },
            "additionalProperties": False,
        },
        "cap_drop": {"const": ["ALL"]},
        "command": {"type": ["array", "string"]},
        "entrypoint": TEXTS,
        "depends_on": {"type": "object", "additionalProperties": DEPENDENCY},
        "environment": {
            "type": "object",
            "additionalProperties": {"type": ["string", "null"]},
        },
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
    # A misspelt key would silently be no limit.
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


@pytest.mark.parametrize("name", sorted(SERVICES.keys() - ONCE))
def test_every_service_is_hardened_probed_and_limited(name: str) -> None:
    jsonschema.validate(SERVICES[name], SERVICE)


@pytest.mark.parametrize("name", sorted(ONCE))
def test_services_that_run_once_are_hardened_and_limited(name: str) -> None:
    service = dict(SERVICES[name])
    assert service.pop("restart") == "no"
    assert service.pop("healthcheck") == {"disable": True}
    if service.pop("network_mode", "") == "none":
        service["networks"] = ["none"]
    lasting = {
        "restart": "unless-stopped",
        "healthcheck": SERVICES["ui"]["healthcheck"],
    }
    jsonschema.validate(service | lasting, SERVICE)


def test_references_of_services_exist() -> None:
    for service in SERVICES.values():
        assert set(service.get("networks", ())) <= COMPOSE["networks"].keys()
        assert set(service.get("depends_on", {})) <= SERVICES.keys()
        for volume in service.get("volumes", ()):
            source = default(volume).split(":")[0]
            assert source in COMPOSE["volumes"] or (ROOT / source).exists()
    optional = {name for name in SERVICES if "profiles" in SERVICES[name]}
    assert optional == {"prometheus", "keys", "models", "bench"}
    parts = {"password", "broker", "cache", "worker", "ui", "nginx"}
    assert SERVICES.keys() - optional == parts


def test_only_nginx_can_be_reached_and_can_reach_out() -> None:
    published = {n: s["ports"] for n, s in SERVICES.items() if "ports" in s}
    only_here = ["127.0.0.1:9090:9090"]
    door = ["${EDGE_HOST:-127.0.0.1}:${PORT:-8080}:8080"]
    assert published == {"nginx": door, "prometheus": only_here}
    for name, service in SERVICES.items():
        ways_out = {
            network
            for network in service.get("networks", ())
            if not COMPOSE["networks"][network].get("internal")
        }
        outside = {"public"}
        allowed = {"nginx": outside, "prometheus": outside}
        allowed |= {"worker": {"hub"}, "models": {"hub"}}
        assert ways_out == allowed.get(name, set())
    for name in ("nginx", "prometheus"):
        networks = set(SERVICES[name]["networks"])
        assert not networks & set(SERVICES["broker"]["networks"])
    assert "metrics" not in SERVICES["nginx"]["networks"]


def test_no_service_runs_as_root() -> None:
    for name, service in SERVICES.items():
        if "build" not in service:
            assert "user" in service, name
            continue
        target = default(service["build"]["target"])
        [user] = re.findall(r"^USER (.+)$", final_stage(target), re.MULTILINE)
        assert user == ("101" if name == "nginx" else "10001")


def test_the_broker_is_durable_and_the_cache_evicts() -> None:
    def options(name: str) -> dict[str, str]:
        server, *words = shlex.split(SERVICES[name]["command"])
        assert server == "valkey-server"
        return dict(zip(words[::2], words[1::2], strict=True))

    def wakes(text: str) -> str:
        return str(re.findall("hz ([0-9]+)", text)[0])

    broker, cache = options("broker"), options("cache")
    assert broker["--appendonly"] == "yes"
    assert broker["--maxmemory-policy"] == "noeviction"
    assert "broker:/data" in SERVICES["broker"]["volumes"]
    assert cache["--appendonly"] == "no"
    assert cache["--maxmemory-policy"] == "allkeys-lru"
    assert all(volume.endswith(":ro") for volume in SERVICES["cache"]["volumes"])
    assert broker["--save"] == cache["--save"] == ""
    assert (broker["--hz"], cache["--hz"]) == (wakes(BROKER), wakes(CACHE))


def test_nginx_and_the_ui_agree_on_ports() -> None:
    assert SERVICES["nginx"]["ports"][0].endswith(":8080")
    assert "listen 8080;" in NGINX_CONF
    assert "default ui:8000;" in NGINX_CONF
    assert '"--port", "8000"' in final_stage("ui")
    volume, _ = SERVICES["nginx"]["volumes"]
    assert volume == "${NGINX_CONF:-./nginx/nginx.conf}:/etc/nginx/nginx.conf:ro"


@pytest.mark.parametrize("name", ["worker", "ui"])
def test_running_answers_have_time_to_finish(name: str) -> None:
    seconds = int(SERVICES[name]["stop_grace_period"].removesuffix("s"))
    assert seconds >= Settings().grace_s + AFTER_GRACE_S


def test_prometheus_scrapes_existing_ports() -> None:
    folder, inside, _ = SERVICES["prometheus"]["volumes"][0].split(":")
    option, _ = SERVICES["prometheus"]["command"]
    path = option.removeprefix("--config.file=")
    config = yaml.safe_load((ROOT / path.replace(inside, folder, 1)).read_text())
    ui, worker = config["scrape_configs"]
    assert ui["static_configs"] == [{"targets": ["ui:8000"]}]
    [found] = worker["dns_sd_configs"]
    environ = SERVICES["worker"]["environment"]
    assert found["names"] == ["worker"]
    assert str(found["port"]) == environ["EDGE_METRICS_PORT"]
    assert environ["EDGE_METRICS_ADDRESS"] == "0.0.0.0"
    networks = SERVICES["ui"]["environment"]["EDGE_METRICS_FROM"].split(",")
    # Docker's default address ranges
    for address in ("172.18.0.5", "192.168.0.3", "10.0.1.2"):
        assert any(ip_address(address) in ip_network(one) for one in networks)
    assert not any(ip_address("8.8.8.8") in ip_network(one) for one in networks)
    for name in ("ui", "worker", "prometheus"):
        assert "metrics" in SERVICES[name]["networks"]


def test_large_bodies_fit_into_nginxs_tmpfs() -> None:
    (tmpfs,) = SERVICES["nginx"]["tmpfs"]
    limits = re.findall(r"client_max_body_size ([0-9]+)m;", NGINX_CONF)
    largest = max(int(limit) for limit in limits)
    n_posts, n_large = re.findall(r"limit_conn (?:large_)?posts ([0-9]+);", NGINX_CONF)
    most_of_address = int(n_posts) * 2 + int(n_large) * largest
    assert int(re.findall("[0-9]+", tmpfs)[0]) > most_of_address
    assert set(re.findall(r"_temp_path (/\w+)/", NGINX_CONF)) == {"/tmp"}


def test_services_get_existing_settings() -> None:
    for name in ("ui", "worker"):
        environ = {k: v for k, v in SERVICES[name]["environment"].items() if v}
        settings = Settings.read({key: default(environ[key]) for key in environ})
        assert settings.broker_url == "redis://edge@broker:6379/0"
        assert settings.cache_url == "redis://edge@cache:6379/0"
        assert (settings.model, settings.slots) == ("auto", 4)


def test_settings_of_the_services_come_from_the_environment_too() -> None:
    """What an operator writes into .env; privacy is among it."""
    known = {f"EDGE_{field.name.upper()}" for field in Settings.table()}
    for name in ("ui", "worker"):
        environ = SERVICES[name]["environment"]
        passed = {key for key, text in environ.items() if text is None}
        assert passed <= known
        assert {"EDGE_ANSWER_CACHE", "EDGE_AUDIT", "EDGE_EMBEDDINGS_MB"} <= passed
        assert all(f"`{key}`" in DOCKER_MD for key in passed)


def ui_settings(folder: Path, **given: str) -> Settings:
    """The ui's environment, with `given` in that of `docker compose up`."""
    environ = {
        key: re.sub(
            r"\$\{(\w+):-(.*)\}", lambda found: given.get(found[1]) or found[2], text
        )
        for key, text in SERVICES["ui"]["environment"].items()
        if key.startswith("EDGE_") and text  # else from the environment or .env
    }
    assert "${KEYS:-keys}:/data/keys:ro" in SERVICES["ui"]["volumes"]
    return Settings.read(environ | {"EDGE_DATA_DIR": str(folder)})


def test_by_default_only_this_machine_can_connect(tmp_path: Path) -> None:
    settings = ui_settings(tmp_path)
    assert settings.host == "127.0.0.1"
    check_exposure(settings)


def test_another_address_needs_keys(tmp_path: Path) -> None:
    """The ui refuses to start, and nginx has nothing to show."""
    settings = ui_settings(tmp_path, EDGE_HOST="0.0.0.0")
    with pytest.raises(SetupError, match="no keys"):
        check_exposure(settings)
    check_exposure(ui_settings(tmp_path, EDGE_HOST="0.0.0.0", EDGE_OPEN="on"))
    create_key(tmp_path / "keys.json", "ann", NO_LIMITS)
    check_exposure(settings)


def test_a_proxy_in_front_needs_keys(tmp_path: Path) -> None:
    """What docs/docker.md writes into .env, with the `--trust` of nginx beside it."""
    line = re.search(r"printf '(.*)' >> .env", section("Behind another proxy"))
    assert line
    env = dict(each.split("=") for each in line[1].split(r"\n") if each)
    assert f"--trust {env['EDGE_TRUST']} > {env['NGINX_CONF'][2:]}" in DOCKER_MD
    settings = ui_settings(tmp_path, **env)
    assert settings.hosts == env["EDGE_HOSTS"]
    with pytest.raises(SetupError, match="the proxy that EDGE_TRUST names"):
        check_exposure(settings)
    create_key(tmp_path / "keys.json", "ann", NO_LIMITS)
    check_exposure(settings)


@pytest.mark.parametrize("title", ["Keys", "TLS", "Behind another proxy"])
def test_names_of_the_machine_are_told_to_the_containers(title: str) -> None:
    """A container does not know them."""
    assert "EDGE_HOSTS=" in section(title)


def section(title: str) -> str:
    """The text below a heading of docs/docker.md."""
    _, _, rest = DOCKER_MD.partition(f"\n## {title}\n")
    return rest.partition("\n## ")[0]


def test_keys_are_created_where_the_ui_reads_them() -> None:
    keys, ui = SERVICES["keys"], SERVICES["ui"]
    assert "EDGE_KEYS_FILE" not in ui["environment"]  # it would require keys
    assert "EDGE_DATA_DIR=/data\n" in final_stage("base")
    assert "ln -s keys/keys.json /data/keys.json\n" in final_stage("base")
    assert keys["environment"]["EDGE_KEYS_FILE"] == "/data/keys/keys.json"
    assert "${KEYS:-keys}:/data/keys" in keys["volumes"]
    assert keys["entrypoint"] == ["python", "-m", "edge.cli.keys"]
    assert keys["image"] == ui["image"]  # without a model, so it starts at once
    assert "/data/keys" in final_stage("base")  # so a new volume belongs to that user


def make_password(folder: Path) -> None:
    """Runs the command of the service `password` in `folder` instead of its volume."""
    shell, option, script = SERVICES["password"]["command"]
    script = script.replace("/data", str(folder)).replace("$$", "$")
    subprocess.run([shell, option, script], check=True)


def test_a_password_is_created_once_and_kept(tmp_path: Path) -> None:
    make_password(tmp_path)
    first = (tmp_path / "password").read_text()
    assert re.fullmatch(r"[0-9a-f]{64}\n", first)
    rules = (tmp_path / "users.acl").read_text()
    assert first.strip() not in rules
    make_password(tmp_path)
    assert (tmp_path / "password").read_text() == first
    assert (tmp_path / "users.acl").read_text() == rules
    assert {path.name for path in tmp_path.iterdir()} == {"password", "users.acl"}


def test_two_installations_have_two_passwords(tmp_path: Path) -> None:
    found = set()
    for name in "ab":
        (tmp_path / name).mkdir()
        make_password(tmp_path / name)
        found.add((tmp_path / name / "password").read_text())
    assert len(found) == 2


def test_services_that_use_redis_wait_for_the_password() -> None:
    for name in ("broker", "cache", "keys"):
        needed = SERVICES[name]["depends_on"]["password"]["condition"]
        assert needed == "service_completed_successfully"
    for name in ("broker", "cache"):
        assert "--aclfile /run/redis/users.acl" in SERVICES[name]["command"]
        assert "redis:/run/redis:ro" in SERVICES[name]["volumes"]
    for name in ("worker", "ui", "keys"):
        assert "redis:/run/redis:ro" in SERVICES[name]["volumes"]
        where = SERVICES[name]["environment"]["EDGE_REDIS_PASSWORD_FILE"]
        assert where == "/run/redis/password"
    for name in ("nginx", "prometheus"):
        assert not any("redis" in volume for volume in SERVICES[name]["volumes"])


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Server]:
    """A real server with the ACL written by the service `password`."""
    make_password(tmp_path)
    config = f"appendonly yes\naclfile {tmp_path / 'users.acl'}\n"
    server = Server(tmp_path / "broker", config)
    yield server
    server.kill()


@pytest.mark.redis
def test_without_the_password_a_server_only_answers_a_ping(guarded: Server) -> None:
    def client(user: str) -> closing[redis.Redis]:
        return closing(sync_client(guarded.url.replace("redis://", f"redis://{user}")))

    with client("health:none@") as stranger:
        assert stranger.ping()  # as the container's health check does
        for command in (("GET", "x"), ("KEYS", "*"), ("CONFIG", "GET", "*"), ("INFO",)):
            with pytest.raises(redis.exceptions.NoPermissionError):
                stranger.execute_command(*command)
    for user in ("", "default:none@", "edge:a@", "edge:wrong@"):
        with client(user) as guessing, pytest.raises(redis.AuthenticationError):
            guessing.get("x")


@pytest.mark.redis
def test_a_restarted_broker_knows_what_scripts_wrote(
    guarded: Server, tmp_path: Path
) -> None:
    """It replays its file as the user `default`: see docker-compose.yml."""
    password = (tmp_path / "password").read_text().strip()
    url = guarded.url.replace("redis://", f"redis://edge:{password}@")
    script = "redis.call('SET', 'x', 1) redis.call('SET', 'y', 2)"
    with closing(sync_client(url)) as client:
        client.eval(script, 0)
        guarded.kill()
        guarded.start()
        assert client.exists("x", "y") == 2


@pytest.mark.redis
@pytest.mark.stack
@pytest.mark.model
def test_with_the_password_the_whole_service_works(
    guarded: Server, edge: str, tmp_path: Path
) -> None:
    url = guarded.url.replace("redis://", "redis://edge@")
    settings = {"broker_url": url, "cache_url": url}
    settings["redis_password_file"] = str(tmp_path / "password")
    with running(edge, tmp_path, **settings) as stack:
        assert answers(stack)
        assert answers(stack)  # from the cache
        with urllib.request.urlopen(f"{stack.url}/metrics", timeout=60) as reply:
            metrics = reply.read().decode()
    assert "edge_broker_up 1.0" in metrics
    assert "edge_cache_up 1.0" in metrics
    assert "stopped" in stack.said()


def default(text: str) -> str:
    """A value of the compose file where no variable is set."""
    return re.sub(r"\$\{\w+:-(.*?)\}", r"\1", text)


def final_stage(target: str) -> str:
    """The instructions of the Dockerfile's stage `name`."""
    stages = re.split(r"^FROM .+ AS (.+)$", DOCKERFILE, flags=re.MULTILINE)
    return dict(zip(stages[1::2], stages[2::2], strict=True))[target]
