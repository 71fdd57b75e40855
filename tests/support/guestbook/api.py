"""Its gRPC service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.support.guestbook.names import GUESTS
from tests.support.guestbook.v1 import guestbook_pb2, guestbook_pb2_grpc

if TYPE_CHECKING:
    from tests.support.guestbook.store import GuestStore

SERVICE_NAME = guestbook_pb2.DESCRIPTOR.services_by_name["GuestbookService"].full_name


class GuestbookApi(guestbook_pb2_grpc.GuestbookServiceServicer):
    """See guestbook.proto."""

    def __init__(self, store: GuestStore) -> None:
        self._store = store

    async def Sign(self, request: guestbook_pb2.SignRequest, _context: Any) -> guestbook_pb2.Guest:  # noqa: N802
        await self._store.sign(GUESTS.parse(request.name, "name"), request.text)
        return guestbook_pb2.Guest(name=request.name, text=request.text)

    async def GetGuest(  # noqa: N802
        self, request: guestbook_pb2.GetGuestRequest, _context: Any
    ) -> guestbook_pb2.Guest:
        text, announced = await self._store.get(GUESTS.parse(request.name, "name"))
        return guestbook_pb2.Guest(name=request.name, text=text, announced=announced)
