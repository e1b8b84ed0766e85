"""What docs/deploy.md says, so that the tests type the same."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.conftest import cannot

GUIDE = (Path(__file__).parents[2] / "docs/deploy.md").read_text()


def example(word: str) -> str:
    """The one code block of the guide with this word in it."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE)
    [found] = [block for block in blocks if word in block]
    return found


def debian(*packages: str) -> Path:
    """A folder with the files of these packages, not installed: a server of theirs is
    not started. Kept for the next run."""
    folder = Path("~/.cache/edge-vl/debian").expanduser() / "-".join(packages)
    if folder.exists():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder.parent) as loaded:
        get = ["apt-get", "-q", "-o", "Acquire::Retries=1", "download", *packages]
        if not shutil.which("apt-get") or subprocess.run(get, cwd=loaded).returncode:
            cannot(f"Debian's packages {', '.join(packages)} cannot be downloaded.")
        unpacked = Path(loaded) / "unpacked"
        for package in Path(loaded).glob("*.deb"):
            subprocess.run(["dpkg", "-x", str(package), str(unpacked)], check=True)
        unpacked.rename(folder)
    return folder


def certify(folder: Path) -> tuple[Path, Path]:
    """A self-signed certificate of 127.0.0.1, and its key, new at each call."""
    names = ["-subj", "/CN=edge", "-addext", "subjectAltName=IP:127.0.0.1"]
    paths = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    try:
        subprocess.run([*command, *names, *paths], check=True, capture_output=True)
    except FileNotFoundError:
        cannot("openssl, which makes the certificate, is not here.")
    return folder / "cert.pem", folder / "key.pem"
