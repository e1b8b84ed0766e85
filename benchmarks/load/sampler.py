"""Takes samples of something in a thread of its own, beside the load."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Self


class Sampler:
    """Calls `sample` every `interval_s` while the block runs, and `close` then."""

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def sample(self) -> None:
        raise NotImplementedError

    def close(self) -> None:
        """Frees what the samples needed."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _where: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()
        self.close()

    def _run(self) -> None:
        while not self._over.wait(self._interval_s):
            self.sample()
