"""Who may do what at a real broker: exactly what the KafkaUsers of k8s/base say, for every identity and topic.

The expectation is generated from the manifests, the measurement from clients that try. Identities: each KafkaUser, a
sidecar's certificate, and those that must not get in at all: none, another authority's, an expired one, plaintext.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import itertools
import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509.oid import NameOID

from mesh.bus.access import KafkaAccess, TlsFiles
from mesh.bus.consumer import KeyedConsumer
from mesh.bus.kafka_python import KafkaConsumer, KafkaProducer, OffsetAndMetadata, TopicPartition, errors
from mesh.bus.publisher import Publisher
from mesh.bus.reachable import API_VERSIONS
from mesh.errors import BrokerUnavailableError
from mesh.local.broker import make_topics
from mesh.local.certificates import private_pem
from mesh.local.identities import KAFKA_RUNNER, CertificateRequest, open_authority, write
from mesh.local.manifests import Manifests, read
from mesh.local.rights import Right, make_rights
from tests.contract.bus_suite import message
from tests.support.broker import TestBroker, run_broker
from tests.support.kafka_requests import create, fetch
from tests.support.topics import FLOORS_TOPIC, TURNS_TOPIC
from tests.support.waiting import until

MANIFESTS: Manifests = read(Path(__file__).resolve().parents[2] / "k8s" / "base")
RIGHTS = tuple(itertools.chain.from_iterable(MANIFESTS.kafka_users.values()))
USERS = sorted(MANIFESTS.kafka_users)
TOPICS = sorted(topic.name for topic in MANIFESTS.topics)
OPERATIONS = ("Read", "Write", "Create", "Delete", "Alter")
NOT_ALLOWED: int = errors.TopicAuthorizationFailedError.errno
A_FLOORS, B_FLOORS = FLOORS_TOPIC.of("team-a").name, FLOORS_TOPIC.of("team-b").name

Allowed = set[tuple[str, str]]
"""(operation, topic)."""


def declared(user: str, rights: tuple[Right, ...] = RIGHTS) -> Allowed:
    """What the manifests let this user do to topics."""
    return {
        (operation, topic)
        for right in rights
        for operation, topic in itertools.product(OPERATIONS, TOPICS)
        if right.user == user and right.resource_type == "topic" and right.operation in {operation, "All"}
        and (topic.startswith(right.name) if right.prefix else right.name in {topic, "*"})
    }  # fmt: skip


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestBroker]:
    """A broker with Rostrum's topics, a record in each, and the rights of its users."""
    running = run_broker(tmp_path_factory.mktemp("rights"))
    try:
        make_topics(running.access, MANIFESTS.topics)
        make_rights(running.access, RIGHTS)
        producer = KafkaProducer(**running.access.client_settings(), acks="all")
        for topic in TOPICS:
            producer.send(topic, b"x", partition=0).get(10)
        producer.close()
        yield running
    finally:
        running.kill()


# ---- who gets in may do what is declared ----


@dataclass
class Clients:
    """The clients of one identity."""

    producer: Any
    access: KafkaAccess

    def may(self, operation: str, topic: str) -> bool:
        """Tries it; False if the broker says that it is not allowed. Any other error is raised."""
        try:
            match operation:
                case "Read":
                    return fetch(self.access, topic) != NOT_ALLOWED
                case "Create":
                    return create(self.access, topic) != NOT_ALLOWED
                case "Write":
                    self.producer.send(topic, b"x", partition=0).get(10)
                case _:
                    self._administer(operation, topic)
        except (errors.TopicAuthorizationFailedError, errors.ClusterAuthorizationFailedError):
            return False
        return True

    def _administer(self, operation: str, topic: str) -> None:
        from kafka.admin import KafkaAdminClient  # type: ignore[import-untyped]  # noqa: PLC0415 - after the bus

        admin = KafkaAdminClient(**self.access.client_settings(), bootstrap_timeout_ms=5_000)
        try:
            match operation:
                case "Delete":
                    admin.delete_topics([topic], timeout_ms=5_000)
                case "Alter":
                    admin.create_partitions({topic: 12}, timeout_ms=5_000)
        finally:
            admin.close()


