"""The Kafka floor: kafka-python alone, a moderator and two agents in three processes, records of 400 bytes.

A turn is what it is in Rostrum, a floor to an agent's topic and a turn back, on the same broker; each process commits
once it has handled what a poll returned and its own records are acknowledged. Run as a module it is one agent:
`python -m tests.bench.kafka_floor READ_TOPIC WRITE_TOPIC BOOTSTRAP_SERVERS [TLS_FOLDER]`, until its standard input
closes.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
import uuid
from typing import TYPE_CHECKING, Any

import psutil

from mesh.bus.access import KafkaAccess, TlsFiles
from mesh.bus.kafka_python import KafkaConsumer, KafkaProducer
from mesh.local.broker import Topic, make_topics
from tests.bench.figures import DEBATES, TURN_BYTES, TURNS, Figures, figures
from tests.bench.grpc_floor import cpu_seconds
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

PARTITIONS = 6
"""As Rostrum's own topics have."""
TOPIC_SECONDS = 20.0
"""Longest wait for a topic that was just made."""


def _consumer(access: KafkaAccess, topic: str) -> Any:
    consumer = KafkaConsumer(
        **access.client_settings(),
        group_id=f"floor-{topic}",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        metrics_enabled=False,
    )
    # A member that joins before it knows the topic's partitions gets none, until its metadata is five minutes old.
    wait_until(f"topic {topic}", lambda: consumer.partitions_for_topic(topic), seconds=TOPIC_SECONDS)
    consumer.subscribe([topic])
    # What it saw before it subscribed does not count: the leader of a group joins again at the first metadata after
    # that, up to 100 ms later, and whatever commits in between fails with RebalanceInProgressError.
    consumer.topics()
    return consumer


def _producer(access: KafkaAccess) -> Any:
    return KafkaProducer(**access.client_settings(), acks="all", metrics_enabled=False)


def _handle(consumer: Any, producer: Any, answer: Callable[[bytes], tuple[str, bytes] | None]) -> int:
    """One poll: answers each record, waits for the acknowledgements, commits; returns the number of records."""
    count = 0
    for records in consumer.poll(timeout_ms=200).values():
        for record in records:
            count += 1
            if (out := answer(record.key)) is not None:
                producer.send(out[0], key=record.key, value=out[1])
    if count:
        producer.flush()
        consumer.commit()
    return count


def _until_assigned(consumer: Any) -> None:
    """Polls until a poll began and ended with partitions: one whose time was up while it joined has some, too, and the
    next one joins again."""

    def keeps_partitions() -> bool:
        had_partitions = bool(consumer.assignment())
        consumer.poll(timeout_ms=500)
        return had_partitions and bool(consumer.assignment())

    wait_until("partitions", keeps_partitions)


def _agent(read: str, write: str, bootstrap_servers: str, *tls_folder: str) -> None:
    access = KafkaAccess(bootstrap_servers, TlsFiles.in_folder(*tls_folder) if tls_folder else None)
    consumer, producer = _consumer(access, read), _producer(access)
    ended = threading.Event()

    def wait_for_the_end() -> None:
        sys.stdin.read()
        ended.set()

    threading.Thread(target=wait_for_the_end, daemon=True).start()
    text = b"x" * TURN_BYTES
    _until_assigned(consumer)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while not ended.is_set():
        _handle(consumer, producer, lambda _key: (write, text))
    consumer.close()
    producer.close()


class _Moderator:
    """Gives the floor to the agents by turns, in a number of debates at once."""

    def __init__(self, access: KafkaAccess, floors: Sequence[str], turns: str) -> None:
        self._floors = floors
        self._consumer = _consumer(access, turns)
        self._producer = _producer(access)
        _until_assigned(self._consumer)

    def hold(self, debates: int, turns: int) -> tuple[list[float], float]:
        """Holds them to the end; returns each turn's seconds and those of all together."""
        text = b"x" * TURN_BYTES
        latencies: list[float] = []
        state: dict[bytes, tuple[int, float]] = {}
        running = debates

        def answer(key: bytes) -> tuple[str, bytes] | None:
            nonlocal running
            number, since = state[key]
            now = time.perf_counter()
            latencies.append(now - since)
            if number == turns:
                running -= 1
                return None
            state[key] = (number + 1, now)
            return self._floors[number % 2], text

        start = time.perf_counter()
        for _ in range(debates):
            key = uuid.uuid4().hex.encode()
            state[key] = (1, time.perf_counter())
            self._producer.send(self._floors[0], key=key, value=text)
        while running:
            _handle(self._consumer, self._producer, answer)
        return latencies, time.perf_counter() - start

    def close(self) -> None:
        self._consumer.close()
        self._producer.close()


def _agents(access: KafkaAccess, floors: Sequence[str], turns: str) -> Iterator[subprocess.Popen[str]]:
    for floor in floors:
        where = [access.bootstrap_servers, *([str(access.tls.root.parent)] if access.tls else [])]
        command = [sys.executable, "-m", "tests.bench.kafka_floor", floor, turns, *where]
        yield subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def run(access: KafkaAccess, *, broker_pid: int | None = None) -> list[Figures]:
    """Measures it once for each number of debates; with `broker_pid` the broker's CPU counts too."""
    suffix = uuid.uuid4().hex[:8]
    floors = [f"bench.floors-{agent}.{suffix}" for agent in "ab"]
    turns_topic = f"bench.turns.{suffix}"
    make_topics(access, [Topic(name, PARTITIONS, 1, {}) for name in (*floors, turns_topic)])
    agents = list(_agents(access, floors, turns_topic))
    moderator = None
    results = []
    try:
        for agent in agents:
            assert agent.stdout is not None
            assert agent.stdout.readline() == "ready\n"
        moderator = _Moderator(access, floors, turns_topic)
        moderator.hold(20, TURNS)  # warms connections, caches and the broker's compiler
        pids = [psutil.Process().pid, *(agent.pid for agent in agents), *([broker_pid] if broker_pid else [])]
        for debates in DEBATES:
            turns = max(TURNS, 400 // debates)
            cpu = cpu_seconds(pids)
            latencies, wall = moderator.hold(debates, turns)
            results.append(figures("kafka floor", debates, latencies, wall, cpu_seconds(pids) - cpu))
    finally:
        if moderator is not None:
            moderator.close()
        for agent in agents:
            agent.communicate(timeout=20)
    return results


if __name__ == "__main__":
    _agent(*sys.argv[1:])
