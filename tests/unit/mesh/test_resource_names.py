"""Ids and names of resources have one form each, for APIs, records, the command, topics and manifests alike."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from rostrum.agent.v1 import agent_service_pb2, floor_pb2
from rostrum.debate.v1 import debate_pb2, debate_service_pb2, turn_taken_pb2

from mesh.agent.api import AgentApi
from mesh.agent.events import FLOOR_GRANTED, read_floor
from mesh.agent.model import Profile
from mesh.bus.errors import PoisonError
from mesh.bus.message import Incoming
from mesh.cli.arguments import conversation_name
from mesh.cli.exits import CommandError
from mesh.errors import InvalidNameError, UnknownAgentError
from mesh.resource_names import AGENTS, CONVERSATIONS, Collection
from services.moderator.api import DebateApi
from services.moderator.errors import DebateNotFoundError, InvalidSeatsError
from services.moderator.events import TURN_TAKEN
from services.moderator.events import read_turn as read_submitted
from services.moderator.logic.checks import AskedDebate, check_debate
from services.moderator.model.debate import Stance
from services.moderator.settings import parse_seats
from tests.manifests import sources
from tests.support.topics import FLOORS_TOPIC

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

DEBATES = [("d1", True), ("0123456789abcdef", True), ("a" * 32, True)]
DEBATES += [(text, False) for text in ("", "a" * 33, "D1", "a-b", "a_b", "a/b", "a b", "ä", "a\n")]
AGENT_IDS = [("a", True), ("team-a", True), ("a1", True), ("a" * 40, True), ("a--b", True)]
AGENT_IDS += [
    (text, False) for text in ("", "a" * 41, "-a", "a-", "9a", "Team", "a.b", "a_b", "a b", "a/b", "ä", "a\n")
]
KUBERNETES_NAME = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
"""RFC 1035 label: what a Service may be called, the strictest of what is named after an agent."""


class NoDebates:
    async def get(self, debate_id: str) -> Any:
        raise DebateNotFoundError(f"no {debate_id}")


class NothingSaid:
    async def list_utterances(self, *_arguments: Any) -> list[Any]:
        return []

    async def count_utterances(self) -> int:
        return 0


def agent_api() -> AgentApi:
    store: Any = NothingSaid()
    return AgentApi(Profile("team-a", "", "scripted", "t"), store=store, questions=store, watching=store)


async def get_debate(name: str) -> None:
    moderator: Any = NoDebates()
    await DebateApi(moderator).GetDebate(debate_service_pb2.GetDebateRequest(name=name), None)


async def list_utterances(name: str) -> None:
    request = agent_service_pb2.ListUtterancesRequest(parent="agents/team-a", debate=name)
    await agent_api().ListUtterances(request, None)


async def read_turn(name: str) -> None:
    turn = debate_pb2.Turn(number=1, attempt=1, agent="team-a", text="A point.")
    read_submitted(_record(TURN_TAKEN, turn_taken_pb2.TurnTaken(debate=name, turn=turn).SerializeToString()))


async def read_granted(name: str) -> None:
    granted = floor_pb2.FloorGranted(
        debate=name, turn_number=1, attempt=1, agent="team-a", stance=debate_pb2.FOR, deadline=Timestamp(seconds=1)
    )
    read_floor(_record(FLOOR_GRANTED, granted.SerializeToString()), "team-a")


async def name_on_the_command_line(name: str) -> None:
    assert conversation_name(name) == conversation_name(name.removeprefix("debates/")) == name


def _record(kind: str, payload: bytes) -> Incoming:
    return Incoming("t", 0, 0, "k", "e", kind, payload, {}, 5)


async def _accepts(take: Callable[[str], Awaitable[None]], name: str) -> bool:
    try:
        await take(name)
    except (DebateNotFoundError, UnknownAgentError):
        return True  # of the right form, though nobody has that name
    except (InvalidNameError, InvalidSeatsError, PoisonError, CommandError, ValueError):
        return False
    return True


@pytest.mark.parametrize(
    "take", [get_debate, list_utterances, read_turn, read_granted, name_on_the_command_line], ids=lambda f: f.__name__
)
@pytest.mark.parametrize(("debate_id", "accepted"), DEBATES)
async def test_a_debate_has_one_form(take: Callable[[str], Awaitable[None]], debate_id: str, *, accepted: bool) -> None:
    """What one API, topic or command takes for the name of a debate, all take; what one refuses, all refuse."""
    assert CONVERSATIONS.is_id(debate_id) == accepted
    if debate_id or take is not list_utterances:  # there, no name at all means every debate
        assert await _accepts(take, f"debates/{debate_id}") == accepted


async def get_agent(agent: str) -> None:
    await agent_api().GetAgent(agent_service_pb2.GetAgentRequest(name=f"agents/{agent}"), None)


async def take_a_seat(agent: str) -> None:
    check_debate(AskedDebate("A topic.", ((agent, Stance.FOR), ("zz", Stance.AGAINST))), ())


async def take_a_default_seat(agent: str) -> None:
    parse_seats(f"{agent}=FOR,zz=AGAINST")


async def have_floors(agent: str) -> None:
    FLOORS_TOPIC.of(agent)


@pytest.mark.parametrize("take", [get_agent, take_a_seat, take_a_default_seat, have_floors], ids=lambda f: f.__name__)
@pytest.mark.parametrize(("agent", "accepted"), AGENT_IDS)
async def test_an_agent_has_one_form(take: Callable[[str], Awaitable[None]], agent: str, *, accepted: bool) -> None:
    """What one takes for the id of an agent, all take, and Kubernetes takes it for a Service's name too."""
    assert AGENTS.is_id(agent) == accepted
    assert await _accepts(take, agent) == accepted
    assert KUBERNETES_NAME.fullmatch(agent) or not accepted


def test_users_of_kafka_and_deployments_are_agents_ids() -> None:
    """Each agent of k8s/base is a Deployment, a KafkaUser and a topic of one name, which is the id of an agent."""
    topics = {topic.name for topic in sources.MANIFESTS.topics}
    assert sources.AGENTS
    for agent in sources.AGENTS:
        assert AGENTS.is_id(agent)
        assert agent in sources.MANIFESTS.kafka_users
        assert FLOORS_TOPIC.of(agent).name in topics


def test_stances_are_those_of_the_contract() -> None:
    """A seat's stance is one of the proto's, by name."""
    assert set(Stance.__members__) == set(debate_pb2.Stance.keys()) - {"STANCE_UNSPECIFIED"}


@pytest.mark.parametrize("name", ["d1", "debates", "debates/", "debates/d1/turns/1", "agents/team-a", "/d1", ""])
def test_a_name_of_another_form_is_refused(name: str) -> None:
    """The error names the field, quotes what was given and shows the form."""
    with pytest.raises(InvalidNameError) as caught:
        CONVERSATIONS.parse(name, "parent")
    assert caught.value.metadata == {"field": "parent", "value": name, "form": "debates/{debate}"}


def test_a_name_and_its_id() -> None:
    """One makes the other; a long wrong name is quoted in part."""
    things = Collection("things", "thing", "one letter", re.compile("[a-z]"))
    assert (things.name_of("x"), things.id_of("things/x"), things.form) == ("things/x", "x", "things/{thing}")
    with pytest.raises(InvalidNameError) as caught:
        things.parse("y" * 200, "name")
    assert caught.value.metadata["value"] == "y" * 80
