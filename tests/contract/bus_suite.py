"""What every bus promises, whichever it is: held to by the one in memory (contract) and by Kafka (integration).

A subclass says how to make a bus, in `bus()`. Topics are new for each test.
"""

from __future__ import annotations

import asyncio
import itertools
import uuid
from abc import ABC, abstractmethod
from collections import defaultdict
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace

from mesh.bus.dispatcher import ConsumerSettings, Tries
from mesh.bus.envelope import WireRecord
from mesh.bus.errors import PoisonError, RefusedError
from mesh.bus.message import Incoming, OutboxRow, Outgoing
from mesh.bus.relay import Relay
from mesh.bus.topics import MAX_RECORD_BYTES, dead_letters_topic
from mesh.errors import BrokerUnavailableError, StoreUnavailableError
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

WAIT_SECONDS = 30.0
QUICK = ConsumerSettings(tries=Tries(max_tries=3, first_wait_seconds=0.01, longest_wait_seconds=0.05))


def message(topic: str, key: str, text: str, **headers: str) -> Outgoing:
    """Returns a record with this text as its payload."""
    return Outgoing(topic, key, str(uuid.uuid4()), "rostrum.test.v1.Text", text.encode(), headers)


class BusUnderTest(ABC):
    """One kind of bus, open."""

    publisher: Any

    @abstractmethod
    async def create_topic(self, partitions: int) -> str:
        """Returns a new topic; its dead letters' topic is made too."""

    @abstractmethod
    def consumer(self, topic: str, group: str, handler: Callable[[Any], Awaitable[None]], **options: Any) -> Any:
        """Returns a consumer that is not started; its dead letters are written by `publisher`."""

    @asynccontextmanager
    async def reading(
        self, topic: str, handler: Callable[[Any], Awaitable[None]], group: str = "group", **options: Any
    ) -> AsyncIterator[Any]:
        """A consumer that has its partitions."""
        consumer = self.consumer(topic, group, handler, **{"settings": QUICK, **options})
        await consumer.start()
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await consumer.wait_assigned()
            yield consumer
        finally:
            await consumer.stop()


class ListStore:
    """An outbox in memory, as mesh.store's database shows itself to the relay."""

    def __init__(self) -> None:
        self.rows: dict[int, OutboxRow] = {}
        self.published: list[int] = []
        self._ids = itertools.count(1)

    def commit(self, *messages: Outgoing) -> list[OutboxRow]:
        rows = [OutboxRow(next(self._ids), one) for one in messages]
        self.rows.update((row.id, row) for row in rows)
        return rows

    async def pending(self, limit: int, older_than_seconds: float) -> Sequence[OutboxRow]:
        return [self.rows[row_id] for row_id in sorted(self.rows)][:limit] if older_than_seconds == 0 else []

    def mark_published(self, ids: Sequence[int]) -> None:
        self.published += ids
        for row_id in ids:
            self.rows.pop(row_id, None)


