"""A stream of messages as server-sent events, in google.api.HttpBody: what Envoy's transcoder passes on as it is.

Owns the frames, the comments in silence that keep a connection open through proxies, and how a failure shows. Which
events there are, their ids, and what a last id means are the service's own. Called by the `api` of services.
Source: https://html.spec.whatwg.org/multipage/server-sent-events.html.
"""

from __future__ import annotations

import asyncio
import json
import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from google.api import httpbody_pb2
from google.protobuf import json_format

from mesh.errors import InvalidArgumentError, RostrumError
from mesh.rpc.status import to_status

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable

    from google.protobuf.message import Message

CONTENT_TYPE = "text/event-stream"
HEADERS = (("cache-control", "no-cache, no-transform"), ("x-accel-buffering", "no"))
"""Of the answer: nothing on the way keeps events, or waits for more of them; nginx obeys the second."""
NO_MORE_EVENTS = (("x-no-more-events", "true"),)
"""Of the answer to a caller who has had them all: the ingress makes it 204, at which a browser stops asking."""
LAST_EVENT_ID = "last-event-id"
_NUMBER = re.compile(r"[0-9]{1,9}")
"""An int32 in digits."""
RETRY_MILLISECONDS = 2_000
"""After which a browser calls again when the connection breaks."""
SILENCE_SECONDS = 10.0
"""Of silence until a comment: below the shortest patience of common proxies, which is 15 s."""
FIRST_EVENT_SECONDS = 1.0
"""How long the answer's head waits for the first event: a failure until then is the answer's own status."""


def last_event_id(context: Any) -> str:
    """Returns the id that the caller had last, as a browser sends it again; empty if it has none."""
    for key, value in context.invocation_metadata() or ():
        if key == LAST_EVENT_ID:
            return value if isinstance(value, str) else value.decode("latin-1")
    return ""


def read_number(last_id: str, part: str, form: str) -> int:
    """Returns the number that this part of a last id is. `form`: what an id is, in words.

    Raises InvalidArgumentError.
    """
    if not _NUMBER.fullmatch(part):
        raise InvalidArgumentError(f"the Last-Event-ID is {last_id[:80]!r}, and is to be {form}", field=LAST_EVENT_ID)
    return int(part)


async def stream_events(
    context: Any,
    messages: AsyncGenerator[Any],
    find_id: Callable[[Any], str],
    *,
    is_resumed: bool = False,
    silence_seconds: float = SILENCE_SECONDS,
    first_event_seconds: float = FIRST_EVENT_SECONDS,
) -> AsyncGenerator[httpbody_pb2.HttpBody]:
    """Yields the messages as events, and comments in silence, until they end. `is_resumed`: the caller has had some.

    A failure before the first frame is raised as it is; a later one is an event of the type "error", and then raised.
    """
    is_begun = False
    async with _next_of(messages) as wait_for_next:
        while True:
            try:
                found = await wait_for_next(silence_seconds if is_begun else first_event_seconds)
            except StopAsyncIteration:
                break
            except RostrumError as error:
                if is_begun:
                    yield _make_frame(_write_event(to_status(error), event_type="error"))
                raise
            if not is_begun:
                await context.send_initial_metadata(HEADERS)
            text = "" if is_begun else f"retry: {RETRY_MILLISECONDS}\n\n"
            text += ": nothing yet\n\n" if found is None else _write_event(found, event_id=find_id(found))
            is_begun = True
            yield _make_frame(text)
    if not is_begun:
        await context.send_initial_metadata(NO_MORE_EVENTS if is_resumed else HEADERS)
    if not is_begun and not is_resumed:
        yield _make_frame(f"retry: {RETRY_MILLISECONDS}\n\n")


@asynccontextmanager
async def _next_of(messages: AsyncGenerator[Any]) -> AsyncIterator[Callable[[float], Any]]:
    """Yields a function that returns the next message, or None if it does not come in so many seconds.

    The wait for it goes on meanwhile; at the end it is cancelled, and the messages are closed.
    """
    waiting: asyncio.Future[Any] | None = None

    async def wait_for_next(seconds: float) -> Any:
        nonlocal waiting
        waiting = waiting or asyncio.ensure_future(anext(messages))
        done, _ = await asyncio.wait([waiting], timeout=seconds)
        if not done:
            return None
        found, waiting = waiting, None
        return found.result()

    try:
        yield wait_for_next
    finally:
        if waiting is not None:
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
        await messages.aclose()


def _write_event(message: Message, *, event_id: str = "", event_type: str = "") -> str:
    fields = json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    lines = [f"event: {event_type}"] if event_type else []
    lines += [f"id: {event_id}"] if event_id else []
    lines.append(f"data: {json.dumps(fields, ensure_ascii=False, separators=(',', ':'))}")
    return "\n".join([*lines, "", ""])


def _make_frame(text: str) -> httpbody_pb2.HttpBody:
    return httpbody_pb2.HttpBody(content_type=CONTENT_TYPE, data=text.encode())
