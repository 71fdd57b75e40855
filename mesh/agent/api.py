"""AgentService: from protobuf to `questions` and `store` and back. Owns names, page tokens and nothing of the rules.

Errors are raised as they are; mesh.rpc turns them into google.rpc.Status.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from rostrum.agent.v1 import agent_service_pb2, agent_service_pb2_grpc

from mesh.agent.messages import floor_event_message, utterance_message
from mesh.errors import InvalidPageTokenError, UnknownAgentError
from mesh.resource_names import AGENTS, CONVERSATIONS
from mesh.rpc import server_sent_events
from mesh.store.paging import checked_page_size, page_position, page_token

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    import grpc.aio
    from google.api import httpbody_pb2

    from mesh.agent.model import Profile
    from mesh.agent.ports import Store
    from mesh.agent.questions import Questions
    from mesh.agent.watching import Watching

_ENDS = {"committed", "withdrawn"}
"""Kinds of the last event of a stream."""
SERVICE_NAME = agent_service_pb2.DESCRIPTOR.services_by_name["AgentService"].full_name


class AgentApi(agent_service_pb2_grpc.AgentServiceServicer):
    """The service; see agent_service.proto for what each RPC promises."""

    def __init__(self, profile: Profile, *, store: Store, questions: Questions, watching: Watching) -> None:
        self._profile = profile
        self._agent = profile.agent
        self._store = store
        self._questions = questions
        self._watching = watching

    def add_to(self, server: grpc.aio.Server) -> None:
        """Adds the service to a server."""
        agent_service_pb2_grpc.add_AgentServiceServicer_to_server(self, server)

    async def GetAgent(  # noqa: N802, D102 - names and words are the proto's
        self, request: agent_service_pb2.GetAgentRequest, _context: Any
    ) -> agent_service_pb2.Agent:
        self._check_agent(request.name, "name")
        return agent_service_pb2.Agent(
            name=AGENTS.name_of(self._agent),
            description=self._profile.description,
            model=self._profile.model,
            floors_topic=self._profile.floors_topic,
            utterance_count=await self._store.count_utterances(),
        )

    async def Ask(  # noqa: N802, D102
        self, request: agent_service_pb2.AskRequest, _context: Any
    ) -> agent_service_pb2.Utterance:
        self._check_agent(request.name, "name")
        return utterance_message(self._agent, await self._questions.ask(request.question, request.request_id))

    async def WatchFloor(  # noqa: N802, D102
        self, request: agent_service_pb2.WatchFloorRequest, _context: Any
    ) -> AsyncGenerator[agent_service_pb2.FloorEvent]:
        self._check_agent(request.name, "name")
        CONVERSATIONS.parse(request.debate, "debate")
        async with contextlib.aclosing(self._watching.watch(request.debate, request.turn_number)) as events:
            async for event in events:
                yield floor_event_message(event)

    async def WatchFloorByHttp(  # noqa: N802, D102
        self, request: agent_service_pb2.WatchFloorByHttpRequest, context: Any
    ) -> AsyncGenerator[httpbody_pb2.HttpBody]:
        self._check_agent(request.name, "name")
        last_id = server_sent_events.last_event_id(context)
        turn_number = _resume(request.turn_number, last_id) if last_id else request.turn_number
        watched = agent_service_pb2.WatchFloorRequest(
            name=request.name, debate=request.debate, turn_number=turn_number or 0
        )
        events = self.WatchFloor(watched, context) if turn_number is not None else _nothing()
        frames = server_sent_events.stream_events(context, events, _FloorIds(), is_resumed=bool(last_id))
        async with contextlib.aclosing(frames):
            async for frame in frames:
                yield frame

    async def ListUtterances(  # noqa: N802, D102
        self, request: agent_service_pb2.ListUtterancesRequest, _context: Any
    ) -> agent_service_pb2.ListUtterancesResponse:
        self._check_agent(request.parent, "parent")
        if request.debate:
            CONVERSATIONS.parse(request.debate, "debate")
        size = checked_page_size(request.page_size)
        arguments = ("ListUtterances", request.parent, request.debate)
        position = page_position(request.page_token, *arguments)
        found = await self._store.list_utterances(size + 1, _sequence(position), request.debate)
        return agent_service_pb2.ListUtterancesResponse(
            utterances=[utterance_message(self._agent, utterance) for _, utterance in found[:size]],
            next_page_token=page_token(str(found[size - 1][0]), *arguments) if len(found) > size else "",
        )

    def _check_agent(self, name: str, field: str) -> None:
        agent = AGENTS.parse(name, field)
        if agent != self._agent:
            message = f"this is {self._agent}, not {agent}; call that agent's own address"
            raise UnknownAgentError(message, agent=agent)


class _FloorIds:
    """The ids of one stream's events: "TURN.EVENT", and "TURN.end" for the last one."""

    def __init__(self) -> None:
        self._turn_number = 0
        self._event_number = 0

    def __call__(self, event: agent_service_pb2.FloorEvent) -> str:
        kind = event.WhichOneof("kind") or "started"
        self._turn_number = getattr(getattr(event, kind), "turn_number", self._turn_number)
        self._event_number += 1
        return f"{self._turn_number}.{'end' if kind in _ENDS else self._event_number}"


def _resume(turn_number: int, last_id: str) -> int | None:
    """The turn that a caller goes on with who had that event last; None if its end was what it asks for.

    Raises InvalidArgumentError.
    """
    turn, _, event = last_id.partition(".")
    last_turn = server_sent_events.read_number(last_id, turn, "TURN.EVENT, two numbers")
    if event == "end":
        return None if turn_number == last_turn else turn_number
    return turn_number or last_turn


async def _nothing() -> AsyncGenerator[agent_service_pb2.FloorEvent]:
    return
    yield


def _sequence(position: str | None) -> int | None:
    if position is None:
        return None
    if not position.isdigit():
        message = "page_token is not one that this method returned"
        raise InvalidPageTokenError(message, field="page_token")
    return int(position)
