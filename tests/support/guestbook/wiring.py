"""Builds it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mesh.service import Foundation
from tests.support.guestbook.api import SERVICE_NAME, GuestbookApi
from tests.support.guestbook.events import SIGNED, GuestEvents, announce
from tests.support.guestbook.store import GuestStore, metadata
from tests.support.guestbook.v1 import guestbook_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mesh.runtime import Part

MIGRATIONS = Path(__file__).with_name("migrations")


def build(environ: Mapping[str, str]) -> Sequence[Part]:
    """Returns the service's parts in order of start. Raises SettingsError."""
    foundation = Foundation(environ, metadata, MIGRATIONS)
    store = GuestStore(foundation.database, announce)
    guestbook_pb2_grpc.add_GuestbookServiceServicer_to_server(GuestbookApi(store), foundation.server.grpc)
    events = GuestEvents(store)
    consumer = foundation.consumer(SIGNED.name, events.handle, receive=events.receive)
    return foundation.parts(consumer=consumer, services=[SERVICE_NAME])
