"""Bounds the calls under way at once, so that a flood is answered with RATE_LIMITED and not with a slow death."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from mesh.errors import RateLimitedError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import grpc.aio

    from mesh.rpc.interceptors.wrapping import Around


def limited(max_calls: int) -> Around:
    """Returns the concern of `wrapping`: at most `max_calls` calls and streams at once, health checks not counted."""
    under_way = 0

    @asynccontextmanager
    async def counted(method: str, _: grpc.aio.ServicerContext[Any, Any]) -> AsyncIterator[None]:
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

    return counted
