"""What mesh.bus uses of kafka-python's inside is there: a new version that moves it fails here, by name."""

from __future__ import annotations

import asyncio
import inspect
import threading
from typing import Any

import pytest
from kafka import KafkaConsumer, KafkaProducer  # type: ignore[import-untyped]
from kafka.consumer.fetcher import Fetcher  # type: ignore[import-untyped]
from kafka.consumer.subscription_state import SubscriptionState  # type: ignore[import-untyped]
from kafka.coordinator.consumer import ConsumerCoordinator  # type: ignore[import-untyped]
from kafka.net.inet import KafkaNetSocket  # type: ignore[import-untyped]
from kafka.net.selector import NetworkSelector  # type: ignore[import-untyped]

from mesh.bus import consumer as consumer_module
from mesh.bus.consumer import KeyedConsumer
from mesh.bus.reachable import wait_reachable


@pytest.mark.parametrize(
    ("owner", "names"),
    [
        (Fetcher, "fetched_records _send_fetches_async reset_offsets_if_needed maybe_validate_positions "
                  "validate_offsets_if_needed"),
        (KafkaConsumer, "_refresh_committed_offsets commit_async"),
        (ConsumerCoordinator, "poll"),
        (SubscriptionState, "has_all_fetch_positions"),
        (NetworkSelector, "call_soon call_soon_threadsafe sleep"),
        (KafkaNetSocket, "sock_connect"),
    ],
)  # fmt: skip
def test_methods(owner: type, names: str) -> None:
    """The methods that mesh.bus calls."""
    assert [name for name in names.split() if not callable(getattr(owner, name, None))] == []


@pytest.mark.parametrize(
    ("owner", "names"),
    [(KafkaConsumer, "_fetcher _net _coordinator _subscription"), (KafkaProducer, "_metadata _sender")],
)
def test_attributes(owner: type, names: str) -> None:
    """The attributes that their constructors set."""
    source = inspect.getsource(owner)
    assert [name for name in names.split() if f"self.{name} =" not in source] == []


def test_a_reader_that_hangs_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A consumer whose thread waits for ever inside kafka-python no longer `moves`."""
    released = threading.Event()

    def hangs(*_: object) -> bool:
        released.wait()
        return False

    monkeypatch.setattr(consumer_module, "wait_reachable", hangs)
    monkeypatch.setattr(consumer_module, "STALL_SECONDS", 0.2)

    async def main() -> None:
        async def handle(_: Any) -> None: ...

        consumer = KeyedConsumer("127.0.0.1:9", "topic", "group", handle, bury=handle)
        await consumer.start()
        moved = await consumer.moves()
        async with asyncio.timeout(10):
            while await consumer.moves():  # noqa: ASYNC110 - between two looks at the condition
                await asyncio.sleep(0.01)
        released.set()
        await consumer.stop()
        assert moved

    asyncio.run(main())


def test_a_stop_ends_the_wait_for_a_broker() -> None:
    """Where nothing listens it waits, without connecting kafka-python, until it is told to stop."""
    waits: list[float] = []

    def wait(seconds: float) -> bool:
        waits.append(seconds)
        return len(waits) == 3

    assert not wait_reachable("127.0.0.1:9,127.0.0.1:10", wait)
    assert len(waits) == 3
