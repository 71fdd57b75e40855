"""The event loop's half of the keyed consumer: who handles which record when, tries, dead letters, what is committable.

Records of one key are handled in order, different keys concurrently; a record counts as handled when its handler
returned or its dead letter was acknowledged. Knows no Kafka: consumer.py feeds it from a thread, the in-memory bus of
mesh/testing feeds it directly. All methods are called on the event loop.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from opentelemetry import context, trace

from mesh.bus.dead_letters import dead_letter, without_value
from mesh.bus.envelope import ReadRecord, WireRecord, to_incoming
from mesh.bus.errors import PoisonError, RecordTooLargeError, RefusedError, UnreadableBatchError
from mesh.bus.key_queues import KeyQueues
from mesh.bus.offsets import PrefixTracker
from mesh.bus.topics import MAX_RECORD_BYTES
from mesh.errors import BrokerUnavailableError, StoreUnavailableError
from mesh.retries import Backoff, Retries, describe_error
from mesh.telemetry.failures import count_dead_letter, count_failure
from mesh.telemetry.setup import as_current_span, extract, trace_headers

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from mesh.bus.message import Incoming

log = logging.getLogger(__name__)
tracer = trace.get_tracer(__name__)

WAITED_OUT = (StoreUnavailableError, BrokerUnavailableError)
"""Errors that say nothing against the record: it is tried until the store or the broker is back."""

T = TypeVar("T")
_Key = bytes | int
_NOT_RECEIVED = object()


@dataclass(frozen=True, slots=True)
class Tries:
    """How often a handler may fail before its record is dead."""

    max_tries: int = 5
    first_wait_seconds: float = 0.1
    """Doubled with each try."""
    longest_wait_seconds: float = 5.0

    def wait_seconds(self, tries: int) -> float:
        """Seconds to wait after this many failed tries."""
        return self.backoff.wait_seconds(tries)

    @property
    def backoff(self) -> Backoff:
        """The same waits."""
        return Backoff(self.first_wait_seconds, self.longest_wait_seconds)


@dataclass(frozen=True, slots=True)
class ConsumerSettings:
    """How one consumer reads."""

    max_in_flight: int = 500
    """Records that are read and not handled; at it, no more are taken until half of it is handled."""
    max_in_flight_bytes: int = 32 * 1024 * 1024
    """The same in bytes of keys and values."""
    commit_interval_seconds: float = 0.2
    """Shortest time between two commits; what a crash repeats at most, beside what is in flight."""
    session_timeout_seconds: float = 6.0
    """Time until the partitions of a silent member go to others; at least the broker's group.min.session.timeout.ms."""
    tries: Tries = Tries()


@dataclass(slots=True)
class Counters:
    """What a consumer did since it was made. Numbers only grow, but for the last two."""

    received: int = 0
    handled: int = 0
    """Whose handler returned."""
    failed_tries: int = 0
    dead_lettered: int = 0
    unreadable: int = 0
    """Batches among them that could not be decompressed or decoded."""
    unkept: int = 0
    """Records that not even the dead letters took: they stand in their topic alone, and the log says where."""
    dropped: int = 0
    """Given up unhandled because the partition went elsewhere; its new owner reads them."""
    receive_errors: int = 0
    """Times that `receive` raised when a record was read, but for PoisonError."""
    assignments: int = 0
    commits: int = 0
    failed_commits: int = 0
    in_flight: int = 0
    in_flight_bytes: int = 0


@dataclass(eq=False, slots=True)
class Assignment:
    """One partition as long as it is ours; the next time it is ours it is another object."""

    topic: str
    partition: int
    tracker: PrefixTracker = field(default_factory=PrefixTracker)
    workers: dict[_Key, asyncio.Task[None]] = field(default_factory=dict)
    live: bool = True


