"""A bus in memory that passes the suite of the real one (tests/contract/bus_suite.py): topics, groups, crashes.

It shares the dispatcher with the real consumer, and stands for the broker, its group coordinator and kafka-python.
Everything happens on one event loop. Only tests may use it.
"""

from __future__ import annotations

import asyncio
import time
import zlib
from collections import defaultdict
from typing import TYPE_CHECKING, TypeVar

from mesh.bus.dispatcher import Assignment, ConsumerSettings, Counters, Dispatcher
from mesh.bus.envelope import ReadRecord, WireRecord, to_wire
from mesh.bus.errors import RefusedError
from mesh.bus.topics import MAX_RECORD_BYTES
from mesh.errors import BrokerUnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from mesh.bus.message import Incoming, Outgoing

T = TypeVar("T")
_Partition = tuple[str, int]


class MemoryBus:
    """The broker."""

    def __init__(self) -> None:
        self.up = True
        """False: publishing fails as if no broker answered, and nothing is read."""
        self.logs: dict[_Partition, list[ReadRecord]] = {}
        self.committed: dict[tuple[str, _Partition], int] = {}
        """(group, partition) -> next offset to read."""
        self.members: dict[tuple[str, str], list[MemoryConsumer]] = defaultdict(list)
        self._max_message_bytes: dict[str, int] = {}

    def create_topic(self, name: str, partitions: int, max_message_bytes: int = 4 * MAX_RECORD_BYTES) -> None:
        """Makes a topic."""
        self._max_message_bytes[name] = max_message_bytes
        for number in range(partitions):
            self.logs.setdefault((name, number), [])

    def partitions(self, topic: str) -> list[_Partition]:
        """Returns the topic's partitions; empty if there is no such topic."""
        return sorted(partition for partition in self.logs if partition[0] == topic)

    def append(self, record: WireRecord) -> None:
        """Writes one record. RefusedError, BrokerUnavailableError as a real one."""
        partitions = self.partitions(record.topic)
        if not self.up or not partitions:
            raise BrokerUnavailableError("the broker is away, or has no topic " + record.topic)
        limit = self._max_message_bytes[record.topic]
        if record.size_bytes > limit:
            raise RefusedError(f"{record.size_bytes} bytes are more than {limit}")
        partition = partitions[zlib.crc32(record.key or b"") % len(partitions)]
        log = self.logs[partition]
        log.append(
            ReadRecord(
                record.topic,
                partition[1],
                len(log),
                time.time_ns() // 1_000_000,
                record.key,
                record.value,
                list(record.headers),
            )
        )
        for members in self.members.values():
            for member in members:
                member.wake()

    def rebalance(self, group: str, topic: str) -> None:
        """Deals the topic's partitions to the group's members; those that stay where they are notice nothing."""
        members = self.members[group, topic]
        if not members:
            return
        for index, partition in enumerate(self.partitions(topic)):
            owner = members[index % len(members)]
            for member in members:
                if member is not owner:
                    member.revoke(partition)
            owner.assign(partition)


class MemoryPublisher:
    """Stands for mesh.bus.publisher.Publisher."""

    def __init__(self, bus: MemoryBus, *, source: str) -> None:
        self.source = source
        self._bus = bus

    async def start(self) -> None:
        """Does nothing."""

    async def stop(self, timeout_seconds: float = 5.0) -> None:
        """Does nothing."""

    def wire(self, message: Outgoing) -> WireRecord:
        """Returns the record of this message."""
        return to_wire(message, self.source)

    def publish(self, records: Sequence[tuple[T, WireRecord]], done: Callable[[T, BaseException | None], None]) -> None:
        """Writes the records and notifies at once. On the loop."""
        for tag, record in records:
            try:
                self._bus.append(record)
            except (RefusedError, BrokerUnavailableError) as error:
                done(tag, error)
            else:
                done(tag, None)

    async def send(self, message: Outgoing) -> None:
        """Writes one record."""
        if len(message.payload) > MAX_RECORD_BYTES:
            raise RefusedError(f"{len(message.payload)} bytes are more than {MAX_RECORD_BYTES}")
        self._bus.append(self.wire(message))

    async def write(self, record: WireRecord) -> None:
        """Writes one record as it is."""
        self._bus.append(record)

    async def topic_exists(self, topic: str) -> bool:
        """True if there is such a topic."""
        if not self._bus.up:
            raise BrokerUnavailableError("the broker is away")
        return bool(self._bus.partitions(topic))

    async def usable(self) -> bool:
        """True while the bus is up."""
        return self._bus.up


