"""DebateService over in-process gRPC: every RPC's bad input, paging, request_id, and watches on two replicas."""

from __future__ import annotations

import asyncio
import re
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
import pytest
from google.protobuf.duration_pb2 import Duration
from rostrum.agent.v1 import floor_pb2
from rostrum.debate.v1 import debate_pb2, debate_service_pb2, debate_service_pb2_grpc

from mesh.bus.message import Incoming
from mesh.clock import SystemClock
from mesh.rpc.server import Server
from mesh.rpc.status import from_rpc_error
from mesh.store.database import Database
from mesh.store.migrations import migrate
from mesh.testing.scripted_model import ScriptedModel
from services.moderator.api import SERVICE_NAME, DebateApi
from services.moderator.events import FloorRecords, TurnEvents
from services.moderator.logic.leased_steps import LeasedSteps
from services.moderator.logic.measuring import NoveltyMeasurer
from services.moderator.logic.moderator import Moderator
from services.moderator.logic.watching import Wakeups
from services.moderator.model.debate import Seat, Stance
from services.moderator.store.debate_store import DebateStore
from services.moderator.store.tables import metadata
from services.moderator.telemetry import DebateTraces
from tests.support.scripted_service import WordEmbedder
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from mesh.bus.message import OutboxRow

MIGRATIONS = Path("services/moderator/migrations").resolve()
AGENTS = ("team-a", "team-b", "team-c")


@dataclass
class Replica:
    """One moderator without a broker: floors collect in `floors`, and `turn` hands it an agent's turn."""

    stub: Any
    moderator: Moderator
    events: TurnEvents
    floors: list[OutboxRow]

    async def create(self, **debate: Any) -> debate_pb2.Debate:
        request = debate_service_pb2.CreateDebateRequest(debate=debate_pb2.Debate(**{"topic": "Is it so?", **debate}))
        answer: debate_pb2.Debate = await self.stub.CreateDebate(request)
        return answer

    async def get(self, name: str) -> debate_pb2.Debate:
        answer: debate_pb2.Debate = await self.stub.GetDebate(debate_service_pb2.GetDebateRequest(name=name))
        return answer

    async def turn(self, name: str, number: int, text: str) -> None:
        from rostrum.debate.v1 import turn_taken_pb2  # noqa: PLC0415

        agent = AGENTS[(number - 1) % 2]
        spoken = debate_pb2.Turn(number=number, agent=agent, attempt=1, text=text, prompt_tokens=10)
        payload = turn_taken_pb2.TurnTaken(debate=name, turn=spoken).SerializeToString()
        record = Incoming("t", 0, 0, name[8:], "e", "rostrum.debate.v1.TurnTaken", payload, {}, 1)
        await self.events.handle(record)

    async def floor(self, name: str, number: int) -> None:
        """Waits until that floor is granted."""
        prefix = f"{name[8:]}/{number}/"
        await until(f"floor {prefix}", lambda: any(row.message.event_id.startswith(prefix) for row in self.floors))

    async def hold(self, name: str, rounds: int) -> None:
        for number in range(1, 2 * rounds + 1):
            await self.floor(name, number)
            await self.turn(name, number, f"Point {number} is about thing{number} and other{number} alone.")


@asynccontextmanager
async def replica(url: str, pod: str = "moderator-0") -> AsyncIterator[Replica]:
    await asyncio.to_thread(migrate, url, MIGRATIONS, name="moderator")
    floors: list[OutboxRow] = []
    database = Database(url, metadata, name="moderator", on_commit=floors.extend)
    store = DebateStore(database, FloorRecords())
    clock, wakeups = SystemClock(), Wakeups(store.count_events)
    measurer = NoveltyMeasurer(WordEmbedder())
    steps = LeasedSteps(store=store, model=ScriptedModel(), measurer=measurer, wakeups=wakeups, clock=clock, pod=pod)

    async def exists(agent: str) -> bool:
        return agent in AGENTS

    seats = [Seat("team-a", Stance.FOR), Seat("team-b", Stance.AGAINST)]
    moderator = Moderator(
        store=store,
        steps=steps,
        wakeups=wakeups,
        observer=DebateTraces(),
        clock=clock,
        agent_exists=exists,
        default_seats=seats,
        pod=pod,
    )
    server = Server("127.0.0.1:0")
    debate_service_pb2_grpc.add_DebateServiceServicer_to_server(DebateApi(moderator), server.grpc)
    await database.start()
    await server.start([SERVICE_NAME], {"the store": database.trouble})
    channel = grpc.aio.insecure_channel(f"127.0.0.1:{server.port}")
    try:
        yield Replica(debate_service_pb2_grpc.DebateServiceStub(channel), moderator, TurnEvents(moderator), floors)
    finally:
        await channel.close()
        await server.stop(0)
        await moderator.aclose()
        await database.aclose()


