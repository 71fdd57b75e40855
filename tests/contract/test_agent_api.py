"""AgentService over real gRPC and a real SQLite store: every RPC, its pages, and every kind of bad input."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc.aio
import pytest
from rostrum.agent.v1 import agent_service_pb2, agent_service_pb2_grpc

from mesh.agent.api import SERVICE_NAME, AgentApi
from mesh.agent.catching_up import CatchingUp
from mesh.agent.drafts import Drafts
from mesh.agent.events import FLOORS
from mesh.agent.floors import Floors
from mesh.agent.model import Counters, Profile, Withdrawal
from mesh.agent.questions import Questions
from mesh.agent.store import AgentStore
from mesh.agent.watching import Watching
from mesh.rpc.channels import Channels
from mesh.rpc.server import Server
from mesh.rpc.status import from_rpc_error
from mesh.store.database import Database
from mesh.store.migrations import migrate
from mesh.testing.clock import FakeClock
from mesh.testing.scripted_model import NOTHING, UNAVAILABLE, USUAL, Answer, ScriptedModel
from services.debater.events import TurnMessages
from services.debater.logic import Debater
from services.debater.store import metadata
from services.debater.wiring import MIGRATIONS
from tests.support.waiting import until
from tests.unit.mesh.agent.fakes import CONVERSATION, FakeRecord, floor

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

AGENT = "agents/team-a"
Utterance = agent_service_pb2.Utterance
AskRequest = agent_service_pb2.AskRequest
GetRequest = agent_service_pb2.GetAgentRequest
ListRequest = agent_service_pb2.ListUtterancesRequest
WatchRequest = agent_service_pb2.WatchFloorRequest
HttpRequest = agent_service_pb2.WatchFloorByHttpRequest
FloorEvent = agent_service_pb2.FloorEvent


@dataclass
class _Service:
    stub: Any
    model: ScriptedModel
    floors: Floors
    store: AgentStore
    drafts: Drafts

    async def speak(self, turn_number: int) -> None:
        """Takes a floor; the answer stays in the outbox, since there is no broker here."""
        task = asyncio.ensure_future(self.floors.take_floor(floor(turn_number)))

        async def is_stored() -> bool:
            return (await self.store.load_memory(CONVERSATION, turn_number)).utterance is not None

        await until(f"turn {turn_number} in the store", is_stored, seconds=10)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def _service(folder: Path, answer: Answer = USUAL) -> AsyncIterator[_Service]:
    url = f"sqlite:///{folder / 'team-a.db'}"
    await asyncio.to_thread(migrate, url, MIGRATIONS, name="team-a")
    database = Database(url, metadata, name="team-a")
    await database.start()
    model = ScriptedModel(script=lambda _call: answer)
    store = AgentStore(database, TurnMessages(), "team-a")
    clock, counters, drafts = FakeClock(), Counters(), Drafts()
    speaker = Debater("team-a", clock=clock)
    floors = Floors(
        speaker=speaker,
        model=model,
        store=store,
        catching_up=CatchingUp(store, FakeRecord(), clock),
        clock=clock,
        counters=counters,
        drafts=drafts,
    )
    questions = Questions(speaker=speaker, model=model, store=store, clock=clock, counters=counters)
    server = Server("127.0.0.1:0")
    profile = Profile("team-a", "One line", model.name, FLOORS.of("team-a").name)
    api = AgentApi(profile, store=store, questions=questions, watching=Watching(drafts, store))
    api.add_to(server.grpc)
    await server.start([SERVICE_NAME], {"the store": database.trouble})
    channel = Channels().open(f"127.0.0.1:{server.port}")
    try:
        yield _Service(agent_service_pb2_grpc.AgentServiceStub(channel), model, floors, store, drafts)
    finally:
        await channel.close(None)
        await server.stop(0)
        await database.aclose()


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[_Service]:
    async with _service(tmp_path) as service:
        yield service


async def test_get_agent_describes_it(service: _Service) -> None:
    """Name, description, model, topic, and how much it has said."""
    before = await service.stub.GetAgent(GetRequest(name=AGENT))
    assert (before.name, before.description, before.model) == (AGENT, "One line", "scripted")
    assert before.floors_topic == "rostrum.agent.team-a.floors.v1"
    assert before.utterance_count == 0
    await service.stub.Ask(AskRequest(name=AGENT, question="Why?"))
    assert (await service.stub.GetAgent(GetRequest(name=AGENT))).utterance_count == 1


async def test_ask_answers_and_records(service: _Service) -> None:
    """The answer comes back with its price, and is in the list."""
    said = await service.stub.Ask(AskRequest(name=AGENT, question="Why?"))
    assert said.kind == Utterance.ANSWER
    assert said.name.startswith(f"{AGENT}/utterances/")
    assert (said.question, said.model, said.debate, said.turn_number) == ("Why?", "scripted", "", 0)
    assert said.text
    assert said.prompt_tokens > 0
    assert said.completion_tokens > 0
    assert said.create_time.seconds > 1_600_000_000
    assert list((await service.stub.ListUtterances(ListRequest(parent=AGENT))).utterances) == [said]


async def test_ask_is_idempotent_with_a_request_id(tmp_path: Path) -> None:
    """The same request returns the same answer without a model call, over a restart too; another is refused."""
    request = AskRequest(name=AGENT, question="Why?", request_id="r1")
    async with _service(tmp_path) as service:
        first = await service.stub.Ask(request)
    async with _service(tmp_path) as service:
        assert await service.stub.Ask(request) == first
        assert not service.model.calls
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await service.stub.Ask(AskRequest(name=AGENT, question="How?", request_id="r1"))
        assert from_rpc_error(caught.value).reason == "REQUEST_ID_REUSED"


@pytest.mark.parametrize(
    ("answer", "code", "reason"),
    [
        (NOTHING, grpc.StatusCode.FAILED_PRECONDITION, "MODEL_REFUSED"),
        (UNAVAILABLE, grpc.StatusCode.UNAVAILABLE, "MODEL_UNAVAILABLE"),
    ],
)
async def test_ask_reports_a_model_that_fails(
    tmp_path: Path, answer: Answer, code: grpc.StatusCode, reason: str
) -> None:
    """The caller learns what the model did, and nothing is recorded."""
    async with _service(tmp_path, answer) as service:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await service.stub.Ask(AskRequest(name=AGENT, question="Why?"))
        assert caught.value.code() is code
        error = from_rpc_error(caught.value)
        assert (error.reason, error.metadata) == (reason, {"model": "scripted"})
        assert (await service.stub.GetAgent(GetRequest(name=AGENT))).utterance_count == 0


async def test_list_pages_newest_first(service: _Service) -> None:
    """Pages join without a gap, a new utterance shifts none of them, and a debate's turns can be had alone."""
    for number in range(3):
        await service.stub.Ask(AskRequest(name=AGENT, question=f"Question {number}?"))
    await service.speak(1)
    questions = []
    request = ListRequest(parent=AGENT, page_size=2)
    while True:
        page = await service.stub.ListUtterances(request)
        assert len(page.utterances) <= 2
        questions += [utterance.question for utterance in page.utterances]
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
        await service.stub.Ask(AskRequest(name=AGENT, question="Later?"))
    assert questions == ["What changes first?", "Question 2?", "Question 1?", "Question 0?"]
    turns = (await service.stub.ListUtterances(ListRequest(parent=AGENT, debate=CONVERSATION))).utterances
    assert [(turn.kind, turn.debate, turn.turn_number) for turn in turns] == [(Utterance.TURN, CONVERSATION, 1)]


