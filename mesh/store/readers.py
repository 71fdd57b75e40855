"""Threads that read a database for the event loop: a queue in, a wake-up of the loop out, and nothing between.

`run_in_executor` does the same with two futures and a condition a read, which costs more than the read.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
_Read = tuple["Callable[[], Any]", "asyncio.Future[Any]", asyncio.AbstractEventLoop]


class Readers:
    """A fixed number of threads."""

    def __init__(self, number: int, name: str) -> None:
        self._queue: queue.SimpleQueue[_Read | None] = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=self._serve, name=f"{name}-reader-{index}", daemon=True) for index in range(number)
        ]

    def start(self) -> None:
        """Starts the threads. Once."""
        for thread in self._threads:
            thread.start()

    async def run(self, read: Callable[[], T]) -> T:
        """Runs it in one of the threads; returns what it returns, raises what it raises."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()
        self._queue.put((read, answer, loop))
        return await answer

    def stop(self) -> None:
        """Lets what waits be read, then ends the threads. Blocks."""
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()

    def _serve(self) -> None:
        while (entry := self._queue.get()) is not None:
            read, answer, loop = entry
            value, failure = None, None
            try:
                value = read()
            except BaseException as error:  # noqa: BLE001 - whatever it is belongs to the one who waits
                failure = error
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(_settle, answer, value, failure)
            del entry, read, answer, value, failure  # or they would live until the next read


def _settle(answer: asyncio.Future[Any], value: Any, failure: BaseException | None) -> None:
    if answer.done():
        return
    if failure is None:
        answer.set_result(value)
    else:
        answer.set_exception(failure)
