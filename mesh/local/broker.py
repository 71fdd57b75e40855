"""One node of Apache Kafka (KRaft, broker and controller in one) on a loopback address, from PyPI parts and the jars.

Owns the node's settings and the making of topics; `kafka_storage` formats its folder, and `pods` runs the process like
any other pod's. The settings of sessions and elections are what brings a node back 4 s after SIGKILL instead of 30.
Nothing else in the tree starts a broker: with KAFKA_BOOTSTRAP_SERVERS set this module is not used at all, topics aside.
"""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mesh.bus.access import KafkaAccess, TlsFiles
from mesh.local import class_archive, kafka_jars, kafka_storage
from mesh.local.errors import StartupError, disk_errors
from mesh.local.identities import (
    KAFKA_BROKER,
    KAFKA_RUNNER,
    broker_identity,
    open_authority,
    runner_identity,
    write,
)
from mesh.local.processes import die_with_parent, outlived
from mesh.local.properties import properties_text

CLIENT_PORT = 9092
CONTROLLER_PORT = 9093
NODE_ID = "1"

_CERT_HAS_EXPIRED = 10
"""OpenSSL's X509_V_ERR_CERT_HAS_EXPIRED."""

START_SECONDS = 40.0
"""Longest wait for the first answer: 1 s is usual on two cores, 4 s after SIGKILL; a busy machine takes more."""

RECORD_SECONDS = 150.0
"""Longest wait for a node whose classes are recorded to start, serve and end: 8 s is usual where nothing else runs."""

USE_SECONDS = 20.0
"""Longest wait for one answer to a client of that node."""

CERTIFICATE_SECONDS = 5.0
"""Longest wait for the broker to show its certificate; a broker that is too busy for it has not expired."""

JVM_OPTIONS = (
    "-Xms64m",
    "-Xmx256m",
    "-XX:TieredStopAtLevel=1",
    "-XX:-UsePerfData",
    # Kafka keeps its key in a PKCS #12 store in memory, once for each of its TLS contexts. By default each takes 10,000
    # rounds of a hash to lock and to unlock, under a password that lies beside it: a third of the time of a start.
    "-Dkeystore.pkcs12.keyPbeIterationCount=1",
    "-Djava.awt.headless=true",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
)


SETTINGS = "server.properties"
DATA = "data"
"""Both in the node's folder, in which it runs."""
MAIN = ("kafka.Kafka", SETTINGS)

COLLECTOR = "-XX:+UseSerialGC"
"""Of a node that serves; an archive is made with another one."""


@dataclass(frozen=True)
class Topic:
    """A topic to be there: the spec of a KafkaTopic. `config` is in Kafka's own names."""

    name: str
    partitions: int
    replicas: int
    config: Mapping[str, str]


