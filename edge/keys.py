"""API keys: a file that holds a hash of each, never the key itself.

A key is `edge_ID_SECRET`: the id is public and names the tenant, the secret is 256
random bits. So a plain SHA-256 is enough: no list of words helps to guess it, and a
flood of wrong keys cannot overload the server with slow hashes.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import logging
import os
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.errors import SetupError
from edge.limits import NO_LIMITS, Limits

log = logging.getLogger(__name__)

LOOK_S = 1.0  # how soon a change of the file counts
LARGEST_FILE = 4_000_000  # bytes: some ten thousand keys
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_KEY = re.compile(r"edge_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
_NO_HASH = "0" * 64


@dataclass(frozen=True)
class Key:
    """One entry of the file; `hash` is the SHA-256 of the whole key, in hex, and
    `revoked` is when it became invalid, in seconds since 1970, or None."""

    id: str
    name: str
    hash: str
    created: float
    revoked: float | None = None
    is_admin: bool = False
    limits: Limits = NO_LIMITS

    def to_json(self) -> dict[str, Any]:
        return {**vars(self), "limits": str(self.limits)}

    @classmethod
    def from_json(cls, entry: dict[str, Any]) -> Key:
        return cls(**{**entry, "limits": Limits.read(entry["limits"])})


def read_keys(path: Path) -> list[Key]:
    """All entries, revoked ones too; [] if there is no file.

    Raises SetupError for a file that cannot be read.
    """
    try:
        with path.open("rb") as file:
            text = file.read(LARGEST_FILE)
        return [Key.from_json(entry) for entry in json.loads(text)["keys"]]
    except FileNotFoundError:
        return []
    except PermissionError:
        raise SetupError(
            f"This account may not read the keys in {path}. Run it as the account of "
            "the service."
        ) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise SetupError(
            f"The keys in {path} cannot be read ({error}). No key is accepted "
            "until that file is repaired or replaced by a copy."
        ) from None


def needs_keys(path: Path) -> bool:
    """Whether a server asks for a key: there are some, or there were. Raises SetupError
    for a file that cannot be read."""
    return bool(read_keys(path)) or _lock(path).exists()


def create_key(path: Path, name: str, limits: Limits, *, is_admin: bool = False) -> str:
    """A new key, added to the file, which holds only its hash.

    Raises SetupError for an invalid name, or one that a valid key has.
    """
    if not NAME.fullmatch(name):
        raise SetupError(
            f"{name!r} cannot be a key's name: up to 64 letters, digits and . _ @ -"
        )
    id_ = secrets.token_hex(6)
    key = f"edge_{id_}_{secrets.token_urlsafe(32)}"
    entry = Key(id_, name, _hash(key), time.time(), is_admin=is_admin, limits=limits)
    with _rewritten(path) as entries:
        if any(one.name == name and one.revoked is None for one in entries):
            raise SetupError(
                f"A key named {name} exists already. Choose another name, or revoke it "
                f"first: edge keys revoke {name}."
            )
        entries.append(entry)
    return key


def revoke_key(path: Path, name: str) -> None:
    """Makes a key invalid, for ever. It stays in the file, so that its usage still has
    a name, and so that a server whose last key was revoked still needs keys.

    Raises SetupError when no valid key has that name or id.
    """
    if not read_keys(path):
        raise SetupError("There are no keys. Make one: edge keys create NAME")
    with _rewritten(path) as entries:
        for i, one in enumerate(entries):
            if name in (one.name, one.id) and one.revoked is None:
                entries[i] = Key(**{**vars(one), "revoked": time.time()})
                return
        raise SetupError(f"There is no valid key named {name}. See: edge keys list.")


class Keys:
    """The keys of a running server, read again when the file has changed.

    Once a key existed the server needs keys: when the file is deleted or damaged later,
    only the keys read before are valid, and a restart sees by the lock file that there
    were keys. With `are_needed` it needs them from its start.
    Raises SetupError for a file that cannot be read.
    """

    def __init__(self, path: Path, *, are_needed: bool = False) -> None:
        self._path = path
        self._by_id: dict[str, Key] = {}
        self._file_version: tuple[int, ...] | None = None
        self._looked = float("-inf")
        self.are_needed = are_needed or needs_keys(path)
        self._read()

    def find(self, presented: str) -> Key | None:
        """The valid key equal to `presented`; None if there is none."""
        found = _KEY.fullmatch(presented)
        key = self.valid(found[1]) if found else None
        # compared for unknown ids too: the time must not show which ids exist
        is_equal = hmac.compare_digest(_hash(presented), key.hash if key else _NO_HASH)
        return key if key and is_equal else None

    def valid(self, key_id: str) -> Key | None:
        """The key with this id, unless it was revoked."""
        if time.monotonic() - self._looked > LOOK_S:
            self._look()
        key = self._by_id.get(key_id)
        return key if key and key.revoked is None else None

    def name_of(self, key_id: str) -> str:
        """The name of a key, even of a revoked one; the id itself if it is unknown."""
        key = self._by_id.get(key_id)
        return key.name if key else key_id

    def look(self) -> bool:
        """Whether callers need a key, by the file as it is now."""
        if time.monotonic() - self._looked > LOOK_S:
            self._look()
        return self.are_needed

    def _look(self) -> None:
        self._looked = time.monotonic()
        try:
            if self._stat() != self._file_version:
                self._read()
        except SetupError as error:
            log.error("%s Until then the keys read before are valid.", error.message)

    def _read(self) -> None:
        seen = self._stat()
        entries = read_keys(self._path)
        self._file_version = seen
        self._looked = time.monotonic()
        if self._by_id and not entries:
            log.error(
                "The keys in %s are gone: those read before stay valid.", self._path
            )
            return
        self._by_id = {key.id: key for key in entries}
        self.are_needed = self.are_needed or bool(entries)

    def _stat(self) -> tuple[int, ...] | None:
        try:
            found = os.stat(self._path)
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino


@contextmanager
def _rewritten(path: Path) -> Iterator[list[Key]]:
    """The entries, to change in the block; then the file is replaced, mode 0600."""
    path = Path(os.path.realpath(path))  # a link stays one
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _locked(_lock(path)):
        entries = read_keys(path)
        yield entries
        text = json.dumps({"keys": [key.to_json() for key in entries]}, indent=1)
        new = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(fd, "w") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)


def _lock(path: Path) -> Path:
    path = Path(os.path.realpath(path))  # in a container the file may be a link
    return path.with_name(path.name + ".lock")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()
