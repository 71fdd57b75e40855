"""Single requests of Kafka's protocol, sent by hand: what a client may do that does not ask for metadata first."""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING, Any

from mesh.bus import kafka_python  # noqa: F401 - before kafka's own modules, whose warnings it keeps away

if TYPE_CHECKING:
    from mesh.bus.access import KafkaAccess

_FETCH, _CREATE = 12, 7
"""The last versions that name topics rather than number them."""


def fetch(access: KafkaAccess, topic: str) -> int:
    """Asks for partition 0 of a topic from its beginning, and returns the error's code; 0 if there are records."""
    from kafka.protocol.consumer import FetchRequest, FetchResponse  # type: ignore[import-untyped]  # noqa: PLC0415

    part = FetchRequest.FetchTopic.FetchPartition(partition=0, fetch_offset=0, partition_max_bytes=1024)
    request = FetchRequest(
        max_wait_ms=1_000, min_bytes=1, topics=[FetchRequest.FetchTopic(topic=topic, partitions=[part])],
        forgotten_topics_data=[],
    )  # fmt: skip
    answer = FetchResponse.decode(_ask(access, _address(access), request, _FETCH), version=_FETCH, header=True)
    found = answer.responses[0].partitions[0]
    assert found.error_code or found.records
    return int(found.error_code)


def create(access: KafkaAccess, topic: str, address: tuple[str, int] | None = None) -> int:
    """Asks to make a topic, of the broker or of the listener at `address`, and returns the error's code."""
    from kafka.protocol.admin import CreateTopicsRequest, CreateTopicsResponse  # type: ignore[import-untyped]  # noqa: PLC0415

    new = CreateTopicsRequest.CreatableTopic(
        name=topic, num_partitions=1, replication_factor=1, assignments=[], configs=[]
    )
    request = CreateTopicsRequest(topics=[new], timeout_ms=5_000, validate_only=False)
    answer = _ask(access, address or _address(access), request, _CREATE)
    return int(CreateTopicsResponse.decode(answer, version=_CREATE, header=True).topics[0].error_code)


def _address(access: KafkaAccess) -> tuple[str, int]:
    host, _, port = access.bootstrap_servers.rpartition(":")
    return host, int(port)


def _ask(access: KafkaAccess, address: tuple[str, int], request: Any, version: int) -> bytes:
    assert access.tls is not None
    request.API_VERSION = version
    request.with_header(correlation_id=1, client_id="by-hand")
    with (
        socket.create_connection(address, 10) as connection,
        access.tls.context().wrap_socket(connection, server_hostname=address[0]) as secured,
    ):
        secured.sendall(request.encode(version=version, header=True, framed=True))
        return _read(secured, int.from_bytes(_read(secured, 4)))


def _read(secured: ssl.SSLSocket, number: int) -> bytes:
    found = b""
    while len(found) < number:
        part = secured.recv(number - len(found))
        assert part, "the broker ended the connection"
        found += part
    return found