@dataclass(frozen=True)
class BrokerNode:
    """A node that can be started: `folder` holds its data and settings, `ip` is its own loopback address.

    It runs in `folder`, and names its data from there: in an absolute `log.dirs` a comma would end a path.
    `tls`: folder of its certificate (identities.broker_identity). None lets everybody do everything: for benchmarks.
    """

    folder: Path
    ip: str
    class_path: Sequence[Path]
    java: Path
    client_port: int = CLIENT_PORT
    controller_port: int = CONTROLLER_PORT
    tls: Path | None = None

    @property
    def bootstrap_servers(self) -> str:
        """What clients dial, "{ip}:{port}"."""
        return f"{self.ip}:{self.client_port}"

    @property
    def settings_file(self) -> Path:
        """The node's server.properties."""
        return self.folder / SETTINGS

    @property
    def command(self) -> list[str]:
        """The node's command line, to be run in its folder."""
        return [*self._java(), *MAIN]

    def _java(self) -> list[str]:
        archive = class_archive.archive_file(self.class_path)
        return self._java_with(COLLECTOR, *([f"-XX:AOTCache={archive}"] if archive.is_file() else []))

    def _java_with(self, *options: str) -> list[str]:
        return [str(self.java), *JVM_OPTIONS, *options, "-cp", ":".join(str(jar) for jar in self.class_path)]

    def settings(self) -> dict[str, str]:
        """The node's settings in Kafka's own names."""
        return {
            **(_PLAINTEXT if self.tls is None else _secure_settings(self.tls)),
            "process.roles": "broker,controller",
            "node.id": NODE_ID,
            "listeners": f"CLIENTS://{self.bootstrap_servers},CONTROLLER://{self.ip}:{self.controller_port}",
            "advertised.listeners": f"CLIENTS://{self.bootstrap_servers}",
            "inter.broker.listener.name": "CLIENTS",
            "controller.listener.names": "CONTROLLER",
            "controller.quorum.voters": f"{NODE_ID}@{self.ip}:{self.controller_port}",
            "log.dirs": DATA,
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
            # A node that says goodbye may register again at once, instead of after its old session.
            "controlled.shutdown.enable": "true",
        }

    @property
    def has_archive(self) -> bool:
        """Whether the archive of classes with which a node starts fast is there."""
        return class_archive.archive_file(self.class_path).is_file()

    async def make_archive(self) -> None:
        """Makes that archive, which takes some 12 s. Nothing fails if it cannot be made."""
        await class_archive.ensure(self._java_with(), self.class_path, self._serve_once)

    async def _serve_once(self, folder: Path, options: Sequence[str]) -> None:
        """Starts such a node in another folder, with an authority of its own, uses it as services do, and stops it."""
        authority = open_authority(folder / "ca")
        write(authority, broker_identity(folder / "tls", self.ip))
        write(authority, runner_identity(folder / "runner"))
        access = KafkaAccess(self.bootstrap_servers, TlsFiles.in_folder(folder / "runner"))
        node = replace(self, folder=folder, tls=folder / "tls")
        await node.prepare()
        child = await asyncio.create_subprocess_exec(
            *self._java_with(*options), *MAIN,
            cwd=node.folder, env=class_archive.ENVIRONMENT,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
            preexec_fn=die_with_parent(os.getpid()),
        )  # fmt: skip
        async with outlived(child), asyncio.timeout(RECORD_SECONDS):
            while not await accepts(node.bootstrap_servers):
                if child.returncode is not None:
                    raise StartupError(f"Kafka ended with {child.returncode}.")
                await asyncio.sleep(0.05)
            await asyncio.to_thread(_use_once, access)
            child.terminate()
            await child.wait()

    async def prepare(self) -> None:
        """Writes the settings, and formats the data folder if it is new. Raises StartupError, DiskFullError."""
        with disk_errors(self.folder):
            (self.folder / DATA).mkdir(parents=True, exist_ok=True)
            self.settings_file.write_text(properties_text(self.settings()), encoding="ascii")
        await kafka_storage.format_folder(
            self.folder / DATA, NODE_ID, self.class_path[0].parent / "formatted", java=self._java(), settings=SETTINGS
        )


_PLAINTEXT = {"listener.security.protocol.map": "CLIENTS:PLAINTEXT,CONTROLLER:PLAINTEXT"}


def _secure_settings(tls: Path) -> dict[str, str]:
    """Both listeners ask for a certificate of our authority, and only what a KafkaUser allows may be done."""
    return {
        "listener.security.protocol.map": "CLIENTS:SSL,CONTROLLER:SSL",
        "ssl.client.auth": "required",
        "ssl.enabled.protocols": "TLSv1.2,TLSv1.3",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(tls / "keystore.pem"),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(tls / "root.pem"),
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow.everyone.if.no.acl.found": "false",
        "super.users": ";".join(principal(user) for user in (KAFKA_BROKER, KAFKA_RUNNER)),
    }


def principal(user: str) -> str:
    """What Kafka calls the bearer of a KafkaUser's certificate."""
    return f"User:CN={user}"


async def open_node(folder: Path, ip: str, cache: Path, *, tls: Path | None, **ports: int) -> BrokerNode:
    """A node that is still to be prepared: its jars are there, fetched if they were missing, and checked."""
    return BrokerNode(folder, ip, await kafka_jars.ensure(cache), kafka_jars.java(), tls=tls, **ports)


async def accepts(address: str) -> bool:
    """Whether something accepts a connection at "{ip}:{port}" now."""
    host, _, port = address.rpartition(":")
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(host, int(port)), timeout=1.0)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


async def has_expired(access: KafkaAccess) -> bool:
    """Whether the broker shows a certificate that has expired; no if it shows none."""
    assert access.tls is not None  # noqa: S101 - our own broker always has a certificate
    host, _, port = access.bootstrap_servers.rpartition(":")
    try:
        opened = asyncio.open_connection(host, int(port), ssl=access.tls.context())
        _, writer = await asyncio.wait_for(opened, CERTIFICATE_SECONDS)
    except ssl.SSLCertVerificationError as error:
        return error.verify_code == _CERT_HAS_EXPIRED
    except (OSError, TimeoutError):
        return False
    writer.close()
    return False