class Dispatcher:
    """Handles the records of all partitions of one consumer."""

    def __init__(
        self,
        *,
        group: str,
        handler: Callable[[T], Awaitable[None]],
        publish_dead_letter: Callable[[WireRecord], Awaitable[None]],
        progress: Callable[[Assignment, int], None],
        receive: Callable[[Incoming], T] | None = None,
        tries: Tries | None = None,
    ) -> None:
        """`publish_dead_letter` returns once it is acknowledged; `progress` is notified of what may be committed.

        `receive` and `handler`: see mesh.bus.consumer.
        """
        self.counters = Counters()
        self._group = group
        self._handler: Callable[[Any], Awaitable[None]] = handler
        self._publish_dead_letter = publish_dead_letter
        self._progress = progress
        self._receive = receive
        self._tries = tries or Tries()
        self._letters: dict[tuple[int, int], Retries] = {}
        """(partition, offset) of records whose dead letter was not taken yet."""
        self._queues: KeyQueues[tuple[Assignment, _Key], tuple[ReadRecord, Incoming, Any]] = KeyQueues()
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def trouble(self) -> str:
        """Why a record stands still that is to go to the dead letters; empty if none does."""
        return next((trouble for waiting in self._letters.values() if (trouble := waiting.trouble)), "")

    def deliver(self, batches: Sequence[tuple[Assignment, Sequence[ReadRecord]]]) -> None:
        """Takes what one poll returned."""
        for assignment, records in batches:
            size_bytes = sum(record.size_bytes for record in records)
            self.counters.received += len(records)
            if not assignment.live:
                self.counters.dropped += len(records)
                continue
            self.counters.in_flight += len(records)
            self.counters.in_flight_bytes += size_bytes
            self._idle.clear()
            for record in records:
                self._enqueue(assignment, record)

    def drop(self, assignments: Sequence[Assignment]) -> None:
        """Cancels all work of these partitions; nothing more of them becomes committable."""
        for assignment in assignments:
            assignment.live = False
            for task in assignment.workers.values():
                task.cancel()

    async def drain(self, timeout_seconds: float) -> bool:
        """Waits until nothing is in flight; False if it still is after this time."""
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True

    def _enqueue(self, assignment: Assignment, record: ReadRecord) -> None:
        assignment.tracker.arrived(record.offset)
        incoming = to_incoming(record)
        received: Any = incoming if self._receive is None else self._receive_early(self._receive, record, incoming)
        # Without a key there is no order to keep; its offset makes it a key of its own.
        key: _Key = record.key if record.key is not None else record.offset
        if self._queues.put((assignment, key), (record, incoming, received)):
            assignment.workers[key] = asyncio.get_running_loop().create_task(self._serve(assignment, key))

    def _receive_early(self, receive: Callable[[Incoming], Any], record: ReadRecord, incoming: Incoming) -> Any:
        """Returns what the handler takes; _NOT_RECEIVED if that fails: then it is tried again at its turn."""
        if record.unreadable or record.size_bytes > MAX_RECORD_BYTES:
            return _NOT_RECEIVED
        try:
            return receive(incoming)
        except PoisonError:
            return _NOT_RECEIVED
        except Exception:
            self.counters.receive_errors += 1
            log.exception("receive() failed for record %d of %s", record.offset, record.topic)
            return _NOT_RECEIVED

    async def _serve(self, assignment: Assignment, key: _Key) -> None:
        current: ReadRecord | None = None
        try:
            while (item := self._queues.take((assignment, key))) is not None:
                current, incoming, received = item
                await self._process(current, incoming, received)
                position = assignment.tracker.handled(current.offset)
                self._finished(current)
                current = None
                if position is not None and assignment.live:
                    self._progress(assignment, position)
        finally:
            assignment.workers.pop(key, None)
            if current is not None:
                self._abandon(current)
            while (item := self._queues.take((assignment, key))) is not None:
                self._abandon(item[0])

    def _abandon(self, record: ReadRecord) -> None:
        self.counters.dropped += 1
        self._finished(record)

    def _finished(self, record: ReadRecord) -> None:
        self.counters.in_flight -= 1
        self.counters.in_flight_bytes -= record.size_bytes
        if self.counters.in_flight == 0:
            self._idle.set()

    async def _process(self, record: ReadRecord, incoming: Incoming, received: Any) -> None:
        token = context.attach(extract(incoming.headers))
        try:
            with as_current_span(
                tracer,
                f"process {record.topic}",
                trace.SpanKind.CONSUMER,
                {
                    "messaging.system": "kafka",
                    "messaging.operation.type": "process",
                    "messaging.destination.name": record.topic,
                    "messaging.destination.partition.id": str(record.partition),
                    "messaging.kafka.offset": record.offset,
                    "messaging.consumer.group.name": self._group,
                    "messaging.message.id": incoming.event_id,
                },
            ):
                await self._try(record, incoming, received)
        finally:
            context.detach(token)

    async def _try(self, record: ReadRecord, incoming: Incoming, received: Any) -> None:
        tries = waits = 0
        while True:
            try:
                if record.unreadable:
                    raise UnreadableBatchError(record.unreadable)
                if record.size_bytes > MAX_RECORD_BYTES:
                    raise RecordTooLargeError(f"{record.size_bytes} bytes are more than {MAX_RECORD_BYTES}")
                if received is _NOT_RECEIVED and self._receive is not None:
                    received = self._receive(incoming)
                await self._handler(received)
            except asyncio.CancelledError as error:
                task = asyncio.current_task()
                if task is None or task.cancelling():
                    raise
                # The handler cancelled something of its own and let that escape: a fault of the handler.
                failure: BaseException = error
            except WAITED_OUT as error:
                waits += 1
                self.counters.failed_tries += 1
                log.warning("record %d of %s waits: %s", record.offset, record.topic, error)
                await asyncio.sleep(self._tries.wait_seconds(waits))
                continue
            except Exception as error:  # noqa: BLE001 - whatever a handler raises counts as a failed try
                failure = error
            else:
                self.counters.handled += 1
                return
            tries += 1
            self.counters.failed_tries += 1
            if isinstance(failure, PoisonError) or tries >= self._tries.max_tries:
                await self._give_up(record, failure, tries)
                return
            log.warning("record %d of %s failed", record.offset, record.topic, exc_info=failure)
            await asyncio.sleep(self._tries.wait_seconds(tries))

    async def _give_up(self, record: ReadRecord, failure: BaseException, tries: int) -> None:
        log.error(
            "record %d of %s[%d] goes to the dead letters after %d tries",
            record.offset,
            record.topic,
            record.partition,
            tries,
            exc_info=failure,
        )
        letter = dead_letter(
            record, failure, group=self._group, tries=tries, traceparent=trace_headers().get("traceparent", "")
        )
        place = record.partition, record.offset
        waiting = self._letters[place] = Retries(
            f"dead letters of {record.topic}", self._tries.backoff, count=count_failure
        )
        try:
            await self._keep(record, letter, waiting)
        finally:
            del self._letters[place]

    async def _keep(self, record: ReadRecord, letter: WireRecord, waiting: Retries) -> None:
        """Returns once the letter is acknowledged, however long that takes, or refused for good.

        Committing past a record that is kept nowhere would lose it, so its key waits for the broker, and `trouble` says
        so. One that is refused whatever of it is written stays in its topic, as long as that keeps it.
        """
        while True:
            try:
                await self._publish_dead_letter(letter)
            except RefusedError as error:
                if letter.value is None and letter.key is None:
                    self.counters.unkept += 1
                    log.error("the dead letters refuse record %d of %s[%d], which stays there alone: %s",
                              record.offset, record.topic, record.partition, error)  # fmt: skip
                    return
                letter = without_value(letter)
            except Exception as error:  # noqa: BLE001 - whatever it is, the record must not be lost
                why = f"record {record.offset} of {record.topic} waits for its dead letter: {describe_error(error)}"
                log.warning("%s", why)
                await asyncio.sleep(waiting.note_failure(why))
            else:
                self.counters.dead_lettered += 1
                self.counters.unreadable += bool(record.unreadable)
                count_dead_letter(record.topic)
                return
