"""Jobs: the state of every accepted question, kept in the broker Redis.

`client_side` and `worker_side` move them, `record` describes their states, `channel`
carries their events, and `keys` lists all that Redis holds. Celery only calls workers.
"""