async def refused(call: Any) -> tuple[str, str]:
    """Returns the gRPC code and the ErrorInfo reason of a call that must fail."""

    async def whole() -> None:
        if hasattr(call, "__aiter__"):
            async for _ in call:
                pass
        else:
            await call

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await whole()
    return caught.value.code().name, from_rpc_error(caught.value).reason


def debate(**fields: Any) -> debate_service_pb2.CreateDebateRequest:
    return debate_service_pb2.CreateDebateRequest(debate=debate_pb2.Debate(**{"topic": "Is it so?", **fields}))


def seat(agent: str, stance: Any = debate_pb2.FOR) -> debate_pb2.Seat:
    return debate_pb2.Seat(agent=agent, stance=stance)


def rules(**fields: Any) -> debate_pb2.DebateSettings:
    return debate_pb2.DebateSettings(**fields)


P = debate_service_pb2
BAD: list[tuple[str, Any, str, str]] = [
    ("CreateDebate", debate(topic=""), "INVALID_ARGUMENT", "INVALID_TOPIC"),
    ("CreateDebate", debate(topic="   ab   "), "INVALID_ARGUMENT", "INVALID_TOPIC"),
    ("CreateDebate", debate(topic="x" * 501), "INVALID_ARGUMENT", "INVALID_TOPIC"),
    ("CreateDebate", debate(topic="one\ntwo"), "INVALID_ARGUMENT", "INVALID_TOPIC"),
    ("CreateDebate", debate(topic="a\x00b c"), "INVALID_ARGUMENT", "INVALID_TOPIC"),
    ("CreateDebate", debate(max_rounds=-1), "INVALID_ARGUMENT", "INVALID_ROUNDS"),
    ("CreateDebate", debate(max_rounds=51), "INVALID_ARGUMENT", "INVALID_ROUNDS"),
    ("CreateDebate", debate(seats=[seat("team-a")]), "INVALID_ARGUMENT", "INVALID_SEATS"),
    ("CreateDebate", debate(seats=[seat("team-a"), seat("team-a")]), "INVALID_ARGUMENT", "INVALID_SEATS"),
    ("CreateDebate", debate(seats=[seat("team-a"), seat("")]), "INVALID_ARGUMENT", "INVALID_SEATS"),
    ("CreateDebate", debate(seats=[seat("team-a"), seat("../x")]), "INVALID_ARGUMENT", "INVALID_SEATS"),
    ("CreateDebate", debate(seats=[seat("team-a"), seat("team-b", 0)]), "INVALID_ARGUMENT", "INVALID_SEATS"),
    ("CreateDebate", debate(seats=[seat(f"a{n}") for n in range(9)]), "INVALID_ARGUMENT", "INVALID_SEATS"),
    ("CreateDebate", debate(seats=[seat("team-a"), seat("team-z")]), "NOT_FOUND", "UNKNOWN_AGENT"),
    ("CreateDebate", debate(token_budget=999), "INVALID_ARGUMENT", "INVALID_BUDGET"),
    ("CreateDebate", debate(token_budget=7000), "INVALID_ARGUMENT", "INVALID_BUDGET"),
    ("CreateDebate", debate(token_budget=10_000_001), "INVALID_ARGUMENT", "INVALID_BUDGET"),
    (
        "CreateDebate",
        debate(settings=rules(turn_deadline=Duration(seconds=601))),
        "INVALID_ARGUMENT",
        "INVALID_SETTINGS",
    ),
    (
        "CreateDebate",
        debate(settings=rules(turn_deadline=Duration(nanos=1000))),
        "INVALID_ARGUMENT",
        "INVALID_SETTINGS",
    ),
    ("CreateDebate", debate(settings=rules(max_attempts=11)), "INVALID_ARGUMENT", "INVALID_SETTINGS"),
    ("CreateDebate", debate(settings=rules(floor_allowance_tokens=1)), "INVALID_ARGUMENT", "INVALID_SETTINGS"),
    ("CreateDebate", debate(settings=rules(sentence_similarity=float("nan"))), "INVALID_ARGUMENT", "INVALID_SETTINGS"),
    ("CreateDebate", debate(settings=rules(redundant_share=7.0)), "INVALID_ARGUMENT", "INVALID_SETTINGS"),
    ("CreateDebate", debate(settings=rules(redundant_rounds=-1)), "INVALID_ARGUMENT", "INVALID_SETTINGS"),
    ("CreateDebate", debate(language="klingon"), "INVALID_ARGUMENT", "INVALID_LANGUAGE"),
    (
        "CreateDebate",
        P.CreateDebateRequest(debate=debate_pb2.Debate(topic="Is it?"), request_id="x" * 129),
        "INVALID_ARGUMENT",
        "INVALID_REQUEST_ID",
    ),
    (
        "CreateDebate",
        P.CreateDebateRequest(debate=debate_pb2.Debate(topic="Is it?"), request_id="é"),
        "INVALID_ARGUMENT",
        "INVALID_REQUEST_ID",
    ),
    ("GetDebate", P.GetDebateRequest(name=""), "INVALID_ARGUMENT", "INVALID_NAME"),
    ("GetDebate", P.GetDebateRequest(name="debates/../x"), "INVALID_ARGUMENT", "INVALID_NAME"),
    ("GetDebate", P.GetDebateRequest(name="debates/nosuch"), "NOT_FOUND", "DEBATE_NOT_FOUND"),
    ("ListDebates", P.ListDebatesRequest(page_size=-1), "INVALID_ARGUMENT", "INVALID_PAGE_SIZE"),
    ("ListDebates", P.ListDebatesRequest(page_token="x"), "INVALID_ARGUMENT", "INVALID_PAGE_TOKEN"),
    ("ListTurns", P.ListTurnsRequest(parent="nosuch"), "INVALID_ARGUMENT", "INVALID_NAME"),
    ("ListTurns", P.ListTurnsRequest(parent="debates/nosuch"), "NOT_FOUND", "DEBATE_NOT_FOUND"),
    ("ListTurns", P.ListTurnsRequest(parent="debates/a", page_size=-5), "INVALID_ARGUMENT", "INVALID_PAGE_SIZE"),
    ("ListTurns", P.ListTurnsRequest(parent="debates/a", page_token="é"), "INVALID_ARGUMENT", "INVALID_PAGE_TOKEN"),
    ("ListTurns", P.ListTurnsRequest(parent="debates/a", after_number=-1), "INVALID_ARGUMENT", "INVALID_ARGUMENT"),
    ("ListEvents", P.ListEventsRequest(parent="debates/"), "INVALID_ARGUMENT", "INVALID_NAME"),
    ("ListEvents", P.ListEventsRequest(parent="debates/nosuch"), "NOT_FOUND", "DEBATE_NOT_FOUND"),
    ("ListEvents", P.ListEventsRequest(parent="debates/a", page_size=-1), "INVALID_ARGUMENT", "INVALID_PAGE_SIZE"),
    ("ListEvents", P.ListEventsRequest(parent="debates/a", page_token="AA"), "INVALID_ARGUMENT", "INVALID_PAGE_TOKEN"),
    ("ListEvents", P.ListEventsRequest(parent="debates/a", after_number=-1), "INVALID_ARGUMENT", "INVALID_ARGUMENT"),
    ("WatchDebate", P.WatchDebateRequest(name="x"), "INVALID_ARGUMENT", "INVALID_NAME"),
    ("WatchDebate", P.WatchDebateRequest(name="debates/nosuch"), "NOT_FOUND", "DEBATE_NOT_FOUND"),
    ("WatchDebateByHttp", P.WatchDebateByHttpRequest(name="debates/nosuch"), "NOT_FOUND", "DEBATE_NOT_FOUND"),
    ("WatchDebate", P.WatchDebateRequest(name="debates/a", after_number=-1), "INVALID_ARGUMENT", "INVALID_ARGUMENT"),
    ("CancelDebate", P.CancelDebateRequest(name="debates"), "INVALID_ARGUMENT", "INVALID_NAME"),
    ("CancelDebate", P.CancelDebateRequest(name="debates/nosuch"), "NOT_FOUND", "DEBATE_NOT_FOUND"),
    ("CancelDebate", P.CancelDebateRequest(name="debates/a", reason="x" * 501), "INVALID_ARGUMENT", "INVALID_ARGUMENT"),
]


