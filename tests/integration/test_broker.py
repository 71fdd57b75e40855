"""The local broker: real Kafka from PyPI parts."""

from __future__ import annotations

from pathlib import Path

from kafka import KafkaConsumer, KafkaProducer  # type: ignore[import-untyped]
from kafka.structs import TopicPartition  # type: ignore[import-untyped]

from tests.support.broker import run_broker


def test_acknowledged_records_survive_sigkill(tmp_path: Path) -> None:
    """After SIGKILL every acknowledged record is there again."""
    broker = run_broker(tmp_path)
    try:
        name = broker.topic(partitions=1)
        producer = KafkaProducer(bootstrap_servers=broker.bootstrap_servers, acks="all")
        sent = [producer.send(name, str(number).encode()) for number in range(500)]
        for each in sent:
            each.get(30)
        broker.kill()
        producer.close(0)
        broker.start()
        consumer = KafkaConsumer(bootstrap_servers=broker.bootstrap_servers)
        place = TopicPartition(name, 0)
        consumer.assign([place])
        consumer.seek_to_beginning(place)
        found: list[bytes] = []
        while len(found) < 500:
            for records in consumer.poll(timeout_ms=500).values():
                found.extend(record.value for record in records)
        consumer.close()
        assert found == [str(number).encode() for number in range(500)]
    finally:
        broker.kill()
