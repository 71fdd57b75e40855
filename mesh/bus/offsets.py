"""Which offset of a partition may be committed: the one after the contiguous prefix of handled records. Pure."""

from __future__ import annotations

from collections import deque


class PrefixTracker:
    """Bookkeeping of one assignment of one partition. Offsets may have gaps (compaction, aborted transactions)."""

    def __init__(self) -> None:
        self._order: deque[int] = deque()
        self._handled: set[int] = set()
        self._newest = -1

    @property
    def waiting(self) -> int:
        """Records that arrived and are not yet in the committed prefix."""
        return len(self._order)

    def arrived(self, offset: int) -> None:
        """Notes a record in the order of the partition. A step back (a re-read) forgets all that was open."""
        if offset <= self._newest:
            self._order.clear()
            self._handled.clear()
        self._newest = offset
        self._order.append(offset)

    def handled(self, offset: int) -> int | None:
        """Notes that a record is done; returns the offset to commit (the next to read) if the prefix grew."""
        if not self._order or offset < self._order[0] or offset > self._newest:
            return None
        self._handled.add(offset)
        position: int | None = None
        while self._order and self._order[0] in self._handled:
            first = self._order.popleft()
            self._handled.discard(first)
            position = first + 1
        return position