def measured(access: KafkaAccess) -> Allowed:
    """What this identity may do in truth."""
    settings = access.client_settings()
    producer = KafkaProducer(**settings, acks="all", enable_idempotence=False, max_block_ms=5_000)
    try:
        clients = Clients(producer, access)
        return {right for right in itertools.product(OPERATIONS, TOPICS) if clients.may(*right)}
    finally:
        producer.close()


@pytest.mark.parametrize("user", USERS)
def test_a_user_may_do_what_is_declared_and_no_more(broker: TestBroker, user: str) -> None:
    """The whole matrix of operations and topics."""
    assert measured(broker.access_of(user)) == declared(user)


def test_what_the_manifests_declare() -> None:
    """The matrix is not empty by mistake: what each user must be able to do, and what none may, said by hand."""
    assert ("Read", A_FLOORS) in declared("team-a")
    assert ("Write", TURNS_TOPIC.name) in declared("team-a")
    assert ("Read", TURNS_TOPIC.name) in declared("moderator")
    assert {("Write", A_FLOORS), ("Write", B_FLOORS)} <= declared("moderator")
    for forbidden in (("Read", B_FLOORS), ("Write", A_FLOORS), ("Write", B_FLOORS), ("Read", TURNS_TOPIC.name)):
        assert forbidden not in declared("team-a")
    assert not {operation for user in USERS for operation, _ in declared(user)} & {"Create", "Delete", "Alter"}


def test_the_matrix_sees_a_right_too_many(broker: TestBroker) -> None:
    """A broker that allows more than the manifests is caught; making the rights again puts it right."""
    loose = Right("team-a", "topic", B_FLOORS, prefix=False, operation="Read")
    assert make_rights(broker.access, (*RIGHTS, loose)) == (1, 0)
    try:
        assert measured(broker.access_of("team-a")) - declared("team-a") == {("Read", B_FLOORS)}
    finally:
        assert make_rights(broker.access, RIGHTS) == (0, 1)
    assert make_rights(broker.access, RIGHTS) == (0, 0)


def test_a_sidecars_certificate_has_no_rights(broker: TestBroker, tmp_path: Path) -> None:
    """It is of our authority and gets in, but Kafka knows no user without a subject."""
    authority = open_authority(broker.folder / "ca")
    write(
        authority, CertificateRequest(tmp_path / "sidecar", spiffe_id="spiffe://cluster.local/ns/rostrum/sa/moderator")
    )
    assert measured(KafkaAccess(broker.bootstrap_servers, TlsFiles.in_folder(tmp_path / "sidecar"))) == set()


@pytest.mark.parametrize(("user", "group"), list(itertools.product(USERS, USERS)))
def test_a_group_is_its_own_users(broker: TestBroker, user: str, group: str) -> None:
    """Nobody moves another's offsets."""
    topic = next(topic for operation, topic in sorted(declared(user)) if operation == "Read")
    consumer = KafkaConsumer(**broker.access_of(user).client_settings(), group_id=group, enable_auto_commit=False)
    try:
        allowed = True
        try:
            consumer.commit({TopicPartition(topic, 0): OffsetAndMetadata(0, "", -1)})
        except errors.GroupAuthorizationFailedError:
            allowed = False
    finally:
        consumer.close(autocommit=False)
    expected = any(right.user == user and (right.resource_type, right.name) == ("group", group) for right in RIGHTS)
    assert allowed == expected == (user == group)


@pytest.mark.parametrize("user", [*USERS, KAFKA_RUNNER])
def test_the_controller_obeys_the_same_rights(broker: TestBroker, user: str) -> None:
    """Whoever asks the controller itself, past the broker, makes a topic only if the runner does."""
    answer = create(broker.access_of(user), f"made-by-{user}", (broker.node.ip, broker.node.controller_port))
    assert answer == (0 if user == KAFKA_RUNNER else NOT_ALLOWED)


