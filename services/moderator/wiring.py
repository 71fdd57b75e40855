"""Builds the moderator: the only place that knows which object is made of which."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from mesh.clock import SystemClock
from mesh.llm.embeddings import OpenAIEmbedder
from mesh.service import Foundation
from mesh.settings import load
from mesh.telemetry.failures import count_failure
from services.moderator.api import SERVICE_NAME, DebateApi
from services.moderator.events import FLOORS, TURNS, FloorRecords, TurnEvents
from services.moderator.logic.leased_steps import LeasedSteps
from services.moderator.logic.measuring import NoveltyMeasurer
from services.moderator.logic.moderator import Moderator
from services.moderator.logic.watching import Wakeups
from services.moderator.model.debate import Seat, Stance
from services.moderator.settings import Settings
from services.moderator.store.debate_store import DebateStore
from services.moderator.store.tables import metadata
from services.moderator.telemetry import DebateTraces

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mesh.bus.publisher import Publisher
    from mesh.llm.port import Embedder, Model
    from mesh.runtime import Part

MIGRATIONS = Path(__file__).with_name("migrations")


def build(
    environ: Mapping[str, str], *, model: Model | None = None, embedder: Embedder | None = None
) -> Sequence[Part]:
    """Returns the service's parts in order of start. `model` and `embedder` replace those that the settings name.

    Raises SettingsError.
    """
    settings = load(Settings, environ)
    foundation = Foundation(environ, metadata, MIGRATIONS, model=model)
    url = settings.embeddings_url
    embedder = embedder or OpenAIEmbedder(url, socket=foundation.channels.http_socket(url))
    pod = foundation.settings.pod
    store = DebateStore(foundation.database, FloorRecords())
    clock = SystemClock()
    wakeups = Wakeups(store.count_events)
    steps = LeasedSteps(
        store=store,
        model=foundation.model,
        measurer=NoveltyMeasurer(embedder),
        wakeups=wakeups,
        clock=clock,
        pod=pod,
        count_failure=count_failure,
    )
    moderator = Moderator(
        store=store,
        steps=steps,
        wakeups=wakeups,
        observer=DebateTraces(),
        clock=clock,
        agent_exists=_Agents(foundation.publisher).exists,
        default_seats=[Seat(agent, Stance(stance)) for agent, stance in settings.default_seats],
        pod=pod,
    )
    DebateApi(moderator).add_to(foundation.server.grpc)
    consumer = foundation.consumer(TURNS.name, TurnEvents(moderator).handle)
    return foundation.parts(
        _Timers(moderator, embedder),
        consumer=consumer,
        services=[SERVICE_NAME],
        checks={"the deadlines": moderator.trouble},
    )


class _Agents:
    """An agent is in this deployment if it has a topic for its floors; a known one is not asked for again."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher
        self._known: set[str] = set()

    async def exists(self, agent: str) -> bool:
        if agent in self._known:
            return True
        try:
            topic = FLOORS.of(agent).name
        except ValueError:
            return False
        if not await self._publisher.topic_exists(topic):
            return False
        self._known.add(agent)
        return True


class _Timers:
    """Deadlines and leased steps, from start to stop."""

    def __init__(self, moderator: Moderator, embedder: Embedder) -> None:
        self._moderator = moderator
        self._embedder = embedder
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        await self._moderator.recover()
        self._task = asyncio.create_task(self._moderator.run_timers(), name="timers")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await self._moderator.aclose()
        await self._embedder.aclose()