@pytest.mark.timeout(90)
class BusSuite:
    """The promises; each class of it has a fixture `bus`, an open one."""

    async def test_keeps_the_order_of_a_key(self, bus: BusUnderTest) -> None:
        """Records of one key are handled one at a time and in the order in which they were sent."""
        topic = await bus.create_topic(3)
        seen: dict[str, list[str]] = defaultdict(list)
        busy: set[str] = set()

        async def handler(record: Incoming) -> None:
            assert record.key not in busy
            busy.add(record.key)
            await asyncio.sleep(0)
            seen[record.key].append(record.payload.decode())
            busy.discard(record.key)

        async with bus.reading(topic, handler):
            for number in range(20):
                for key in ("a", "b", "c"):
                    await bus.publisher.send(message(topic, key, str(number)))
            await until("all 60 records", lambda: sum(map(len, seen.values())) == 60)
        assert seen == {key: [str(number) for number in range(20)] for key in ("a", "b", "c")}

    async def test_handles_keys_concurrently(self, bus: BusUnderTest) -> None:
        """A key whose handler waits holds up no other key, even of the same partition."""
        topic = await bus.create_topic(1)
        gate = asyncio.Event()
        done: list[str] = []

        async def handler(record: Incoming) -> None:
            if record.key == "slow":
                await gate.wait()
            done.append(record.key)

        async with bus.reading(topic, handler):
            await bus.publisher.send(message(topic, "slow", "1"))
            await bus.publisher.send(message(topic, "quick", "2"))
            await until("the quick key", lambda: done == ["quick"])
            gate.set()
            await until("the slow key", lambda: done == ["quick", "slow"])

    async def test_carries_the_envelope(self, bus: BusUnderTest) -> None:
        """Key, payload, event id, type, source and further headers arrive as they were sent."""
        topic = await bus.create_topic(1)
        seen: list[Incoming] = []

        async def handler(record: Incoming) -> None:
            seen.append(record)

        sent = message(topic, "débat", "ü", tracestate="a=b")
        async with bus.reading(topic, handler):
            await bus.publisher.send(sent)
            await until("the record", lambda: len(seen) == 1)
        (record,) = seen
        assert (record.topic, record.key, record.payload) == (topic, "débat", "ü".encode())
        assert (record.event_id, record.type) == (sent.event_id, sent.type)
        assert record.headers["ce_source"] == "tester"
        assert record.headers["ce_specversion"] == "1.0"
        assert record.headers["content-type"] == "application/protobuf"
        assert record.headers["tracestate"] == "a=b"

    async def test_goes_on_with_the_trace(self, bus: BusUnderTest) -> None:
        """The handler runs in the trace that the record's traceparent names."""
        topic = await bus.create_topic(1)
        traces: list[int] = []

        async def handler(_record: Incoming) -> None:
            traces.append(trace.get_current_span().get_span_context().trace_id)

        async with bus.reading(topic, handler):
            await bus.publisher.send(message(topic, "a", "1", traceparent=f"00-{'ab' * 16}-{'cd' * 8}-01"))
            await until("the record", lambda: len(traces) == 1)
        assert traces == [int("ab" * 16, 16)]

    async def test_goes_on_after_the_committed_prefix(self, bus: BusUnderTest) -> None:
        """A member that stops with the first record of three unhandled leaves all three to the next one."""
        topic = await bus.create_topic(1)
        first: list[str] = []
        second: list[str] = []

        async def stuck(record: Incoming) -> None:
            if record.key == "b":
                await asyncio.Event().wait()
            first.append(record.key)

        async def handler(record: Incoming) -> None:
            second.append(record.key)

        async with bus.reading(topic, stuck):
            for key in ("a", "b", "c"):
                await bus.publisher.send(message(topic, key, "1"))
            await until("all but the one that hangs", lambda: sorted(first) == ["a", "c"])
        async with bus.reading(topic, handler):
            await until("what was left", lambda: len(second) >= 2)
        assert sorted(second) == ["b", "c"]

    async def test_poison_goes_to_the_dead_letters_at_once(self, bus: BusUnderTest) -> None:
        """A PoisonError costs one try; the letter has the original bytes, the reason and where it was; others go on."""
        topic = await bus.create_topic(1)
        tries: list[str] = []
        letters: list[Incoming] = []

        async def handler(record: Incoming) -> None:
            tries.append(record.key)
            if record.key == "bad":
                raise PoisonError("not a message of ours")

        async def read_letter(record: Incoming) -> None:
            letters.append(record)

        bad = b"\xff\x00\xfe"
        async with bus.reading(topic, handler), bus.reading(dead_letters_topic(topic), read_letter, "letters"):
            await bus.publisher.write(WireRecord(topic, b"bad", bad, [("own", b"kept"), ("ce_id", b"7")]))
            await bus.publisher.send(message(topic, "good", "1"))
            await until("the dead letter and the good record", lambda: len(letters) == 1 and "good" in tries)
        assert sorted(tries) == ["bad", "good"]
        (letter,) = letters
        assert (letter.key, letter.payload, letter.event_id) == ("bad", bad, "7")
        assert letter.headers["own"] == "kept"
        assert letter.headers["dead_letter_error"] == "not a message of ours"
        assert letter.headers["dead_letter_error_class"] == "mesh.bus.errors.PoisonError"
        assert letter.headers["dead_letter_topic"] == topic
        assert letter.headers["dead_letter_partition"] == "0"
        assert letter.headers["dead_letter_offset"] == "0"
        assert letter.headers["dead_letter_tries"] == "1"

    async def test_a_failing_record_is_dead_after_bounded_tries(self, bus: BusUnderTest) -> None:
        """Any other error is tried again up to the limit; then the record is dead and its key goes on."""
        topic = await bus.create_topic(1)
        tries: list[str] = []

        async def handler(record: Incoming) -> None:
            tries.append(record.payload.decode())
            if record.payload == b"bad":
                raise LookupError("as always")

        async with bus.reading(topic, handler) as consumer:
            await bus.publisher.send(message(topic, "a", "bad"))
            await bus.publisher.send(message(topic, "a", "good"))
            await until("the good record", lambda: "good" in tries)
            assert tries == ["bad", "bad", "bad", "good"]
            assert consumer.counters.dead_lettered == 1
            assert consumer.counters.failed_tries == 3

    async def test_waits_for_the_store(self, bus: BusUnderTest) -> None:
        """StoreUnavailableError says nothing against the record: it is tried beyond the limit until it is handled."""
        topic = await bus.create_topic(1)
        tries: list[int] = []

        async def handler(_record: Incoming) -> None:
            tries.append(1)
            if len(tries) < 8:
                raise StoreUnavailableError("disk full")

        async with bus.reading(topic, handler) as consumer:
            await bus.publisher.send(message(topic, "a", "1"))
            await until("the record", lambda: consumer.counters.handled == 1)
            assert len(tries) == 8
            assert consumer.counters.dead_lettered == 0

    async def test_a_record_of_2_mib_is_dead_and_the_partition_moves_on(self, bus: BusUnderTest) -> None:
        """An oversized record of somebody else never reaches the handler; its bytes are kept; the next is handled."""
        topic = await bus.create_topic(1)
        seen: list[str] = []

        async def handler(record: Incoming) -> None:
            seen.append(record.key)

        async with bus.reading(topic, handler) as consumer:
            await bus.publisher.write(WireRecord(topic, b"big", b"x" * 2 * 1024 * 1024, []))
            await bus.publisher.send(message(topic, "small", "1"))
            await until(
                "the dead letter and the small record",
                lambda: consumer.counters.dead_lettered == 1 and seen == ["small"],
            )
        with pytest.raises(RefusedError):
            await bus.publisher.send(message(topic, "big", "x" * (MAX_RECORD_BYTES + 1)))

    async def test_reads_no_more_than_it_may_hold(self, bus: BusUnderTest) -> None:
        """With handlers that wait, what is read unhandled stays within the limit (and one poll); then all goes."""
        topic = await bus.create_topic(1)
        gate = asyncio.Event()
        most = 0

        async def handler(_record: Incoming) -> None:
            await gate.wait()

        settings = ConsumerSettings(max_in_flight=10)
        async with bus.reading(topic, handler, settings=settings) as consumer:
            for number in range(100):
                await bus.publisher.send(message(topic, str(number), "1"))
            await until("ten records in flight", lambda: consumer.counters.in_flight >= 10)
            most = consumer.counters.received
            gate.set()
            await until("all 100 records", lambda: consumer.counters.handled == 100)
        assert most <= 20

    async def test_receives_a_record_when_it_is_read(self, bus: BusUnderTest) -> None:
        """`receive` gets a record while the one before it of the same key is still being handled, once, and what it
        returns is handled; if it fails, it is called again when it is the record's turn."""
        topic = await bus.create_topic(1)
        gate = asyncio.Event()
        received: list[str] = []
        handled: list[int] = []

        async def handler(number: int) -> None:
            handled.append(number)
            await gate.wait()

        def receive(record: Incoming) -> int:
            received.append(record.payload.decode())
            if received == ["1", "2"]:
                gate.set()
                raise LookupError("counted, and no harm done")
            return int(record.payload)

        async with bus.reading(topic, handler, receive=receive) as consumer:
            await bus.publisher.send(message(topic, "a", "1"))
            await bus.publisher.send(message(topic, "a", "2"))
            await until("both records", lambda: consumer.counters.handled == 2)
            assert received == ["1", "2", "2"]
            assert handled == [1, 2]
            assert consumer.counters.receive_errors == 1

    async def test_what_cannot_be_received_is_a_dead_letter(self, bus: BusUnderTest) -> None:
        """PoisonError from `receive` sends the record to the dead letters when it is its turn, and only it."""
        topic = await bus.create_topic(1)
        handled: list[int] = []

        async def handler(number: int) -> None:
            handled.append(number)

        def receive(record: Incoming) -> int:
            if record.payload == b"x":
                raise PoisonError("no number")
            return int(record.payload)

        async with bus.reading(topic, handler, receive=receive) as consumer:
            for text in ("1", "x", "2"):
                await bus.publisher.send(message(topic, "a", text))
            counters = consumer.counters
            await until("all three", lambda: counters.handled == 2 and counters.dead_lettered == 1)
            assert handled == [1, 2]
            assert counters.receive_errors == 0

    async def test_a_second_member_takes_over_a_part(self, bus: BusUnderTest) -> None:
        """A new member gets partitions; handlers of those that moved are cancelled; nothing is lost."""
        topic = await bus.create_topic(4)
        gate = asyncio.Event()
        done: list[str] = []
        cancelled: list[str] = []

        async def waits(record: Incoming) -> None:
            try:
                await gate.wait()
            except asyncio.CancelledError:
                cancelled.append(record.key)
                raise
            done.append(record.key)

        async def quick(record: Incoming) -> None:
            done.append(record.key)

        keys = {str(number) for number in range(40)}
        async with bus.reading(topic, waits) as first:
            for key in keys:
                await bus.publisher.send(message(topic, key, "1"))
            await until("all 40 records", lambda: first.counters.received == 40)
            async with bus.reading(topic, quick) as second:
                await until("two partitions each", lambda: len(first.partitions) == 2 and len(second.partitions) == 2)
                await until("what was cancelled", lambda: bool(cancelled) and set(done) == set(cancelled))
                gate.set()
                await until("all keys", lambda: set(done) == keys)
        assert len(done) == 40

    async def test_an_unknown_topic_is_an_error(self, bus: BusUnderTest) -> None:
        """Sending to a topic that is not there fails as BrokerUnavailableError; topic_exists says so."""
        topic = await bus.create_topic(1)
        assert await bus.publisher.topic_exists(topic)
        assert not await bus.publisher.topic_exists(topic + "-absent")
        with pytest.raises(BrokerUnavailableError):
            await bus.publisher.send(message(topic + "-absent", "a", "1"))
        assert await bus.publisher.usable()

    async def test_the_relay_publishes_old_rows_first(self, bus: BusUnderTest) -> None:
        """What the outbox held at start comes before what is committed later; all of it is marked, once."""
        topic = await bus.create_topic(1)
        seen: list[str] = []

        async def handler(record: Incoming) -> None:
            seen.append(record.payload.decode())

        store = ListStore()
        store.commit(*(message(topic, "a", str(number)) for number in range(5)))
        relay = Relay(store, bus.publisher)
        await relay.start()
        async with bus.reading(topic, handler):
            for number in range(5, 50):
                relay.on_commit(store.commit(message(topic, "a", str(number))))
            await until("50 records", lambda: len(seen) >= 50)
        await relay.stop()
        assert seen == [str(number) for number in range(50)]
        assert sorted(store.published) == list(range(1, 51))

    async def test_a_missing_topic_holds_up_no_other(self, bus: BusUnderTest) -> None:
        """Rows for a topic that is not there wait in the outbox; rows of others are published meanwhile."""
        topic = await bus.create_topic(1)
        store = ListStore()
        relay = Relay(store, bus.publisher)
        await relay.start()
        relay.on_commit(store.commit(message(topic + "-absent", "a", "1")))
        relay.on_commit(store.commit(message(topic, "a", "2")))
        relay.on_commit(store.commit(message(topic, "a", "x" * (MAX_RECORD_BYTES + 1))))
        await until("the second row and a failure", lambda: store.published == [2] and relay.counters.failed > 0)
        relay.on_commit(store.commit(message(topic, "a", "3")))
        await until("the fourth row", lambda: store.published == [2, 4])
        await relay.stop()
        assert sorted(store.rows) == [1, 3]
        assert relay.counters.refused == 1