# ---- who does not get in ----


def _none(broker: TestBroker, _: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=broker.folder / "broker" / "root.pem")


def _of(folder: Path, broker: TestBroker) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=broker.folder / "broker" / "root.pem")
    context.load_cert_chain(folder / "chain.pem", folder / "key.pem")
    return context


def _another_authority(broker: TestBroker, folder: Path) -> ssl.SSLContext:
    write(open_authority(folder / "ca"), CertificateRequest(folder / "it", kafka_user="moderator"))
    return _of(folder / "it", broker)


def _expired(broker: TestBroker, folder: Path) -> ssl.SSLContext:
    then = dt.datetime.now(dt.UTC) - dt.timedelta(hours=25)
    write(open_authority(broker.folder / "ca"), CertificateRequest(folder / "it", kafka_user="moderator"), now=then)
    return _of(folder / "it", broker)


def _self_made(broker: TestBroker, folder: Path) -> ssl.SSLContext:
    """team-a's own key, under moderator's name, signed by itself."""
    return _forged(broker, folder, signed_by_own_certificate=False)


def _signed_by_a_leaf(broker: TestBroker, folder: Path) -> ssl.SSLContext:
    """As if team-a were an authority: moderator's name, signed with team-a's key, team-a's certificate beside it."""
    return _forged(broker, folder, signed_by_own_certificate=True)


def _forged(broker: TestBroker, folder: Path, *, signed_by_own_certificate: bool) -> ssl.SSLContext:
    own = broker.access_of("team-a").tls
    assert own is not None
    key = load_pem_private_key(own.key.read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    issuer = x509.load_pem_x509_certificate(own.chain.read_bytes())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "moderator")])
    builder = x509.CertificateBuilder(
        issuer.subject if signed_by_own_certificate else name, name, key.public_key(), x509.random_serial_number(),
        issuer.not_valid_before_utc, issuer.not_valid_after_utc,
    )  # fmt: skip
    chain = builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)
    (folder / "key.pem").write_bytes(private_pem(key))
    (folder / "chain.pem").write_bytes(chain + (own.chain.read_bytes() if signed_by_own_certificate else b""))
    return _of(folder, broker)


STRANGERS = [_none, _another_authority, _expired, _self_made, _signed_by_a_leaf]


@pytest.mark.parametrize("port", ["client_port", "controller_port"])
@pytest.mark.parametrize("stranger", STRANGERS, ids=[stranger.__name__.strip("_") for stranger in STRANGERS])
def test_a_stranger_does_not_get_in(
    broker: TestBroker, tmp_path: Path, stranger: Callable[[TestBroker, Path], ssl.SSLContext], port: str
) -> None:
    """At neither listener: TLS ends with an alert, so no request is ever read."""
    with pytest.raises(ssl.SSLError, match=r"(?i)alert|certificate"):
        _ask(broker, stranger(broker, tmp_path), getattr(broker.node, port))


@pytest.mark.parametrize("port", ["client_port", "controller_port"])
def test_who_belongs_here_gets_in(broker: TestBroker, port: str) -> None:
    """The same question with a certificate of our authority is answered, so the tests above can fail."""
    tls = broker.access_of("team-a").tls
    assert tls is not None
    assert _ask(broker, tls.context(), getattr(broker.node, port))


@pytest.mark.parametrize("port", ["client_port", "controller_port"])
def test_plaintext_is_not_answered(broker: TestBroker, port: str) -> None:
    """A request without TLS gets a TLS alert or nothing, never an answer of Kafka."""
    with socket.create_connection((broker.node.ip, getattr(broker.node, port)), 10) as connection:
        connection.sendall(API_VERSIONS)
        answer = connection.recv(1)
    assert answer in {b"", b"\x15"}


