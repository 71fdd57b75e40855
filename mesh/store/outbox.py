"""The outbox: the table through which a service's own transaction and the broker meet.

A service puts it into its metadata with `outbox_table` and makes it in its first migration. It holds records that are
committed and not yet acknowledged by the broker. There is no table of records that were handled: a record that comes
again changes nothing because each change is a compare-and-set, or meets a unique key.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from mesh.bus.message import OutboxRow, Outgoing

if TYPE_CHECKING:
    from collections.abc import Mapping

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def outbox_table(metadata: sa.MetaData) -> sa.Table:
    """Returns the outbox of this metadata; the first call defines it."""
    if "outbox" in metadata.tables:
        return metadata.tables["outbox"]
    return sa.Table(
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
