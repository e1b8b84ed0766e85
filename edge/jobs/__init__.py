"""Jobs: what is true about every accepted question, kept in the broker Redis.

The record says which state a job is in, the channel carries its events, pictures wait
beside it, and admission decides who may enter. Celery only moves the id.
"""
