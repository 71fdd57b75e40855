"""Every RPC of the running system by the ingress: bad input, reflection, and health of every service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.protobuf.json_format import ParseDict
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from rostrum.agent.v1 import agent_service_pb2, agent_service_pb2_grpc
from rostrum.debate.v1 import debate_pb2, debate_service_pb2, debate_service_pb2_grpc

from mesh.rpc.status import from_rpc_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mesh.errors import RostrumError
    from tests.support.system import System

pytestmark = pytest.mark.timeout(120)

SECONDS = 20
UNKNOWN = "debates/0000000000000000"
DEBATES = debate_service_pb2.DESCRIPTOR.services_by_name["DebateService"].full_name
AGENTS = agent_service_pb2.DESCRIPTOR.services_by_name["AgentService"].full_name
SERVICES = {"moderator": DEBATES, "team-a": AGENTS, "team-b": AGENTS}


@pytest.fixture(scope="module")
def moderator(system: System) -> Iterator[grpc.Channel]:
    with system.channel("moderator") as channel:
        yield channel


@pytest.fixture(scope="module")
def team_a(system: System) -> Iterator[grpc.Channel]:
    with system.channel("team-a") as channel:
        yield channel


@pytest.fixture(scope="module")
def ended(system: System) -> str:
    return system.wait_for_end(system.create("Calls are tried", rounds=2)).name


def failure(call: Callable[[], Any]) -> RostrumError:
    """The error that a call fails with; a stream is read to its end."""
    with pytest.raises(grpc.RpcError) as failed:
        list(answer) if hasattr(answer := call(), "__next__") else None
    return from_rpc_error(failed.value)


def assert_refused(error: RostrumError, code: str, reason: str) -> None:
    assert (error.code.name, error.reason) == (code, reason)
    assert error.message
    assert "Traceback" not in error.message


SEATS = [{"agent": "team-a", "stance": "FOR"}, {"agent": "team-b", "stance": "AGAINST"}]


@pytest.mark.parametrize(
    ("debate", "reason"),
    [
        ({}, "INVALID_TOPIC"),
        ({"topic": "  "}, "INVALID_TOPIC"),
        ({"topic": "x" * 501}, "INVALID_TOPIC"),
        ({"topic": "two\nlines"}, "INVALID_TOPIC"),
        ({"topic": "a bell\x07"}, "INVALID_TOPIC"),
        ({"max_rounds": -1}, "INVALID_ROUNDS"),
        ({"max_rounds": 51}, "INVALID_ROUNDS"),
        ({"max_rounds": 2**31 - 1}, "INVALID_ROUNDS"),
        ({"seats": SEATS[:1]}, "INVALID_SEATS"),
        ({"seats": [*SEATS, SEATS[0]]}, "INVALID_SEATS"),
        ({"seats": SEATS * 5}, "INVALID_SEATS"),
        ({"seats": [SEATS[0], {"agent": "team-b"}]}, "INVALID_SEATS"),
        ({"seats": [SEATS[0], {"agent": "../team-b", "stance": "FOR"}]}, "INVALID_SEATS"),
        ({"seats": [SEATS[0], {"agent": "nobody", "stance": "FOR"}]}, "UNKNOWN_AGENT"),
        ({"token_budget": 999}, "INVALID_BUDGET"),
        ({"token_budget": -5}, "INVALID_BUDGET"),
        ({"token_budget": 2000}, "INVALID_BUDGET"),
        ({"settings": {"turn_deadline": "0.01s"}}, "INVALID_SETTINGS"),
        ({"settings": {"turn_deadline": "-1s"}}, "INVALID_SETTINGS"),
        ({"settings": {"max_attempts": 11}}, "INVALID_SETTINGS"),
        ({"settings": {"floor_allowance_tokens": 1}}, "INVALID_SETTINGS"),
        ({"settings": {"max_forfeits_in_a_row": -1}}, "INVALID_SETTINGS"),
        ({"settings": {"sentence_similarity": "NaN"}}, "INVALID_SETTINGS"),
        ({"settings": {"redundant_share": 7}}, "INVALID_SETTINGS"),
        ({"settings": {"redundant_rounds": 51}}, "INVALID_SETTINGS"),
        ({"language": "klingonese"}, "INVALID_LANGUAGE"),
    ],
    ids=str,
)
def test_a_debate_that_cannot_be(moderator: grpc.Channel, debate: dict[str, Any], reason: str) -> None:
    """CreateDebate refuses each field that is out of its range with that field's reason, and stores nothing."""
    stub = debate_service_pb2_grpc.DebateServiceStub(moderator)
    topic = {} if reason == "INVALID_TOPIC" else {"topic": "A debate that cannot be"}
    wanted = ParseDict({**topic, **debate}, debate_pb2.Debate())
    request = debate_service_pb2.CreateDebateRequest(debate=wanted)
    code = "NOT_FOUND" if reason == "UNKNOWN_AGENT" else "INVALID_ARGUMENT"
    assert_refused(failure(lambda: stub.CreateDebate(request, timeout=SECONDS)), code, reason)
    listed = stub.ListDebates(debate_service_pb2.ListDebatesRequest(page_size=1000), timeout=SECONDS)
    assert wanted.topic not in [known.topic for known in listed.debates]