class MemoryConsumer:
    """Stands for mesh.bus.consumer.KeyedConsumer."""

    def __init__(
        self,
        bus: MemoryBus,
        topic: str,
        group: str,
        handler: Callable[[T], Awaitable[None]],
        *,
        publish_dead_letter: Callable[[WireRecord], Awaitable[None]],
        receive: Callable[[Incoming], T] | None = None,
        instance_id: str | None = None,
        settings: ConsumerSettings | None = None,
    ) -> None:
        self.topic = topic
        self.group = group
        self._bus = bus
        self._settings = settings or ConsumerSettings()
        self._dispatcher = Dispatcher(
            group=group,
            handler=handler,
            publish_dead_letter=publish_dead_letter,
            progress=self._on_progress,
            receive=receive,
            tries=self._settings.tries,
        )
        self._assignments: dict[_Partition, Assignment] = {}
        self._positions: dict[_Partition, int] = {}
        self._wake = asyncio.Event()
        self._assigned = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def counters(self) -> Counters:
        """What was done so far; read only."""
        return self._dispatcher.counters

    @property
    def partitions(self) -> tuple[int, ...]:
        """The partitions that are ours now."""
        return tuple(sorted(number for _, number in self._assignments))

    async def start(self) -> None:
        """Joins the group."""
        self._bus.members[self.group, self.topic].append(self)
        self._bus.rebalance(self.group, self.topic)
        self._task = asyncio.get_running_loop().create_task(self._read())

    async def wait_assigned(self) -> None:
        """Returns once this member has partitions."""
        await self._assigned.wait()

    async def stop(self, grace_seconds: float = 0.0) -> None:
        """Reads no more, waits that long for what is in flight, cancels the rest and leaves."""
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._task = None
        await self._dispatcher.drain(grace_seconds)
        self._bus.members[self.group, self.topic].remove(self)
        for partition in list(self._assignments):
            self.revoke(partition)
        await self._dispatcher.drain(1.0)
        self._bus.rebalance(self.group, self.topic)

    def wake(self) -> None:
        """There may be something to read."""
        self._wake.set()

    def assign(self, partition: _Partition) -> None:
        """This partition is ours."""
        if partition not in self._assignments:
            self._assignments[partition] = Assignment(*partition)
            self._positions[partition] = self._bus.committed.get((self.group, partition), 0)
            self.counters.assignments += 1
            self._assigned.set()
            self.wake()

    def revoke(self, partition: _Partition) -> None:
        """This partition is not ours."""
        assignment = self._assignments.pop(partition, None)
        if assignment is not None:
            self._dispatcher.drop([assignment])

    def _on_progress(self, assignment: Assignment, position: int) -> None:
        self._bus.committed[self.group, (assignment.topic, assignment.partition)] = position
        self.counters.commits += 1
        self.wake()

    async def _read(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            for partition, assignment in list(self._assignments.items()):
                counters = self.counters
                room = self._settings.max_in_flight - counters.in_flight
                if not self._bus.up or room <= 0 or counters.in_flight_bytes >= self._settings.max_in_flight_bytes:
                    continue
                position = self._positions[partition]
                if batch := self._bus.logs[partition][position : position + room]:
                    self._positions[partition] = position + len(batch)
                    self._dispatcher.deliver([(assignment, batch)])
