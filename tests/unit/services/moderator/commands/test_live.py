"""A floor is shown while it is written, and taken off the screen when it is lost; without it the debate goes on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc.aio
import pytest
from rostrum.agent.v1 import agent_service_pb2, agent_service_pb2_grpc
from rostrum.debate.v1 import debate_pb2

from mesh.rpc.channels import Channels
from services.moderator.commands import live
from services.moderator.commands.live import LiveTurns
from tests.support.waiting import until

FloorEvent = agent_service_pb2.FloorEvent
Step = FloorEvent | grpc.StatusCode | asyncio.Event
STARTED = FloorEvent(started=FloorEvent.Started(turn_number=1, attempt=1, try_number=1))
COMMITTED = FloorEvent(committed=FloorEvent.Committed(turn_number=1, text="Tea is good."))
WITHDRAWN = FloorEvent(withdrawn=FloorEvent.Withdrawn(turn_number=1, reason=FloorEvent.Withdrawn.REVOKED))
GRANTED = debate_pb2.DebateEvent(floor_granted=debate_pb2.FloorGrantedEvent(turn_number=1, agent="team-a"))
TAKEN = debate_pb2.DebateEvent(turn_taken=debate_pb2.TurnTakenEvent(turn=debate_pb2.Turn(number=1)))


def written(text: str, *, whole: bool = False) -> FloorEvent:
    return FloorEvent(written=FloorEvent.Written(text=text, whole=whole))


class _Agent(agent_service_pb2_grpc.AgentServiceServicer):
    """Answers the n-th WatchFloor with the n-th script, the last one again and again; an Event is waited for."""

    GetAgent: Any
    Ask: Any
    ListUtterances: Any
    WatchFloorByHttp: Any

    def __init__(self, *scripts: list[Step]) -> None:
        self._scripts = scripts
        self.requests: list[agent_service_pb2.WatchFloorRequest] = []
        self.left = 0

    async def WatchFloor(  # noqa: N802
        self, request: agent_service_pb2.WatchFloorRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[FloorEvent]:
        self.requests.append(request)
        try:
            for step in self._scripts[min(len(self.requests), len(self._scripts)) - 1]:
                if isinstance(step, asyncio.Event):
                    await step.wait()
                elif isinstance(step, grpc.StatusCode):
                    await context.abort(step, "scripted")
                else:
                    yield step
        finally:
            self.left += 1


class _Display:
    """What was shown, in order, and the notes."""

    def __init__(self) -> None:
        self.texts: list[str] = [""]
        self.notes: list[str] = []

    def write(self, text: str) -> None:
        if text != self.texts[-1]:
            self.texts.append(text)

    async def wait_for(self, text: str) -> None:
        await until(f"{text!r} on the screen, not {self.texts}", lambda: self.texts[-1] == text, seconds=5)


@asynccontextmanager
async def watching(agent: _Agent, *, begin_seconds: float = 5.0) -> AsyncIterator[tuple[LiveTurns, _Display]]:
    server = grpc.aio.server()
    agent_service_pb2_grpc.add_AgentServiceServicer_to_server(agent, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    display = _Display()
    dial: Callable[[str], grpc.aio.Channel] = lambda _agent: Channels().open(f"127.0.0.1:{port}")  # noqa: E731
    try:
        async with LiveTurns(
            "debates/d1", dial=dial, write=display.write, notice=display.notes.append, begin_seconds=begin_seconds
        ) as turns:
            yield turns, display
        assert display.texts[-1] == ""
    finally:
        await server.stop(0)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "SETTLE_SECONDS", 0.0)
    monkeypatch.setattr(live, "PAUSE_SECONDS", 0.01)


async def test_a_text_is_shown_until_the_turn_is_there() -> None:
    """Pieces are joined, a whole text replaces them, and the committed turn stays until the moderator's event."""
    agent = _Agent([STARTED, written("Tea", whole=True), written(" is"), written("Tea is good", whole=True), COMMITTED])
    async with watching(agent) as (turns, display):
        await turns.turn_to(GRANTED)
        await display.wait_for("Tea is good")
        await until("the end of the call", lambda: agent.left, seconds=5)
        assert display.texts == ["", "Tea", "Tea is", "Tea is good"]
        await turns.turn_to(TAKEN)
        assert display.texts[-1] == ""
    assert len(agent.requests) == 1
    request = agent.requests[0]
    assert (request.name, request.debate, request.turn_number) == ("agents/team-a", "debates/d1", 1)
    assert display.notes == []


