"""One node of Apache Kafka (KRaft, broker and controller in one) on a loopback address, from PyPI parts and the jars.

Owns the node's settings, its formatting, and the making of topics; `pods` runs the process like any other pod's.
The settings of sessions and elections are what brings a node back 4 s after SIGKILL instead of 30. Nothing else in
the tree starts a broker: with KAFKA_BOOTSTRAP_SERVERS set this module is not used at all, topics aside.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import os
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from mesh.local import class_archive, kafka_jars
from mesh.local.errors import StartupError, disk_errors
from mesh.local.processes import die_with_parent, outlived

CLIENT_PORT = 9092
CONTROLLER_PORT = 9093

START_SECONDS = 40.0
"""Longest wait for the first answer: 1 s is usual on two cores, 4 s after SIGKILL; a busy machine takes more."""

JVM_OPTIONS = (
    "-Xms64m",
    "-Xmx256m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:-UsePerfData",
    "-Djava.awt.headless=true",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
)


@dataclass(frozen=True)
class Topic:
    """A topic to be there: the spec of a KafkaTopic. `config` is in Kafka's own names."""

    name: str
    partitions: int
    replicas: int
    config: Mapping[str, str]


@dataclass(frozen=True)
class BrokerNode:
    """A node that can be started: `folder` holds its data and settings, `ip` is its own loopback address."""

    folder: Path
    ip: str
    class_path: Sequence[Path]
    java: Path
    client_port: int = CLIENT_PORT
    controller_port: int = CONTROLLER_PORT

    @property
    def bootstrap_servers(self) -> str:
        """What clients dial, "{ip}:{port}"."""
        return f"{self.ip}:{self.client_port}"

    @property
    def settings_file(self) -> Path:
        """The node's server.properties."""
        return self.folder / "server.properties"

    @property
    def command(self) -> list[str]:
        """The node's command line."""
        return [*self._java(), "kafka.Kafka", str(self.settings_file)]

    def _java(self) -> list[str]:
        archive = class_archive.archive_file(self.class_path)
        shared = [f"-XX:SharedArchiveFile={archive}", "-Xshare:auto"] if archive.is_file() else []
        return [*self._plain_java(), *shared]

    def _plain_java(self) -> list[str]:
        return [str(self.java), *JVM_OPTIONS, "-cp", ":".join(str(jar) for jar in self.class_path)]

    def settings(self) -> dict[str, str]:
        """The node's settings in Kafka's own names."""
        return {
            "process.roles": "broker,controller",
            "node.id": "1",
            "listeners": f"PLAINTEXT://{self.bootstrap_servers},CONTROLLER://{self.ip}:{self.controller_port}",
            "advertised.listeners": f"PLAINTEXT://{self.bootstrap_servers}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "inter.broker.listener.name": "PLAINTEXT",
            "controller.listener.names": "CONTROLLER",
            "controller.quorum.voters": f"1@{self.ip}:{self.controller_port}",
            "log.dirs": str(self.folder / "data"),
            "auto.create.topics.enable": "false",
            "num.partitions": "1",
            "default.replication.factor": "1",
            "min.insync.replicas": "1",
            "offsets.topic.replication.factor": "1",
            "offsets.topic.num.partitions": "4",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "transaction.state.log.num.partitions": "2",
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            "share.coordinator.state.topic.num.partitions": "1",
            # Back in 4 s after SIGKILL rather than 30: the node's old session must end before it may register again.
            "broker.heartbeat.interval.ms": "500",
            "broker.session.timeout.ms": "2000",
            "controller.quorum.election.timeout.ms": "500",
            "controller.quorum.fetch.timeout.ms": "1000",
            # A consumer group starts at once, and a dead member's partitions move within seconds.
            "group.initial.rebalance.delay.ms": "0",
            "group.min.session.timeout.ms": "1000",
            "message.max.bytes": "1048588",
            "num.network.threads": "2",
            "num.io.threads": "4",
            "num.recovery.threads.per.data.dir": "2",
            "log.cleaner.dedupe.buffer.size": "16777216",
            "log.segment.bytes": "67108864",
            "controlled.shutdown.enable": "false",
        }

    @property
    def has_archive(self) -> bool:
        """Whether the archive of classes with which a node starts fast is there."""
        return class_archive.archive_file(self.class_path).is_file()

    async def make_archive(self) -> None:
        """Makes that archive, which takes some 12 s. Nothing fails if it cannot be made."""
        await class_archive.ensure(self._plain_java(), self.class_path, self._serve_once)

    async def _serve_once(self, folder: Path, options: Sequence[str]) -> None:
        """Starts such a node in another folder, makes a topic, and stops it."""
        node = replace(self, folder=folder)
        await node.prepare()
        java, *rest = node.command
        child = await asyncio.create_subprocess_exec(
            java, *options, *rest,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
            preexec_fn=die_with_parent(os.getpid()),
        )  # fmt: skip
        async with outlived(child), asyncio.timeout(START_SECONDS):
            while not await accepts(node.bootstrap_servers):
                if child.returncode is not None:
                    raise StartupError(f"Kafka ended with {child.returncode}.")
                await asyncio.sleep(0.05)
            await asyncio.to_thread(make_topics, node.bootstrap_servers, [Topic("archive", 1, 1, {})])
            child.terminate()
            await child.wait()

    async def prepare(self) -> None:
        """Writes the settings, and formats the data folder if it is new. Raises StartupError, DiskFullError."""
        lines = "".join(f"{name}={value}\n" for name, value in self.settings().items())
        with disk_errors(self.folder):
            (self.folder / "data").mkdir(parents=True, exist_ok=True)
            self.settings_file.write_text(lines, encoding="utf-8")
        if (self.folder / "data" / "meta.properties").is_file():
            return
        cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        tool = ["kafka.tools.StorageTool", "format", "--ignore-formatted"]
        child = await asyncio.create_subprocess_exec(
            *self._java(),
            *tool,
            *("-t", cluster_id.replace("-", "x").replace("_", "y"), "-c", str(self.settings_file)),
            env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        async with outlived(child):
            output, _ = await child.communicate()
        if child.returncode:
            text = output.decode(errors="replace").strip()
            with disk_errors(self.folder):
                (self.folder / "format.log").write_text(text, encoding="utf-8")
            if "No space left" in text:
                raise StartupError(f"Kafka found no room in {self.folder}: free some space there and run it again.")
            raise StartupError(f"Kafka could not format its folder: see {self.folder / 'format.log'}.")


async def open_node(folder: Path, ip: str, cache: Path, **ports: int) -> BrokerNode:
    """A node that is still to be prepared: its jars are there, fetched if they were missing, and checked."""
    return BrokerNode(folder, ip, await kafka_jars.ensure(cache), kafka_jars.java(), **ports)


async def accepts(address: str) -> bool:
    """Whether something accepts a connection at "{ip}:{port}" now."""
    host, _, port = address.rpartition(":")
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(host, int(port)), timeout=1.0)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


