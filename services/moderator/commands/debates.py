"""`rostrum debate`, `list`, `show`, `watch` and `cancel`, and how they are added to the command (`register`)."""

from __future__ import annotations

import asyncio
import time
import uuid
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Annotated

import typer
from rostrum.debate.v1 import debate_pb2, debate_service_pb2, debate_service_pb2_grpc

from mesh.cli import models, starting
from mesh.cli.arguments import Json, conversation_name, encodable
from mesh.cli.exits import CommandError, Exit
from mesh.cli.output import json_of, local_time
from mesh.cli.world import CALL_SECONDS, World, call, run, world_of
from mesh.errors import Code, RostrumError
from mesh.language.tags import parse_language
from services.moderator import errors  # noqa: F401 - a reason comes back as its class, with advice, once that is imported
from services.moderator.commands.following import follow_events
from services.moderator.commands.live import LiveTurns
from services.moderator.commands.rendering import REASONS, Story, debate_id

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    Stub = debate_service_pb2_grpc.DebateServiceAsyncStub

CREATE_SECONDS = 30.0
"""Time for the moderator to store a debate, tries included."""

RETRY_SECONDS = 2.0
"""Pause before the moderator is asked again: a broker under load takes about that long to answer once more."""

CANCEL_SECONDS = 5.0
"""Time given to cancelling a debate after Ctrl-C: a person is waiting."""

PAGE = 1000

MODERATOR = "moderator"
"""The Deployment that serves DebateService."""

Id = Annotated[str, typer.Argument(metavar="ID", help="The debate: an id, or its name debates/ID.")]


def register(app: typer.Typer) -> None:
    """Adds the commands of debates."""
    app.command()(debate)
    app.command("list")(list_)
    app.command()(show)
    app.command()(watch)
    app.command()(cancel)


def debate(
    context: typer.Context,
    topic: Annotated[str, typer.Argument(help="What to debate.")],
    rounds: Annotated[int, typer.Option("--rounds", help="Rounds at most, 1 to 50.")] = 8,
    model: Annotated[
        str, typer.Option("--model", help="auto, embedded, embedded:SIZE, ollama:NAME or openai:NAME.")
    ] = models.AUTO,
    agents: Annotated[
        str, typer.Option("--agents", metavar="AGENT=for|against,...", help="Who debates; team-a=for,team-b=against.")
    ] = "",
    budget: Annotated[int, typer.Option("--budget", metavar="TOKENS", help="Tokens it may spend; 0: 400,000.")] = 0,
    turn_seconds: Annotated[
        int,
        typer.Option("--turn-seconds", metavar="SECONDS", min=0, max=600, help="Time for one turn, to 600; 0: 120."),
    ] = 0,
    language: Annotated[
        str, typer.Option("--language", metavar="TAG", help="Language to debate in, such as de; else the topic's.")
    ] = "",
    json: Json = False,
) -> Exit:
    """Hold a debate and show it as it goes. Starts Rostrum if it does not run, and then stops it at the end."""
    world = world_of(context)
    wanted = debate_pb2.Debate(
        topic=_topic(topic), max_rounds=_rounds(rounds), token_budget=budget, language=_language(language)
    )
    wanted.seats.extend(_seats(agents))
    if turn_seconds:
        wanted.settings.turn_deadline.FromSeconds(turn_seconds)
    return run(_hold(world, wanted, model, as_json=json))


def list_(
    context: typer.Context,
    limit: Annotated[int, typer.Option("--limit", min=1, help="The newest so many.")] = 50,
    json: Json = False,
) -> None:
    """List debates, newest first."""
    world = world_of(context)
    debates = run(_list(world, limit))
    if json:
        world.output.json({"debates": [json_of(debate) for debate in debates]})
        return
    if not debates:
        world.output.note(f'no debates yet: `{world.program} debate "TOPIC"` holds one')
        return
    rows = [
        (debate_id(debate.name), _state(debate), str(debate.turn_count), local_time(debate.create_time), debate.topic)
        for debate in debates
    ]
    world.output.table(("ID", "STATE", "TURNS", "CREATED", "TOPIC"), rows)


