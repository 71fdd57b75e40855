"""The bus at a real Kafka whose topics or producers compress, and whose disk has spoiled a batch."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from mesh.bus.consumer import KeyedConsumer
from mesh.bus.kafka_python import KafkaConsumer, KafkaProducer, TopicPartition
from mesh.bus.publisher import Publisher
from mesh.bus.topics import DEAD_LETTERS_MAX_MESSAGE_BYTES, dead_letters_topic
from tests.contract.bus_suite import QUICK, message
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from mesh.bus.message import Incoming
    from tests.support.broker import TestBroker

pytestmark = pytest.mark.timeout(120)

CODECS = ("gzip", "snappy", "lz4", "zstd")
TEXT = "a sentence that shrinks; " * 400


def make_topic(broker: TestBroker, **config: str) -> str:
    topic = broker.topic("codecs", partitions=1, **config)
    broker.make(dead_letters_topic(topic), partitions=1, max_message_bytes=str(DEAD_LETTERS_MAX_MESSAGE_BYTES))
    return topic


@pytest.fixture
async def publisher(broker: TestBroker) -> AsyncIterator[Publisher]:
    publisher = Publisher(broker.access, source="tester")
    await publisher.start()
    yield publisher
    await publisher.stop()


def make_consumer(
    broker: TestBroker, publisher: Publisher, topic: str, handler: Callable[[Incoming], Awaitable[None]]
) -> KeyedConsumer:
    return KeyedConsumer(
        broker.access, topic, f"group-{topic}", handler, publish_dead_letter=publisher.write, settings=QUICK
    )


def write_compressed(broker: TestBroker, topic: str, codec: str | None, texts: list[str]) -> None:
    """Writes records as a producer that compresses does, all in one batch."""
    producer = KafkaProducer(**broker.access.client_settings(), compression_type=codec, linger_ms=500)
    for text in texts:
        producer.send(topic, key=b"a", value=text.encode())
    producer.flush(timeout=20)
    producer.close()


def read_dead_letters(broker: TestBroker, topic: str) -> list[Any]:
    consumer = KafkaConsumer(**broker.access.client_settings(), auto_offset_reset="earliest")
    try:
        partition = TopicPartition(dead_letters_topic(topic), 0)
        consumer.assign([partition])
        end = consumer.end_offsets([partition])[partition]
        found: list[Any] = []
        while consumer.position(partition) < end:
            for records in consumer.poll(timeout_ms=1000).values():
                found.extend(records)
        return found
    finally:
        consumer.close()


@pytest.mark.parametrize("compressing", ["topic", "producer", "both"])
@pytest.mark.parametrize("codec", CODECS)
async def test_compressed_records_are_handled(
    broker: TestBroker, publisher: Publisher, codec: str, compressing: str
) -> None:
    """With each codec, of the topic's compression.type, of the producer, or another one of each: all records come."""
    topic = make_topic(broker, **({} if compressing == "producer" else {"compression_type": codec}))
    other = {"topic": None, "producer": codec, "both": CODECS[CODECS.index(codec) - 1]}[compressing]
    seen: list[str] = []

    async def handler(record: Incoming) -> None:
        seen.append(record.payload.decode())

    consumer = make_consumer(broker, publisher, topic, handler)
    await asyncio.to_thread(write_compressed, broker, topic, other, [f"{TEXT}{number}" for number in range(20)])
    await consumer.start()
    try:
        await publisher.send(message(topic, "a", f"{TEXT}20"))
        await until("all records", lambda: len(seen) == 21)
    finally:
        await consumer.stop()
    assert seen == [f"{TEXT}{number}" for number in range(21)]
    assert consumer.counters.dead_lettered == 0


async def test_a_batch_that_the_disk_spoiled_is_a_dead_letter(broker: TestBroker, publisher: Publisher) -> None:
    """A batch whose bytes changed on the broker's disk goes to the dead letters as it is; the records of the batches
    before and after it are handled, its offsets are committed, and the consumer says no trouble."""
    topic = make_topic(broker)
    for texts in (["before"], ["spoiled one", "spoiled two"], ["after"]):
        await asyncio.to_thread(write_compressed, broker, topic, None, texts)
    (log,) = broker.node.folder.rglob(f"{topic}-0/00000000000000000000.log")
    stored = log.read_bytes()
    with log.open("r+b") as file:
        file.seek(stored.index(b"spoiled two"))
        file.write(b"SPOILED")
    seen: list[str] = []

    async def handler(record: Incoming) -> None:
        seen.append(record.payload.decode())

    consumer = make_consumer(broker, publisher, topic, handler)
    await consumer.start()
    try:
        await until("the record after it", lambda: "after" in seen)
        await until("the dead letter", lambda: consumer.counters.dead_lettered == 1)
        assert await consumer.trouble() == ""
    finally:
        await consumer.stop()
    assert seen == ["before", "after"]
    assert (consumer.counters.unreadable, consumer.counters.handled) == (1, 2)
    (letter,) = await asyncio.to_thread(read_dead_letters, broker, topic)
    headers = dict(letter.headers)
    assert b"spoiled one" in letter.value
    assert b"SPOILED two" in letter.value
    assert b"offsets 1 to 2" in headers["dead_letter_error"]
    assert headers["dead_letter_offset"] == b"2"

    again = make_consumer(broker, publisher, topic, handler)
    await again.start()
    try:
        await publisher.send(message(topic, "a", "later"))
        await until("a later record", lambda: "later" in seen)
    finally:
        await again.stop()
    assert seen == ["before", "after", "later"]
