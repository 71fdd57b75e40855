"""Its table. A guest and the record that announces it are one transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from mesh.store.database import insert_or_skip
from mesh.store.outbox import outbox_table
from tests.support.guestbook.errors import GuestNotFoundError, NameTakenError

if TYPE_CHECKING:
    from collections.abc import Callable

    from mesh.bus.message import Outgoing
    from mesh.store.database import Committed, Database, Transaction

metadata = sa.MetaData()
outbox_table(metadata)
guests = sa.Table(
    "guests",
    metadata,
    sa.Column("guest", sa.String(20), primary_key=True),
    sa.Column("text", sa.Text(), nullable=False),
    sa.Column("announced", sa.Boolean(), nullable=False),
)


class GuestStore:
    """Who signed."""

    def __init__(self, database: Database, announce: Callable[[str], Outgoing]) -> None:
        self._database = database
        self._announce = announce

    async def sign(self, guest: str, text: str) -> Committed[None]:
        """Stores a guest and enqueues its announcement. Raises NameTakenError."""

        def job(transaction: Transaction) -> None:
            insert = insert_or_skip(guests, self._database.dialect)
            values = {"guest": guest, "text": text, "announced": False}
            if transaction.connection.execute(insert, values).rowcount == 0:
                raise NameTakenError(f"{guest} has signed before", guest=guest)
            transaction.enqueue(self._announce(guest))

        return await self._database.write(job)

    async def mark_announced(self, guest: str) -> None:
        """Notes that the announcement was read."""
        update = guests.update().where(guests.c.guest == guest).values(announced=True)
        await self._database.write(lambda transaction: transaction.connection.execute(update))

    async def get(self, guest: str) -> tuple[str, bool]:
        """Returns what the guest wrote, and whether it was announced. Raises GuestNotFoundError."""
        query = sa.select(guests.c.text, guests.c.announced).where(guests.c.guest == guest)
        row = await self._database.read(lambda connection: connection.execute(query).one_or_none())
        if row is None:
            raise GuestNotFoundError(f"{guest} has not signed", guest=guest)
        return row.text, row.announced
