"""What TLS costs a hop: one record of 400 bytes from a producer to a consumer, with and without, side by side.

Two nodes run at once, of which only this benchmark's has a listener without TLS; rounds alternate between them, so that
whatever else the machine does falls on both. A hop is from the call of send until the consumer has the record.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
import uuid
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mesh.bus.access import KafkaAccess
from mesh.bus.kafka_python import KafkaConsumer, KafkaProducer, TopicPartition
from mesh.local.broker import Topic, make_topics
from tests.bench.figures import TURN_BYTES, Figures, figures
from tests.bench.grpc_floor import cpu_seconds
from tests.support.broker import TestBroker, launch, run_broker

if TYPE_CHECKING:
    pass

ROUNDS = 10
HOPS = 200
"""Of each round."""
WARM_UP_HOPS = 500
"""Until the JVM has compiled what a hop needs."""


class _Hop:
    """One record after the other through one node."""

    def __init__(self, name: str, access: KafkaAccess, pid: int) -> None:
        self.name, self._pid = name, pid
        self.latencies: list[float] = []
        self.wall = self.cpu = 0.0
        topic = f"bench.hop.{uuid.uuid4().hex[:8]}"
        make_topics(access, [Topic(topic, 1, 1, {})])
        self._topic = topic
        self._producer = KafkaProducer(**access.client_settings(), acks="all", metrics_enabled=False)
        self._consumer = KafkaConsumer(**access.client_settings(), enable_auto_commit=False, metrics_enabled=False)
        self._consumer.assign([TopicPartition(topic, 0)])
        self._consumer.seek(TopicPartition(topic, 0), 0)

    def send(self, hops: int) -> list[float]:
        """Returns the seconds of each."""
        text = b"x" * TURN_BYTES
        found = []
        for _ in range(hops):
            since = time.perf_counter()
            self._producer.send(self._topic, text)
            while not self._consumer.poll(timeout_ms=1_000):
                continue
            found.append(time.perf_counter() - since)
        return found

    def measure(self) -> None:
        """One round."""
        cpu, since = cpu_seconds([self._pid]), time.perf_counter()
        self.latencies += self.send(HOPS)
        self.wall += time.perf_counter() - since
        self.cpu += cpu_seconds([self._pid]) - cpu

    def close(self) -> None:
        self._producer.close()
        self._consumer.close(autocommit=False)


def run() -> list[Figures]:
    """Measures both; the CPU is the node's alone."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rostrum-hop-")))
        secured = run_broker(folder / "tls")
        stack.callback(secured.kill)
        open_one = _without_tls(secured, folder / "plaintext")
        stack.callback(open_one.kill)
        nodes = [
            ("Kafka hop, plaintext", KafkaAccess(open_one.bootstrap_servers), open_one),
            ("Kafka hop, TLS", secured.access, secured),
        ]
        hops = [_Hop(name, access, node.process.pid) for name, access, node in nodes]
        for hop in hops:
            stack.callback(hop.close)
            hop.send(WARM_UP_HOPS)
        for _ in range(ROUNDS):
            for hop in hops:
                hop.measure()
        return [figures(hop.name, 1, hop.latencies, hop.wall, hop.cpu) for hop in hops]


def _without_tls(like: TestBroker, folder: Path) -> TestBroker:
    first, _, last = like.node.ip.rpartition(".")
    node = replace(like.node, folder=folder, ip=f"{first}.{int(last) % 250 + 2}", tls=None)
    asyncio.run(node.prepare())
    return TestBroker(node, launch(node))
