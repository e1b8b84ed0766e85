"""Every key in the cache server, which may evict any of them; see `keys`."""

from __future__ import annotations

from edge.jobs.key_pattern import Key

ANSWER = Key(
    "answer",
    "edge:answer:{sha256}",
    "string",
    "an answer as JSON, in the cache server",
    "EDGE_ANSWER_TTL_S, or until it is evicted",
    "ui/answer_cache.py",
)
EMBEDDINGS = Key(
    "embeddings",
    "edge:embeddings:{sha256}",
    "hash",
    "header: JSON; 0, 1, ...: chunks of the embeddings of a picture, in the cache "
    "server",
    "2 hours, or until it is evicted",
    "edge/jobs/embeddings.py",
)
RESPONSE = Key(
    "response",
    "edge:response:{response_id}",
    "hash",
    "owner, culprit, created, model, has_tools, asked, input, outcome: a stored "
    "response, in the cache server",
    "a day, or until it is evicted",
    "ui/responses/store.py",
)
RESPONSES = Key(
    "responses",
    "edge:responses:{culprit}",
    "zset",
    "size and id of the stored responses of a tenant or address by their creation, in "
    "the cache server",
    "a day after the latest",
    "ui/responses/store.py",
)

ROWS = (ANSWER, EMBEDDINGS, RESPONSE, RESPONSES)