async def test_a_floor_is_watched_while_it_is_written(service: _Service) -> None:
    """Started, the text so far, what comes after it, and the end of the stream with the end of the floor."""
    with service.drafts.open(floor()) as draft:
        draft.show("Tea is")
        events = aiter(service.stub.WatchFloor(WatchRequest(name=AGENT, debate=CONVERSATION, turn_number=1)))
        assert await anext(events) == FloorEvent(started=FloorEvent.Started(turn_number=1, attempt=1, try_number=1))
        assert await anext(events) == FloorEvent(written=FloorEvent.Written(text="Tea is", whole=True))
        draft.show("Tea is \u8336 \U0001f375")
        assert await anext(events) == FloorEvent(written=FloorEvent.Written(text=" \u8336 \U0001f375"))
        draft.withdraw(Withdrawal.DEADLINE_PASSED)
        withdrawn = FloorEvent.Withdrawn(turn_number=1, reason=FloorEvent.Withdrawn.DEADLINE_PASSED)
        assert [event async for event in events] == [FloorEvent(withdrawn=withdrawn)]


async def test_a_turn_that_was_said_is_committed_for_who_watches_it(service: _Service) -> None:
    """The stream has its text from the store, and ends."""
    await service.speak(1)
    request = WatchRequest(name=AGENT, debate=CONVERSATION, turn_number=1)
    [event] = [event async for event in service.stub.WatchFloor(request)]
    assert event.committed.turn_number == 1
    assert event.committed.text


