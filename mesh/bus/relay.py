"""Publishes what a store's outbox holds, right after the commit, in order, and tells the store what was acknowledged.

How store and relay meet (the store never imports the relay; `wiring` joins them):

1. In its writer thread, after a commit, the store calls `relay.on_commit(rows)` with all outbox rows of that commit,
   ascending by id. It never blocks and never raises. Before that call the store has noted which job waits for which
   ids, since the acknowledgement may come at once.
2. When the broker has acknowledged rows, the relay calls `store.mark_published(ids)` ON THE EVENT LOOP, whole batches
   at a time, repeats possible. It is a plain function that does no I/O: the store resolves `Committed.published` of
   each job whose last row was named, and deletes the rows lazily, in its next group commit.
3. At start, after a failed publish, and every few seconds, the relay asks `await store.pending(limit, older_than)`
   for rows that are still there: those of a process that died, or of a failed publish. A row that is in flight
   here is not sent a second time, whatever `pending` returns.

At least once: a row may be published twice (crash between acknowledgement and delete); readers drop it by its event
id. `Committed.published` of a row that the broker refuses for good never resolves by itself: see `on_refused`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mesh.bus.message import OutboxRow


class OutboxStore(Protocol):
    """What the relay needs of a store; mesh.store.Database has it."""

    async def pending(self, limit: int, older_than_seconds: float) -> Sequence[OutboxRow]:
        """Returns at most `limit` unpublished rows that were committed that long ago, ascending by id.

        Raises StoreUnavailableError.
        """
        ...

    def mark_published(self, ids: Sequence[int]) -> None:
        """Notes that the broker has these rows. Called on the event loop; does no I/O; repeats and unknown ids do
        nothing."""
        ...
