"""Kafka in a home: the broker's own pod and certificate, then topics and rights; or the cluster that the caller names.

Owns the order of these. The node is mesh.local.broker's, rights are mesh.local.rights', certificates are
mesh.local.identities'. Called by mesh.local.system.
"""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Callable, Mapping, Set
from pathlib import Path

from mesh.bus.access import KafkaAccess, TlsFiles
from mesh.local import broker
from mesh.local.addresses import check_free
from mesh.local.errors import LocalError
from mesh.local.identities import (
    POLL_INTERVAL_SECONDS,
    Identities,
    broker_identity,
    runner_folder,
    runner_identity,
)
from mesh.local.manifests import Manifests
from mesh.local.pods import PodSpec
from mesh.local.probing import Probe
from mesh.local.rights import set_rights
from mesh.local.snapshot import PodStatus


class Kafka:
    """`ip` is the broker's, `caller` the variables of who started the runner."""

    def __init__(
        self, home: Path, ip: str, manifests: Manifests, identities: Identities, caller: Mapping[str, str]
    ) -> None:
        self._home, self._ip, self._manifests, self._identities = home, ip, manifests, identities
        self._servers = caller.get("KAFKA_BOOTSTRAP_SERVERS", "")
        self._tls = caller.get("KAFKA_TLS_FOLDER", "")
        self._node: broker.BrokerNode | None = None
        if self._tls and not self.is_ours:
            self._demand_certificates()

    @property
    def is_ours(self) -> bool:
        """Whether the runner runs the broker; otherwise topics are all that it makes there."""
        return not self._servers

    @property
    def bootstrap_servers(self) -> str:
        """What clients dial."""
        return self._servers or f"{self._ip}:{broker.CLIENT_PORT}"

    @property
    def _access(self) -> KafkaAccess:
        folder = runner_folder(self._home) if self.is_ours else self._tls
        try:
            return KafkaAccess(self.bootstrap_servers, TlsFiles.in_folder(folder) if folder else None)
        except ValueError as error:
            raise LocalError(f"KAFKA_TLS_FOLDER is wrong: {error}.") from error

    def _demand_certificates(self) -> None:
        tls = self._access.tls
        assert tls is not None  # noqa: S101 - there is a folder
        try:
            tls.demand_usable()
        except ValueError as error:
            raise LocalError(f"KAFKA_TLS_FOLDER is wrong: {error}.") from error

    async def open(self, cache: Path, report: Callable[[str], None]) -> None:
        """Brings what the node needs, and its certificate. Raises LocalError."""
        check_free(self._ip, (broker.CLIENT_PORT, broker.CONTROLLER_PORT), "the broker")
        report("Kafka's jars")
        certificates = self._home / "run" / "kafka-certificates"
        self._node = await broker.open_node(self._home / "kafka", self._ip, cache, tls=certificates)
        if not self._node.has_archive:
            report("preparing Kafka's classes, once")
            await self._node.make_archive()
        self._identities.add(broker_identity(certificates, self._ip, self._take_certificate))
        self._identities.add(runner_identity(runner_folder(self._home)))

    async def _take_certificate(self) -> None:
        await asyncio.to_thread(broker.take_certificate, self._access)

    @property
    def pod(self) -> PodStatus:
        """The broker as others see it: it has no sidecar."""
        return PodStatus("kafka", 0, self._ip, (broker.CLIENT_PORT,))

    async def prepare(self) -> None:
        """Prepares the broker's folder, formatting it if it is new. Raises StartupError, DiskFullError."""
        assert self._node is not None  # noqa: S101 - open comes first
        await self._node.prepare()

    def pod_spec(self, environment: Mapping[str, str], log: Path) -> PodSpec:
        """What the broker's process is, once it is prepared."""
        node = self._node
        assert node is not None  # noqa: S101 - open comes first
        # The second look is after that of mesh.local.identities: what the node then starts with is a new certificate.
        liveness = Probe(
            check=self._find_expiry, period_seconds=POLL_INTERVAL_SECONDS, failure_threshold=2, timeout_seconds=10.0
        )
        return PodSpec(
            "kafka", 0, node.ip, (node.client_port,), node.command, environment, node.folder, log, liveness=liveness,
            advice=f"if its data is to blame, move {shlex.quote(str(node.folder))} away; what was debated is kept",
        )  # fmt: skip

    async def _find_expiry(self) -> str:
        """Says so once its certificate has expired, as on a machine that slept for a day: it would take no other.

        Kafka lets go of a keystore only for one that accepts it (SslEngineValidator), so it must be started again.
        """
        return "its certificate has expired" if await broker.has_expired(self._access) else ""

    @property
    def users(self) -> Set[str]:
        """The accounts whose pods get a certificate for the broker: none where it is another cluster's."""
        return self._manifests.kafka_users.keys() if self.is_ours else frozenset()

    @property
    def given_certificates(self) -> Path | None:
        """The folder of the certificate with which the caller's cluster is dialled; None if there is none."""
        return Path(self._tls) if self._tls and not self.is_ours else None

    async def declare(self, report: Callable[[str], None]) -> None:
        """Makes the topics and, at our own broker, the rights of the manifests. Raises StartupError."""
        report("making rights and topics")
        await asyncio.to_thread(self._declare)

    def _declare(self) -> None:
        with broker.administration(self._access, "make rights and topics") as admin:
            if self.is_ours:
                # First: a producer that connects before it has any right is refused, and must be made again.
                set_rights(admin, [right for user in self._manifests.kafka_users.values() for right in user])
            broker.create_topics(admin, self._manifests.topics)
