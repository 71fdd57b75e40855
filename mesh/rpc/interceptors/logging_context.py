"""Puts the method of the call under way into the log lines that it writes (mesh.telemetry.logs reads it)."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from mesh.rpc.interceptors.wrapping import WrappingInterceptor
from mesh.telemetry.logs import log_fields

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import grpc.aio


@asynccontextmanager
async def _named(method: str, _: grpc.aio.ServicerContext[Any, Any]) -> AsyncIterator[None]:
    with log_fields(rpc=method):
        yield


def logging_interceptor() -> grpc.aio.ServerInterceptor:
    """Returns the interceptor."""
    return WrappingInterceptor(_named)
