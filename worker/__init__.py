"""The worker process: takes jobs from the queue, runs the engine, streams events back.

Start it with `python -m worker`.
"""
