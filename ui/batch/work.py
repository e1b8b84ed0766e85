"""Works on one batch: asks its lines, a few at a time, and writes what they gave."""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

from edge.errors import DeadlineExceeded, EdgeError, NotFound
from ui.batch.files import CONTENT, GROWS
from ui.batch.folders import Folder, Folders
from ui.batch.internal_call import Result
from ui.batch.lines import Line, read_lines

log = logging.getLogger(__name__)

PREFIX = "batch_"
WORKING, WAITING, FAILED = "in_progress", "waiting", "failed"
OPEN = (WORKING, "cancelling")  # the states of a batch that has not ended
CANCEL = "cancel"  # the file in its folder that asks for its end
LINES_TOGETHER = 2
MOST_LATE = 3  # deadlines that one line may exceed
LOOK_S = 2.0  # between two looks at whether a batch that pauses goes on
ROOM_S = 10.0  # between two looks at how much room is left
WINDOW_S = 86_400

Ask = Callable[[Folder, Line], Awaitable[Result]]


class Work:
    """The rest of a batch: the lines that have no result on the disk yet."""

    def __init__(self, batch: Folder, folders: Folders, ask: Ask) -> None:
        self._batch = batch
        self._folders = folders
        self._ask = ask
        self._disk = asyncio.Lock()  # one line at a time is read or written
        about = batch.about
        self._input = folders.path(about["input_file_id"]) / CONTENT
        self._output = folders.path(about["output_file_id"]) / CONTENT
        self._errors = folders.path(about["error_file_id"]) / CONTENT
        self._ends_at = about["created_at"] + WINDOW_S
        self._looks_at = float("-inf")
        self._fault: EdgeError | None = None  # why there is no room, as last seen

    async def run(self) -> None:
        """Works until all lines have results, or the batch is cancelled or expires. It
        has failed when its files are deleted. Returns earlier when there is no room for
        results: the batch waits.
        """
        try:
            state = await self._work_on_all()
        except* FileNotFoundError:
            state, self._fault = FAILED, NotFound("A file of this batch was deleted.")
        if state not in (WORKING, WAITING):
            await asyncio.to_thread(self._end, state)

    async def _work_on_all(self) -> str:
        """Returns the state in which the batch is then."""
        if await asyncio.to_thread(self._state) == WAITING:
            return WAITING
        if self._batch.about.get("fault"):  # that is over
            self._batch = self._batch.write(fault=None)
        completed = await asyncio.to_thread(known_ids, self._output)
        failed = await asyncio.to_thread(known_ids, self._errors)
        self._count(len(completed), len(failed))
        rest = self._rest(completed | failed)
        async with asyncio.TaskGroup() as group:
            for _ in range(LINES_TOGETHER):
                group.create_task(self._work(rest))
        state = await asyncio.to_thread(self._state)
        if state == WAITING and self._fault:
            log.warning("a batch waits: %s", self._fault)
            await asyncio.to_thread(self._batch.write, fault=_told(self._fault))
        return state

    def _rest(self, known: set[str]) -> Iterator[Line]:
        return (line for line in read_lines(self._input) if line.custom_id not in known)

    async def _work(self, rest: Iterator[Line]) -> None:
        """Takes one line after the other from those that are left."""
        while not await self._stops():
            async with self._disk:
                line = await asyncio.to_thread(next, rest, None)
            if line is None:
                return
            result = await self._result(line)
            if result is not None:
                async with self._disk:
                    await asyncio.to_thread(self._write, line, result)

    async def _result(self, line: Line) -> Result | None:
        """What the line gave; None when the batch stops before."""
        n_late = 0
        while not await self._stops():
            result = await self._ask(self._batch, line)
            n_late += result.status == DeadlineExceeded.status
            # what waited too long may have its turn next time, what computes too long
            # never ends
            if not result.retry_after_s or n_late == MOST_LATE:
                return result
            await self._pause(result.retry_after_s)
        return None

    async def _pause(self, seconds: float) -> None:
        """A quota may be of a day; until then the batch can be cancelled, or expire."""
        ends = time.monotonic() + seconds
        while not await self._stops() and (left := ends - time.monotonic()) > 0:
            await asyncio.sleep(min(left, LOOK_S))

    async def _stops(self) -> bool:
        return await asyncio.to_thread(self._state) != WORKING

    def _state(self) -> str:
        """The state in which the batch is, or ends now."""
        about = self._batch.about
        if about["completed"] + about["failed"] == about["total"]:
            return "completed"
        if (self._batch.path / CANCEL).exists():
            return "cancelled"
        if time.time() > self._ends_at:
            return "expired"
        self._look_for_room()
        return WORKING if self._fault is None else WAITING

    def _look_for_room(self) -> None:
        """Now and then: all folders are measured."""
        if time.monotonic() < self._looks_at:
            return
        self._looks_at = time.monotonic() + ROOM_S
        try:
            self._folders.check_room(self._batch.owner)
        except EdgeError as fault:
            self._fault = fault
        else:
            self._fault = None

    def _end(self, state: str) -> None:
        about, fault = self._batch.about, None
        if state in (FAILED, "expired") and self._fault:
            fault = _told(self._fault)
        for file_id in (about["output_file_id"], about["error_file_id"]):
            if file := self._folders.read(file_id):
                file.write(**{GROWS: False})
        self._batch.write(status=state, ended_at=int(time.time()), fault=fault)

    def _write(self, line: Line, result: Result) -> None:
        is_right = result.status == 200
        response = {
            "status_code": result.status,
            "request_id": secrets.token_hex(16),
            "body": result.body,
        }
        written: dict[str, Any] = {
            "id": f"batch_req_{secrets.token_hex(16)}",
            "custom_id": line.custom_id,
            "response": response,
            "error": None,
        }
        with (self._output if is_right else self._errors).open("a") as file:
            file.write(json.dumps(written, ensure_ascii=False) + "\n")
        about = self._batch.about
        self._count(about["completed"] + is_right, about["failed"] + (not is_right))

    def _count(self, completed: int, failed: int) -> None:
        self._batch = self._batch.write(completed=completed, failed=failed)


def _told(fault: EdgeError) -> dict[str, str]:
    return {"code": fault.code, "message": fault.message}


def known_ids(path: Path) -> set[str]:
    """The `custom_id`s of the results in a file. What a full disk or a process that
    died left of a line is cut off, and what follows it. Blocks."""
    known, end = set(), 0
    with path.open("rb+") as file:
        for data in file:
            if not data.endswith(b"\n"):
                break
            try:
                result = json.loads(data)
            except ValueError:
                break
            known.add(result["custom_id"])
            end += len(data)
        file.truncate(end)
    return known
