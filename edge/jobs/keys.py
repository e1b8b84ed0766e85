"""Every key in the broker: the contract between Python and Lua.

Each row below describes one kind of key. Python calls the row with the values for its
pattern: `JOB(job_id)`. Lua scripts call a function that `edge.jobs.scripts` writes from
the same row: `job_key(job_id)`. Documentation is generated from `table()`, and tests
compare the keys in a live broker with it.
"""

from __future__ import annotations

from edge.jobs import cache_keys, celery_keys
from edge.jobs.key_pattern import Key
from edge.jobs.record import (
    DEAD_AFTER_S,
    KEEP_BYTES,
    KEEP_S,
    KEEP_USAGE_S,
    LEAST_KEEP_S,
    MOST_PAUSE_S,
    QUARANTINE_S,
    SWITCH_S,
)

_ENDED = (
    f"{KEEP_S} s after the job has ended; with an answer of more than "
    f"{KEEP_BYTES:,} bytes as much less, and {LEAST_KEEP_S} s at least"
)
_MEMBER = "the job's deadline; a job leaves it when it ends"
_POOL = "while it has members"

# Jobs
JOB = Key(
    "job",
    "edge:job:{job_id}",
    "hash",
    "state, attempt, pool, model, owner, tenant, account, address, culprit, weight, "
    "priority, streams, has_tools, kept, idempotency_name, body_hash, charged, "
    "charged_at, created, expires, watched, missed, started, claim, suspect, blamed, "
    "content, schema, shares, request, score, max_tokens, prompt_tokens, image_tokens, "
    "encode_tokens, picture_bytes, joined, image_charged, image_charged_at, no_slot, "
    "outcome",
    _ENDED,
    "admit, withdraw, hold, charge, enqueue, checked, claim, look, release, lost, end",
)
PICTURES = Key(
    "pictures",
    "edge:pictures:{job_id}",
    "hash",
    "sha256 of a picture: its RGB bytes",
    "the job's deadline; deleted when the job ends",
    "edge/jobs/pictures.py",
)
EVENTS = Key(
    "events",
    "edge:events:{job_id}:{attempt}",
    "stream",
    "event: one event as JSON; numbered from 1 within the attempt",
    f"{KEEP_S} s after the latest event; with an answer as long as its job",
    "publish, checked, close, and the scripts that end or retry a job",
)
IDEMPOTENCY = Key(
    "idempotency",
    "edge:idempotency:{name}",
    "string",
    "job id; the name is the caller's with its Idempotency-Key",
    f"the job's deadline and {KEEP_S} s more",
    "admit; end deletes it when the job may be tried again",
)

# The queue of a pool
POOLS = Key("pools", "edge:pools", "set", "pools that have had a job", "none", "admit")
LIVE = Key(
    "live",
    "edge:live:{pool}",
    "zset",
    "ids of unfinished jobs by the time of their admission",
    _POOL,
    "admit; end and sweep remove",
)
WAITING = Key(
    "waiting",
    "edge:waiting:{pool}",
    "zset",
    "ids of waiting jobs by score: the lowest is claimed next",
    _POOL,
    "enqueue, release, lost; claim, end and sweep remove",
)
RUNNING = Key(
    "running",
    "edge:running:{pool}",
    "zset",
    "ids of running jobs by the end of their lease",
    _POOL,
    "claim, renew; release, lost, end and sweep remove",
)
UNCHECKED = Key(
    "unchecked",
    "edge:unchecked:{pool}",
    "list",
    "ids of jobs that the preflight check has not seen, at most 1,000",
    _POOL,
    "enqueue; the worker's preflight check removes",
)
PACE = Key(
    "pace",
    "edge:pace2:{pool}",  # older versions keep another one
    "string",
    "running means of job durations as JSON",
    "none",
    "edge/jobs/worker_side.py",
)
RETURNS = Key(
    "returns",
    "edge:returns:{queue}",
    "string",
    "the latest time that a refused client of a pool or account was told to return at",
    f"{MOST_PAUSE_S} s",
    "admit",
)
QUEUE = Key(
    "queue",
    "edge:queue:{pool}",
    "list",
    "Celery messages, each of which says that a job waits",
    _POOL,
    "Celery",
)

