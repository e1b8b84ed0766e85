"""Jobs: the state of every accepted question, kept in the broker Redis.

`admit` bounds how many there are, `record` describes their states, `channel` carries
their events, and `keys` lists everything that Redis holds. Celery only carries calls.
"""
