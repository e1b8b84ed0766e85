"""Signed session cookies, of a login or of one page. Pure.

A cookie is `ID.KEY.END.MAC`: 128 random bits, the id of the key that was sent (or `-`),
its end in seconds since 1970, and an HMAC-SHA256 of these with a secret of the server.
So no server has to store sessions, and no client can invent one.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass

COOKIE = "edge_session"
CSRF_COOKIE = "edge_csrf"  # readable by the page, which sends it back as a header
CSRF_HEADER = "x-csrf-token"
SESSION_S = 30 * 86_400
NO_KEY = "-"
_FORM = re.compile(r"([0-9a-f]{32})\.([0-9a-f]{12}|-)\.([0-9]{1,12})\.([0-9a-f]{64})")


@dataclass(frozen=True)
class Session:
    """`key_id` is NO_KEY where the server has no keys."""

    id: str
    key_id: str
    ends: int

    @classmethod
    def begin(cls, key_id: str, now: float) -> Session:
        return cls(secrets.token_hex(16), key_id, int(now) + SESSION_S)

    @classmethod
    def read(cls, cookie: str, secret: bytes, now: float) -> Session | None:
        """None for a cookie that the server did not make, or that has expired."""
        if not (found := _FORM.fullmatch(cookie)):
            return None
        session = cls(found[1], found[2], int(found[3]))
        is_ours = hmac.compare_digest(session.cookie(secret), cookie)
        return session if is_ours and session.ends > now else None

    def cookie(self, secret: bytes) -> str:
        text = f"{self.id}.{self.key_id}.{self.ends}"
        return f"{text}.{sign(secret, 'session', text)}"

    def csrf_token(self, secret: bytes) -> str:
        """Proves that a request was made by a page of this session, and not by another
        site in the same browser."""
        return sign(secret, "csrf", self.id)


def sign(secret: bytes, purpose: str, text: str) -> str:
    """HMAC-SHA256, in hex; a signature for one purpose is invalid for another."""
    return hmac.new(secret, f"{purpose} {text}".encode(), hashlib.sha256).hexdigest()


def set_cookie(name: str, value: str, *, secure: bool, readable: bool = False) -> str:
    """The value of a Set-Cookie header; an empty cookie is removed.

    Without a Path a browser sends it to the folder of the address that it sees: other
    services on the host, below other paths, do not get it.
    """
    parts = [f"{name}={value}", "SameSite=Strict"]
    parts.append(f"Max-Age={SESSION_S if value else 0}")
    parts += [] if readable else ["HttpOnly"]
    parts += ["Secure"] if secure else []
    return "; ".join(parts)
