"""The bus on a real Kafka: the promises of tests/contract/bus_suite.py, and what only real processes can show."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from mesh.bus.consumer import KeyedConsumer
from mesh.bus.kafka_python import KafkaConsumer, TopicPartition
from mesh.bus.publisher import Publisher
from mesh.bus.relay import Relay
from mesh.bus.topics import DEAD_LETTERS_MAX_MESSAGE_BYTES, dead_letters_topic
from mesh.errors import BrokerUnavailableError
from tests.contract.bus_suite import BusSuite, BusUnderTest, ListStore, message
from tests.support.broker import run_broker
from tests.support.topics import TURNS_TOPIC
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from pathlib import Path

    from mesh.bus.message import Incoming
    from tests.support.broker import TestBroker


class KafkaBusUnderTest(BusUnderTest):
    def __init__(self, broker: TestBroker) -> None:
        self.broker = broker
        self.publisher = Publisher(broker.access, source="tester")

    async def create_topic(self, partitions: int) -> str:
        return await asyncio.to_thread(make_topic, self.broker, partitions)

    def consumer(self, topic: str, group: str, handler: Callable[[Any], Awaitable[None]], **options: Any) -> Any:
        # Groups of Kafka span topics; a test's group is its topic's.
        return KeyedConsumer(
            self.broker.access, topic, f"{group}-{topic}", handler, publish_dead_letter=self.publisher.write, **options
        )


def make_topic(broker: TestBroker, partitions: int) -> str:
    topic = broker.topic("bus", partitions=partitions, max_message_bytes=str(TURNS_TOPIC.max_message_bytes))
    broker.make(dead_letters_topic(topic), partitions=1, max_message_bytes=str(DEAD_LETTERS_MAX_MESSAGE_BYTES))
    return topic


class TestKafkaBus(BusSuite):
    @pytest.fixture(autouse=True)
    def _use(self, broker: TestBroker) -> None:
        self.broker = broker

    @pytest.fixture
    async def bus(self) -> AsyncIterator[BusUnderTest]:
        bus = KafkaBusUnderTest(self.broker)
        await bus.publisher.start()
        yield bus
        await bus.publisher.stop()

    async def test_a_killed_process_commits_only_its_prefix(self) -> None:
        """After SIGKILL with one record hanging, that one and all after it are read again, by the same instance at
        once; those before it are not."""
        topic = make_topic(self.broker, 1)
        group = f"group-{uuid.uuid4()}"

        publisher = Publisher(self.broker.access, source="tester")
        await publisher.start()
        for key, text in (("a", "1"), ("b", "2"), ("c", "hang"), ("d", "4"), ("e", "5")):
            await publisher.send(message(topic, key, text))
        await publisher.stop()
        with _process(self.broker, topic, group) as first:
            assert _lines(first, 5) == {"a 1", "b 2", "c hang", "d 4", "e 5"}
            await _until_committed(self.broker, topic, group, 2)
            first.kill()
        with _process(self.broker, topic, group) as second:
            assert _lines(second, 3) == {"c hang", "d 4", "e 5"}
            second.kill()


@pytest.fixture
def mortal_broker(tmp_path: Path) -> Iterator[TestBroker]:
    """A node of the test's own, which it may kill."""
    broker = run_broker(tmp_path)
    yield broker
    broker.kill()


async def test_relay_and_consumer_outlive_the_broker(mortal_broker: TestBroker) -> None:
    """Rows committed while the broker is dead are published in order and handled once it is back; nothing is lost."""
    bus = KafkaBusUnderTest(mortal_broker)
    topic = await bus.create_topic(2)
    seen: dict[str, list[int]] = {"a": [], "b": [], "c": []}

    async def handler(record: Incoming) -> None:
        seen[record.key].append(int(record.payload))

    store = ListStore()
    await bus.publisher.start()
    relay = Relay(store, bus.publisher)
    await relay.start()

    def commit(numbers: range) -> None:
        for number in numbers:
            relay.on_commit(store.commit(*(message(topic, key, str(number)) for key in seen)))

    async with bus.reading(topic, handler):
        commit(range(10))
        await until("ten records of each key", lambda: all(len(numbers) >= 10 for numbers in seen.values()))
        await asyncio.to_thread(mortal_broker.kill)
        assert not await bus.publisher.usable()
        commit(range(10, 20))
        await asyncio.to_thread(mortal_broker.start)
        await until("all records", lambda: all(set(numbers) == set(range(20)) for numbers in seen.values()))
        await until("an empty outbox", lambda: not store.rows)
    await relay.stop()
    await bus.publisher.stop()
    for numbers in seen.values():
        first_seen = list(dict.fromkeys(numbers))
        assert first_seen == sorted(first_seen)


async def test_a_producer_that_was_given_up_is_replaced(broker: TestBroker) -> None:
    """kafka-python gives a producer up for good where the broker did not answer in time; the next look renews it.

    A record that its thread still holds then fails, and hinders nothing.
    """
    bus = KafkaBusUnderTest(broker)
    topic = await bus.create_topic(1)
    await bus.publisher.start()
    await bus.publisher.send(message(topic, "a", "1"))
    with _sender_held(bus.publisher._producer):
        unsent = asyncio.create_task(bus.publisher.send(message(topic, "a", "2")))
        await asyncio.sleep(0)
        bus.publisher._producer._transaction_manager.transition_to_fatal_error(RuntimeError("given up"))

        async def is_unusable() -> bool:  # the answer of the last second is remembered
            return not await bus.publisher.usable()

        await until("the end of the first producer", is_unusable, seconds=20)
        await until("another producer", bus.publisher.usable, seconds=20)
        await bus.publisher.send(message(topic, "a", "3"))
        assert not unsent.done()
    with pytest.raises(BrokerUnavailableError):
        await unsent
    await bus.publisher.stop()


@contextmanager
def _sender_held(producer: Any) -> Iterator[None]:
    """Holds the thread of this producer that sends, with what is published meanwhile."""
    held, go_on, run_once = threading.Event(), threading.Event(), producer._sender.run_once

    def wait_first() -> None:
        held.set()
        go_on.wait(60)
        run_once()

    producer._sender.run_once = wait_first
    producer._sender.wakeup()
    assert held.wait(10)
    try:
        yield
    finally:
        go_on.set()


def _arguments(broker: TestBroker) -> tuple[str, str]:
    access = broker.access
    assert access.tls is not None
    return access.bootstrap_servers, str(access.tls.root.parent)


def _process(broker: TestBroker, topic: str, group: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.integration.bus_process", *_arguments(broker), topic, group, "pod-0"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def _lines(process: subprocess.Popen[str], number: int) -> set[str]:
    assert process.stdout is not None
    return {process.stdout.readline().strip() for _ in range(number)}


async def _until_committed(broker: TestBroker, topic: str, group: str, offset: int) -> None:
    consumer = KafkaConsumer(**broker.access.client_settings(), group_id=group, enable_auto_commit=False)
    try:
        partition = TopicPartition(topic, 0)
        await until(f"a commit of {offset}", lambda: consumer.committed(partition) == offset)
    finally:
        consumer.close()
