"""New pictures and texts to rank, by one user and then more and more.

Field report D loads its reranker in three steps: one user, then 2, 4, 8 and 16 to the
knee, then 30 minutes of steady load, which is `--stages 4 --duration 30m`.
"""

from __future__ import annotations

from benchmarks.load import rerank
from benchmarks.load.exchange import Patience
from benchmarks.load.user import ChatUser

STAGES = (1, 2, 4, 8, 16)
DURATION_S = 300


class Rerank(ChatUser):
    route = rerank.ROUTE

    def ask_next(self) -> None:
        name = f"{self.run_name}/{self.take_number()}"
        body = rerank.rerank_body(name, self.options.model, self.options.fields)
        patience = Patience(timeout_s=self.options.timeout_s or None)
        self.report("rerank", lambda: self.client.ask(body, patience))
