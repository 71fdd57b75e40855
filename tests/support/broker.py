"""A real Kafka for the whole test session: the node of `mesh.local.broker` in a temporary folder.

`broker` is started on first use and killed at the end of the session; tests that share it use topics and groups of
their own (`broker.topic()`), so that random order changes nothing. It lets in nobody without a certificate of its own
authority; `broker.access` is its runner's, who may do everything. Imported by tests/conftest.py.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import mesh.cache
from mesh.bus.access import KafkaAccess, TlsFiles
from mesh.local.broker import BrokerNode, Topic, accepts, make_topics, open_node
from mesh.local.class_archive import ENVIRONMENT
from mesh.local.identities import (
    KAFKA_RUNNER,
    CertificateRequest,
    broker_identity,
    open_authority,
    runner_folder,
    write,
)
from mesh.local.processes import die_with_parent
from tests.support.waiting import until


@dataclass
class TestBroker:
    """A running node. `kill` and `start` are for tests of recovery, on a node of their own (`run_broker`)."""

    __test__ = False

    node: BrokerNode
    process: subprocess.Popen[bytes]

    @property
    def bootstrap_servers(self) -> str:
        return self.node.bootstrap_servers

    @property
    def folder(self) -> Path:
        """Where its certificates are: ca, broker, runner, and one of each user's name."""
        return self.node.folder / "identities"

    @property
    def access(self) -> KafkaAccess:
        """The runner's, a super user."""
        return self.access_of(KAFKA_RUNNER)

    def access_of(self, user: str) -> KafkaAccess:
        """That of this Kafka user, as the authority of this node vouches for it."""
        folder = self.folder / user
        if not folder.exists():
            write(open_authority(self.folder / "ca"), CertificateRequest(folder, kafka_user=user))
        return KafkaAccess(self.bootstrap_servers, TlsFiles.in_folder(folder))

    def topic(self, prefix: str = "test", *, partitions: int = 3, **config: str) -> str:
        """Makes a topic that no other test uses and returns its name; config as `retention_ms="1000"`."""
        name = f"{prefix}.{uuid.uuid4().hex[:12]}"
        self.make(name, partitions=partitions, **config)
        return name

    def make(self, name: str, *, partitions: int = 3, **config: str) -> None:
        """Makes this topic if it is not there."""
        settings = {key.replace("_", "."): value for key, value in config.items()}
        make_topics(self.access, [Topic(name, partitions, 1, settings)])

    def kill(self) -> None:
        """SIGKILL."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def start(self) -> None:
        """Starts the node again and returns once it accepts connections."""
        self.process = launch(self.node)


def home_access(home: Path, bootstrap_servers: str) -> KafkaAccess:
    """The access of the runner of this home to its broker: to everything."""
    return KafkaAccess(bootstrap_servers, TlsFiles.in_folder(runner_folder(home)))


def launch(node: BrokerNode) -> subprocess.Popen[bytes]:
    """Starts a prepared node and returns once it accepts connections."""
    with (node.folder / "broker.log").open("ab") as log:
        process = subprocess.Popen(
            node.command,
            cwd=node.folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=ENVIRONMENT,
            preexec_fn=die_with_parent(os.getpid()),  # noqa: PLW1509 - nothing may outlive the test run
        )
    asyncio.run(_until_up(node, process))  # of a session's fixture, or in a thread beside a test's loop
    return process


async def _until_up(node: BrokerNode, process: subprocess.Popen[bytes]) -> None:
    async def is_up() -> bool:
        assert process.poll() is None, (node.folder / "broker.log").read_text()
        return await accepts(node.bootstrap_servers)

    await until("the broker", is_up, seconds=60)


_NUMBERS = itertools.count()
"""No two brokers of a process share an address: the second would seem up at once, by the first one's answer."""


def own_ip() -> str:
    """A loopback address for one more broker of this process."""
    pid = os.getpid()
    return f"127.{200 + pid % 50}.{pid // 50 % 250 + 1}.{next(_NUMBERS) % 250 + 2}"


def cache_folder() -> Path:
    """Where Kafka's jars are kept."""
    return mesh.cache.cache_folder(os.environ)


def run_broker(folder: Path, ip: str | None = None) -> TestBroker:
    """Starts a node in `folder`; the caller kills it. Its address is its own unless `ip` is given."""
    own = ip or own_ip()

    async def prepared() -> BrokerNode:
        tls = folder / "identities" / "broker"
        write(open_authority(folder / "identities" / "ca"), broker_identity(tls, own))
        node = await open_node(folder, own, cache_folder(), tls=tls)
        await node.make_archive()
        await node.prepare()
        return node

    node = asyncio.run(prepared())  # of a session's fixture: it has no test's loop
    return TestBroker(node, launch(node))


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestBroker]:
    """The session's broker; `.access` is how clients reach it."""
    running = run_broker(tmp_path_factory.mktemp("broker"))
    yield running
    running.kill()
