"""Publishes what a store's outbox holds, right after the commit, in order, and says to the store what was acknowledged.

How store and relay meet (the store never imports the relay; mesh.service joins them):

1. In its writer thread, after a commit, the store calls `relay.on_commit(rows)` with all outbox rows of that commit,
   ascending by id. It never blocks and never raises. Before that call the store has noted which job waits for which
   ids, since the acknowledgement may come at once.
2. When the broker has acknowledged rows, the relay calls `store.mark_published(ids)` ON THE EVENT LOOP, whole batches
   at a time, repeats possible. It is a plain function that does no I/O: the store resolves `Committed.published` of
   each job whose last row was named, and deletes the rows lazily, in its next group commit.
3. At start, after a failed publish, and every few seconds, the relay asks `await store.pending(limit, older_than)`
   for rows that are still there: those of a process that died, or of a failed publish. A row that is in flight
   here is not sent a second time, whatever `pending` returns.

At least once: a row may be published twice (crash between acknowledgement and delete, or another replica's scan); in
its reader's store that changes nothing (compare-and-set, unique keys). Order: rows of one key are written by ascending
id; after a failure nothing is written past it until a scan has begun again at the oldest row. A row that is refused for
good (too large) is logged, counted, and passed over; its `Committed.published` never resolves, so a service bounds what
it enqueues.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from mesh.bus.errors import RefusedError
from mesh.bus.loop_bridge import LoopBridge
from mesh.bus.topics import MAX_RECORD_BYTES
from mesh.errors import StoreUnavailableError
from mesh.retries import Backoff, Retries, describe_error
from mesh.telemetry.failures import count_failure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mesh.bus.envelope import WireRecord
    from mesh.bus.message import OutboxRow
    from mesh.bus.publisher import RecordPublisher

log = logging.getLogger(__name__)

SCAN_INTERVAL_SECONDS = 3.0
"""Between scans for rows that another process left."""
ABANDONED_AFTER_SECONDS = 5.0
"""Age of a row that its own process would have published long ago."""
SCAN_ROWS = 500
"""Rows of one scan; small enough to hold in memory at MAX_RECORD_BYTES each."""
BACKOFF = Backoff(0.25, 2.0)
"""After a failed publish or a failed look, before the scan."""


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


@dataclass(slots=True)
class RelayCounters:
    """What the relay did since it was made."""

    published: int = 0
    failed: int = 0
    """Publishes that were not acknowledged; they are tried again."""
    refused: int = 0
    recovered: int = 0
    """Rows that a scan published."""
    in_flight: int = 0


class Relay:
    """Joins one store to one publisher. Made and stopped on the event loop."""

    def __init__(self, store: OutboxStore, publisher: RecordPublisher, *, max_in_flight: int = 5_000) -> None:
        """Beyond `max_in_flight` unacknowledged rows, further ones stay in the outbox until a scan takes them."""
        self.counters = RelayCounters()
        self._store = store
        self._publisher = publisher
        self._max_in_flight = max_in_flight
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._in_flight: dict[int, str] = {}
        """Row id -> topic."""
        self._held_topics: set[str] = set()
        """Topics whose rows stay in the outbox for the scan, since one failed: a missing topic stops no other."""
        self._all_held = True
        """All rows stay in the outbox for the scan: at start, and when too much was in flight."""
        self._left_behind = False
        """Rows were left in the outbox since the last look."""
        self._retries = Retries("publishing the outbox", BACKOFF, count=count_failure)
        self._why = ""
        """Of the last publish that failed."""
        self._published_before = 0
        """Rows that were published before the failures in a row began."""
        self._stopped = False
        self._answers = LoopBridge[tuple[int, BaseException | None]](self._loop, self._take_answers)
        self._refused: set[int] = set()
        self._wake = asyncio.Event()
        self._settled = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begins with what the outbox holds; rows of later commits follow it."""
        self._task = asyncio.get_running_loop().create_task(self._scan_until_stopped(), name="relay-scan")

    async def stop(self, grace_seconds: float = 2.0) -> None:
        """Waits that long for acknowledgements and ends; the rest stays in the outbox. Idempotent."""
        with self._lock:
            self._stopped = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        await self._wait_settled(None, grace_seconds)

    async def trouble(self) -> str:
        """Why nothing of the outbox is published; empty while any of it is. For health checks and people.

        One topic of several that is not there or not allowed is no reason to serve nothing: the log says it.
        """
        return self._retries.trouble if self.counters.published == self._published_before else ""

    def on_commit(self, rows: Sequence[OutboxRow]) -> None:
        """Publishes the rows of a commit. In any thread; never blocks, never raises."""
        with self._lock:
            if self._stopped:
                return
            if len(self._in_flight) + len(rows) > self._max_in_flight:
                self._all_held = True
            if self._all_held:
                now: Sequence[OutboxRow] = ()
            elif self._held_topics:
                now = [row for row in rows if row.message.topic not in self._held_topics]
            else:
                now = rows
            left_behind = len(now) < len(rows)
            self._left_behind = self._left_behind or left_behind
            self._publish(now)
        if left_behind:
            self._wake_on_loop()

    # ---- with the lock held ----

    def _publish(self, rows: Sequence[OutboxRow]) -> None:
        records: list[tuple[int, WireRecord]] = []
        for row in rows:
            if row.id in self._in_flight or row.id in self._refused:
                continue
            self._in_flight[row.id] = row.message.topic
            if len(row.message.payload) > MAX_RECORD_BYTES:
                size = len(row.message.payload)
                self._answer(row.id, RefusedError(f"{size} bytes are more than {MAX_RECORD_BYTES}"))
            else:
                records.append((row.id, self._publisher.wire(row.message)))
        if records:
            self._publisher.publish(records, self._answer)

    # ---- in the publisher's thread ----

    def _answer(self, row_id: int, error: BaseException | None) -> None:
        self._answers.put((row_id, error))

    def _wake_on_loop(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._wake.set)
        except RuntimeError:
            return

    # ---- on the loop ----

    def _take_answers(self, answers: Sequence[tuple[int, BaseException | None]]) -> None:
        published = [row_id for row_id, error in answers if error is None]
        if published:
            self._store.mark_published(published)
            self.counters.published += len(published)
        with self._lock:
            for row_id, error in answers:
                topic = self._in_flight.pop(row_id)
                if isinstance(error, RefusedError):
                    self._refused.add(row_id)
                    self.counters.refused += 1
                    log.error("outbox row %d is refused for good: %s", row_id, error)
                elif error is not None:
                    self.counters.failed += 1
                    if topic not in self._held_topics:
                        log.warning("outbox row %d was not published and is tried again: %s", row_id, error)
                    self._why = f"{topic} is not published: {describe_error(error)}"
                    self._held_topics.add(topic)
                    self._left_behind = True
            self.counters.in_flight = len(self._in_flight)
            held = self._all_held or bool(self._held_topics)
        self._settled.set()
        if held:
            self._wake.set()

    async def _wait_settled(self, topics: frozenset[str] | None, timeout_seconds: float | None) -> None:
        """Waits until nothing of these topics (None: of any) is in flight."""
        try:
            async with asyncio.timeout(timeout_seconds):
                while True:
                    self._settled.clear()
                    with self._lock:
                        flying = set(self._in_flight.values())
                    if not (flying if topics is None else flying & topics):
                        return
                    await self._settled.wait()
        except TimeoutError:
            return

    async def _scan_until_stopped(self) -> None:
        while True:
            try:
                if self._held:
                    await self._catch_up()
                else:
                    await self._take_abandoned()
                    self._retries.note_success()
            except StoreUnavailableError as error:
                log.warning("the outbox cannot be read: %s", error)
                await asyncio.sleep(self._note_failure(error.message))
                continue
            except Exception as error:
                log.exception("the relay's scan failed")
                await asyncio.sleep(self._note_failure(f"its scan failed: {describe_error(error)}"))
                continue
            self._wake.clear()
            if self._held:
                continue
            try:
                async with asyncio.timeout(SCAN_INTERVAL_SECONDS):
                    await self._wake.wait()
            except TimeoutError:
                continue

    def _note_failure(self, why: str) -> float:
        if self._retries.in_a_row == 0:
            self._published_before = self.counters.published
        return self._retries.note_failure(why)

    @property
    def _held(self) -> bool:
        return self._all_held or bool(self._held_topics)

    async def _take_abandoned(self) -> None:
        rows = await self._store.pending(SCAN_ROWS, ABANDONED_AFTER_SECONDS)
        with self._lock:
            if not self._held:
                rows = [row for row in rows if row.id not in self._in_flight and row.id not in self._refused]
                self.counters.recovered += len(rows)
                self._publish(rows)

    async def _catch_up(self) -> None:
        """Publishes what is held from its oldest row; then lets new rows pass, if none was left behind meanwhile."""
        with self._lock:
            topics = None if self._all_held else frozenset(self._held_topics)
        await self._wait_settled(topics, None)
        with self._lock:
            failed = not self._held_topics.isdisjoint(topics or self._held_topics)
            self._left_behind = False
        if failed:
            await asyncio.sleep(self._note_failure(self._why))
        limit = SCAN_ROWS + len(self._refused)
        found = await self._store.pending(limit, 0.0)
        with self._lock:
            rows = [
                row
                for row in found
                if row.id not in self._refused
                and row.id not in self._in_flight
                and (topics is None or row.message.topic in topics)
            ]
            self.counters.recovered += len(rows)
            self._publish(rows)
            if len(found) < limit and not self._left_behind:
                # Rows that follow are written after these, whose topics the publisher keeps in order.
                if topics is None:
                    self._all_held = False
                    self._held_topics.clear()
                else:
                    self._held_topics -= topics
