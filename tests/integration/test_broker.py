"""The local broker: real Kafka from PyPI parts."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from mesh.bus.kafka_python import KafkaConsumer, KafkaProducer, TopicPartition
from mesh.local import class_archive
from tests.support.broker import run_broker
from tests.support.waiting import wait_until


def test_acknowledged_records_survive_sigkill(tmp_path: Path) -> None:
    """After SIGKILL every acknowledged record is there again."""
    broker = run_broker(tmp_path)
    try:
        name = broker.topic(partitions=1)
        producer = KafkaProducer(**broker.access.client_settings(), acks="all")
        sent = [producer.send(name, str(number).encode()) for number in range(500)]
        for future in sent:
            future.get(30)
        broker.kill()
        producer.close(0)
        broker.start()
        consumer = KafkaConsumer(**broker.access.client_settings())
        place = TopicPartition(name, 0)
        consumer.assign([place])
        consumer.seek_to_beginning(place)
        found: list[bytes] = []

        def has_all() -> bool:
            for records in consumer.poll(timeout_ms=500).values():
                found.extend(record.value for record in records)
            return len(found) >= 500

        wait_until(lambda: f"500 records, {len(found)} so far", has_all)
        consumer.close()
        assert found == [str(number).encode() for number in range(500)]
    finally:
        broker.kill()


def test_a_node_starts_from_the_archive_of_its_classes(tmp_path: Path) -> None:
    """The JVM accepts the archive with a node's own options: ordered to fail without it, it does not."""
    broker = run_broker(tmp_path)
    try:
        command = broker.node.command
        options = command[: command.index("kafka.Kafka")]
        assert any(option.startswith("-XX:AOTCache=") for option in options)
        ran = subprocess.run([*options, "-XX:AOTMode=on", "-version"], capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stderr
    finally:
        broker.kill()


async def test_without_an_archive_all_works(tmp_path: Path) -> None:
    """An archive that cannot be made is no error, and leaves nothing behind but its lock."""

    async def fails(folder: Path, _options: Sequence[str]) -> None:
        folder.mkdir()
        raise OSError(28, "No space left on device")

    await class_archive.ensure(["java"], [tmp_path / "kafka.jar"], fails)
    assert [path.name for path in tmp_path.iterdir()] == [".archive-lock"]


def test_a_folder_of_any_name_is_the_brokers_own(tmp_path: Path) -> None:
    """A comma, an escape or a comment elsewhere is a part of the name: data and certificates are found there."""
    name = "Übung 日本 a\\b, c?d#e%20f = {g} $h 'i' \"j\"\nk "
    broker = run_broker(tmp_path / name)
    try:
        broker.topic(partitions=1)
        assert (tmp_path / name / "data" / "meta.properties").is_file()
        assert [path.name for path in tmp_path.iterdir()] == [name]
    finally:
        broker.kill()
