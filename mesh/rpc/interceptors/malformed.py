"""Answers a request that cannot be parsed, or is too large, with INVALID_ARGUMENT instead of gRPC's own silence.

gRPC ends a call whose request does not parse (a string that is not UTF-8, other bytes) with INTERNAL and no reason.
Here parsing never fails: it hands on what was wrong, and the call raises it where the other interceptors can see it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from mesh.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    Handler = grpc.RpcMethodHandler[Any, Any]


class _MalformedInterceptor(grpc.aio.ServerInterceptor):
    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        handler = await continuation(handler_call_details)
        if handler is None or handler.request_streaming or handler.request_deserializer is None:
            return handler
        parse = self._parse(handler.request_deserializer)
        if handler.unary_unary is not None:
            unary: Any = handler.unary_unary

            async def answer(request: Any, context: Any) -> Any:
                if isinstance(request, InvalidArgumentError):
                    raise request
                return await unary(request, context)

            return grpc.unary_unary_rpc_method_handler(answer, parse, handler.response_serializer)
        stream: Any = handler.unary_stream

        def answers(request: Any, context: Any) -> AsyncIterator[Any]:
            if isinstance(request, InvalidArgumentError):
                raise request
            items: AsyncIterator[Any] = stream(request, context)
            return items

        return grpc.unary_stream_rpc_method_handler(answers, parse, handler.response_serializer)

    def _parse(self, deserialize: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
        def parse(encoded: bytes) -> Any:
            if len(encoded) > self._max_bytes:
                message = f"the request has {len(encoded):,} bytes; at most {self._max_bytes:,} are taken"
                return InvalidArgumentError(message, field="request", limit=str(self._max_bytes))
            try:
                return deserialize(encoded)
            except (DecodeError, UnicodeDecodeError) as error:
                message = f"the request does not parse; is every text in it UTF-8? ({error})"
                return InvalidArgumentError(message, field="request")

        return parse


def malformed_interceptor(max_bytes: int) -> grpc.aio.ServerInterceptor:
    """Returns the interceptor; it goes innermost, next to the handlers. `max_bytes` is the largest request taken."""
    return _MalformedInterceptor(max_bytes)