@pytest.mark.parametrize(
    ("method", "fields", "code", "reason"),
    [
        ("GetDebate", {}, "INVALID_ARGUMENT", "INVALID_NAME"),
        ("GetDebate", {"name": "debate/x"}, "INVALID_ARGUMENT", "INVALID_NAME"),
        ("GetDebate", {"name": "debates/../x"}, "INVALID_ARGUMENT", "INVALID_NAME"),
        ("GetDebate", {"name": UNKNOWN}, "NOT_FOUND", "DEBATE_NOT_FOUND"),
        ("ListDebates", {"page_size": -1}, "INVALID_ARGUMENT", "INVALID_PAGE_SIZE"),
        ("ListDebates", {"page_token": "no token"}, "INVALID_ARGUMENT", "INVALID_PAGE_TOKEN"),
        ("ListDebates", {"page_token": "A" * 5000}, "INVALID_ARGUMENT", "INVALID_PAGE_TOKEN"),
        *[
            (method, fields, code, reason)
            for method in ("ListTurns", "ListEvents")
            for fields, code, reason in (
                ({}, "INVALID_ARGUMENT", "INVALID_NAME"),
                ({"parent": "agents/team-a"}, "INVALID_ARGUMENT", "INVALID_NAME"),
                ({"parent": UNKNOWN}, "NOT_FOUND", "DEBATE_NOT_FOUND"),
                ({"parent": "{ended}", "page_size": -1}, "INVALID_ARGUMENT", "INVALID_PAGE_SIZE"),
                ({"parent": "{ended}", "page_token": "AAAA"}, "INVALID_ARGUMENT", "INVALID_PAGE_TOKEN"),
                ({"parent": "{ended}", "after_number": -1}, "INVALID_ARGUMENT", "INVALID_ARGUMENT"),
            )
        ],
        ("WatchDebate", {}, "INVALID_ARGUMENT", "INVALID_NAME"),
        ("WatchDebate", {"name": UNKNOWN}, "NOT_FOUND", "DEBATE_NOT_FOUND"),
        ("WatchDebate", {"name": "{ended}", "after_number": -1}, "INVALID_ARGUMENT", "INVALID_ARGUMENT"),
        ("WatchDebate", {"name": "{ended}", "after_number": 999}, "OUT_OF_RANGE", "EVENT_NOT_YET"),
        ("CancelDebate", {}, "INVALID_ARGUMENT", "INVALID_NAME"),
        ("CancelDebate", {"name": UNKNOWN}, "NOT_FOUND", "DEBATE_NOT_FOUND"),
        ("CancelDebate", {"name": "{ended}", "reason": "x" * 501}, "INVALID_ARGUMENT", "INVALID_ARGUMENT"),
    ],
)
def test_bad_input_of_the_moderator(
    moderator: grpc.Channel, ended: str, method: str, fields: dict[str, Any], code: str, reason: str
) -> None:
    """Malformed and unknown names, page sizes, page tokens and numbers: the right code and reason on every RPC."""
    filled = {name: ended if value == "{ended}" else value for name, value in fields.items()}
    request = getattr(debate_service_pb2, f"{method}Request")(**filled)
    stub = debate_service_pb2_grpc.DebateServiceStub(moderator)
    assert_refused(failure(lambda: getattr(stub, method)(request, timeout=SECONDS)), code, reason)


def test_a_page_token_belongs_to_its_arguments(moderator: grpc.Channel, ended: str) -> None:
    """A token of one method, or of other arguments, is refused by another; with its own it goes on without a gap."""
    stub = debate_service_pb2_grpc.DebateServiceStub(moderator)
    request = debate_service_pb2.ListTurnsRequest(parent=ended, page_size=3)
    first = stub.ListTurns(request, timeout=SECONDS)
    request.page_token = first.next_page_token
    rest = stub.ListTurns(request, timeout=SECONDS)
    assert [turn.number for turn in (*first.turns, *rest.turns)] == [1, 2, 3, 4]
    assert not rest.next_page_token
    other = debate_service_pb2.ListEventsRequest(parent=ended, page_token=first.next_page_token)
    error = failure(lambda: stub.ListEvents(other, timeout=SECONDS))
    assert_refused(error, "INVALID_ARGUMENT", "INVALID_PAGE_TOKEN")


