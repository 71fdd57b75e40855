"""Builds an agent on a service's foundation: what such a service's own wiring calls once it has its three ports."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mesh.agent.api import SERVICE_NAME, AgentApi
from mesh.agent.catching_up import CatchingUp
from mesh.agent.drafts import Drafts
from mesh.agent.events import FLOORS, FloorEvents
from mesh.agent.floors import Floors
from mesh.agent.model import Counters, Profile
from mesh.agent.questions import Questions
from mesh.agent.store import AgentStore
from mesh.agent.watching import Watching
from mesh.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mesh.agent.ports import ConversationRecord, Speaker, TurnEncoder
    from mesh.runtime import Part
    from mesh.service import Foundation


def build_agent(
    foundation: Foundation,
    *own: Part,
    speaker: Speaker,
    encoder: TurnEncoder,
    record: ConversationRecord,
    description: str,
) -> Sequence[Part]:
    """Returns all parts of the service in order of start: those of the foundation, its `own`, the agent's.

    The foundation's metadata must have the agent's tables (mesh.agent.store.add_tables). `description`: one line for
    people, shown by GetAgent.
    """
    agent = foundation.settings.service
    model, clock, counters, drafts = foundation.model, SystemClock(), Counters(), Drafts()
    store = AgentStore(foundation.database, encoder, agent)
    floors = Floors(
        speaker=speaker,
        model=model,
        store=store,
        catching_up=CatchingUp(store, record, clock),
        clock=clock,
        counters=counters,
        drafts=drafts,
    )
    questions = Questions(speaker=speaker, model=model, store=store, clock=clock, counters=counters)
    topic = FLOORS.of(agent).name
    profile = Profile(agent, description, model.name, topic)
    api = AgentApi(profile, store=store, questions=questions, watching=Watching(drafts, store))
    api.add_to(foundation.server.grpc)
    events = FloorEvents(agent, floors)
    consumer = foundation.consumer(topic, events.handle, receive=events.receive)
    return foundation.parts(*own, consumer=consumer, services=[SERVICE_NAME])