@pytest.fixture
async def one(tmp_path: Path) -> AsyncIterator[Replica]:
    async with replica(f"sqlite:///{tmp_path}/moderator.db") as one:
        yield one


async def test_bad_input_has_its_code_and_reason(one: Replica) -> None:
    """Each RPC refuses each wrong argument with the gRPC code and the ErrorInfo reason of its comment."""
    wrong = []
    for method, request, code, reason in BAD:
        answer = await refused(getattr(one.stub, method)(request))
        if answer != (code, reason):
            wrong.append((method, str(request)[:80], answer))
    assert wrong == []
    assert not (await one.stub.ListDebates(P.ListDebatesRequest())).debates


async def test_a_debate_has_the_defaults_and_ends_with_a_verdict(one: Replica) -> None:
    """Seats, rounds, budget and settings are filled in; after its rounds it is ENDED with summary and verdict."""
    created = await one.create(max_rounds=2)
    assert [seated.agent for seated in created.seats] == ["team-a", "team-b"]
    assert (created.token_budget, created.settings.max_attempts) == (400_000, 3)
    assert created.state == debate_pb2.Debate.RUNNING
    await one.hold(created.name, 2)
    events = [event async for event in one.stub.WatchDebate(P.WatchDebateRequest(name=created.name))]
    assert [event.number for event in events] == list(range(1, len(events) + 1))
    ended = events[-1].debate_ended.debate
    assert (ended.state, ended.stop_reason) == (debate_pb2.Debate.ENDED, debate_pb2.Debate.MAX_ROUNDS)
    assert ended.summary
    assert ended.verdict == ended.judgement.rationale
    assert [score.agent for score in ended.judgement.scores] == ["team-a", "team-b"]
    assert ended.agenda
    planned = [event.agenda_planned.questions for event in events if event.HasField("agenda_planned")]
    assert [question for questions in planned for question in questions] == list(ended.agenda)
    assert ended.turn_count == 4
    assert ended == await one.get(created.name)
    assert created.etag != ended.etag


