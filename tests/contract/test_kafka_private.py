"""What mesh.bus uses of kafka-python's inside is there: a new version that moves it fails here, by name."""

from __future__ import annotations

import inspect
import select
import socket
import struct as struct_of_bytes
import threading
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaConsumer, KafkaProducer  # type: ignore[import-untyped]
from kafka.consumer.fetcher import Fetcher  # type: ignore[import-untyped]
from kafka.consumer.subscription_state import SubscriptionState  # type: ignore[import-untyped]
from kafka.coordinator.consumer import ConsumerCoordinator  # type: ignore[import-untyped]
from kafka.net.inet import KafkaNetSocket  # type: ignore[import-untyped]
from kafka.net.selector import NetworkSelector  # type: ignore[import-untyped]
from kafka.net.transport import KafkaSSLTransport  # type: ignore[import-untyped]
from kafka.producer.sender import Sender  # type: ignore[import-untyped]
from kafka.producer.transaction_manager import TransactionManager  # type: ignore[import-untyped]
from kafka.protocol.metadata import MetadataResponse  # type: ignore[import-untyped]
from kafka.protocol.schemas.fields import struct  # type: ignore[import-untyped]
from kafka.protocol.schemas.fields.codegen import CodegenContext  # type: ignore[import-untyped]
from kafka.record.memory_records import MemoryRecords  # type: ignore[import-untyped]

from mesh.bus import consumer as consumer_module
from mesh.bus.access import KafkaAccess, TlsFiles
from mesh.bus.consumer import KeyedConsumer
from mesh.bus.kafka_python import errors
from mesh.bus.reachable import wait_reachable
from mesh.local.certificates import Authority
from mesh.local.identities import CertificateRequest, write
from mesh.retries import Backoff
from tests.support.waiting import until


@pytest.mark.parametrize(
    ("owner", "names"),
    [
        (Fetcher.PartitionRecords, "_unpack_records"),
        (MemoryRecords, "next_batch"),
        (Fetcher, "fetched_records _send_fetches_async reset_offsets_if_needed maybe_validate_positions "
                  "validate_offsets_if_needed"),
        (KafkaConsumer, "_refresh_committed_offsets commit_async"),
        (ConsumerCoordinator, "poll"),
        (Sender, "force_close wakeup run_once"),
        (TransactionManager, "has_fatal_error transition_to_fatal_error"),
        (SubscriptionState, "has_all_fetch_positions"),
        (NetworkSelector, "call_soon call_soon_threadsafe sleep"),
        (KafkaNetSocket, "sock_connect"),
        (KafkaSSLTransport, "__init__ handshake"),
        (struct.StructField, "compiled_decode_from"),
    ],
)  # fmt: skip
def test_methods(owner: type, names: str) -> None:
    """The methods that mesh.bus calls."""
    assert [name for name in names.split() if not callable(getattr(owner, name, None))] == []


@pytest.mark.parametrize(
    ("owner", "names"),
    [
        (KafkaConsumer, "_fetcher _net _coordinator _subscription"),
        (KafkaProducer, "_metadata _sender _transaction_manager"),
        (Fetcher.PartitionRecords, "next_fetch_offset"),
        (MemoryRecords, "_next_slice"),
    ],
)
def test_attributes(owner: type, names: str) -> None:
    """The attributes that their constructors set."""
    source = inspect.getsource(owner)
    assert [name for name in names.split() if f"self.{name} =" not in source] == []


def test_a_decoder_is_made_by_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two threads whose first response of a kind comes at once get a decoder that works; kafka-python's own breaks."""
    shape, response = MetadataResponse._struct, MetadataResponse[None]
    second_in, first_done = threading.Event(), threading.Event()
    threads: list[threading.Thread] = []

    class Context(CodegenContext):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            if threading.current_thread() is threads[0]:
                second.start()
                second_in.wait(0.3)  # it must not come in, so this wait ends by its time
            else:
                second_in.set()
                first_done.wait()

    def decoder() -> Any:
        return shape.compiled_decode_from(12, compact=True, tagged=True, data_class=response)

    def make_first() -> None:
        decoder()
        first_done.set()

    monkeypatch.setattr(struct, "CodegenContext", Context)
    monkeypatch.setattr(shape, "_compiled_encoders", {})
    first, second = threading.Thread(target=make_first), threading.Thread(target=decoder)
    threads.append(first)
    first.start()
    first.join()
    second.join()
    assert not second_in.is_set()
    assert isinstance(decoder().__globals__["_dc1"], type)


