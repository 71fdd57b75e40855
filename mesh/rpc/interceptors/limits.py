"""Bounds the calls under way at once, so that a flood is answered with RATE_LIMITED and not with a slow death."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from mesh.errors import RateLimitedError
from mesh.rpc.interceptors.wrapping import WrappingInterceptor

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import grpc.aio


def limits_interceptor(max_calls: int) -> grpc.aio.ServerInterceptor:
    """Returns the interceptor: at most `max_calls` unary calls and streams at once; health checks are not counted."""
    under_way = 0

    @asynccontextmanager
    async def limited(method: str, _: grpc.aio.ServicerContext[Any, Any]) -> AsyncIterator[None]:
        nonlocal under_way
        if method.startswith("/grpc."):
            yield
            return
        if under_way >= max_calls:
            message = f"{max_calls} calls are under way already; try again later"
            raise RateLimitedError(message, limit=str(max_calls))
        under_way += 1
        try:
            yield
        finally:
            under_way -= 1

    return WrappingInterceptor(limited)
