"""Puts the method of the call under way into the log lines that it writes (mesh.telemetry.logs reads it)."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from mesh.telemetry.logs import log_fields

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import grpc.aio


@asynccontextmanager
async def named(method: str, _: grpc.aio.ServicerContext[Any, Any]) -> AsyncIterator[None]:
    """A concern of `wrapping`."""
    with log_fields(rpc=method):
        yield
