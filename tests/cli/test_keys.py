"""What `edge keys` writes."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path


def test_each_line_is_written_in_one_piece(tmp_path: Path) -> None:
    """Else a container, which mixes stdout and stderr, could put the next sentence
    directly behind the key."""
    # every write is a record of its own
    reader, writer = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with reader, writer:
        subprocess.run(
            [sys.executable, "-m", "edge.cli.keys", "create", "ann"],
            env=os.environ | {"EDGE_DATA_DIR": str(tmp_path), "PYTHONUNBUFFERED": "1"},
            stdout=writer,
            stderr=writer,
            check=True,
        )
        reader.settimeout(10)
        key, *sentences = [reader.recv(1000).decode() for _ in range(3)]
    assert re.fullmatch(r"edge_[0-9a-f]{12}_[A-Za-z0-9_-]{43}\n", key)
    assert all(sentence.endswith(".\n") for sentence in sentences)
