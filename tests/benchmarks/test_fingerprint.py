"""What a fingerprint tells of a machine, and what it never tells."""

from __future__ import annotations

import getpass
import json
import platform
from pathlib import Path

import pytest

from benchmarks.fingerprint import fingerprint
from edge import host

X86 = """\
processor\t: 0
model name\t: Intel(R) Xeon(R) Platinum 8360Y CPU @ 2.40GHz
flags\t\t: fpu sse2 avx2 fma f16c avx512f avx512_vnni hypervisor
bugs\t\t: spectre_v1

processor\t: 1
model name\t: another
flags\t\t: fpu amx_int8
"""
ARM = """\
processor\t: 0
Features\t: fp asimd asimdhp asimddp i8mm bf16 sve
CPU implementer\t: 0x41
CPU part\t: 0xd40
"""


@pytest.mark.parametrize(
    ("text", "name", "features"),
    [
        (
            X86,
            "Intel(R) Xeon(R) Platinum 8360Y CPU @ 2.40GHz",
            ["avx2", "fma", "f16c", "avx512f", "avx512_vnni"],
        ),
        (
            ARM,
            "Arm 0x41 0xd40",
            ["asimd", "asimdhp", "asimddp", "i8mm", "bf16", "sve"],
        ),
        ("", "unknown", []),
    ],
)
def test_a_cpu_is_told_with_the_features_that_matter(
    text: str, name: str, features: list[str], tmp_path: Path
) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(text)
    found = fingerprint(cpuinfo=cpuinfo)
    assert (found["cpu"], found["cpu_features"]) == (name, features)


def test_a_machine_without_cpuinfo_has_a_fingerprint(tmp_path: Path) -> None:
    assert fingerprint(cpuinfo=tmp_path / "none")["cpu"] == "unknown"


def test_it_tells_what_this_process_may_use() -> None:
    found = fingerprint()
    assert found["cores_usable"] == host.usable_cores() <= found["cores_in_all"]
    assert found["memory_usable_bytes"] == host.usable_memory_bytes()
    assert found["python"] == platform.python_version()
    assert "numpy" in found["packages"]


def test_the_server_is_told_as_given() -> None:
    about = {"model": {"name": "tiny", "sha256": "ab" * 32}, "slots": 4, "cache": False}
    assert fingerprint(about)["server"] == about


def test_it_survives_json() -> None:
    found = fingerprint({"stages": (1, 2), "window": range(2)})
    assert json.loads(json.dumps(found)) == found


def test_paths_addresses_and_secrets_stay_at_home() -> None:
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
