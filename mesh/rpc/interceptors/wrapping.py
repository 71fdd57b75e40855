"""Wraps the behaviour of a handler whatever its kind, so that an interceptor says its concern once.

An interceptor gives an async context manager; it is entered before the first byte of the answer and left after the
last, and sees every exception of the handler.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from contextlib import AbstractAsyncContextManager

    Around = Callable[[str, grpc.aio.ServicerContext[Any, Any]], AbstractAsyncContextManager[None]]


class WrappingInterceptor(grpc.aio.ServerInterceptor):
    """Runs each handler inside `around(method, context)`. Handlers that are synchronous are left as they are."""

    def __init__(self, around: Around) -> None:
        self._around = around

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Returns the handler with its behaviour wrapped."""
        handler = await continuation(handler_call_details)
        if handler is None:
            return handler
        method, around = handler_call_details.method, self._around
        if handler.unary_unary is not None:
            unary: Any = handler.unary_unary

            async def answer(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
                async with around(method, context):
                    return await unary(request, context)

            return grpc.unary_unary_rpc_method_handler(
                answer,
                request_deserializer=handler.request_deserializer,
                response_serializer=handler.response_serializer,
            )
        if handler.unary_stream is not None:
            stream: Any = handler.unary_stream

            async def answers(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> AsyncIterator[Any]:
                async with around(method, context):
                    async for item in stream(request, context):
                        yield item

            return grpc.unary_stream_rpc_method_handler(
                answers,
                request_deserializer=handler.request_deserializer,
                response_serializer=handler.response_serializer,
            )
        return handler  # reflection streams both ways and has no errors of ours
