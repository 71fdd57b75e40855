"""Server-sent events: frames, comments in silence, failures before and after the first frame, and who leaves."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from rostrum.agent.v1 import agent_service_pb2

from mesh.errors import InvalidArgumentError, StoreUnavailableError
from mesh.rpc.server_sent_events import CONTENT_TYPE, HEADERS, NO_MORE_EVENTS, last_event_id, stream_events
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

Agent = agent_service_pb2.Agent
RETRY = "retry: 2000\n\n"


class _Context:
    """What of a call's context is used."""

    def __init__(self, *metadata: tuple[str, str | bytes]) -> None:
        self._metadata = metadata
        self.sent: list[tuple[tuple[str, str], ...]] = []

    def invocation_metadata(self) -> tuple[tuple[str, str | bytes], ...]:
        return self._metadata

    async def send_initial_metadata(self, metadata: tuple[tuple[str, str], ...]) -> None:
        self.sent.append(metadata)


async def _messages(*steps: Agent | Exception | asyncio.Event) -> AsyncGenerator[Agent]:
    for step in steps:
        if isinstance(step, Exception):
            raise step
        if isinstance(step, asyncio.Event):
            await step.wait()
        else:
            yield step


def _stream(context: _Context, messages: AsyncGenerator[Agent], seconds: float = 60.0) -> Any:
    return stream_events(
        context, messages, lambda agent: agent.name, silence_seconds=seconds, first_event_seconds=seconds
    )


async def test_each_message_is_an_event() -> None:
    """How soon to call again comes first; then id and data on a line each, with every field; the head comes once."""
    context = _Context()
    said = Agent(name="1", description="a\nb\u2028\U0001f375")
    frames = [frame async for frame in _stream(context, _messages(said, Agent(name="2")))]
    assert {frame.content_type for frame in frames} == {CONTENT_TYPE}
    assert context.sent == [HEADERS]
    first, second = ("".join(frame.data.decode() for frame in frames)).removeprefix(RETRY).split("\n\n")[:2]
    assert first.startswith('id: 1\ndata: {"name":"1","description":"a\\nb')
    assert json.loads(second.removeprefix("id: 2\ndata: ")) == {
        "name": "2", "description": "", "model": "", "floors_topic": "", "utterance_count": 0,
    }  # fmt: skip
    assert frames[0].data.decode().startswith(RETRY)


async def test_silence_is_filled_with_comments() -> None:
    """Before the first event and between two, as long as nothing happens; no event is lost meanwhile."""
    first, second = asyncio.Event(), asyncio.Event()
    frames = _stream(_Context(), _messages(first, Agent(name="1"), second, Agent(name="2")), 0.01)
    seen = [(await anext(frames)).data.decode() for _ in range(3)]
    assert seen == [f"{RETRY}: nothing yet\n\n", ": nothing yet\n\n", ": nothing yet\n\n"]
    first.set()
    found = await anext(frames)
    while found.data.startswith(b":"):
        found = await anext(frames)
    assert found.data.startswith(b"id: 1\n")
    assert (await anext(frames)).data == b": nothing yet\n\n"
    second.set()
    rest = [frame.data async for frame in frames if not frame.data.startswith(b":")]
    assert [event.split(b"\n")[0] for event in rest] == [b"id: 2"]


async def test_a_failure_before_the_first_event_is_the_calls_own() -> None:
    """It is raised, and nothing was sent: the answer's status can still say it."""
    context = _Context()
    with pytest.raises(InvalidArgumentError):
        await anext(_stream(context, _messages(InvalidArgumentError("no", field="name"))))
    assert context.sent == []


async def test_a_later_failure_is_an_event() -> None:
    """Of the type "error", with google.rpc.Status; then the call fails, too."""
    frames = _stream(_Context(), _messages(Agent(name="1"), StoreUnavailableError("the store is away", store="a")))
    await anext(frames)
    name, data = (await anext(frames)).data.decode().split("\n")[:2]
    assert name == "event: error"
    status = json.loads(data.removeprefix("data: "))
    assert (status["code"], status["message"]) == (14, "the store is away")
    assert status["details"][0]["reason"] == "STORE_UNAVAILABLE"
    with pytest.raises(StoreUnavailableError):
        await anext(frames)


async def test_no_events_are_an_answer_too() -> None:
    """A stream that ends without any has a head and says how soon to call again."""
    context = _Context()
    assert [frame.data.decode() async for frame in _stream(context, _messages())] == [RETRY]
    assert context.sent == [HEADERS]


async def test_who_has_had_them_all_is_told_so() -> None:
    """A resumed stream without another event has no frame, and a head that the ingress makes 204."""
    context = _Context()
    frames = stream_events(context, _messages(), lambda agent: agent.name, is_resumed=True)
    assert [frame async for frame in frames] == []
    assert context.sent == [NO_MORE_EVENTS]


async def test_who_leaves_closes_the_messages() -> None:
    """A call that is cancelled in silence ends what it waited for."""
    closed = asyncio.Event()

    async def wait() -> AsyncGenerator[Agent]:
        try:
            await asyncio.Event().wait()
            yield Agent()
        finally:
            closed.set()

    context = _Context()
    frames = _stream(context, wait(), 0.01)
    await anext(frames)
    reading = asyncio.ensure_future(anext(frames))
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    await frames.aclose()
    await until("the end of the messages", closed.is_set, seconds=5)


@pytest.mark.parametrize(("metadata", "expected"), [((), ""), ((("last-event-id", "7"),), "7"), ((("x", "7"),), "")])
def test_the_last_id_is_in_the_metadata(metadata: tuple[tuple[str, str], ...], expected: str) -> None:
    """A browser's header Last-Event-ID comes as metadata in small letters."""
    assert last_event_id(_Context(*metadata)) == expected
