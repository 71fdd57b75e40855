"""The place of mesh.bus that imports kafka-python, which is untyped, and which warns of itself while it is imported.

Its protocol classes read their schemas with importlib.resources.read_text, deprecated from Python 3.11 to 3.12 and back
since 3.13; the warning says nothing about us, and where warnings are errors the import would fail.

Faults of 3.0.12 are mended here. It forgets to close the socket of a refused connection (net/inet.py), and of one
whose TLS fails (net/transport.py): while a broker is away or not trusted, each attempt would leave one for the garbage
collector. A connection that is reset before its TLS begins, as by a broker that is killed, or a certificate that cannot
be read, is no error of Kafka's to it, and any other error ends for good the task that keeps its view of the cluster
(cluster.py): the client then never sends or reads again. And it makes the decoder of a response when the first one
comes, in a way that two threads must not do at once (protocol/schemas/fields/struct.py): a producer and a consumer that
start together may leave a decoder that fails each time, and the process then times out on every request.

A batch that cannot be read is a record of its own instead of an error at each fetch, and codecs are read within a
bound: see batches.py and codecs.py.
"""

from __future__ import annotations

import threading
import warnings
from typing import TYPE_CHECKING, Any

with warnings.catch_warnings():
    warnings.filterwarnings("ignore", message="(read|open)_text is deprecated", category=DeprecationWarning)
    from kafka import KafkaConsumer, KafkaProducer, TopicPartition, errors  # type: ignore[import-untyped]
    from kafka.consumer.fetcher import Fetcher  # type: ignore[import-untyped]
    from kafka.consumer.subscription_state import (  # type: ignore[import-untyped]
        AsyncConsumerRebalanceListener,
    )
    from kafka.coordinator.assignors.cooperative_sticky import (  # type: ignore[import-untyped]
        CooperativeStickyAssignor,
    )
    from kafka.net.inet import KafkaNetSocket  # type: ignore[import-untyped]
    from kafka.net.transport import KafkaSSLTransport  # type: ignore[import-untyped]
    from kafka.protocol.schemas.fields.struct import StructField  # type: ignore[import-untyped]
    from kafka.record import default_records, legacy_records  # type: ignore[import-untyped]
    from kafka.structs import OffsetAndMetadata  # type: ignore[import-untyped]

from mesh.bus.batches import read_batches
from mesh.bus.codecs import READERS

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

_sock_connect = KafkaNetSocket.sock_connect


async def _connect_or_close(self: Any, net: Any, sock: socket.socket, sockaddr: Any, timeout_at: Any = None) -> Any:
    try:
        return await _sock_connect(self, net, sock, sockaddr, timeout_at=timeout_at)
    except BaseException:
        sock.close()
        raise


KafkaNetSocket.sock_connect = _connect_or_close

_wrap = KafkaSSLTransport.__init__
_handshake = KafkaSSLTransport.handshake


def _wrap_or_close(self: Any, net: Any, sock: socket.socket, host: str | None = None, **configs: Any) -> None:
    try:
        sock.getpeername()  # Python's ssl would leave one open that was reset by now
        _wrap(self, net, sock, host=host, **configs)
    except OSError as error:  # ssl.SSLError is one
        sock.close()
        raise errors.KafkaConnectionError(f"TLS cannot begin: {error}") from error


async def _handshake_or_close(self: Any) -> None:
    try:
        await _handshake(self)
    except BaseException:
        self._sock.close()
        raise


KafkaSSLTransport.__init__ = _wrap_or_close
KafkaSSLTransport.handshake = _handshake_or_close

_compiled_decode_from = StructField.compiled_decode_from
_compiling = threading.RLock()


def _compile_one_at_a_time(self: Any, version: int, **kind: Any) -> Any:
    decode = self._compiled_encoders.get(
        ("decode", version, kind.get("compact", False), kind.get("tagged", False), kind.get("data_class"))
    )
    if decode is not None:
        return decode
    with _compiling:
        return _compiled_decode_from(self, version, **kind)


StructField.compiled_decode_from = _compile_one_at_a_time

_unpack_records = Fetcher.PartitionRecords._unpack_records


def _unpack_readable_records(self: Any, tp: Any, records: Any, *_deserializers: None) -> Iterator[Any]:
    return read_batches(_unpack_records, self, tp, records)


Fetcher.PartitionRecords._unpack_records = _unpack_readable_records

for _records in (default_records, legacy_records):
    for _codec, _decompress in READERS.items():
        if hasattr(_records, f"{_codec}_decode"):  # the older format never had zstd
            setattr(_records, f"{_codec}_decode", _decompress)

__all__ = [
    "AsyncConsumerRebalanceListener",
    "CooperativeStickyAssignor",
    "KafkaConsumer",
    "KafkaProducer",
    "OffsetAndMetadata",
    "TopicPartition",
    "errors",
]
