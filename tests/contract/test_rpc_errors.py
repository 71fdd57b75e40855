"""Errors between a real server and a real client: every class survives the trip, and nothing else gets out."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
import pytest
from rostrum.agent.v1 import agent_service_pb2, agent_service_pb2_grpc
from rostrum.errors.v1 import error_reason_pb2

from mesh.errors import (
    Code,
    DeadlineError,
    InternalError,
    InvalidArgumentError,
    RateLimitedError,
    RostrumError,
)
from mesh.rpc.channels import Channels
from mesh.rpc.server import MAX_MESSAGE_BYTES, Server
from mesh.rpc.status import RefusedByPolicyError, UnknownReasonError, UnreachableError, from_rpc_error
from tests.support.error_classes import error_classes

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

AGENT_SERVICE = agent_service_pb2.DESCRIPTOR.services_by_name["AgentService"].full_name
CLASSES = error_classes()


class _Agent(agent_service_pb2_grpc.AgentServiceServicer):
    Ask: Any
    ListUtterances: Any
    WatchFloor: Any
    WatchFloorByHttp: Any

    def __init__(self, behave: Callable[[], Awaitable[None]]) -> None:
        self._behave = behave

    async def GetAgent(self, request: agent_service_pb2.GetAgentRequest, _context: Any) -> agent_service_pb2.Agent:  # noqa: N802
        await self._behave()
        return agent_service_pb2.Agent(name=request.name)


async def _calling(
    behave: Callable[[], Awaitable[None]], use: Callable[[grpc.aio.Channel], Awaitable[Any]], *, max_calls: int = 100
) -> Any:
    server = Server("127.0.0.1:0", max_calls=max_calls)
    agent_service_pb2_grpc.add_AgentServiceServicer_to_server(_Agent(behave), server.grpc)
    await server.start([AGENT_SERVICE], {})
    channel = Channels().open(f"127.0.0.1:{server.port}")
    try:
        return await use(channel)
    finally:
        await channel.close(None)
        await server.stop(0)


def _stub(channel: grpc.aio.Channel) -> Any:
    return agent_service_pb2_grpc.AgentServiceStub(channel)


async def _failure(call: Awaitable[Any]) -> tuple[grpc.StatusCode, RostrumError]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code(), from_rpc_error(caught.value)


def _raw(channel: Any, payload: bytes) -> Any:
    return channel.unary_unary(f"/{AGENT_SERVICE}/GetAgent")(payload)


async def _nothing() -> None:
    return


def _raising(error: Exception) -> Callable[[], Awaitable[None]]:
    async def behave() -> None:
        raise error

    return behave


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
async def test_every_error_class_comes_back_as_itself(cls: type[RostrumError]) -> None:
    """Class, gRPC code, message and metadata are the same on the caller's side."""
    raised = cls("what is wrong – and what to do", field="name", value="é")

    async def use(channel: grpc.aio.Channel) -> tuple[grpc.StatusCode, RostrumError]:
        return await _failure(_stub(channel).GetAgent(agent_service_pb2.GetAgentRequest()))

    code, error = await _calling(_raising(raised), use)
    assert code.name == cls.code
    assert type(error) is cls
    assert error.message == raised.message
    assert error.metadata == raised.metadata


def test_classes_and_reasons_are_the_same_set() -> None:
    """The enum of the contract has exactly one class for each value."""
    reasons = set(error_reason_pb2.ErrorReason.keys()) - {"ERROR_REASON_UNSPECIFIED"}
    assert {cls.reason for cls in CLASSES} == reasons


async def test_an_error_whose_class_the_caller_lacks_keeps_all_but_its_class() -> None:
    """A reason that this process knows no class of comes back with its code, reason, message and metadata."""
    raised = UnknownReasonError(Code.UNAVAILABLE, "OF_SOMEBODY_ELSE", "what is wrong", field="name")

    async def use(channel: grpc.aio.Channel) -> tuple[grpc.StatusCode, RostrumError]:
        return await _failure(_stub(channel).GetAgent(agent_service_pb2.GetAgentRequest()))

    code, error = await _calling(_raising(raised), use)
    assert code is grpc.StatusCode.UNAVAILABLE
    assert type(error) is UnknownReasonError
    assert (error.code, error.reason, error.retriable) == (Code.UNAVAILABLE, "OF_SOMEBODY_ELSE", True)
    assert (error.message, error.metadata) == (raised.message, raised.metadata)


async def test_a_fault_of_ours_is_internal_and_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """The caller gets an error id and nothing of the inside; the log has that id with the traceback."""

    async def use(channel: grpc.aio.Channel) -> tuple[grpc.StatusCode, RostrumError]:
        return await _failure(_stub(channel).GetAgent(agent_service_pb2.GetAgentRequest()))

    with caplog.at_level(logging.ERROR):
        code, error = await _calling(_raising(KeyError("secret")), use)
    assert code is grpc.StatusCode.INTERNAL
    assert isinstance(error, InternalError)
    assert "secret" not in error.message
    logged = [record for record in caplog.records if error.metadata["error_id"] in record.getMessage()]
    assert len(logged) == 1
    assert logged[0].exc_info is not None


