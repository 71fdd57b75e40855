"""Follows a debate's events over restarts of the moderator: every event once, in order, without a gap.

The moderator numbers events and keeps them, so a broken stream is simply opened again after the last number seen.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import grpc
from rostrum.debate.v1 import debate_service_pb2

from mesh.errors import Code, DeadlineError
from mesh.rpc import status as rpc_status

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from rostrum.debate.v1 import debate_pb2, debate_service_pb2_grpc

    from mesh.errors import RostrumError

PATIENCE_SECONDS = 60.0
"""Time without a stream before we give up; above what the runner needs to restart a moderator, back-off included."""

PAUSE_SECONDS = 0.5
"""Pause before the stream is opened again: well below what a person notices, and no load for a starting service."""


def is_lost(error: grpc.aio.AioRpcError, fault: RostrumError) -> bool:
    """Says whether a stream broke in a way that another call may mend. `fault`: what the error stands for."""
    return fault.code is Code.UNAVAILABLE or error.code() in {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.CANCELLED,
    }


async def follow_events(
    stub: debate_service_pb2_grpc.DebateServiceAsyncStub,
    name: str,
    after_number: int = 0,
    *,
    notice: Callable[[str], None] = lambda _text: None,
    patience_seconds: float = PATIENCE_SECONDS,
) -> AsyncIterator[debate_pb2.DebateEvent]:
    """Yields the events above `after_number` until debate_ended. Raises RostrumError."""
    lost_since: float | None = None
    while True:
        request = debate_service_pb2.WatchDebateRequest(name=name, after_number=after_number)
        stream = stub.WatchDebate(request)
        cause: grpc.aio.AioRpcError | None = None
        try:
            async for event in stream:
                lost_since = None
                after_number = event.number
                yield event
                if event.HasField("debate_ended"):
                    return
        except grpc.aio.AioRpcError as error:
            cause, fault = error, rpc_status.from_rpc_error(error)
            if not is_lost(error, fault):
                raise fault from error
        else:  # it ended without an error, and without the debate's end
            fault = DeadlineError(f"the moderator ends the events of {name} again and again before their end")
        finally:
            stream.cancel()
        if lost_since is not None and time.monotonic() - lost_since > patience_seconds:
            raise fault from cause
        if lost_since is None:
            lost_since = time.monotonic()
            notice("the moderator does not answer, trying again")
        await asyncio.sleep(PAUSE_SECONDS)