async def test_a_floor_is_watched_by_http(service: _Service) -> None:
    """The same events as server-sent events, their ids "TURN.EVENT"; the last one says so, and the stream ends."""
    with service.drafts.open(floor()) as draft:
        draft.show("Tea is")
        events = aiter(service.stub.WatchFloorByHttp(HttpRequest(name=AGENT, debate=CONVERSATION)))
        assert (await anext(events)).data.startswith(b'retry: 2000\n\nid: 1.1\ndata: {"started":{"turn_number":1,')
        assert (await anext(events)).data == b'id: 1.2\ndata: {"written":{"text":"Tea is","whole":true}}\n\n'
        draft.withdraw(Withdrawal.DEADLINE_PASSED)
        assert [event.data.split(b"\n")[0] async for event in events] == [b"id: 1.end"]


async def test_a_floor_is_resumed_by_the_last_id(service: _Service) -> None:
    """With turn_number 0 the id's turn goes on, from its text so far; after its end the next one is watched."""
    await service.speak(1)
    request = HttpRequest(name=AGENT, debate=CONVERSATION)
    [event] = [found.data async for found in service.stub.WatchFloorByHttp(request, metadata=_last("1.2"))]
    assert b'id: 1.end\ndata: {"committed":{"turn_number":1' in event
    with service.drafts.open(floor(3)) as draft:
        events = aiter(service.stub.WatchFloorByHttp(request, metadata=_last("1.end")))
        assert b'data: {"started":{"turn_number":3' in (await anext(events)).data
        call = service.stub.WatchFloorByHttp(
            HttpRequest(name=AGENT, debate=CONVERSATION, turn_number=1), metadata=_last("1.end")
        )
        assert [event async for event in call] == []
        assert dict(await call.initial_metadata()).get("x-no-more-events") == "true"
        draft.withdraw(Withdrawal.REVOKED)


@pytest.mark.parametrize(("last_id", "turn_number"), [("x", 0), ("-1.1", 0), ("9" * 30, 0)])
async def test_a_last_id_that_cannot_be(service: _Service, last_id: str, turn_number: int) -> None:
    """INVALID_ARGUMENT that names the header."""
    request = HttpRequest(name=AGENT, debate=CONVERSATION, turn_number=turn_number)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await anext(aiter(service.stub.WatchFloorByHttp(request, metadata=_last(last_id))))
    error = from_rpc_error(caught.value)
    assert (error.reason, error.metadata["field"]) == ("INVALID_ARGUMENT", "last-event-id")


def _last(last_id: str) -> tuple[tuple[str, str], ...]:
    return (("last-event-id", last_id),)


async def test_a_watcher_who_leaves_is_forgotten(service: _Service) -> None:
    """A call that is cancelled, or whose deadline passes, leaves nothing behind it."""
    request = WatchRequest(name=AGENT, debate=CONVERSATION, turn_number=1)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await anext(aiter(service.stub.WatchFloor(request, timeout=0.2)))
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    call = service.stub.WatchFloor(request)
    reading = asyncio.ensure_future(anext(aiter(call)))
    await until("somebody who watches", lambda: service.drafts._waiting, seconds=5)
    call.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    await until("nobody who watches", lambda: not service.drafts._waiting, seconds=5)