async def test_a_reader_that_hangs_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A consumer whose thread waits indefinitely inside kafka-python says so in `hang`."""
    released = threading.Event()

    def hangs(*_: object) -> bool:
        released.wait()
        return False

    monkeypatch.setattr(consumer_module, "wait_reachable", hangs)
    monkeypatch.setattr(consumer_module, "STALL_SECONDS", 0.2)

    async def handle(_: Any) -> None: ...

    consumer = KeyedConsumer(KafkaAccess("127.0.0.1:9"), "topic", "group", handle, publish_dead_letter=handle)
    await consumer.start()
    hung = await consumer.hang()

    async def hangs_now() -> bool:
        return bool(await consumer.hang())

    await until("the reader's silence", hangs_now, seconds=10)
    released.set()
    await consumer.stop()
    assert not hung


def test_a_stop_ends_the_wait_for_a_broker() -> None:
    """Where nothing listens it waits, without connecting kafka-python, until it is asked to stop."""
    waits: list[float] = []

    def wait(seconds: float, why: str) -> bool:
        assert why == ""
        waits.append(seconds)
        return len(waits) == 3

    assert not wait_reachable(KafkaAccess("127.0.0.1:9,127.0.0.1:10"), wait)
    assert len(waits) == 3


def test_a_connection_that_is_reset_before_its_tls_is_an_error_of_kafkas(tmp_path: Path) -> None:
    """kafka-python tries again after its own errors alone: any other ends its view of the cluster, and so the client.
    The socket is closed."""
    write(Authority.open(tmp_path / "ca"), CertificateRequest(tmp_path / "team-a", kafka_user="team-a"))
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        broker, _ = server.accept()
        broker.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct_of_bytes.pack("ii", 1, 0))
        broker.close()  # with that, by a reset
    client.setblocking(False)
    select.select([client], [], [], 10)
    with pytest.raises(errors.KafkaConnectionError, match="TLS cannot begin"):
        KafkaSSLTransport(None, client, host="127.0.0.1", ssl_context=TlsFiles.in_folder(tmp_path / "team-a").context())
    assert client.fileno() == -1


def test_a_certificate_that_cannot_be_read_is_an_error_of_kafkas(tmp_path: Path) -> None:
    """It is tried again, as while a certificate is renewed."""
    ours, theirs = socket.socketpair()
    with theirs, pytest.raises(errors.KafkaConnectionError, match=r"TLS cannot begin: .*No such file"):
        KafkaSSLTransport(None, ours, host="127.0.0.1", ssl_cafile=str(tmp_path / "missing.pem"))
    assert ours.fileno() == -1


async def test_a_reader_that_fails_each_time_backs_off_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    """What fails with each new client is counted and tried ever more rarely; after three times `trouble` says what."""
    monkeypatch.setattr(consumer_module, "_BACKOFF", Backoff(0.01, 0.04))

    def fail(*_: object) -> bool:
        raise errors.ClusterAuthorizationFailedError("no such thing")

    monkeypatch.setattr(consumer_module, "wait_reachable", fail)

    async def handle(_: Any) -> None: ...

    consumer = KeyedConsumer(KafkaAccess("127.0.0.1:9"), "topic", "group", handle, publish_dead_letter=handle)
    assert await consumer.trouble() == ""
    await consumer.start()

    async def is_in_trouble() -> bool:
        return bool(await consumer.trouble())

    await until("the trouble", is_in_trouble, seconds=10)
    trouble = await consumer.trouble()
    await consumer.stop()
    assert trouble.startswith("topic cannot be read: ClusterAuthorizationFailedError")
    assert "times in a row" in trouble
