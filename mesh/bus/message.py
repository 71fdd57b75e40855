"""The shapes in which records go in and out of `mesh.bus`, free of Kafka and protobuf, so that `logic` may pass them.

Headers on the wire are those of CloudEvents' Kafka binding in binary mode plus W3C Trace Context; they are documented
in protos/rostrum/bus/v1/topic.proto.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A record to be published; what the outbox stores."""

    topic: str
    key: str
    """Records of one key keep their order: the id of what they are about."""
    event_id: str
    """ce_id: the same each time this record is published again."""
    type: str
    """ce_type: full name of the payload's protobuf message."""
    payload: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    """Further headers, such as traceparent."""


@dataclass(frozen=True, slots=True)
class Incoming:
    """A record that was read."""

    topic: str
    partition: int
    offset: int
    key: str
    event_id: str
    """ce_id; empty if the record has none."""
    type: str
    """ce_type; empty if the record has none."""
    payload: bytes
    headers: Mapping[str, str]
    """All headers that are UTF-8."""
    timestamp_ms: int
    """When it was written, in milliseconds since the epoch."""


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """A record that was committed to an outbox and waits to be published."""

    id: int
    """Its place in the outbox; ids grow in the order of the commits."""
    message: Outgoing