def make_topics(bootstrap_servers: str, topics: Sequence[Topic]) -> list[str]:
    """Makes the topics that are not there and returns their names; blocks, so call it in a thread.

    A topic that is there keeps its settings. Raises StartupError if the broker refuses.
    """
    from kafka.admin import KafkaAdminClient  # type: ignore[import-untyped]  # noqa: PLC0415 - 0.2 s that `rostrum status` need not pay
    from kafka.errors import KafkaError, TopicAlreadyExistsError  # type: ignore[import-untyped]  # noqa: PLC0415

    logging.getLogger("kafka").setLevel(logging.ERROR)
    try:
        admin = KafkaAdminClient(
            bootstrap_servers=bootstrap_servers,
            client_id="rostrum-runner",
            bootstrap_timeout_ms=int(START_SECONDS * 1000),
        )
        try:
            there = set(admin.list_topics())
            new = {
                topic.name: {
                    "num_partitions": topic.partitions,
                    "replication_factor": topic.replicas,
                    "configs": dict(topic.config),
                }
                for topic in topics
                if topic.name not in there
            }
            if new:
                with suppress(TopicAlreadyExistsError):  # another home's runner on the same cluster was first
                    admin.create_topics(new, timeout_ms=20_000, wait_for_metadata=True)
            return list(new)
        finally:
            admin.close()
    except KafkaError as error:
        raise StartupError(f"The broker at {bootstrap_servers} refuses to make the topics: {error}.") from error