@pytest.mark.parametrize(
    ("asked", "topic", "language"),
    [
        ("", "Cats are better than dogs", "en"),
        ("", "Schuluniformen sollten Pflicht sein", "de"),
        ("", "远程工作比办公室工作更好", "zh"),
        ("", "1 + 1 = 2", ""),
        ("pt_br", "Cats are better than dogs", "pt-BR"),
    ],
)
async def test_a_debate_has_a_language(one: Replica, asked: str, topic: str, language: str) -> None:
    """The one that is asked for, in its standard form, else the topic's, if that is clear; each floor carries it."""
    created = await one.create(topic=topic, language=asked)
    assert created.language == language
    assert (await one.get(created.name)).language == language
    await one.floor(created.name, 1)
    (granted,) = [floor_pb2.FloorGranted.FromString(row.message.payload) for row in one.floors]
    assert granted.language == language


async def test_request_id_makes_create_idempotent(one: Replica) -> None:
    """The same request returns the same debate as it now is, at once or later; another body is ALREADY_EXISTS."""
    request = P.CreateDebateRequest(debate=debate_pb2.Debate(topic="Is it so?"), request_id="r-1")
    answers = await asyncio.gather(*(one.stub.CreateDebate(request) for _ in range(5)))
    assert len({answer.name for answer in answers}) == 1
    request.debate.topic = "Or is it not?"
    assert await refused(one.stub.CreateDebate(request)) == ("ALREADY_EXISTS", "REQUEST_ID_REUSED")
    assert len((await one.stub.ListDebates(P.ListDebatesRequest())).debates) == 1


async def test_pages_follow_each_other_and_a_token_belongs_to_its_arguments(one: Replica) -> None:
    """Debates newest first, also when one is created meanwhile; turns and events by number; no token elsewhere."""
    names = [(await one.create(max_rounds=1)).name for _ in range(5)]
    page = await one.stub.ListDebates(P.ListDebatesRequest(page_size=2))
    seen = [listed.name for listed in page.debates]
    await one.create()
    while page.next_page_token:
        page = await one.stub.ListDebates(P.ListDebatesRequest(page_size=2, page_token=page.next_page_token))
        seen += [listed.name for listed in page.debates]
    assert seen == names[::-1]

    name = names[0]
    await one.hold(name, 1)
    first = await one.stub.ListTurns(P.ListTurnsRequest(parent=name, page_size=1))
    second = await one.stub.ListTurns(P.ListTurnsRequest(parent=name, page_size=1, page_token=first.next_page_token))
    assert [turn.number for turn in (*first.turns, *second.turns)] == [1, 2]
    assert second.next_page_token == ""
    for call in (
        one.stub.ListTurns(P.ListTurnsRequest(parent=names[1], page_token=first.next_page_token)),
        one.stub.ListEvents(P.ListEventsRequest(parent=name, page_token=first.next_page_token)),
        one.stub.ListTurns(P.ListTurnsRequest(parent=name, after_number=1, page_token=first.next_page_token)),
    ):
        assert await refused(call) == ("INVALID_ARGUMENT", "INVALID_PAGE_TOKEN")
    after = await one.stub.ListEvents(P.ListEventsRequest(parent=name, after_number=2, page_size=2))
    assert [event.number for event in after.events] == [3, 4]


