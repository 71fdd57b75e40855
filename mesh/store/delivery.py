"""The two tables through which a service's own transaction and the broker meet: outbox and inbox.

A service puts them into its metadata with `delivery_tables` and makes them in its first migration. The outbox holds
records that are committed and not yet acknowledged by the broker; the inbox holds ids of records that were handled.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from mesh.bus.message import OutboxRow, Outgoing

if TYPE_CHECKING:
    from collections.abc import Mapping

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


@dataclass(frozen=True, slots=True)
class DeliveryTables:
    """The outbox and the inbox of one metadata."""

    outbox: sa.Table
    inbox: sa.Table


def delivery_tables(metadata: sa.MetaData) -> DeliveryTables:
    """Returns the two tables of this metadata; the first call defines them."""
    if "outbox" in metadata.tables:
        return DeliveryTables(metadata.tables["outbox"], metadata.tables["inbox"])
    outbox = sa.Table(
        "outbox",
        metadata,
        sa.Column("id", _ID, primary_key=True, autoincrement=True),
        sa.Column("topic", sa.String(255), nullable=False),
        sa.Column("key", sa.String(255), nullable=False),
        sa.Column("event_id", sa.String(255), nullable=False),
        sa.Column("type", sa.String(255), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.Column("headers", sa.Text(), nullable=False),
        sa.Column("create_time_us", sa.BigInteger(), nullable=False),
        sqlite_autoincrement=True,  # an id is never used twice, or a late acknowledgement would delete another row
    )
    inbox = sa.Table(
        "inbox",
        metadata,
        sa.Column("event_id", sa.String(255), primary_key=True),
        sa.Column("create_time_us", sa.BigInteger(), nullable=False),
    )
    return DeliveryTables(outbox, inbox)


def outbox_values(message: Outgoing, now_us: int) -> dict[str, Any]:
    """Returns the column values of a new outbox row."""
    return {
        "topic": message.topic,
        "key": message.key,
        "event_id": message.event_id,
        "type": message.type,
        "payload": message.payload,
        "headers": json.dumps(dict(message.headers), separators=(",", ":")) if message.headers else "{}",
        "create_time_us": now_us,
    }


def outbox_row(row: Mapping[str, Any]) -> OutboxRow:
    """Returns the stored row as the relay takes it."""
    return OutboxRow(
        id=row["id"],
        message=Outgoing(
            topic=row["topic"],
            key=row["key"],
            event_id=row["event_id"],
            type=row["type"],
            payload=bytes(row["payload"]),
            headers=json.loads(row["headers"]),
        ),
    )
