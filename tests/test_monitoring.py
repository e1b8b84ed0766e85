"""The Prometheus and Grafana files are valid, tested, and use existing metrics."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from edge import errors
from tests.conftest import cannot

FOLDER = Path(__file__).parents[1] / "benchmarks/monitoring"
ALERTS = yaml.safe_load((FOLDER / "alerts.yml").read_text())
ALERTS_TEST = yaml.safe_load((FOLDER / "alerts_test.yml").read_text())
DASHBOARD = json.loads((FOLDER / "dashboard.json").read_text())
SCALING = yaml.safe_load((FOLDER / "scaling.yml").read_text())
RULES: list[dict[str, Any]] = ALERTS["groups"][0]["rules"]


def expressions() -> list[str]:
    """All queries of the rules and panels."""
    targets = [target for panel in DASHBOARD["panels"] for target in panel["targets"]]
    rules = RULES + SCALING["groups"][0]["rules"]
    return [rule["expr"] for rule in rules] + [target["expr"] for target in targets]


def named_metrics() -> set[str]:
    """The Edge-VL metrics in the queries."""
    return set(re.findall(r"\b(?:edge|process)_\w+", " ".join(expressions())))


@pytest.fixture(scope="session")
def promtool() -> str:
    """Prometheus's checker: the system's, else the one installed by set-up."""
    beside = str(Path(sys.executable).parent)
    found = shutil.which("promtool") or shutil.which("promtool", path=beside)
    if found is None:
        cannot("There is no promtool here: `make setup` brings it.")
    assert found
    return found


@pytest.mark.parametrize(
    "words",
    [
        ("check", "config", "prometheus.yml"),
        ("check", "config", "prometheus.compose.yml"),
        ("check", "rules", "alerts.yml"),
        ("test", "rules", "alerts_test.yml"),
        ("check", "rules", "scaling.yml"),
        ("test", "rules", "scaling_test.yml"),
    ],
    ids=" ".join,
)
def test_promtool_accepts_the_files(promtool: str, words: tuple[str, ...]) -> None:
    done = subprocess.run(
        [promtool, *words], cwd=FOLDER, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_configurations_differ_only_in_their_targets() -> None:
    def rest(name: str) -> dict[str, Any]:
        config = yaml.safe_load((FOLDER / name).read_text())
        jobs = [job["job_name"] for job in config.pop("scrape_configs")]
        return config | {"jobs": jobs}

    assert rest("prometheus.yml") == rest("prometheus.compose.yml")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_describes_the_symptom_and_the_action(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in ("warning", "critical")
    for text in rule["annotations"].values():
        assert text[0].isupper() or text[0] in "1{"
        assert text.endswith(".")
    assert rule["annotations"].keys() == {"summary", "action"}


def test_each_alert_has_a_firing_and_a_silent_case() -> None:
    tests = [
        test for group in ALERTS_TEST["tests"] for test in group["alert_rule_test"]
    ]
    names = {rule["alert"] for rule in RULES}
    assert {test["alertname"] for test in tests if "exp_alerts" in test} == names
    assert {test["alertname"] for test in tests if "exp_alerts" not in test} == names


def test_codes_in_queries_exist() -> None:
    known = set(errors._BY_CODE)
    asked = re.findall(r'code=~?"([^"]*)"', " ".join(expressions()))
    assert asked
    assert {code for codes in asked for code in codes.split("|")} <= known


def test_the_dashboard_has_no_fixed_data_source() -> None:
    """The reader picks the Prometheus, and no two panels overlap."""
    [variable] = DASHBOARD["templating"]["list"]
    assert (variable["name"], variable["type"]) == ("datasource", "datasource")
    assert "id" not in DASHBOARD
    places = set()
    for panel in DASHBOARD["panels"]:
        assert panel["datasource"]["uid"] == "${datasource}"
        assert panel["title"] and panel["targets"]
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        places.add((at["x"], at["y"]))
    assert len(places) == len(DASHBOARD["panels"])
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(places)