def show(context: typer.Context, debate: Id, json: Json = False) -> None:
    """Show a debate: its turns, why it stopped, summary and verdict."""
    world = world_of(context)
    found, turns = run(_show(world, conversation_name(debate)))
    if json:
        world.output.json({**json_of(found), "turns": [json_of(turn) for turn in turns]})
    else:
        Story(world.output).record(found, turns)


def watch(
    context: typer.Context,
    debate: Id,
    after: Annotated[int, typer.Option("--after", help="Number of the last event you have.")] = 0,
    json: Json = False,
) -> None:
    """Follow a debate's events until it ends, those that happened already first. With --json one event a line."""
    run(_watch(world_of(context), conversation_name(debate), after, as_json=json))


def cancel(
    context: typer.Context,
    debate: Id,
    reason: Annotated[str, typer.Option("--reason", help="Why, for the record.")] = "",
    json: Json = False,
) -> None:
    """End a running debate at once, without a verdict."""
    world = world_of(context)
    ended = run(_cancel(world, conversation_name(debate), reason))
    if json:
        world.output.json(ended)
    else:
        world.output.say(f"{ended.name}: ended after {ended.turn_count} turns, {REASONS[ended.stop_reason]}")


def _topic(topic: str) -> str:
    # The moderator checks this too; here it is checked before a start that may take minutes.
    stripped = encodable(topic, "TOPIC").strip()
    if not 3 <= len(stripped) <= 500:
        raise CommandError(f"TOPIC must have 3 to 500 characters, not {len(stripped)}", Exit.USAGE)
    if any(ord(character) < 32 or 127 <= ord(character) < 160 for character in stripped):
        raise CommandError("TOPIC must be one line without control characters", Exit.USAGE)
    return stripped


def _rounds(rounds: int) -> int:
    if not 1 <= rounds <= 50:
        raise CommandError(f"--rounds must be 1 to 50, not {rounds}", Exit.USAGE)
    return rounds


def _language(tag: str) -> str:
    try:
        return parse_language(tag) if tag else ""
    except ValueError as error:
        raise CommandError(f"--language: {error}", Exit.USAGE) from None


def _seats(agents: str) -> list[debate_pb2.Seat]:
    seats = []
    for seat in filter(None, (part.strip() for part in agents.split(","))):
        agent, _, side = seat.partition("=")
        if side.lower() not in {"for", "against"}:
            raise CommandError(f"--agents must be like team-a=for,team-b=against; {seat!r} is not", Exit.USAGE)
        seats.append(debate_pb2.Seat(agent=agent, stance=debate_pb2.Stance.Value(side.upper())))
    return seats


def _state(found: debate_pb2.Debate) -> str:
    state = debate_pb2.Debate.State.Name(found.state)
    return f"{state} ({debate_pb2.Debate.StopReason.Name(found.stop_reason)})" if found.stop_reason else state


@asynccontextmanager
async def _moderator(world: World) -> AsyncIterator[Stub]:
    async with world.dial(MODERATOR) as channel:
        yield debate_service_pb2_grpc.DebateServiceStub(channel)


async def _hold(world: World, wanted: debate_pb2.Debate, model: str, *, as_json: bool) -> Exit:
    started = False
    try:
        _, started = await starting.ensure(world, model)
        async with _moderator(world) as stub:
            created = await _create(stub, wanted, world.output.note)
            try:
                ended, spoken = await _follow(world, stub, created, 0, as_json=as_json)
            except asyncio.CancelledError:
                with suppress(RostrumError, TimeoutError):
                    request = debate_service_pb2.CancelDebateRequest(name=created.name, reason="Ctrl-C")
                    await call(stub.CancelDebate(request, timeout=CANCEL_SECONDS))
                    world.output.note(f"{created.name} is cancelled")
                raise
    finally:
        if started:
            world.output.note("Stopping Rostrum")
            await world.runner.stop()
    _say_where_next(world, ended, started=started)
    if ended.stop_reason == debate_pb2.Debate.StopReason.MODEL_UNAVAILABLE:
        world.output.error("the model does not answer any more: see `rostrum logs`")
        return Exit.UNAVAILABLE
    cancelled = ended.stop_reason == debate_pb2.Debate.StopReason.CANCELLED
    if cancelled or not spoken:
        world.output.error("the debate was cancelled" if cancelled else "no seat ever spoke: see `rostrum logs`")
        return Exit.NO_RESULT
    if ended.verdict_absence == debate_pb2.Absence.MODEL_FAILED:
        world.output.error(
            "the moderator's model does not answer, so there is no verdict: see `rostrum logs moderator`"
        )
        return Exit.UNAVAILABLE
    return Exit.OK


