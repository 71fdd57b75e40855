"""DebateService: from protobuf to `logic` and back. Owns names, page tokens and nothing of the rules.

Errors are raised as they are; mesh.rpc turns them into google.rpc.Status.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from rostrum.debate.v1 import debate_pb2, debate_service_pb2, debate_service_pb2_grpc

from mesh.errors import InvalidPageTokenError
from mesh.rpc import server_sent_events
from mesh.store.paging import checked_page_size, page_position, page_token
from services.moderator.logic.checks import AskedDebate, AskedSettings, check_after_number
from services.moderator.messages import debate_message, event_message, turn_message
from services.moderator.model.debate import DEBATES, Stance

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    import grpc.aio
    from google.api import httpbody_pb2

    from services.moderator.logic.moderator import Moderator

SERVICE_NAME = debate_service_pb2.DESCRIPTOR.services_by_name["DebateService"].full_name

_STANCES = {debate_pb2.FOR: Stance.FOR, debate_pb2.AGAINST: Stance.AGAINST}


class DebateApi(debate_service_pb2_grpc.DebateServiceServicer):
    """The service; see debate_service.proto for what each RPC promises."""

    def __init__(self, moderator: Moderator) -> None:
        self._moderator = moderator

    def add_to(self, server: grpc.aio.Server) -> None:
        """Adds the service to a server."""
        debate_service_pb2_grpc.add_DebateServiceServicer_to_server(self, server)

    async def CreateDebate(  # noqa: N802, D102 - names and words are the proto's
        self, request: debate_service_pb2.CreateDebateRequest, _context: Any
    ) -> debate_pb2.Debate:
        return debate_message(await self._moderator.create(_read_request(request)))

    async def GetDebate(  # noqa: N802, D102
        self, request: debate_service_pb2.GetDebateRequest, _context: Any
    ) -> debate_pb2.Debate:
        return debate_message(await self._moderator.get(DEBATES.parse(request.name, "name")))

    async def ListDebates(  # noqa: N802, D102
        self, request: debate_service_pb2.ListDebatesRequest, _context: Any
    ) -> debate_service_pb2.ListDebatesResponse:
        size = checked_page_size(request.page_size)
        position = page_position(request.page_token, "ListDebates")
        older_than = None
        if position is not None:
            time_us, _, last_id = position.partition(":")
            older_than = (_number(time_us), last_id)
        debates = await self._moderator.list_debates(size + 1, older_than)
        token = ""
        if len(debates) > size:
            last = debates[size - 1]
            token = page_token(f"{last.create_time_us}:{last.id}", "ListDebates")
        return debate_service_pb2.ListDebatesResponse(
            debates=[debate_message(debate) for debate in debates[:size]], next_page_token=token
        )

    async def ListTurns(  # noqa: N802, D102
        self, request: debate_service_pb2.ListTurnsRequest, _context: Any
    ) -> debate_service_pb2.ListTurnsResponse:
        debate_id = DEBATES.parse(request.parent, "parent")
        size, after, arguments = _page("ListTurns", request)
        turns = await self._moderator.list_turns(debate_id, after, size + 1)
        return debate_service_pb2.ListTurnsResponse(
            turns=[turn_message(debate_id, turn) for turn in turns[:size]],
            next_page_token=page_token(str(turns[size - 1].number), *arguments) if len(turns) > size else "",
        )

    async def ListEvents(  # noqa: N802, D102
        self, request: debate_service_pb2.ListEventsRequest, _context: Any
    ) -> debate_service_pb2.ListEventsResponse:
        debate_id = DEBATES.parse(request.parent, "parent")
        size, after, arguments = _page("ListEvents", request)
        events = await self._moderator.list_events(debate_id, after, size + 1)
        return debate_service_pb2.ListEventsResponse(
            events=[event_message(debate_id, event) for event in events[:size]],
            next_page_token=page_token(str(events[size - 1].number), *arguments) if len(events) > size else "",
        )

    async def WatchDebate(  # noqa: N802, D102
        self, request: debate_service_pb2.WatchDebateRequest, _context: Any
    ) -> AsyncGenerator[debate_pb2.DebateEvent]:
        debate_id = DEBATES.parse(request.name, "name")
        async with contextlib.aclosing(self._moderator.watch(debate_id, request.after_number)) as events:
            async for event in events:
                yield event_message(debate_id, event)

    async def WatchDebateByHttp(  # noqa: N802, D102
        self, request: debate_service_pb2.WatchDebateByHttpRequest, context: Any
    ) -> AsyncGenerator[httpbody_pb2.HttpBody]:
        last_id = server_sent_events.last_event_id(context)
        after_number = request.after_number
        if last_id:
            after_number = server_sent_events.read_number(last_id, last_id, "the number of an event")
        watched = debate_service_pb2.WatchDebateRequest(name=request.name, after_number=after_number)
        events = self.WatchDebate(watched, context)
        frames = server_sent_events.stream_events(
            context, events, lambda event: str(event.number), is_resumed=bool(last_id)
        )
        async with contextlib.aclosing(frames):
            async for frame in frames:
                yield frame

    async def CancelDebate(  # noqa: N802, D102
        self, request: debate_service_pb2.CancelDebateRequest, _context: Any
    ) -> debate_pb2.Debate:
        return debate_message(await self._moderator.cancel(DEBATES.parse(request.name, "name"), request.reason))


def _read_request(request: debate_service_pb2.CreateDebateRequest) -> AskedDebate:
    debate, settings = request.debate, request.debate.settings
    deadline_us = None
    if settings.HasField("turn_deadline"):
        deadline_us = settings.turn_deadline.seconds * 1_000_000 + settings.turn_deadline.nanos // 1000
    return AskedDebate(
        topic=debate.topic,
        seats=tuple((seat.agent, _STANCES.get(seat.stance)) for seat in debate.seats),
        max_rounds=debate.max_rounds,
        token_budget=debate.token_budget,
        settings=AskedSettings(
            turn_deadline_us=deadline_us,
            max_attempts=settings.max_attempts,
            floor_allowance_tokens=settings.floor_allowance_tokens,
            max_forfeits_in_a_row=settings.max_forfeits_in_a_row,
            sentence_similarity=settings.sentence_similarity,
            redundant_share=settings.redundant_share,
            redundant_rounds=settings.redundant_rounds,
        ),
        request_id=request.request_id,
        language=debate.language,
    )


def _page(
    method: str, request: debate_service_pb2.ListTurnsRequest | debate_service_pb2.ListEventsRequest
) -> tuple[int, int, tuple[str, ...]]:
    """Returns the page's size, the number it starts after, and the arguments that its token is bound to."""
    check_after_number(request.after_number)
    size = checked_page_size(request.page_size)
    arguments = (method, request.parent, str(request.after_number))
    position = page_position(request.page_token, *arguments)
    return size, request.after_number if position is None else _number(position), arguments


def _number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        message = "page_token is not one that this method returned"
        raise InvalidPageTokenError(message, field="page_token") from None