def test_request_id_makes_one_debate(moderator: grpc.Channel) -> None:
    """The same request_id with the same body returns the debate that it made; with another body, or malformed, it is
    refused."""
    stub = debate_service_pb2_grpc.DebateServiceStub(moderator)
    wanted = debate_pb2.Debate(topic="Made once", max_rounds=1)
    request = debate_service_pb2.CreateDebateRequest(debate=wanted, request_id="test_request_id")
    made = stub.CreateDebate(request, timeout=SECONDS)
    assert stub.CreateDebate(request, timeout=SECONDS).name == made.name
    request.debate.max_rounds = 2
    error = failure(lambda: stub.CreateDebate(request, timeout=SECONDS))
    assert_refused(error, "ALREADY_EXISTS", "REQUEST_ID_REUSED")
    for malformed in ("x" * 129, "ümlaut"):
        request.request_id = malformed
        error = failure(lambda: stub.CreateDebate(request, timeout=SECONDS))
        assert_refused(error, "INVALID_ARGUMENT", "INVALID_REQUEST_ID")


@pytest.mark.parametrize(
    ("method", "fields", "code", "reason"),
    [
        ("GetAgent", {}, "INVALID_ARGUMENT", "INVALID_NAME"),
        ("GetAgent", {"name": "team-a"}, "INVALID_ARGUMENT", "INVALID_NAME"),
        ("GetAgent", {"name": "agents/team-b"}, "NOT_FOUND", "UNKNOWN_AGENT"),
        ("Ask", {"question": "Who?"}, "INVALID_ARGUMENT", "INVALID_NAME"),
        ("Ask", {"name": "agents/team-b", "question": "Who?"}, "NOT_FOUND", "UNKNOWN_AGENT"),
        ("Ask", {"name": "agents/team-a"}, "INVALID_ARGUMENT", "INVALID_QUESTION"),
        ("Ask", {"name": "agents/team-a", "question": "x" * 2001}, "INVALID_ARGUMENT", "INVALID_QUESTION"),
        ("Ask", {"name": "agents/team-a", "question": "a bell\x07"}, "INVALID_ARGUMENT", "INVALID_QUESTION"),
        (
            "Ask",
            {"name": "agents/team-a", "question": "Who?", "request_id": "x" * 129},
            "INVALID_ARGUMENT",
            "INVALID_REQUEST_ID",
        ),
        ("WatchFloor", {}, "INVALID_ARGUMENT", "INVALID_NAME"),
        ("WatchFloor", {"name": "agents/team-b", "debate": UNKNOWN}, "NOT_FOUND", "UNKNOWN_AGENT"),
        ("WatchFloor", {"name": "agents/team-a", "debate": "x"}, "INVALID_ARGUMENT", "INVALID_NAME"),
        (
            "WatchFloor",
            {"name": "agents/team-a", "debate": UNKNOWN, "turn_number": -1},
            "INVALID_ARGUMENT",
            "INVALID_ARGUMENT",
        ),
        ("ListUtterances", {}, "INVALID_ARGUMENT", "INVALID_NAME"),
        ("ListUtterances", {"parent": "agents/team-b"}, "NOT_FOUND", "UNKNOWN_AGENT"),
        ("ListUtterances", {"parent": "agents/team-a", "debate": "x"}, "INVALID_ARGUMENT", "INVALID_NAME"),
        ("ListUtterances", {"parent": "agents/team-a", "page_size": -1}, "INVALID_ARGUMENT", "INVALID_PAGE_SIZE"),
        ("ListUtterances", {"parent": "agents/team-a", "page_token": "x"}, "INVALID_ARGUMENT", "INVALID_PAGE_TOKEN"),
    ],
)
def test_bad_input_of_an_agent(
    team_a: grpc.Channel, method: str, fields: dict[str, Any], code: str, reason: str
) -> None:
    """Malformed and foreign names, questions, page sizes and page tokens: the right code and reason on every RPC."""
    request = getattr(agent_service_pb2, f"{method}Request")(**fields)
    stub = agent_service_pb2_grpc.AgentServiceStub(team_a)
    assert_refused(failure(lambda: getattr(stub, method)(request, timeout=SECONDS)), code, reason)


