"""The moderator's record of a debate, by gRPC: turns that this agent missed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
from rostrum.debate.v1 import debate_service_pb2, debate_service_pb2_grpc

from mesh.agent.model import RememberedTurn
from mesh.rpc.status import from_rpc_error

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mesh.rpc.channels import Channels


class ModeratorRecord:
    """Reads turns from DebateService.ListTurns. A part of the process: started and stopped with it."""

    def __init__(self, channels: Channels, address: str) -> None:
        self._channel = channels.open(address)
        self._stub: debate_service_pb2_grpc.DebateServiceAsyncStub = debate_service_pb2_grpc.DebateServiceStub(
            self._channel
        )

    async def start(self) -> None:
        """Nothing: gRPC connects with the first call."""

    async def stop(self) -> None:
        """Closes the channel."""
        await self._channel.close(None)

    async def fetch_turns(self, debate: str, after_number: int, timeout_seconds: float) -> Sequence[RememberedTurn]:
        """Returns all turns above this number. Raises RostrumError; each page may take the timeout."""
        turns: list[RememberedTurn] = []
        request = debate_service_pb2.ListTurnsRequest(parent=debate, after_number=after_number, page_size=1_000)
        try:
            while True:
                page = await self._stub.ListTurns(request, timeout=timeout_seconds)
                turns += [RememberedTurn(turn.number, turn.round, turn.agent, turn.text) for turn in page.turns]
                if not page.next_page_token:
                    return turns
                request.page_token = page.next_page_token
        except grpc.RpcError as error:
            raise from_rpc_error(error) from error