def _use_once(access: KafkaAccess) -> None:
    """Does what a start and a first turn do: makes a right and a topic, writes a record, and reads it in a group.

    Blocks. The classes for all of it are then in the archive.
    """
    from mesh.bus.kafka_python import CooperativeStickyAssignor, KafkaConsumer, KafkaProducer  # noqa: PLC0415, I001
    from kafka import admin as kafka  # type: ignore[import-untyped]  # noqa: PLC0415

    with administration(access, "do what is recorded") as admin:
        topic = kafka.ResourcePattern(kafka.ResourceType.TOPIC, "archive", kafka.ACLResourcePatternType.LITERAL)
        reader = kafka.ACL(principal("archive"), "*", kafka.ACLOperation.READ, kafka.ACLPermissionType.ALLOW, topic)
        admin.create_acls([reader])
        admin.describe_acls(
            kafka.ACLFilter(principal("archive"), "*", kafka.ACLOperation.READ, kafka.ACLPermissionType.ALLOW, topic)
        )
        create_topics(admin, [Topic("archive", 1, 1, {"min.insync.replicas": "1"})])
    settings = access.client_settings()
    producer = KafkaProducer(**settings, client_id="archive", acks="all", enable_idempotence=True)
    try:
        producer.send("archive", key=b"key", value=b"value").get(timeout=USE_SECONDS)
    finally:
        producer.close(timeout=USE_SECONDS)
    consumer = KafkaConsumer(
        "archive", **settings, client_id="archive", group_id="archive", group_instance_id="archive",
        enable_auto_commit=False, auto_offset_reset="earliest", allow_auto_create_topics=False,
        partition_assignment_strategy=(CooperativeStickyAssignor,),
    )  # fmt: skip
    try:
        if not consumer.poll(timeout_ms=int(USE_SECONDS * 1000)):
            raise StartupError("Kafka did not give the record back that was written for the archive of classes.")
        consumer.commit()
    finally:
        consumer.close(autocommit=False)


def load_client() -> None:
    """Imports what `administration` needs: 0.2 s, which are better spent before a broker is there than after."""
    from mesh.bus.kafka_python import errors  # noqa: F401, PLC0415, I001
    import kafka.admin  # type: ignore[import-untyped]  # noqa: F401, PLC0415


@contextmanager
def administration(access: KafkaAccess, doing: str) -> Iterator[Any]:
    """A client that administers the broker, for one block; blocks, so use it in a thread.

    Raises StartupError if the broker refuses; `doing` completes "The broker refuses to ...".
    """
    # Not at the top: they take 0.2 s, which `rostrum status` need not pay. The first keeps the second's warnings away.
    from mesh.bus.kafka_python import errors  # noqa: PLC0415, I001
    from kafka.admin import KafkaAdminClient  # noqa: PLC0415

    logging.getLogger("kafka").setLevel(logging.ERROR)
    try:
        admin = KafkaAdminClient(
            **access.client_settings(),
            client_id="rostrum-runner",
            bootstrap_timeout_ms=int(START_SECONDS * 1000),
        )
        try:
            yield admin
        finally:
            admin.close()
    except errors.KafkaError as error:
        raise StartupError(f"The broker at {access.bootstrap_servers} refuses to {doing}: {error}.") from error


def make_topics(access: KafkaAccess, topics: Sequence[Topic]) -> list[str]:
    """As `create_topics`, with a client of its own; blocks, so call it in a thread. Raises StartupError."""
    with administration(access, "make the topics") as admin:
        return create_topics(admin, topics)


def create_topics(admin: Any, topics: Sequence[Topic]) -> list[str]:
    """Makes the topics that are not there and returns their names, with a client of `administration`.

    A topic that is there keeps its settings.
    """
    from mesh.bus.kafka_python import errors  # noqa: PLC0415 - 0.2 s that `rostrum status` need not pay

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
        with suppress(errors.TopicAlreadyExistsError):  # another home's runner on the same cluster was first
            admin.create_topics(new, timeout_ms=20_000, wait_for_metadata=True)
    return list(new)


def take_certificate(access: KafkaAccess) -> None:
    """Makes the node take its keystore from disk again, for connections from now on; blocks. Raises StartupError.

    Kafka looks whether its stores have changed whenever a setting of the node is set, be it to what it was
    (DynamicBrokerConfig, reloadUpdatedFilesWithoutConfigChange).
    """
    from kafka.admin import ConfigResource, ConfigResourceType  # noqa: PLC0415 - as above

    with administration(access, "take its new certificate") as admin:
        # Not the keystore's own path: kept as a dynamic setting, it would win over another path indefinitely.
        node = ConfigResource(ConfigResourceType.BROKER, NODE_ID, {"num.replica.fetchers": "1"})
        answer = admin.alter_configs([node], raise_on_unknown=False)["broker"][NODE_ID]
        if answer != "OK":
            raise StartupError(f"The broker at {access.bootstrap_servers} does not take its new certificate: {answer}.")