async def test_a_watch_resumes_after_any_number_and_never_beyond_the_newest(one: Replica) -> None:
    """Each number gives exactly the rest; the newest of an ended debate ends at once; one more is EVENT_NOT_YET."""
    name = (await one.create(max_rounds=1)).name
    await one.hold(name, 1)
    events = [event async for event in one.stub.WatchDebate(P.WatchDebateRequest(name=name))]
    for after in range(len(events) + 1):
        rest = one.stub.WatchDebate(P.WatchDebateRequest(name=name, after_number=after))
        assert [event async for event in rest] == events[after:]
    beyond = one.stub.WatchDebate(P.WatchDebateRequest(name=name, after_number=len(events) + 1))
    assert await refused(beyond) == ("OUT_OF_RANGE", "EVENT_NOT_YET")


async def test_a_watch_by_http_has_ids_and_resumes_after_the_last_one(one: Replica) -> None:
    """Each event is one of a browser's, its id the event's number; Last-Event-ID stands for after_number."""
    name = (await one.create(max_rounds=1)).name
    await one.hold(name, 1)
    request = P.WatchDebateByHttpRequest(name=name, after_number=2)
    frames = [frame.data.decode() async for frame in one.stub.WatchDebateByHttp(P.WatchDebateByHttpRequest(name=name))]
    numbers = re.findall(r"^id: (\d+)\ndata: {\"number\":\1,", "".join(frames), re.MULTILINE)
    assert [int(number) for number in numbers] == list(range(1, len(numbers) + 1))
    assert frames[0].startswith("retry: ")
    for after in ("0", "1", numbers[-2]):
        rest = one.stub.WatchDebateByHttp(request, metadata=(("last-event-id", after),))
        text = "".join([frame.data.decode() async for frame in rest])
        assert re.findall(r"^id: (\d+)", text, re.MULTILINE) == numbers[int(after) :]
    rest = one.stub.WatchDebateByHttp(request)
    assert "id: 3\n" in (await anext(aiter(rest))).data.decode()
    ended = one.stub.WatchDebateByHttp(request, metadata=(("last-event-id", numbers[-1]),))
    assert [frame async for frame in ended] == []
    assert dict(await ended.initial_metadata()).get("x-no-more-events") == "true"
    for malformed in ("x", "-1", "1.5", "9" * 20):
        call = one.stub.WatchDebateByHttp(request, metadata=(("last-event-id", malformed),))
        assert await refused(call) == ("INVALID_ARGUMENT", "INVALID_ARGUMENT")


async def test_watchers_on_both_replicas_see_the_same_events(database_url: str) -> None:
    """Two watchers on the replica that makes the events and two on another all get each event once, in order."""

    async def collect(one: Replica, name: str) -> list[debate_pb2.DebateEvent]:
        return [event async for event in one.stub.WatchDebate(P.WatchDebateRequest(name=name))]

    async with replica(database_url) as one, replica(database_url, "moderator-1") as two:
        name = (await one.create(max_rounds=2)).name
        watching = [asyncio.create_task(collect(watched, name)) for watched in (one, one, two, two)]
        await one.hold(name, 2)
        results = await asyncio.wait_for(asyncio.gather(*watching), 30)
        assert [event.number for event in results[0]] == list(range(1, len(results[0]) + 1))
        assert all(result == results[0] for result in results)


async def test_cancel_ends_at_once_and_is_idempotent(one: Replica) -> None:
    """ENDED without verdict, the agent's floor is withdrawn, a late turn changes nothing, again returns the same."""
    name = (await one.create()).name
    await one.floor(name, 1)
    request = P.CancelDebateRequest(name=name, reason="enough")
    ended = await one.stub.CancelDebate(request)
    assert (ended.state, ended.stop_reason) == (debate_pb2.Debate.ENDED, debate_pb2.Debate.CANCELLED)
    assert ended.verdict == ""
    assert one.floors[-1].message.type == "rostrum.agent.v1.FloorWithdrawn"
    await one.turn(name, 1, "Too late for this debate now.")
    assert await one.stub.CancelDebate(request) == ended
    assert await one.get(name) == ended
