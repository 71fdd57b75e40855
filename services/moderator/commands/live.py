"""Shows a turn while it is written: each floor that is granted is watched at its agent until the next event.

What is shown is a draft, above the line that says what is waited for; the turn itself is printed by `rendering` when
the moderator has it. A debate that cannot be watched is shown without. Caller: `debates`, on a terminal only.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import grpc
import grpc.aio
from rostrum.agent.v1 import agent_service_pb2, agent_service_pb2_grpc

from mesh.resource_names import AGENTS
from mesh.rpc import status as rpc_status
from services.moderator.commands.following import is_lost

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from rostrum.debate.v1 import debate_pb2

    Stub = agent_service_pb2_grpc.AgentServiceAsyncStub

SETTLE_SECONDS = 0.1
"""From a floor until it is watched: the events of a debate that went on without us come faster than that."""
BEGIN_SECONDS = 3.0
"""For the agent to begin; then the call is made again, which another of its replicas may answer."""
PAUSE_SECONDS = 0.5
"""Before a call that broke is made again."""


class LiveTurns:
    """The floor that is watched now, if any. Used on one event loop, inside `async with`."""

    def __init__(
        self,
        debate: str,
        *,
        dial: Callable[[str], grpc.aio.Channel],
        write: Callable[[str], None],
        notice: Callable[[str], None],
        begin_seconds: float = BEGIN_SECONDS,
    ) -> None:
        """`debate`: its name. `write` gets the text so far, or "" when there is none; `notice` one line for people."""
        self._debate = debate
        self._dial = dial
        self._write = write
        self._notice = notice
        self._begin_seconds = begin_seconds
        self._stubs: dict[str, Stub] = {}
        self._channels = AsyncExitStack()
        self._task: asyncio.Task[None] | None = None
        self._is_refused = False

    async def __aenter__(self) -> LiveTurns:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stop()
        await self._channels.aclose()

    async def turn_to(self, event: debate_pb2.DebateEvent) -> None:
        """Takes what was shown off the screen; if the event grants a floor, that one is watched from now on."""
        await self._stop()
        if event.HasField("floor_granted") and not self._is_refused:
            floor = event.floor_granted
            self._task = asyncio.create_task(self._watch(floor.agent, floor.turn_number))

    async def _stop(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
            if not task.cancelled():
                task.result()  # raises what is a fault of ours
        self._write("")

    async def _watch(self, agent: str, turn_number: int) -> None:
        await asyncio.sleep(SETTLE_SECONDS)
        request = agent_service_pb2.WatchFloorRequest(
            name=AGENTS.name_of(agent), debate=self._debate, turn_number=turn_number
        )
        while not self._is_refused:
            try:
                if await self._show(await self._stub(agent), request):
                    return
            except grpc.aio.AioRpcError as error:
                fault = rpc_status.from_rpc_error(error)
                if not is_lost(error, fault):
                    self._is_refused = True
                    self._notice(f"what {agent} writes cannot be watched, so turns come whole: {fault.message}")
                    return
            self._write("")
            await asyncio.sleep(PAUSE_SECONDS)

    async def _show(self, stub: Stub, request: agent_service_pb2.WatchFloorRequest) -> bool:
        """Shows the text as it grows. Returns whether the turn came to its end; raises AioRpcError."""
        text = ""
        call = stub.WatchFloor(request)
        try:
            async with asyncio.timeout(self._begin_seconds) as begin:
                async for event in call:
                    begin.reschedule(None)
                    match event.WhichOneof("kind"):
                        case "started":
                            text = ""
                        case "written":
                            text = event.written.text if event.written.whole else text + event.written.text
                        case "committed":
                            return True
                        case "withdrawn":
                            text = ""
                    self._write(text)
        except TimeoutError:
            return False
        finally:
            call.cancel()
        return False

    async def _stub(self, agent: str) -> Stub:
        if agent not in self._stubs:
            channel = await self._channels.enter_async_context(self._dial(agent))
            self._stubs[agent] = agent_service_pb2_grpc.AgentServiceStub(channel)
        return self._stubs[agent]
