"""Queues by key: of one key one item is out at a time, in order; different keys are independent. Pure, no threads."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Hashable

K = TypeVar("K", bound="Hashable")
V = TypeVar("V")


class KeyQueues(Generic[K, V]):
    """A key is busy from the `put` that finds it idle until its `take` finds nothing."""

    def __init__(self) -> None:
        self._queues: dict[K, deque[V]] = {}

    def __len__(self) -> int:
        """Number of busy keys."""
        return len(self._queues)

    def put(self, key: K, item: V) -> bool:
        """Adds an item; True if the key was idle, and the caller must now serve it."""
        queue = self._queues.get(key)
        if queue is None:
            self._queues[key] = deque((item,))
            return True
        queue.append(item)
        return False

    def take(self, key: K) -> V | None:
        """Returns the key's next item; None makes the key idle."""
        queue = self._queues.get(key)
        if queue:
            return queue.popleft()
        self._queues.pop(key, None)
        return None

    def drop(self, key: K) -> int:
        """Forgets what waits for this key and makes it idle; returns how many items that were."""
        return len(self._queues.pop(key, ()))
