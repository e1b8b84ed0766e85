"""`python -m worker.healthcheck` exits 0 while a worker on this host gets questions.

Asks the broker, so never end the worker because of it: a worker that hangs ends itself.
Loads neither Celery nor a model: a health check must be cheap.
"""

from __future__ import annotations

import socket
import sys

from edge.jobs import fleet
from edge.redis_clients import sync_client
from edge.settings import Settings

if __name__ == "__main__":
    broker = sync_client(Settings.load().broker_url)
    sys.exit(0 if fleet.is_here(broker, socket.gethostname()) else 1)
