"""Certificates that live for seconds, under load: broker and clients renew them without a restart or a lost record."""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import socket
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509

from mesh.bus.access import KafkaAccess, TlsFiles
from mesh.bus.consumer import KeyedConsumer
from mesh.bus.message import Incoming
from mesh.bus.publisher import Publisher
from mesh.local.broker import Topic, make_topics, take_certificate
from mesh.local.identities import (
    CertificateRequest,
    Identities,
    broker_identity,
    open_authority,
    runner_folder,
    runner_identity,
    write,
)
from mesh.local.kafka import Kafka
from mesh.local.manifests import read
from mesh.local.pods import Pod
from mesh.local.rights import Right, make_rights
from tests.contract.bus_suite import message
from tests.support.broker import TestBroker, cache_folder, own_ip, run_broker
from tests.support.waiting import until

BASE = Path(__file__).resolve().parents[2] / "k8s" / "base"
LIFETIME = dt.timedelta(seconds=10)
GENERATIONS = 4
"""Certificates that the broker shows before the test ends, which is not before the first has expired."""
TOPIC = "rotation"
RIGHTS = [
    Right("team-a", "topic", TOPIC, prefix=False, operation="Write"),
    Right("moderator", "topic", TOPIC, prefix=False, operation="Read"),
    Right("moderator", "group", "moderator", prefix=False, operation="Read"),
]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[TestBroker]:
    running = run_broker(tmp_path)
    try:
        make_topics(running.access, [Topic(TOPIC, 3, 1, {})])
        make_rights(running.access, RIGHTS)
        yield running
    finally:
        running.kill()


async def test_certificates_are_renewed_under_load(broker: TestBroker, tmp_path: Path) -> None:
    """Every send is acknowledged and every record handled once or more, by clients that stay and by clients that are
    new each time, while all certificates in use expire and are replaced."""
    folder = tmp_path / "short"
    runner = KafkaAccess(broker.bootstrap_servers, TlsFiles.in_folder(broker.folder / "rostrum-runner"))

    async def renewed() -> None:
        await asyncio.to_thread(take_certificate, runner)

    kept = Identities(open_authority(broker.folder / "ca"), lifetime=LIFETIME)
    kept.add(broker_identity(broker.folder / "broker", broker.node.ip, renewed))
    kept.add(runner_identity(broker.folder / "rostrum-runner"))
    await renewed()
    access = {}
    for user in ("team-a", "moderator"):
        kept.add(CertificateRequest(folder / user, kafka_user=user))
        access[user] = KafkaAccess(broker.bootstrap_servers, TlsFiles.in_folder(folder / user))
    try:
        await _load(broker, access)
    finally:
        await kept.stop()


async def test_a_broker_whose_certificate_has_expired_is_started_again(tmp_path: Path) -> None:
    """A machine may sleep past its certificates' end, and Kafka takes no new one then: its pod starts again with it."""
    authority = open_authority(tmp_path / "ca")
    identities = Identities(authority, lifetime=dt.timedelta(seconds=15))
    broker_folder = tmp_path / "run" / "kafka-certificates"
    kafka = Kafka(tmp_path, own_ip(), read(BASE), identities, {})
    await kafka.open(cache_folder(), lambda _: None)
    await identities.stop()  # as if asleep
    await kafka.prepare()
    spec = kafka.pod_spec({"PATH": os.environ["PATH"]}, tmp_path / "kafka.log")
    assert spec.liveness is not None
    pod = Pod(replace(spec, liveness=replace(spec.liveness, period_seconds=0.5)))
    pod.start()
    try:
        await until("a ready broker", lambda: pod.was_ready)
        await until("a restart", lambda: pod.restarts > 0)
        for request in (broker_identity(broker_folder, spec.ip), runner_identity(runner_folder(tmp_path))):
            write(authority, request)
        await kafka.declare(lambda _: None)
    finally:
        await pod.stop()


async def _load(broker: TestBroker, access: dict[str, KafkaAccess]) -> None:
    sent: set[str] = set()
    handled: set[str] = set()

    async def handle(record: Incoming) -> None:
        handled.add(record.payload.decode())

    async def send(publisher: Publisher) -> None:
        text = uuid.uuid4().hex
        await publisher.send(message(TOPIC, text, text))
        sent.add(text)

    stays = Publisher(access["team-a"], source="team-a")
    reader = KeyedConsumer(access["moderator"], TOPIC, "moderator", handle, publish_dead_letter=stays.write)
    await stays.start()
    await reader.start()
    shown: dict[int, dt.datetime] = {}
    async with asyncio.timeout(90):
        while len(shown) < GENERATIONS or min(shown.values()) > dt.datetime.now(dt.UTC):
            serial, not_after = await asyncio.to_thread(_shown, broker, access["team-a"])
            shown[serial] = not_after
            comes = Publisher(access["team-a"], source="team-a")
            await comes.start()
            await asyncio.gather(*(send(sender) for sender in (stays, comes) for _ in range(20)))
            await comes.stop()
    # A consumer that is new, when the first certificates are over.
    late = KeyedConsumer(access["moderator"], TOPIC, "moderator", handle, publish_dead_letter=stays.write)
    await late.start()
    async with asyncio.timeout(30):
        await late.wait_assigned()
    await asyncio.gather(*(send(stays) for _ in range(20)))
    await until("all records", lambda: handled >= sent)
    assert reader.counters.failed_commits == late.counters.failed_commits == 0
    await late.stop()
    await reader.stop()
    await stays.stop()


def _shown(broker: TestBroker, access: KafkaAccess) -> tuple[int, dt.datetime]:
    """Serial number and end of the certificate that the broker shows to a new connection."""
    assert access.tls is not None
    with (
        socket.create_connection((broker.node.ip, broker.node.client_port), 10) as connection,
        access.tls.context().wrap_socket(connection, server_hostname=broker.node.ip) as secured,
    ):
        found = secured.getpeercert(binary_form=True)
    assert found is not None
    certificate = x509.load_der_x509_certificate(found)
    return certificate.serial_number, certificate.not_valid_after_utc