# Fairness and protection
ACCOUNT = Key(
    "account",
    "edge:account:{account}",
    "zset",
    "ids of an account's unfinished jobs by their latest possible end",
    _MEMBER,
    "admit; end removes",
)
ADDRESS = Key(
    "address",
    "edge:address:{address}",
    "zset",
    "ids of unfinished jobs from an address by their latest possible end",
    _MEMBER,
    "admit; end removes",
)
SCORE = Key(
    "score",
    "edge:score:{account}",
    "string",
    "the latest score that a job of this account was given",
    f"{KEEP_S} s",
    "enqueue",
)
DEATHS = Key(
    "deaths",
    "edge:deaths:{cause}",
    "string",
    "workers lost while they computed a content or a JSON schema",
    f"{QUARANTINE_S} s after the latest",
    "lost; end deletes it when an answer proves the cause innocent",
)
DEATH_AT = Key(
    "death_at",
    "edge:death-at:{cause}",
    "string",
    "when the latest of these deaths was found",
    f"{QUARANTINE_S} s",
    "lost",
)
GUILT = Key(
    "guilt",
    "edge:guilt:{culprit}",
    "string",
    "workers lost while they computed one job alone, by tenant or address",
    f"{QUARANTINE_S} s after the latest",
    "lost",
)

# Usage
QUOTA = Key(
    "quota",
    "edge:quota:{tenant}:{counted}:{window_s}:{window}",
    "string",
    "what a tenant was charged in one minute or day",
    "two windows",
    "charge; refund and end take back",
)
USAGE = Key(
    "usage",
    "edge:usage:{day}",
    "hash",
    "tenant, count and model, with spaces between: the sum of a day since 1970",
    f"{KEEP_USAGE_S // 86_400} days",
    "end, known",
)

# Processes
FLEET = Key(
    "fleet",
    "edge:fleet",
    "zset",
    f"names of workers by their latest heartbeat; dead after {DEAD_AFTER_S} s",
    f"a worker is removed {KEEP_S} s after its latest heartbeat",
    "beat; fleet and edge/jobs/fleet.py remove",
)
FLEET_INFO = Key(
    "fleet_info",
    "edge:fleet:info",
    "hash",
    "name of a worker: its WorkerInfo as JSON",
    "as edge:fleet",
    "beat; fleet and edge/jobs/fleet.py remove",
)
DEFAULT = Key(
    "default",
    "edge:default",
    "hash",
    "model: asked without a name; before: the one before that",
    "none",
    "beat, activate, edge/jobs/switching.py",
)
RETIRED = Key(
    "retired",
    "edge:retired:{pool}",
    "string",
    "1: this pool takes no new jobs, because its worker leaves",
    "60 s, renewed",
    "edge/jobs/switching.py",
)
PAUSED = Key(
    "paused",
    "edge:paused:{pool}",
    "string",
    "1: jobs of this pool wait, because its worker leaves memory and will come back",
    "60 s, renewed",
    "edge/jobs/switching.py",
)
SWITCH = Key(
    "switch",
    "edge:switch",
    "hash",
    "model, with_gap, state, message: the latest switch of the default model",
    f"{SWITCH_S} s after its latest news",
    "wish, take, edge/jobs/switching.py",
)
SUPERVISOR = Key(
    "supervisor",
    "edge:supervisor",
    "string",
    "1: an `edge up` is here, which can load a model",
    "5 s, renewed",
    "edge/jobs/switching.py",
)
RECONCILER = Key(
    "reconciler",
    "edge:reconciler",
    "string",
    "name of the web process that reconciles",
    "3 s, renewed",
    "elect",
)
SECRET = Key(
    "secret",
    "edge:secret",
    "string",
    "what session cookies are signed with",
    "none",
    "edge/jobs/logins.py",
)
LOGGED_OUT = Key(
    "logged_out",
    "edge:logged-out:{key_id}",
    "zset",
    "sessions of an API key that have ended early, by when their cookies expire; the "
    "latest 1,000",
    "until the cookie of the latest expires",
    "edge/jobs/logins.py",
)

_OWN = tuple(value for value in list(globals().values()) if isinstance(value, Key))


def table() -> list[Key]:
    """All rows, also those of the cache server and of Celery: name, pattern, type,
    fields, lifetime, writer."""
    return [*_OWN, *cache_keys.ROWS, *celery_keys.ROWS]