def test_a_stolen_certificate_needs_its_key(broker: TestBroker) -> None:
    """moderator's certificate, which everybody sees, is of no use with team-a's key."""
    own, other = broker.access_of("team-a").tls, broker.access_of("moderator").tls
    assert own is not None
    assert other is not None
    with pytest.raises(ssl.SSLError, match=r"(?i)key values mismatch"):
        replace(own, chain=other.chain).context()


def test_a_broker_that_is_not_ours_gets_nothing(broker: TestBroker, tmp_path: Path) -> None:
    """The client checks who it talks to: another authority's root, or another address, and it ends the handshake."""
    own = broker.access_of("team-a").tls
    assert own is not None
    (tmp_path / "root.pem").write_bytes(open_authority(tmp_path / "ca").root_pem)
    with pytest.raises(ssl.SSLCertVerificationError, match=r"self-signed|unable to get local issuer"):
        _ask(broker, replace(own, root=tmp_path / "root.pem").context(), broker.node.client_port)
    elsewhere = str(ipaddress.ip_address(broker.node.ip) + 1)
    with pytest.raises(ssl.SSLCertVerificationError, match="IP address mismatch"):
        _ask(broker, own.context(), broker.node.client_port, name=elsewhere)


def _ask(broker: TestBroker, context: ssl.SSLContext, port: int, *, name: str | None = None) -> bytes:
    """Asks the listener for its versions, and returns the first bytes of the answer."""
    with (
        socket.create_connection((broker.node.ip, port), 10) as connection,
        context.wrap_socket(connection, server_hostname=name or broker.node.ip) as secured,
    ):
        secured.sendall(API_VERSIONS)
        return secured.recv(4)


# ---- what a service sees ----


async def test_a_missing_right_is_named(broker: TestBroker) -> None:
    """Whoever publishes is notified of the topic and the right; the publisher goes on with its other topics."""
    publisher = Publisher(broker.access_of("team-a"), source="team-a")
    await publisher.start()
    for topic in (A_FLOORS, B_FLOORS):  # it may see the first and not the second
        with pytest.raises(BrokerUnavailableError, match=f"team-a has no right to topic {topic}.*needs Write"):
            await publisher.send(message(topic, "key", "text"))
    await publisher.send(message(TURNS_TOPIC.name, "key", "text"))
    await publisher.stop()


@pytest.mark.parametrize(
    ("topic", "group", "line"),
    [
        (A_FLOORS, "team-b", "no right to consumer group team-b: its KafkaUser needs Read of that group"),
        (TURNS_TOPIC.name, "team-a", f"team-a has no right to topic {TURNS_TOPIC.name}: its KafkaUser needs Read"),
    ],
)
async def test_a_consumer_says_what_it_lacks(
    broker: TestBroker, caplog: pytest.LogCaptureFixture, topic: str, group: str, line: str
) -> None:
    """One line, without a traceback, each time that it tries again."""
    consumer = KeyedConsumer(broker.access_of("team-a"), topic, group, _nothing, publish_dead_letter=_nothing)
    await consumer.start()
    await until(f"a log line: {line}", lambda: line in caplog.text, seconds=20)
    await consumer.stop()
    assert "Traceback" not in caplog.text


async def test_a_certificate_that_is_refused_is_named(broker: TestBroker, tmp_path: Path) -> None:
    """Whoever publishes is notified that TLS fails and with which file, rather than that no broker is there."""
    _expired(broker, tmp_path)
    access = KafkaAccess(broker.bootstrap_servers, TlsFiles.in_folder(tmp_path / "it"))

    publisher = Publisher(access, source="moderator")
    await publisher.start()
    with pytest.raises(BrokerUnavailableError, match=r"TLS with our certificate .*chain\.pem fails"):
        await publisher.send(message(TURNS_TOPIC.name, "key", "text"))
    await publisher.stop()


async def _nothing(_: Any) -> None: ...
