"""Whether a Redis that somebody else started can hold the queue: asked at a start."""

from __future__ import annotations

import logging
import time
from typing import Any, Final

import redis

from edge.errors import SetupError
from edge.redis_clients import sync_client

OLDEST = (7, 0)  # the scripts have flags
AGAIN_S: Final = 5.0  # until a server that is away is asked again

log = logging.getLogger(__name__)


def await_broker(url: str) -> str:
    """As `check_broker`, but waits for a server that cannot be reached: a host may come
    up before the one with the broker. Ended again and again instead, a worker would be
    started with ever longer pauses."""
    while reason := _absence(url):
        log.warning(
            "The broker at %s cannot be reached: %s. It is tried again every %.0f s.",
            _where(url),
            reason,
            AGAIN_S,
        )
        time.sleep(AGAIN_S)
    return check_broker(url)


def _absence(url: str) -> str:
    """Why the server cannot be reached; "" if it answers, whatever it says."""
    client = sync_client(url)
    try:
        client.ping()
    except redis.AuthenticationError:
        return ""
    except (redis.ConnectionError, redis.TimeoutError, OSError) as error:
        return str(error)
    except redis.RedisError:
        pass
    finally:
        client.close()
    return ""


def check_broker(url: str) -> str:
    """Raises SetupError, which says what to change, when the server at `url` cannot be
    reached, is too old, is a copy of another one, or may drop jobs. Returns a note for
    the operator where a restart of the server would lose the queue, else nothing."""
    where, info = _where(url), _info(url, "EDGE_BROKER_URL")
    version = str(info.get("redis_version", ""))
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
    if numbers and numbers < OLDEST:
        raise SetupError(
            f"The broker at {where} is Redis {version}: Redis 7.0 or newer, or Valkey, "
            "is needed. Leave out EDGE_BROKER_URL, and `edge up` starts its own."
        )
    if info.get("role") == "slave":
        raise SetupError(
            f"The broker at {where} is a replica, which accepts no jobs: name its "
            "primary in EDGE_BROKER_URL."
        )
    policy = str(info.get("maxmemory_policy", "noeviction"))
    if info.get("maxmemory") and policy != "noeviction":
        raise SetupError(
            f"The broker at {where} drops keys when its memory is full "
            f"(maxmemory-policy {policy}), and so would lose questions: set "
            "maxmemory-policy to noeviction, and use another server as the cache."
        )
    if info.get("aof_enabled") == 0:
        return (
            f"The broker at {where} has no append-only file: waiting questions are "
            "lost when it restarts. Set appendonly to yes."
        )
    return ""


def check_cache(url: str) -> None:
    """Raises SetupError when the server at `url` cannot be reached."""
    _info(url, "EDGE_CACHE_URL")


def _info(url: str, setting: str) -> dict[str, Any]:
    """What the server says about itself; empty where that is forbidden."""
    client = sync_client(url)
    try:
        client.ping()
        return dict(client.info())
    except redis.AuthenticationError as error:
        raise SetupError(
            f"The Redis at {_where(url)} refuses the password: {error}. Correct "
            f"{setting}, or EDGE_REDIS_PASSWORD_FILE."
        ) from None
    except (redis.ConnectionError, redis.TimeoutError, OSError) as error:
        raise SetupError(
            f"The Redis at {_where(url)} cannot be reached: {error} Start it, or "
            f"correct {setting}."
        ) from None
    except redis.ResponseError:
        return {}
    finally:
        client.close()


def _where(url: str) -> str:
    return url.rpartition("@")[2]  # without the password
