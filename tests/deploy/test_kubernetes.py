"""The Kubernetes manifests: valid, locked down, with the limits of the compose file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs/kubernetes"
KUSTOMIZATION = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
FILES = sorted(FOLDER.glob("*.yaml"))
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
VERSIONS = ("1.30", "1.37")
UNITS = {"m": 1 << 20, "g": 1 << 30, "Mi": 1 << 20, "Gi": 1 << 30}

OBJECTS: list[Any] = [
    found
    for file in FILES
    for found in yaml.safe_load_all(file.read_text())
    if found["kind"] != "Kustomization"
]
PODS = {
    found["metadata"]["name"]: found["spec"]["template"]["spec"]
    for found in OBJECTS
    if found["kind"] in ("Deployment", "StatefulSet")
}


def in_bytes(text: str) -> int:
    """Of `512m` in a compose file, or `512Mi` in a manifest."""
    default = re.sub(r"\$\{\w+:-(\w+)\}", r"\1", text)
    number, unit = re.fullmatch(r"(\d+)(\w+)", default).groups()  # type: ignore[union-attr]
    return int(number) * UNITS[unit]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    "found", OBJECTS, ids=lambda found: f"{found['kind']} {found['metadata']['name']}"
)
def test_the_schema_of_kubernetes_accepts_it(found: Any, version: str) -> None:
    kubernetes_validate.validate(found, version, strict=True)


def test_a_field_that_does_not_exist_is_found() -> None:
    wrong = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"nam": "x"}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSIONS[-1], strict=True)


def test_every_service_of_the_compose_file_has_a_pod() -> None:
    serving = {name for name, service in COMPOSE.items() if "profiles" not in service}
    assert set(PODS) == serving - {"password"}  # here, a secret


@pytest.mark.parametrize("name", PODS)
def test_it_has_the_limits_of_the_compose_file(name: str) -> None:
    [container] = PODS[name]["containers"]
    service, limits = COMPOSE[name], container["resources"]["limits"]
    assert in_bytes(limits["memory"]) == in_bytes(service["mem_limit"])
    assert "cpu" not in limits and "cpus" not in service
    grace_s = PODS[name]["terminationGracePeriodSeconds"]
    assert f"{grace_s}s" == service["stop_grace_period"]


@pytest.mark.parametrize("name", PODS)
def test_it_is_as_locked_down_as_in_compose(name: str) -> None:
    pod, service = PODS[name], COMPOSE[name]
    [container] = pod["containers"]
    assert service["read_only"] and service["cap_drop"] == ["ALL"]
    assert container["securityContext"] == {
        "readOnlyRootFilesystem": True,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }
    rights = pod["securityContext"]
    assert rights["runAsNonRoot"] and rights["runAsUser"] > 0
    assert rights["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    if user := service.get("user"):
        assert user == f"{rights['runAsUser']}:{rights['runAsGroup']}"
    for volume in pod["volumes"]:
        assert "hostPath" not in volume


@pytest.mark.parametrize("name", ["broker", "cache"])
def test_redis_has_the_same_command_line(name: str) -> None:
    [container] = PODS[name]["containers"]
    words = [word or '""' for word in container["args"]]
    assert words == COMPOSE[name]["command"].split()


def test_settings_of_the_compose_file_are_settings_here() -> None:
    for name in ("worker", "ui"):
        [container] = PODS[name]["containers"]
        here = {one["name"] for one in container["env"]}
        assert {"EDGE_BROKER_URL", "EDGE_REDIS_PASSWORD_FILE"} <= here
        for one in container["env"]:
            url = COMPOSE[name]["environment"].get(one["name"], "")
            assert not url.startswith("redis://") or url == one["value"]


def test_only_readiness_of_a_worker_depends_on_the_broker() -> None:
    """Else an outage of the broker would end all workers, and their loaded models."""
    [worker] = PODS["worker"]["containers"]
    ports = {port["containerPort"] for port in worker["ports"]}
    for probe in ("startupProbe", "livenessProbe"):
        assert worker[probe]["httpGet"]["port"] in ports
    asks_broker = COMPOSE["worker"]["healthcheck"]["test"][1:]
    assert worker["readinessProbe"]["exec"]["command"] == asks_broker


def test_volumes_and_selectors_fit() -> None:
    for name, pod in PODS.items():
        [container] = pod["containers"]
        volumes = {volume["name"] for volume in pod["volumes"]}
        volumes |= {"data"} if name == "broker" else set()
        assert {mount["name"] for mount in container["volumeMounts"]} == volumes
    for found in OBJECTS:
        if found["kind"] == "Service":
            app = found["spec"]["selector"]["app"]
            [container] = PODS[app]["containers"]
            ports = {port["containerPort"] for port in container["ports"]}
            [port] = found["spec"]["ports"]
            assert port.get("targetPort", port["port"]) in ports


def test_the_kustomization_names_every_file_but_the_autoscaler() -> None:
    named = {*KUSTOMIZATION["resources"], "kustomization.yaml", "autoscale.yaml"}
    assert {file.name for file in FILES} == named
