"""AgentService: from protobuf to `logic` and back. Owns names, page tokens and nothing of the rules.

Errors are raised as they are; mesh.rpc turns them into google.rpc.Status.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Protocol

from rostrum.agent.v1 import agent_service_pb2, agent_service_pb2_grpc

from mesh.agent.messages import utterance_message
from mesh.errors import InvalidNameError, InvalidPageTokenError, UnknownAgentError
from mesh.store.paging import checked_page_size, page_position, page_token

if TYPE_CHECKING:
    from collections.abc import Sequence

    import grpc.aio

    from mesh.agent.model import Utterance
    from mesh.llm.port import Model

SERVICE_NAME = agent_service_pb2.DESCRIPTOR.services_by_name["AgentService"].full_name

_DEBATE = re.compile(r"debates/[a-zA-Z0-9_-]{1,56}")


class AnswersQuestions(Protocol):
    """What `logic` does for the API."""

    @property
    def agent(self) -> str:
        """Id of this agent."""
        ...

    @property
    def model(self) -> Model:
        """The model it speaks with."""
        ...

    async def count(self) -> int:
        """Returns the number of things it said."""
        ...

    async def newest(self, limit: int, before: int | None, debate: str) -> Sequence[tuple[int, Utterance]]:
        """Returns what it said, newest first, each with its place: below place `before`, of `debate`, if given."""
        ...

    async def ask(self, question: str, request_id: str) -> Utterance:
        """Answers a question and stores the answer; the same request_id returns the stored one."""
        ...


class AgentApi(agent_service_pb2_grpc.AgentServiceServicer):
    """The service; see agent_service.proto for what each RPC promises."""

    def __init__(self, agent: AnswersQuestions, description: str, floors_topic: str) -> None:
        self._agent = agent
        self._description = description
        self._floors_topic = floors_topic

    def add_to(self, server: grpc.aio.Server) -> None:
        """Adds the service to a server."""
        agent_service_pb2_grpc.add_AgentServiceServicer_to_server(self, server)

    async def GetAgent(  # noqa: N802, D102 - names and words are the proto's
        self, request: agent_service_pb2.GetAgentRequest, _context: Any
    ) -> agent_service_pb2.Agent:
        self._check_agent(request.name, "name")
        return agent_service_pb2.Agent(
            name=f"agents/{self._agent.agent}",
            description=self._description,
            model=self._agent.model.name,
            floors_topic=self._floors_topic,
            utterance_count=await self._agent.count(),
        )

    async def Ask(  # noqa: N802, D102
        self, request: agent_service_pb2.AskRequest, _context: Any
    ) -> agent_service_pb2.Utterance:
        self._check_agent(request.name, "name")
        return utterance_message(self._agent.agent, await self._agent.ask(request.question, request.request_id))

    async def ListUtterances(  # noqa: N802, D102
        self, request: agent_service_pb2.ListUtterancesRequest, _context: Any
    ) -> agent_service_pb2.ListUtterancesResponse:
        self._check_agent(request.parent, "parent")
        if request.debate and not _DEBATE.fullmatch(request.debate):
            message = f"debate is {request.debate[:80]!r}, not of the form debates/{{debate}}"
            raise InvalidNameError(message, field="debate", value=request.debate[:80], form="debates/{debate}")
        size = checked_page_size(request.page_size)
        arguments = ("ListUtterances", request.parent, request.debate)
        position = page_position(request.page_token, *arguments)
        found = await self._agent.newest(size + 1, _sequence(position), request.debate)
        return agent_service_pb2.ListUtterancesResponse(
            utterances=[utterance_message(self._agent.agent, utterance) for _, utterance in found[:size]],
            next_page_token=page_token(str(found[size - 1][0]), *arguments) if len(found) > size else "",
        )

    def _check_agent(self, name: str, field: str) -> None:
        collection, _, agent = name.partition("/")
        if collection != "agents" or not agent or "/" in agent:
            message = f"{field} is {name[:80]!r}, not of the form agents/{{agent}}"
            raise InvalidNameError(message, field=field, value=name[:80], form="agents/{agent}")
        if agent != self._agent.agent:
            message = f"this is {self._agent.agent}, not {agent[:80]}; call that agent's own address"
            raise UnknownAgentError(message, agent=agent[:80])


def _sequence(position: str | None) -> int | None:
    if position is None:
        return None
    if not position.isdigit():
        message = "page_token is not one that this method returned"
        raise InvalidPageTokenError(message, field="page_token")
    return int(position)
