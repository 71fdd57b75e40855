"""Turns what a handler raises into google.rpc.Status with ErrorInfo: the only place that does.

A RostrumError goes out as its class says. Anything else is a fault of ours: it is logged whole under an error id, and
the caller gets INTERNAL with that id and nothing of the inside.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio

from mesh.errors import InternalError, RostrumError
from mesh.rpc.status import trailers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

log = logging.getLogger(__name__)


@asynccontextmanager
async def answering(method: str, context: grpc.aio.ServicerContext[Any, Any]) -> AsyncIterator[None]:
    """A concern of `wrapping`; it goes outside of those whose errors it answers with."""
    try:
        yield
    except RostrumError as error:
        failure = error
    except (asyncio.CancelledError, grpc.aio.AbortError):
        raise
    except Exception:
        error_id = uuid.uuid4().hex
        log.exception("%s failed, error id %s", method, error_id)
        failure = InternalError(f"a fault of the service; its log has it under {error_id}", error_id=error_id)
    else:
        return
    await context.abort(grpc.StatusCode[failure.code], failure.message, trailers(failure))
