"""Wraps the behaviour of a handler whatever its kind, so that each concern is said once, and costs a stream nothing.

A concern is an async context manager; it is entered before the first byte of the answer and left after the last, and
sees every exception of the handler and of the concerns inside it. All of them share one wrapper: each further one
round a stream would be passed by every message.
"""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
    from contextlib import AbstractAsyncContextManager

    Around = Callable[[str, grpc.aio.ServicerContext[Any, Any]], AbstractAsyncContextManager[None]]


class WrappingInterceptor(grpc.aio.ServerInterceptor):
    """Runs each handler inside `around(method, context)` of each concern, the first outermost.

    Those in `of_unary_calls` are inside the others, and no stream gets them.
    """

    def __init__(self, *concerns: Around, of_unary_calls: Sequence[Around] = ()) -> None:
        self._of_streams = concerns
        self._of_unary_calls = (*concerns, *of_unary_calls)

    @asynccontextmanager
    async def _inside(
        self, concerns: Sequence[Around], method: str, context: grpc.aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for around in concerns:
                await stack.enter_async_context(around(method, context))
            yield

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Returns the handler with its behaviour wrapped."""
        handler = await continuation(handler_call_details)
        if handler is None:
            return handler
        method = handler_call_details.method
        if handler.unary_unary is not None:
            unary: Any = handler.unary_unary

            async def answer(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
                async with self._inside(self._of_unary_calls, method, context):
                    return await unary(request, context)

            return grpc.unary_unary_rpc_method_handler(
                answer,
                request_deserializer=handler.request_deserializer,
                response_serializer=handler.response_serializer,
            )
        if handler.unary_stream is not None:
            stream: Any = handler.unary_stream

            async def answers(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> AsyncIterator[Any]:
                async with self._inside(self._of_streams, method, context):
                    async for item in stream(request, context):
                        yield item

            return grpc.unary_stream_rpc_method_handler(
                answers,
                request_deserializer=handler.request_deserializer,
                response_serializer=handler.response_serializer,
            )
        return handler  # reflection streams both ways and has no errors of ours