def test_a_question_asked_twice_is_answered_once(team_a: grpc.Channel) -> None:
    """Ask with the same request_id returns the recorded answer; with another question it is refused."""
    stub = agent_service_pb2_grpc.AgentServiceStub(team_a)
    request = agent_service_pb2.AskRequest(name="agents/team-a", question="What now?", request_id="asked twice")
    answer = stub.Ask(request, timeout=SECONDS)
    assert stub.Ask(request, timeout=SECONDS) == answer
    request.question = "And now?"
    assert_refused(failure(lambda: stub.Ask(request, timeout=SECONDS)), "ALREADY_EXISTS", "REQUEST_ID_REUSED")


@pytest.mark.parametrize(
    "payload", [b"\xff\xff\xff", b"\x0a\x02\xff\xfe", b"\x0a\x80"], ids=["no protobuf", "no UTF-8", "cut"]
)
@pytest.mark.parametrize(
    "method",
    [f"{service.full_name}/{method.name}" for service in (
        debate_service_pb2.DESCRIPTOR.services_by_name["DebateService"],
        agent_service_pb2.DESCRIPTOR.services_by_name["AgentService"],
    ) for method in service.methods],
)  # fmt: skip
def test_bytes_that_are_no_request(moderator: grpc.Channel, team_a: grpc.Channel, method: str, payload: bytes) -> None:
    """Bytes that do not parse as the request are INVALID_ARGUMENT with a reason, on every RPC."""
    channel = moderator if method.startswith(DEBATES) else team_a
    open_call = channel.unary_stream if "/Watch" in method else channel.unary_unary
    call: Any = open_call(f"/{method}", request_serializer=None, response_deserializer=None)
    if payload.startswith(b"\x0a\x02") and method.endswith(("/CreateDebate", "/ListDebates")):
        payload = b"\x12\x02\xff\xfe"  # in these the first string is field 2
    assert_refused(failure(lambda: call(payload, timeout=SECONDS)), "INVALID_ARGUMENT", "INVALID_ARGUMENT")


def test_a_request_of_two_megabytes(moderator: grpc.Channel) -> None:
    """A request far above any valid one ends at the ingress, and the next call on the same channel works."""
    stub = debate_service_pb2_grpc.DebateServiceStub(moderator)
    request = debate_service_pb2.CreateDebateRequest(debate=debate_pb2.Debate(topic="x" * 2**21))
    error = failure(lambda: stub.CreateDebate(request, timeout=SECONDS))
    assert error.code.name == "INVALID_ARGUMENT"
    assert "Payload Too Large" in error.message
    assert stub.ListDebates(debate_service_pb2.ListDebatesRequest(page_size=1), timeout=SECONDS) is not None


def test_an_unknown_method(moderator: grpc.Channel) -> None:
    """A method that is not there is UNIMPLEMENTED."""
    call: Any = moderator.unary_unary(f"/{DEBATES}/Nonsense", request_serializer=None, response_deserializer=None)
    with pytest.raises(grpc.RpcError) as failed:
        call(b"", timeout=SECONDS)
    code: Any = failed.value
    assert code.code() is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize("service", sorted(SERVICES))
def test_reflection(system: System, service: str) -> None:
    """Every server lists its service, health and reflection, and describes its service's file."""
    with system.channel(service) as channel:
        stub: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
        requests = (
            reflection_pb2.ServerReflectionRequest(list_services=""),
            reflection_pb2.ServerReflectionRequest(file_containing_symbol=SERVICES[service]),
        )
        listed, described = stub.ServerReflectionInfo(iter(requests), timeout=SECONDS)
    names = {service.name for service in listed.list_services_response.service}
    reflections = {"grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"}
    assert names == {SERVICES[service], "grpc.health.v1.Health", *reflections}
    assert described.file_descriptor_response.file_descriptor_proto


@pytest.mark.parametrize("service", sorted(SERVICES))
def test_health(system: System, service: str) -> None:
    """Overall and for its service each server is SERVING, to Check and to Watch; of a service that is not there Check
    is NOT_FOUND and Watch says SERVICE_UNKNOWN."""
    serving, unknown = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
    with system.channel(service) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        for asked, expected in (("", serving), (SERVICES[service], serving), ("nonsense", unknown)):
            request = health_pb2.HealthCheckRequest(service=asked)
            watch = stub.Watch(request, timeout=SECONDS)
            assert next(watch).status == expected
            watch.cancel()
            if expected == serving:
                assert stub.Check(request, timeout=SECONDS).status == serving
        with pytest.raises(grpc.RpcError) as failed:
            stub.Check(health_pb2.HealthCheckRequest(service="nonsense"), timeout=SECONDS)
        code: Any = failed.value
        assert code.code() is grpc.StatusCode.NOT_FOUND
