"""Builds a debater: the only place that knows which object is made of which."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mesh.agent.wiring import build_agent
from mesh.clock import SystemClock
from mesh.service import Foundation
from mesh.settings import load
from services.debater.clients import ModeratorRecord
from services.debater.events import TurnMessages
from services.debater.logic import Debater
from services.debater.settings import Settings
from services.debater.store import metadata

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
    record = ModeratorRecord(foundation.channels, settings.moderator_address)
    return build_agent(
        foundation,
        record,
        speaker=Debater(foundation.settings.service, clock=SystemClock(), persona=settings.persona),
        encoder=TurnMessages(),
        record=record,
        description=settings.description,
    )
