"""The generator writes a complete, current file and refuses broken values."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ui.surface import SURFACE

Build = Callable[..., "subprocess.CompletedProcess[str]"]
ROOT = Path(__file__).parents[2]


def test_the_committed_file_is_fresh(build: Build) -> None:
    assert build("--check").returncode == 0
    assert (ROOT / "nginx" / "nginx.conf").read_text() == build().stdout


def test_a_stale_file_is_named_and_rewritten(build: Build, tmp_path: Path) -> None:
    for module in (ROOT / "nginx").glob("*.py"):
        shutil.copy(module, tmp_path)
    script = tmp_path / "build.py"

    missing = build("--check", script=script)
    assert missing.returncode == 1
    assert missing.stderr == (
        "nginx.conf is stale: run `python nginx/build.py --write`.\n"
    )

    assert build("--write", script=script).returncode == 0
    assert build("--check", script=script).returncode == 0

    with (tmp_path / "nginx.conf").open("a") as conf:
        conf.write("# by hand\n")
    assert build("--check", script=script).returncode == 1


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--listen", "0"),
        ("--listen", "65536"),
        ("--listen", "http"),
        ("--listen", "8080; evil"),
        ("--listen", "9" * 5000),
        ("--listen", "[::1]"),
        ("--listen", "[::1;]:80"),
        ("--listen", "::1:80"),
        ("--upstream", "unix:"),
        ("--upstream", "unix:ui.sock"),
        ("--upstream", "unix:/tmp/ui.sock;"),
        ("--upstream", "unix:/tmp/a b"),
        ("--upstream", "8000"),
        ("--upstream", ":8000"),
        ("--upstream", "ui:0"),
        ("--upstream", "ui; } evil {:8000"),
        ("--upstream", "ui\n:8000"),
        ("--run-dir", "run"),
        ("--run-dir", "/tmp/a b"),
        ("--run-dir", "/tmp/a;b"),
        ("--run-dir", "/tmp/{a}"),
        ("--run-dir", "/tmp/'a'"),
        ("--run-dir", "/tmp/$a"),
        ("--run-dir", "/tmp/a\n"),
        ("--trust", "10.0.0.0/33"),
        ("--trust", "everybody"),
        ("--user", "root; evil"),
        ("--resolver", "dns"),
        ("--resolver", "::1; evil"),
    ],
)
def test_a_bad_value_is_refused_in_one_sentence(
    build: Build, option: str, value: str
) -> None:
    refused = build(option, value)

    assert refused.returncode == 2
    assert refused.stdout == ""
    sentence = refused.stderr.splitlines()[-1]
    assert sentence.startswith(f"build.py: error: argument {option}: ")
    assert sentence.endswith(".")


@pytest.mark.parametrize(
    ("options", "setting"),
    [
        (("--hosts", "a b"), "EDGE_HOSTS"),
        (("--hosts", "a;evil"), "EDGE_HOSTS"),
        (("--hosts", "", "--cors", "app.example"), "EDGE_CORS"),
        (("--hosts", "", "--cors", 'https://a"; evil'), "EDGE_CORS"),
    ],
)
def test_an_invalid_name_is_refused_by_its_setting(
    build: Build, options: tuple[str, ...], setting: str
) -> None:
    refused = build(*options)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.startswith(f"{setting}: ")


def test_checking_and_writing_at_once_is_refused(build: Build) -> None:
    assert build("--check", "--write").returncode == 2


@pytest.mark.nginx
@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--listen", "127.0.0.1:18080"),
        ("--listen", "[::1]:18080"),
        ("--upstream", "unix:/tmp/edge-1/ui.sock"),
        ("--trust", "10.0.0.0/8", "--trust", "fd00::/8", "--trust", "10.0.0.0/8"),
        ("--hosts", ""),
        ("--hosts", "a.example,b.lan", "--cors", "https://c.example:8443"),
    ],
    ids=[
        "plain",
        "one address",
        "IPv6",
        "a socket",
        "behind proxies",
        "own names",
        "more names",
    ],
)
def test_nginx_accepts_the_file(
    build: Build, nginx: str, tmp_path: Path, options: tuple[str, ...]
) -> None:
    conf = tmp_path / "nginx.conf"
    here = ("--upstream", "127.0.0.1:8000", "--run-dir", str(tmp_path))
    conf.write_text(build(*here, *options).stdout)

    command = [nginx, "-t", "-e", "stderr", "-p", str(tmp_path), "-c", str(conf)]
    tested = subprocess.run(command, capture_output=True, text=True, timeout=120)

    assert tested.returncode == 0, tested.stderr
    assert "[warn]" not in tested.stderr


@pytest.mark.parametrize(
    ("directive", "values"),
    [
        ("error_page", "400 403 404 405 413 414 421 429 494 500 502 503 504"),
        ("Retry-After", '"2" "5" "5" "5" "5"'),
        ("proxy_set_header X-Forwarded-For", "$remote_addr"),
        ("proxy_set_header X-Forwarded-Host", "$http_host"),
        ("proxy_set_header X-Forwarded-Proto", "$client_scheme"),
        ("proxy_set_header Host", "$http_host"),
        ("proxy_set_header X-Request-ID", "$request_id"),
        ("set_real_ip_from", "10.0.0.0/8 fd00::/8"),
        ("add_header X-Content-Type-Options", 14 * '"nosniff" '),
        ("proxy_pass", len(SURFACE) * "http://$ui "),
    ],
)
def test_repeated_directives_are_all_kept(
    build: Build, directive: str, values: str
) -> None:
    conf = build("--trust", "10.0.0.0/8", "--trust", "fd00::/8").stdout
    found = re.findall(rf"\b{directive} ([^ ;]+)", conf)
    assert sorted(found) == sorted(values.split())


def test_the_folder_does_not_hide_the_library() -> None:
    assert not (ROOT / "nginx" / "__init__.py").exists()
    subprocess.run(
        [sys.executable, "-c", "import nginx.config.api"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=True,
        timeout=120,
    )
