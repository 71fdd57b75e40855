"""Builds a debater: the only place that knows which object is made of which."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mesh.agent.api import SERVICE_NAME, AgentApi
from mesh.agent.store import AgentStore, metadata
from mesh.service import Foundation
from mesh.settings import load
from services.debater.clients import ModeratorRecord
from services.debater.events import FLOORS, FloorEvents, TurnMessages
from services.debater.logic import Debater
from services.debater.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mesh.llm.port import Model
    from mesh.runtime import Part

MIGRATIONS = Path(__file__).with_name("migrations")


def build(environ: Mapping[str, str], *, model: Model | None = None) -> Sequence[Part]:
    """Returns the service's parts in order of start. `model` replaces the one that the settings name.

    Raises SettingsError.
    """
    settings = load(Settings, environ)
    foundation = Foundation(environ, metadata, MIGRATIONS, model=model)
    agent = foundation.settings.service
    store = AgentStore(foundation.database, TurnMessages(), agent)
    record = ModeratorRecord(foundation.channels, settings.moderator_address)
    debater = Debater(agent, foundation.model, store, record)
    floors = FLOORS.of(agent).name
    AgentApi(debater, settings.description, floors).add_to(foundation.server.grpc)
    events = FloorEvents(debater)
    consumer = foundation.consumer(floors, events.handle, arrived=events.arrived)
    return foundation.parts(record, consumer=consumer, services=[SERVICE_NAME])
