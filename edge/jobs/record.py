"""The job record: a state machine in a Redis hash, moved only by compare-and-set.

    waiting -> running -> finished | failed | cancelled | expired
    waiting -----------------------^

Each try at a job is an attempt; its number is raised before the engine sees the job,
and whoever ends a job must name the attempt it ran, so that a worker which was thought
dead can change nothing. A running job holds a lease, by Redis's clock, that its worker
renews; without a lease its worker is gone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edge.events import Failed, Terminal

State = Literal["waiting", "running", "finished", "failed", "cancelled", "expired"]

# Sorted sets of job ids by time of admission: all without an outcome; those waiting.
LIVE = "edge:live"
WAITING = "edge:waiting"
LEASE_S = 5
KEEP_S = 600  # how long a job's traces stay after its last sign of life


def job_key(job_id: str) -> str:
    return f"edge:job:{job_id}"


def pictures_key(job_id: str) -> str:
    return f"edge:pictures:{job_id}"


def job_keys(job_id: str) -> list[str]:
    """The keys of the scripts that move a job between the sets."""
    return [job_key(job_id), LIVE, WAITING, pictures_key(job_id)]


def events_key(job_id: str, attempt: int) -> str:
    return f"edge:events:{job_id}:{attempt}"


def state_of(outcome: Terminal) -> State:
    """The state that an outcome ends a job in."""
    if not isinstance(outcome, Failed):
        return "finished"
    if outcome.code == "cancelled":
        return "cancelled"
    return "expired" if outcome.code == "deadline_exceeded" else "failed"


def labels_of(outcome: Terminal) -> tuple[State, str]:
    """State and code of an outcome, as metrics name it.

    The code is one that `edge.errors` knows, whatever the wire said: each new value of
    a label is a new series for ever.
    """
    code = outcome.error.code if isinstance(outcome, Failed) else ""
    return state_of(outcome), code


@dataclass(frozen=True)
class JobRecord:
    """What a record says at one moment. `outcome` is the terminal event as JSON."""

    state: State
    outcome: str | None
    lease_is_over: bool
    is_late: bool


# KEYS job, live, waiting; ARGV limit, id, request, deadline_s, keep_s
# -> 1, or 0 when full.
# Jobs past their deadline are dropped first: every process that could end them died.
ADMIT = """
local time = redis.call('TIME')
local now = tonumber(time[1])
for i = 2, 3 do
  redis.call('ZREMRANGEBYSCORE', KEYS[i], '-inf', now - ARGV[4] - 10)
end
if redis.call('ZCARD', KEYS[2]) >= tonumber(ARGV[1]) then return 0 end
redis.call('HSET', KEYS[1], 'state', 'waiting', 'attempt', 0, 'request', ARGV[3],
           'expires', now + ARGV[4])
redis.call('EXPIRE', KEYS[1], ARGV[4] + ARGV[5])
local admitted = now + time[2] / 1000000
for i = 2, 3 do redis.call('ZADD', KEYS[i], admitted, ARGV[2]) end
return 1
"""

# KEYS job, waiting; ARGV id, lease_s
# -> {attempt, request, seconds left}, or nil unless it was waiting.
CLAIM = """
if redis.call('HGET', KEYS[1], 'state') ~= 'waiting' then return nil end
local now = tonumber(redis.call('TIME')[1])
redis.call('HSET', KEYS[1], 'state', 'running', 'lease', now + ARGV[2])
redis.call('ZREM', KEYS[2], ARGV[1])
local attempt = redis.call('HINCRBY', KEYS[1], 'attempt', 1)
local job = redis.call('HMGET', KEYS[1], 'request', 'expires')
return {attempt, job[1], job[2] - now}
"""

# KEYS job; ARGV attempt, lease_s -> 1, or 0 when this attempt is no longer the one.
RENEW = """
local job = redis.call('HMGET', KEYS[1], 'state', 'attempt')
if job[1] ~= 'running' or job[2] ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'lease', redis.call('TIME')[1] + ARGV[2])
return 1
"""

# KEYS job, live, waiting, pictures; ARGV id, attempt ('' = whichever), state, outcome,
# keep_s -> 1, or 0 when somebody else has ended it.
# Pictures are megabytes: they go at once, or a busy hour fills the broker with them.
END = """
local job = redis.call('HMGET', KEYS[1], 'state', 'attempt')
if job[1] ~= 'waiting' and job[1] ~= 'running' then return 0 end
if ARGV[2] ~= '' and ARGV[2] ~= job[2] then return 0 end
redis.call('HSET', KEYS[1], 'state', ARGV[3], 'outcome', ARGV[4])
redis.call('HDEL', KEYS[1], 'request')
redis.call('EXPIRE', KEYS[1], ARGV[5])
redis.call('UNLINK', KEYS[4])
for i = 2, 3 do redis.call('ZREM', KEYS[i], ARGV[1]) end
return 1
"""

# KEYS job -> {state, outcome or false, lease is over, is late}, or nil.
LOOK = """
local job = redis.call('HMGET', KEYS[1], 'state', 'outcome', 'lease', 'expires')
if not job[1] then return nil end
local now = tonumber(redis.call('TIME')[1])
local over = job[1] == 'running' and tonumber(job[3]) < now
return {job[1], job[2], over and 1 or 0, tonumber(job[4]) < now and 1 or 0}
"""
