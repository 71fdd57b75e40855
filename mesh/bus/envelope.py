"""Between records as Kafka has them and the shapes of mesh.bus.message: CloudEvents headers and W3C Trace Context.

Headers are documented in protos/rostrum/bus/v1/topic.proto. What is not UTF-8 is left out of an Incoming and
kept in the dead letter, which has the record's own bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mesh.bus.batches import UnreadableBatch
from mesh.bus.message import Incoming

if TYPE_CHECKING:
    from mesh.bus.message import Outgoing

Headers = list[tuple[str, bytes]]


@dataclass(frozen=True, slots=True)
class WireRecord:
    """A record as it is written: bytes only."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers = field(default_factory=list)

    @property
    def size_bytes(self) -> int:
        """Size of key and value; what a headers' few bytes add is left to the broker."""
        return len(self.key or b"") + len(self.value or b"")


@dataclass(frozen=True, slots=True)
class ReadRecord:
    """A record as it was read: bytes, and where it was."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    unreadable: str = ""
    """What is wrong with the batch that this record stands for, whose bytes are its value; empty for any other."""

    @property
    def size_bytes(self) -> int:
        """Size of key and value."""
        return len(self.key or b"") + len(self.value or b"")


def to_wire(message: Outgoing, source: str) -> WireRecord:
    """Returns the record to write; `source` is the service that writes it."""
    headers: Headers = [
        ("ce_specversion", b"1.0"),
        ("ce_id", message.event_id.encode()),
        ("ce_type", message.type.encode()),
        ("ce_source", source.encode()),
        ("content-type", b"application/protobuf"),
    ]
    headers += [(name, value.encode()) for name, value in message.headers.items()]
    return WireRecord(message.topic, message.key.encode(), message.payload, headers)


def read_record(record: Any) -> ReadRecord:
    """Returns kafka-python's ConsumerRecord, or an UnreadableBatch, in our shape."""
    return ReadRecord(
        record.topic,
        record.partition,
        record.offset,
        record.timestamp,
        record.key,
        record.value,
        [(name, value if value is not None else b"") for name, value in record.headers],
        record.why if isinstance(record, UnreadableBatch) else "",
    )


def to_incoming(record: ReadRecord) -> Incoming:
    """Returns the record as handlers take it. Never fails: what is not UTF-8 is left out."""
    headers: dict[str, str] = {}
    for name, value in record.headers:
        try:
            headers[name] = value.decode()
        except UnicodeDecodeError:
            continue
    try:
        key = (record.key or b"").decode()
    except UnicodeDecodeError:
        key = ""
    return Incoming(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        key=key,
        event_id=headers.get("ce_id", ""),
        type=headers.get("ce_type", ""),
        payload=record.value or b"",
        headers=headers,
        timestamp_ms=record.timestamp_ms,
    )
