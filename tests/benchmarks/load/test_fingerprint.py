"""The facts in a fingerprint, and the private ones left out."""

from __future__ import annotations

import getpass
import json
import platform
from pathlib import Path

from benchmarks.load.fingerprint import fingerprint
from edge import host


def test_it_contains_the_resources_of_this_process() -> None:
    found = fingerprint()
    assert found["cores_usable"] == host.usable_cores() <= found["cores_in_all"]
    assert found["memory_usable_bytes"] == host.usable_memory_bytes()
    assert found["cpu"] == host.cpu().name
    assert found["python"] == platform.python_version()
    assert "numpy" in found["packages"]


def test_the_server_is_recorded_as_given() -> None:
    about = {"model": {"name": "tiny", "sha256": "ab" * 32}, "slots": 4, "cache": False}
    assert fingerprint(about)["server"] == about


def test_it_survives_json() -> None:
    found = fingerprint({"stages": (1, 2), "window": range(2)})
    assert json.loads(json.dumps(found)) == found


def test_paths_addresses_and_secrets_are_left_out() -> None:
    server = {
        "model": "/home/somebody/models/qwen3-vl-2b.gguf",
        "files": [Path("/srv/mmproj.gguf"), "redis://:word@broker.internal:6379/0"],
        "broker_url": "redis://:word@broker.internal:6379/0",
        "api_key": "word",
        "redis_password": "word",
        "max_tokens": 256,
    }
    found = fingerprint({"settings": server})["server"]["settings"]
    assert found == {
        "model": "qwen3-vl-2b.gguf",
        "files": ["mmproj.gguf"],
        "max_tokens": 256,
    }


def test_it_names_neither_host_nor_user() -> None:
    words = json.dumps(fingerprint()).replace('"', " ").replace(",", " ").split()
    assert platform.node() not in words
    assert getpass.getuser() not in words
    assert not [word for word in words if word.startswith("/")]
