"""Hands items from any thread to the event loop, whole batches at a time: one wake-up for all that wait.

A `call_soon_threadsafe` a record would cost more than the record. Used for acknowledgements.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence

T = TypeVar("T")


class LoopBridge(Generic[T]):
    """One way onto one loop. Items arrive in the order in which they were put."""

    def __init__(self, loop: asyncio.AbstractEventLoop, take: Callable[[Sequence[T]], None]) -> None:
        """`take` is called on the loop with all that was put since it was called last."""
        self._loop = loop
        self._take = take
        self._lock = threading.Lock()
        self._items: list[T] = []

    def put(self, item: T) -> None:
        """Adds an item; in any thread. Once the loop is closed, items are forgotten: the process is ending."""
        with self._lock:
            self._items.append(item)
            if len(self._items) > 1:
                return
        try:
            self._loop.call_soon_threadsafe(self._bridge)
        except RuntimeError:
            return

    def _bridge(self) -> None:
        with self._lock:
            items, self._items = self._items, []
        self._take(items)
