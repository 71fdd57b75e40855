"""The bus in memory keeps the promises of the real one, or tests on it prove nothing."""

from __future__ import annotations

import asyncio
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from mesh.bus.relay import Relay
from mesh.bus.topics import dead_letters_topic
from mesh.testing.bus import MemoryBus, MemoryConsumer, MemoryPublisher
from tests.contract.bus_suite import BusSuite, BusUnderTest, ListStore, message
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


class MemoryBusUnderTest(BusUnderTest):
    def __init__(self) -> None:
        self.broker = MemoryBus()
        self.publisher = MemoryPublisher(self.broker, source="tester")

    async def create_topic(self, partitions: int) -> str:
        topic = f"test-{uuid.uuid4()}"
        self.broker.create_topic(topic, partitions)
        self.broker.create_topic(dead_letters_topic(topic), 1)
        return topic

    def consumer(self, topic: str, group: str, handler: Callable[[Any], Awaitable[None]], **options: Any) -> Any:
        return MemoryConsumer(self.broker, topic, group, handler, publish_dead_letter=self.publisher.write, **options)


class TestMemoryBus(BusSuite):
    @pytest.fixture
    def bus(self) -> BusUnderTest:
        return MemoryBusUnderTest()

    async def test_the_relay_survives_a_broker_that_is_away(self) -> None:
        """Rows committed while no broker answers are published in order once it is back."""
        bus = MemoryBusUnderTest()
        topic = await bus.create_topic(1)
        bus.broker.up = False
        store = ListStore()
        relay = Relay(store, bus.publisher)
        await relay.start()
        for number in range(5):
            relay.on_commit(store.commit(message(topic, "a", str(number))))
            await asyncio.sleep(0)
        await until("a failure", lambda: relay.counters.failed > 0)
        bus.broker.up = True
        await until("an empty outbox", lambda: not store.rows)
        relay.on_commit(store.commit(message(topic, "a", "5")))
        await until("an empty outbox", lambda: not store.rows)
        await relay.stop()
        values = [record.value for record in bus.broker.logs[topic, 0]]
        assert values == [str(number).encode() for number in range(6)]
