"""Its topic, out and in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mesh.bus.topics import topic_of
from tests.support.guestbook.names import GUESTS
from tests.support.guestbook.v1 import guestbook_pb2

if TYPE_CHECKING:
    from mesh.bus.message import Incoming, Outgoing
    from tests.support.guestbook.store import GuestStore

SIGNED = topic_of(guestbook_pb2.GuestSigned)


def announce(guest: str) -> Outgoing:
    """Returns the record that says that this guest signed."""
    return SIGNED.record(guestbook_pb2.GuestSigned(guest=GUESTS.name_of(guest)), f"{guest}/signed", {})


class GuestEvents:
    """Handles the records of the topic."""

    def __init__(self, store: GuestStore) -> None:
        self._store = store

    def receive(self, record: Incoming) -> str:
        """Returns the guest."""
        return GUESTS.parse(guestbook_pb2.GuestSigned.FromString(record.payload).guest, "guest")

    async def handle(self, guest: str) -> None:
        """Marks the guest."""
        await self._store.mark_announced(guest)