async def test_a_passed_deadline_is_told_and_ends_the_work() -> None:
    """A call that takes too long fails with DEADLINE_EXCEEDED, and its handler is cancelled."""
    cancelled = asyncio.Event()

    async def hang() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async def use(channel: grpc.aio.Channel) -> tuple[grpc.StatusCode, RostrumError]:
        failure = await _failure(_stub(channel).GetAgent(agent_service_pb2.GetAgentRequest(), timeout=0.2))
        await asyncio.wait_for(cancelled.wait(), 5)
        return failure

    code, error = await _calling(hang, use)
    assert code is grpc.StatusCode.DEADLINE_EXCEEDED
    assert isinstance(error, DeadlineError)


async def test_a_cancelled_call_cancels_its_handler() -> None:
    """When the caller gives up, the handler is cancelled and nothing is logged as a fault."""
    entered, cancelled = asyncio.Event(), asyncio.Event()

    async def hang() -> None:
        entered.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    async def use(channel: grpc.aio.Channel) -> None:
        call = asyncio.ensure_future(_stub(channel).GetAgent(agent_service_pb2.GetAgentRequest()))
        await asyncio.wait_for(entered.wait(), 5)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await asyncio.wait_for(cancelled.wait(), 5)

    await _calling(hang, use)


async def test_calls_beyond_the_limit_are_refused_at_once() -> None:
    """One call too many is RATE_LIMITED, says the limit, and may be repeated; the others are not disturbed."""
    entered, release = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        entered.set()
        await release.wait()

    async def use(channel: grpc.aio.Channel) -> RostrumError:
        stub = _stub(channel)
        first = asyncio.ensure_future(stub.GetAgent(agent_service_pb2.GetAgentRequest(name="agents/a")))
        await asyncio.wait_for(entered.wait(), 5)
        _, error = await _failure(stub.GetAgent(agent_service_pb2.GetAgentRequest()))
        release.set()
        assert (await first).name == "agents/a"
        assert (await stub.GetAgent(agent_service_pb2.GetAgentRequest(name="agents/b"))).name == "agents/b"
        return error

    error = await _calling(wait, use, max_calls=1)
    assert isinstance(error, RateLimitedError)
    assert error.retriable
    assert error.metadata == {"limit": "1"}


@pytest.mark.parametrize(
    "payload",
    [b"\x0a\x02\xc3\x28", b"\xff\xff\xff", b"\x0a\x7f"],
    ids=["not UTF-8", "no protobuf", "cut off"],
)
async def test_a_request_that_does_not_parse_is_an_invalid_argument(payload: bytes) -> None:
    """Bytes that are no such message are the caller's fault, with a reason."""

    async def use(channel: grpc.aio.Channel) -> tuple[grpc.StatusCode, RostrumError]:
        return await _failure(_raw(channel, payload))

    code, error = await _calling(_nothing, use)
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert isinstance(error, InvalidArgumentError)
    assert "UTF-8" in error.message


@pytest.mark.parametrize("size", [MAX_MESSAGE_BYTES + 1, 12 * MAX_MESSAGE_BYTES], ids=["above ours", "above gRPC's"])
async def test_a_request_that_is_too_large_is_an_invalid_argument(size: int) -> None:
    """The caller learns that the request is too large, whoever refused it."""

    async def use(channel: grpc.aio.Channel) -> RostrumError:
        _, error = await _failure(_stub(channel).GetAgent(agent_service_pb2.GetAgentRequest(name="x" * size)))
        return error

    error = await _calling(_nothing, use)
    assert isinstance(error, InvalidArgumentError)
    assert "bytes" in error.message


async def test_no_server_is_unreachable() -> None:
    """Nobody at the address: a retriable error that says so."""

    async def use() -> RostrumError:
        channel = Channels().open("127.0.0.1:1")
        try:
            _, error = await _failure(_stub(channel).GetAgent(agent_service_pb2.GetAgentRequest(), timeout=5))
            return error
        finally:
            await channel.close(None)

    error = await use()
    assert isinstance(error, UnreachableError)
    assert error.retriable


@pytest.mark.parametrize(
    ("code", "said", "becomes", "code_of_ours"),
    [
        ("PERMISSION_DENIED", "RBAC: access denied", RefusedByPolicyError, "PERMISSION_DENIED"),
        ("UNAUTHENTICATED", "Jwt is expired", RefusedByPolicyError, "PERMISSION_DENIED"),
        ("RESOURCE_EXHAUSTED", "local_rate_limited", RateLimitedError, "RESOURCE_EXHAUSTED"),
        ("UNIMPLEMENTED", "", InternalError, "INTERNAL"),
    ],
)
def test_a_refusal_of_a_sidecar_has_no_details(
    code: str, said: str, becomes: type[RostrumError], code_of_ours: str
) -> None:
    """Envoy knows no reasons of ours: its code decides, and its own words stay."""
    refusal = grpc.aio.AioRpcError(grpc.StatusCode[code], grpc.aio.Metadata(), grpc.aio.Metadata(), said)
    error = from_rpc_error(refusal)
    assert (type(error), error.code.value) == (becomes, code_of_ours)
    assert said in error.message