@pytest.mark.parametrize(
    "end",
    [[WITHDRAWN], [grpc.StatusCode.UNAVAILABLE], [STARTED, asyncio.Event()]],
    ids=["withdrawn", "broken", "begun again"],
)
async def test_a_lost_text_is_taken_off_the_screen(end: list[Step]) -> None:
    """The floor is withdrawn, the agent dies, or it begins again: what was written is not left there."""
    agent = _Agent([STARTED, written("Tea", whole=True), *end], [asyncio.Event()])
    async with watching(agent) as (turns, display):
        await turns.turn_to(GRANTED)
        await until("text and then none", lambda: display.texts == ["", "Tea", ""], seconds=5)
    assert display.notes == []


async def test_the_agent_that_is_back_is_watched_again() -> None:
    """After a call that broke another one is made, for the same floor, until it is over."""
    broken: list[Step] = [STARTED, written("Tea", whole=True), grpc.StatusCode.UNAVAILABLE]
    agent = _Agent(broken, broken, [STARTED, written("Tea again", whole=True), asyncio.Event()])
    async with watching(agent) as (turns, display):
        await turns.turn_to(GRANTED)
        await display.wait_for("Tea again")
    assert len(agent.requests) == 3


async def test_a_replica_that_does_not_write_is_asked_no_longer() -> None:
    """When nothing begins, the call is made again, which another replica may answer."""
    agent = _Agent([asyncio.Event()], [STARTED, written("Tea", whole=True), asyncio.Event()])
    async with watching(agent, begin_seconds=0.05) as (turns, display):
        await turns.turn_to(GRANTED)
        await display.wait_for("Tea")
    await until("nobody who watches", lambda: agent.left == len(agent.requests), seconds=5)


@pytest.mark.parametrize(
    "code", [grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.RESOURCE_EXHAUSTED]
)
async def test_an_agent_that_cannot_be_watched_is_noted_once(code: grpc.StatusCode) -> None:
    """One note, and no more calls for the rest of the debate."""
    agent = _Agent([code])
    async with watching(agent) as (turns, display):
        await turns.turn_to(GRANTED)
        await until("a note", lambda: display.notes, seconds=5)
        for event in (TAKEN, GRANTED, TAKEN, GRANTED):
            await turns.turn_to(event)
    assert len(display.notes) == len(agent.requests) == 1
    assert "team-a" in display.notes[0]


async def test_floors_of_the_past_are_not_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Events that follow each other at once, as those of a debate that went on without us, cost no call."""
    monkeypatch.setattr(live, "SETTLE_SECONDS", 30.0)
    agent = _Agent([STARTED])
    async with watching(agent) as (turns, _):
        for event in (GRANTED, TAKEN) * 20:
            await turns.turn_to(event)
    assert agent.requests == []


async def test_a_fault_of_ours_is_not_hidden() -> None:
    """What fails while it shows a text is raised with the next event."""

    async def fail() -> None:
        raise ZeroDivisionError

    agent = _Agent([STARTED])
    async with watching(agent) as (turns, _):
        turns._watch = lambda *_: fail()  # type: ignore[method-assign]
        await turns.turn_to(GRANTED)
        await asyncio.sleep(0)
        with pytest.raises(ZeroDivisionError):
            await turns.turn_to(TAKEN)
