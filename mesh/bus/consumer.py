"""The keyed consumer: one topic, one group; one key in order, keys concurrently; commits only what is handled.

At least once: a record is seen again after a crash or a rebalance unless it was in the handled prefix of its partition
that was committed. Its thread looks after the group and commits, kafka-python's own thread fetches (fetching.py);
handlers run on the event loop, see dispatcher.py.
When a partition goes to another member, its prefix is committed, its handlers are cancelled and the rest is left to
the new owner. With static membership (`instance_id`) a restarted pod takes up its own partitions without a rebalance.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from typing import TYPE_CHECKING, Any, TypeVar

from mesh.bus.dispatcher import Assignment, ConsumerSettings, Counters, Dispatcher
from mesh.bus.envelope import read_record
from mesh.bus.fetching import Fetching, poll_group
from mesh.bus.kafka_python import (
    AsyncConsumerRebalanceListener,
    CooperativeStickyAssignor,
    KafkaConsumer,
    OffsetAndMetadata,
    TopicPartition,
)
from mesh.bus.reachable import wait_reachable
from mesh.bus.refusals import missing_right
from mesh.retries import Backoff, Retries, describe_error
from mesh.telemetry.failures import count_failure

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from mesh.bus.access import KafkaAccess
    from mesh.bus.envelope import ReadRecord, WireRecord
    from mesh.bus.message import Incoming

__all__ = ["ConsumerSettings", "KeyedConsumer"]

log = logging.getLogger(__name__)

T = TypeVar("T")

_POLL_INTERVAL_SECONDS = 0.2
"""Between polls of group, positions and commits: as long as between two commits."""
_POSITIONS_SECONDS = 0.01
"""The same while a partition has no position yet."""
_GROUP_POLL_MS = 500
"""How long one poll may wait for the group; a stop waits as long."""
_FETCH_WAIT_MS = 250
"""A fetch that waits for records leaves out partitions that were added meanwhile: the most that these may be held up.
Lower costs idle CPU: a fetch each time."""
_RECORDS = 500
"""Taken at once at most."""
STALL_SECONDS = 30.0
"""Without a poll in this time the thread hangs: kafka-python was seen to wait without end for its coordinator."""
_UNKNOWN_TOPIC_SECONDS = 0.2
"""Between questions for a topic that is not there yet."""
_UNKNOWN_TOPIC_LOG_SECONDS = 5.0
"""Between lines in the log that say so; a start of all at once takes less."""
_BACKOFF = Backoff(1.0, 15.0)
"""Between a client that failed and the next one; below STALL_SECONDS."""
_SETTLED_SECONDS = 10.0
"""A client that has read for so long ends a row of failures: what fails for good fails with the first fetch."""
_ANSWER_SECONDS = 3.0
"""For the commits on revocation and at the end; below any session timeout."""


class KeyedConsumer:
    """Reads one topic for one group and handles each record once it is its turn."""

    def __init__(
        self,
        access: KafkaAccess,
        topic: str,
        group: str,
        handler: Callable[[T], Awaitable[None]],
        *,
        publish_dead_letter: Callable[[WireRecord], Awaitable[None]],
        receive: Callable[[Incoming], T] | None = None,
        instance_id: str | None = None,
        settings: ConsumerSettings | None = None,
    ) -> None:
        """Made on the event loop that runs `handler`.

        `handler`: returns once the record is handled for good. PoisonError sends it to the dead letters at once,
        StoreUnavailableError and BrokerUnavailableError are waited out, any other error is tried again a few times.
        It is cancelled when the partition is lost. `publish_dead_letter`: `Publisher.write`.
        `receive`: makes what `handler` takes of a record, the moment it is read, before those before it of its key are
        handled; None: it takes the record itself. If it raises, it is called again when it is the record's turn, and
        what it raises then counts as the handler's.
        `instance_id`: the pod's name, unique in the group and the same after a restart; None: a new member each time.
        """
        self.topic = topic
        self.group = group
        self._settings = settings or ConsumerSettings()
        self._access = access
        self._instance_id = instance_id
        self._dispatcher = Dispatcher(
            group=group,
            handler=handler,
            publish_dead_letter=publish_dead_letter,
            progress=self._on_progress,
            receive=receive,
            tries=self._settings.tries,
        )
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._assignments: dict[Any, Assignment] = {}
        self._committable: dict[Any, int] = {}
        self._delivered = 0
        self._full = False
        self._fetching: Fetching | None = None
        self._stopping = threading.Event()
        self._polled_at = time.monotonic()
        self._draining = False
        self._why_no_broker = ""
        self._retries = Retries(f"consumer of {topic}", _BACKOFF, count=count_failure)
        self._unknown_topic = Retries(f"topic {topic}", _BACKOFF, count=count_failure)
        self._assigned = asyncio.Event()
        self._thread: threading.Thread | None = None
        self._ended: asyncio.Future[None] = self._loop.create_future()

    @property
    def counters(self) -> Counters:
        """What was done so far; read only."""
        return self._dispatcher.counters

    @property
    def partitions(self) -> tuple[int, ...]:
        """The partitions that are ours now."""
        with self._lock:
            return tuple(sorted(tp.partition for tp in self._assignments))

    async def start(self) -> None:
        """Starts reading and returns at once; without a broker it keeps trying."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=f"bus-consumer-{self.topic}", daemon=True)
            self._thread.start()

    async def wait_assigned(self) -> None:
        """Returns once the group has given partitions to this member for the first time."""
        await self._assigned.wait()

    async def hang(self) -> str:
        """Says so if its thread hangs, which only a restart of the process mends. For health checks."""
        silent_seconds = time.monotonic() - self._polled_at
        return "" if silent_seconds < STALL_SECONDS else f"it hangs since {silent_seconds:.0f} s"

    async def trouble(self) -> str:
        """Why records stand still that ought to be read; empty if none do. For health checks and people."""
        return self._retries.trouble or self._unknown_topic.trouble or self._dispatcher.trouble

    async def stop(self, grace_seconds: float = 0.0) -> None:
        """Reads no more, waits that long for what is in flight, cancels the rest, commits and leaves. Repeatable."""
        self._draining = True
        if grace_seconds > 0:
            await self._dispatcher.drain(grace_seconds)
        self._stopping.set()
        if self._thread is not None:
            await asyncio.shield(self._ended)
            self._thread.join()
            await self._dispatcher.drain(grace_seconds + 1.0)

    # ---- on the loop ----

    def _on_progress(self, assignment: Assignment, position: int) -> None:
        partition = TopicPartition(assignment.topic, assignment.partition)
        with self._lock:
            if self._assignments.get(partition) is assignment:
                self._committable[partition] = position
        if self._full and self._fetching is not None:
            self._fetching.wake()

    def _on_drop(self, assignments: list[Assignment]) -> None:
        self._dispatcher.drop(assignments)

    def _on_assigned(self, number: int) -> None:
        self.counters.assignments += number
        self._assigned.set()

    def _on_ended(self) -> None:
        if not self._ended.done():
            self._ended.set_result(None)

    def _call_on_loop(self, callback: Callable[..., None], *arguments: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(callback, *arguments)
        except RuntimeError:
            # The loop is closed: the process is ending, and what is not committed is read again by the next one.
            self._stopping.set()

    # ---- in the consumer's thread ----

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                try:
                    self._read_until_stopped()
                except Exception as error:  # noqa: BLE001 - whatever it is, a new client may do better
                    self._wait(self._note_end(error))
        finally:
            self._call_on_loop(self._on_ended)

    def _read_until_stopped(self) -> None:
        if not wait_reachable(self._access, self._wait_for_broker):
            return
        consumer = self._connect()
        try:
            # A member that joins before it knows the topic's partitions may be assigned none of them, and kafka-python
            # then asks for a new assignment only after metadata.max.age, five minutes later.
            logged_at = time.monotonic()
            while not consumer.partitions_for_topic(self.topic):
                if time.monotonic() - logged_at > _UNKNOWN_TOPIC_LOG_SECONDS:
                    logged_at = time.monotonic()
                    why = f"no topic {self.topic} yet, or the KafkaUser of {self.group} lacks Read of it"
                    log.warning("%s", why)
                    self._unknown_topic.note_failure(why)
                if self._wait(_UNKNOWN_TOPIC_SECONDS):
                    return
            self._unknown_topic.note_success()
            consumer.subscribe([self.topic], listener=_Rebalances(self, consumer))
            self._fetching = Fetching(consumer, room=self._room, deliver=self._deliver)
            committed_at = 0.0
            settles_at = time.monotonic() + _SETTLED_SECONDS
            while not self._stopping.is_set():
                positioned = poll_group(consumer, _GROUP_POLL_MS)
                self._fetching.check()
                self._fetching.wake()
                now = time.monotonic()
                if positioned and now >= settles_at:
                    self._retries.note_success()
                if self._committable and now - committed_at >= self._settings.commit_interval_seconds:
                    committed_at = now
                    self._commit(consumer)
                self._wait(_POLL_INTERVAL_SECONDS if positioned else _POSITIONS_SECONDS)
        finally:
            self._leave(consumer)

    def _note_end(self, error: Exception) -> float:
        """Counts, logs, and returns the seconds until the next client."""
        why = missing_right(error, self.group, "Read", self.topic, self.group)
        seconds = self._retries.note_failure(why or f"{self.topic} cannot be read: {describe_error(error)}")
        if self._retries.in_a_row == 1 and why is None:
            log.error("consumer of %s starts again in %g s", self.topic, seconds, exc_info=error)
        else:  # once is enough of a stack
            log.error("consumer of %s starts again in %g s: %s", self.topic, seconds, why or describe_error(error))
        return seconds

    def _wait_for_broker(self, seconds: float, why: str) -> bool:
        if why and why != self._why_no_broker:
            log.error("no broker at %s: %s", self._access.bootstrap_servers, why)
        self._why_no_broker = why
        return self._wait(seconds)

    def _wait(self, seconds: float) -> bool:
        """Waits; True once it is to stop."""
        self._polled_at = time.monotonic()
        return self._stopping.wait(seconds)

    def _connect(self) -> Any:
        session_ms = int(self._settings.session_timeout_seconds * 1000)
        return KafkaConsumer(
            **self._access.client_settings(),
            client_id=self._instance_id or self.group,
            group_id=self.group,
            group_instance_id=self._instance_id,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            partition_assignment_strategy=(CooperativeStickyAssignor,),
            fetch_min_bytes=1,
            fetch_max_wait_ms=_FETCH_WAIT_MS,
            session_timeout_ms=session_ms,
            heartbeat_interval_ms=max(session_ms // 5, 100),
            reconnect_backoff_max_ms=1_000,
            bootstrap_timeout_ms=3_000,
            allow_auto_create_topics=False,
            metrics_enabled=False,
        )

    # ---- in kafka-python's thread ----

    def _room(self) -> int:
        """How many records may be taken now. Once it is none, half of what may be in flight must be handled first."""
        settings, counters = self._settings, self.counters
        share = 2 if self._full else 1
        room = settings.max_in_flight // share - self._in_flight()
        bytes_left = settings.max_in_flight_bytes // share - counters.in_flight_bytes
        self._full = self._draining or room <= 0 or bytes_left <= 0
        return 0 if self._full else min(room, _RECORDS)

    def _in_flight(self) -> int:
        """Records that were delivered and are not handled yet."""
        return self._delivered - (self.counters.received - self.counters.in_flight)

    def _deliver(self, records: dict[Any, list[Any]]) -> int:
        batches: list[tuple[Assignment, list[ReadRecord]]] = []
        with self._lock:
            for partition, read in records.items():
                assignment = self._assignments.get(partition)
                if assignment is not None:
                    batches.append((assignment, [read_record(record) for record in read]))
                    self._delivered += len(read)
        if batches:
            self._call_on_loop(self._dispatcher.deliver, batches)
        return self._in_flight()

    # ---- in the consumer's thread again ----

    def _commit(self, consumer: Any) -> None:
        with self._lock:
            positions, self._committable = self._committable, {}
        if positions:
            self.counters.commits += 1
            consumer.commit_async(_offsets(positions), callback=self._on_commit_answer)

    def _on_commit_answer(self, offsets: dict[Any, Any], answer: object) -> None:
        if not isinstance(answer, Exception):
            return
        self.counters.failed_commits += 1
        log.warning("commit of %s failed and is repeated with the next: %r", self.topic, answer)
        with self._lock:
            for partition, offset in offsets.items():
                if partition in self._assignments:
                    self._committable.setdefault(partition, offset.offset)

    def _leave(self, consumer: Any) -> None:
        if self._fetching is not None:
            self._fetching.stop()
            self._fetching = None
        positions = self._take(list(self._assignments))
        try:
            if positions:
                self.counters.commits += 1
                consumer.commit(_offsets(positions), timeout_ms=int(_ANSWER_SECONDS * 1000))
        except Exception as error:  # noqa: BLE001 - no broker, fenced, ...: they are read again
            self.counters.failed_commits += 1
            log.warning("last commit of %s failed: %r", self.topic, error)
        consumer.close(autocommit=False, timeout_ms=int(_ANSWER_SECONDS * 1000))

    # ---- in kafka-python's thread, and at the end in ours ----

    def _take(self, partitions: Iterable[Any]) -> dict[Any, int]:
        """Ends these assignments; returns what of them is still to be committed."""
        dropped = []
        positions = {}
        with self._lock:
            for partition in partitions:
                assignment = self._assignments.pop(partition, None)
                if assignment is not None:
                    dropped.append(assignment)
                position = self._committable.pop(partition, None)
                if position is not None:
                    positions[partition] = position
        if dropped:
            self._call_on_loop(self._on_drop, dropped)
        return positions

    def _add(self, partitions: Iterable[Any]) -> None:
        with self._lock:
            for partition in partitions:
                self._assignments[partition] = Assignment(partition.topic, partition.partition)
            number = len(self._assignments)
        if number:
            self._call_on_loop(self._on_assigned, number)


class _Rebalances(AsyncConsumerRebalanceListener):  # type: ignore[misc]
    """Notified by kafka-python, in its I/O thread, where blocking would stop the heartbeats."""

    def __init__(self, owner: KeyedConsumer, consumer: Any) -> None:
        self._owner = owner
        self._consumer = consumer

    async def on_partitions_revoked(self, revoked: Iterable[Any]) -> None:
        positions = self._owner._take(revoked)
        if positions:
            self._owner.counters.commits += 1
            try:
                await self._consumer.commit_async(_offsets(positions))
            except Exception as error:  # noqa: BLE001 - the new owner reads them again
                self._owner.counters.failed_commits += 1
                log.warning("commit of %s on revocation failed: %r", self._owner.topic, error)

    async def on_partitions_lost(self, lost: Iterable[Any]) -> None:
        self._owner._take(lost)

    async def on_partitions_assigned(self, assigned: Iterable[Any]) -> None:
        self._owner._add(assigned)


def _offsets(positions: dict[Any, int]) -> dict[Any, Any]:
    return {partition: OffsetAndMetadata(position, "", -1) for partition, position in positions.items()}