async def _create(stub: Stub, wanted: debate_pb2.Debate, notice: Callable[[str], None]) -> debate_pb2.Debate:
    """Creates the debate, once: the request_id lets it try again for CREATE_SECONDS what may pass by itself."""
    request = debate_service_pb2.CreateDebateRequest(debate=wanted, request_id=str(uuid.uuid4()))
    until = time.monotonic() + CREATE_SECONDS
    while True:
        left = until - time.monotonic()
        try:
            return await call(stub.CreateDebate(request, timeout=left, wait_for_ready=True))
        except RostrumError as error:
            if error.code is not Code.UNAVAILABLE or left <= 2 * RETRY_SECONDS:  # the last try needs time, too
                raise
            notice(f"the debate cannot be created yet, trying again: {error.message}")
            await asyncio.sleep(RETRY_SECONDS)


async def _follow(
    world: World, stub: Stub, found: debate_pb2.Debate, after: int, *, as_json: bool
) -> tuple[debate_pb2.Debate, bool]:
    """Shows the events to the end. Returns the debate as it ended, and whether a seat spoke in what was shown."""
    spoken = False
    story = Story(world.output, found)
    notice = world.output.note
    with world.output.waiting() as waiting:
        async with LiveTurns(found.name, dial=world.dial, write=waiting.write, notice=notice) as live:
            async for event in follow_events(stub, found.name, after, notice=notice):
                if as_json:
                    world.output.json_line(event)
                elif world.output.for_people:
                    await live.turn_to(event)
                    waiting(story.event(event))
                else:
                    story.event(event)
                spoken = spoken or event.HasField("turn_taken")
                if event.HasField("debate_ended"):
                    found = event.debate_ended.debate
        waiting("")
    return found, spoken


def _say_where_next(world: World, ended: debate_pb2.Debate, *, started: bool) -> None:
    show_it = f"`{world.program} show {debate_id(ended.name)}`"
    if started:
        world.output.note(f"Kept in {world.home}: `{world.program} up --detach`, then {show_it}")
    else:
        world.output.note(
            f"See it again: {show_it}; what an agent said: `{world.program} history {ended.seats[0].agent}`"
        )


async def _list(world: World, limit: int) -> list[debate_pb2.Debate]:
    await world.running()
    debates: list[debate_pb2.Debate] = []
    request = debate_service_pb2.ListDebatesRequest(page_size=min(limit, PAGE))
    async with _moderator(world) as stub:
        while True:
            page = await call(stub.ListDebates(request, timeout=CALL_SECONDS))
            debates.extend(page.debates)
            request.page_token = page.next_page_token
            if not page.next_page_token or len(debates) >= limit:
                return debates[:limit]


async def _show(world: World, name: str) -> tuple[debate_pb2.Debate, list[debate_pb2.Turn]]:
    await world.running()
    turns: list[debate_pb2.Turn] = []
    async with _moderator(world) as stub:
        found = await call(stub.GetDebate(debate_service_pb2.GetDebateRequest(name=name), timeout=CALL_SECONDS))
        request = debate_service_pb2.ListTurnsRequest(parent=name, page_size=PAGE)
        while True:
            page = await call(stub.ListTurns(request, timeout=CALL_SECONDS))
            turns.extend(page.turns)
            request.page_token = page.next_page_token
            if not page.next_page_token:
                return found, turns


async def _watch(world: World, name: str, after: int, *, as_json: bool) -> None:
    await world.running()
    async with _moderator(world) as stub:
        found = await call(stub.GetDebate(debate_service_pb2.GetDebateRequest(name=name), timeout=CALL_SECONDS))
        await _follow(world, stub, found, after, as_json=as_json)


async def _cancel(world: World, name: str, reason: str) -> debate_pb2.Debate:
    await world.running()
    async with _moderator(world) as stub:
        request = debate_service_pb2.CancelDebateRequest(name=name, reason=encodable(reason, "--reason"))
        return await call(stub.CancelDebate(request, timeout=CALL_SECONDS))