BAD = [
    ("GetAgent", GetRequest(), "INVALID_NAME"),
    ("GetAgent", GetRequest(name="team-a"), "INVALID_NAME"),
    ("GetAgent", GetRequest(name="agents/team-a/x"), "INVALID_NAME"),
    ("GetAgent", GetRequest(name="agents/team-b"), "UNKNOWN_AGENT"),
    ("Ask", AskRequest(name="agents/team-b", question="Why?"), "UNKNOWN_AGENT"),
    ("Ask", AskRequest(name="x", question="Why?"), "INVALID_NAME"),
    ("Ask", AskRequest(name=AGENT), "INVALID_QUESTION"),
    ("Ask", AskRequest(name=AGENT, question=" \n "), "INVALID_QUESTION"),
    ("Ask", AskRequest(name=AGENT, question="x" * 2001), "INVALID_QUESTION"),
    ("Ask", AskRequest(name=AGENT, question="a\x00b"), "INVALID_QUESTION"),
    ("Ask", AskRequest(name=AGENT, question="Why?", request_id="x" * 129), "INVALID_REQUEST_ID"),
    ("Ask", AskRequest(name=AGENT, question="Why?", request_id="é"), "INVALID_REQUEST_ID"),
    ("WatchFloor", WatchRequest(name="team-a", debate=CONVERSATION), "INVALID_NAME"),
    ("WatchFloor", WatchRequest(name="agents/team-b", debate=CONVERSATION), "UNKNOWN_AGENT"),
    ("WatchFloor", WatchRequest(name=AGENT), "INVALID_NAME"),
    ("WatchFloor", WatchRequest(name=AGENT, debate="d1"), "INVALID_NAME"),
    ("WatchFloor", WatchRequest(name=AGENT, debate=CONVERSATION, turn_number=-1), "INVALID_ARGUMENT"),
    ("WatchFloorByHttp", HttpRequest(name="agents/team-b", debate=CONVERSATION), "UNKNOWN_AGENT"),
    ("WatchFloorByHttp", HttpRequest(name=AGENT), "INVALID_NAME"),
    ("WatchFloorByHttp", HttpRequest(name=AGENT, debate=CONVERSATION, turn_number=-1), "INVALID_ARGUMENT"),
    ("ListUtterances", ListRequest(parent="agents/"), "INVALID_NAME"),
    ("ListUtterances", ListRequest(parent="agents/team-b"), "UNKNOWN_AGENT"),
    ("ListUtterances", ListRequest(parent=AGENT, page_size=-1), "INVALID_PAGE_SIZE"),
    ("ListUtterances", ListRequest(parent=AGENT, page_token="nonsense"), "INVALID_PAGE_TOKEN"),
    ("ListUtterances", ListRequest(parent=AGENT, debate="d1"), "INVALID_NAME"),
    ("ListUtterances", ListRequest(parent=AGENT, debate="debates/a\x00b"), "INVALID_NAME"),
]


@pytest.mark.parametrize(("method", "request_", "reason"), BAD, ids=[f"{m} {r} {i}" for i, (m, _, r) in enumerate(BAD)])
async def test_bad_input(service: _Service, method: str, request_: Any, reason: str) -> None:
    """The right reason and code, a message that says what to do, and no model call."""
    call = getattr(service.stub, method)(request_)
    answer = anext(aiter(call)) if method.startswith("WatchFloor") else call
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await answer
    error = from_rpc_error(caught.value)
    assert error.reason == reason
    assert caught.value.code().name == error.code
    assert error.message
    assert not service.model.calls


async def test_a_token_of_another_list_is_refused(service: _Service) -> None:
    """A page token belongs to the arguments it came with."""
    for _ in range(2):
        await service.stub.Ask(AskRequest(name=AGENT, question="Why?"))
    page = await service.stub.ListUtterances(ListRequest(parent=AGENT, page_size=1))
    request = ListRequest(parent=AGENT, debate=CONVERSATION, page_token=page.next_page_token)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await service.stub.ListUtterances(request)
    assert from_rpc_error(caught.value).reason == "INVALID_PAGE_TOKEN"
