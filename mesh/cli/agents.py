"""`rostrum ask` and `rostrum history`."""

from __future__ import annotations

import uuid
from typing import Annotated

import typer
from rostrum.agent.v1 import agent_service_pb2

from mesh.cli.arguments import Json, conversation_name, encodable
from mesh.cli.output import json_of, local_time
from mesh.cli.world import CALL_SECONDS, World, call, run, world_of

ASK_SECONDS = 300.0
"""Time for an answer: the agent's own limit for a model call is below it, so its error comes first."""

PAGE = 1000

Agent = Annotated[str, typer.Argument(metavar="AGENT", help="The agent, such as team-a.")]


def ask(
    context: typer.Context,
    agent: Agent,
    question: Annotated[str, typer.Argument(help="What to ask it.")],
    json: Json = False,
) -> None:
    """Ask an agent a question outside of any debate. It keeps its answer in its own store."""
    world = world_of(context)
    said = run(_ask(world, _agent_id(agent), encodable(question, "QUESTION")))
    if json:
        world.output.json(said)
        return
    world.output.say(said.text)
    world.output.note(f"{said.model}, {said.prompt_tokens} + {said.completion_tokens} tokens", style="dim")


def history(
    context: typer.Context,
    agent: Agent,
    debate: Annotated[str, typer.Option("--debate", metavar="ID", help="Only what it said in this debate.")] = "",
    limit: Annotated[int, typer.Option("--limit", min=1, help="The newest so many.")] = 20,
    json: Json = False,
) -> None:
    """Show what an agent said, in debates and in answers, newest first."""
    world = world_of(context)
    said = run(_history(world, _agent_id(agent), conversation_name(debate) if debate else "", limit))
    if json:
        world.output.json({"utterances": [json_of(utterance) for utterance in said]})
        return
    if not said:
        world.output.note(f"{_agent_id(agent)} has said nothing yet")
    for utterance in said:
        place = f"{utterance.debate.rpartition('/')[2]}, turn {utterance.turn_number}" if utterance.debate else "answer"
        world.output.say(f"{local_time(utterance.create_time)} - {place} - {utterance.question}", style="bold")
        world.output.say(utterance.text or f"(forfeited: {utterance.forfeit_reason})", indent=2)
        world.output.say()


def _agent_id(agent: str) -> str:
    return encodable(agent, "AGENT").removeprefix("agents/")


async def _ask(world: World, agent: str, question: str) -> agent_service_pb2.Utterance:
    async with world.agent(agent) as stub:
        request = agent_service_pb2.AskRequest(name=f"agents/{agent}", question=question, request_id=str(uuid.uuid4()))
        with world.output.waiting() as waiting:
            waiting(f"{agent} is thinking")
            return await call(stub.Ask(request, timeout=ASK_SECONDS))


async def _history(world: World, agent: str, debate: str, limit: int) -> list[agent_service_pb2.Utterance]:
    said: list[agent_service_pb2.Utterance] = []
    request = agent_service_pb2.ListUtterancesRequest(
        parent=f"agents/{agent}", debate=debate, page_size=min(limit, PAGE)
    )
    async with world.agent(agent) as stub:
        while True:
            page = await call(stub.ListUtterances(request, timeout=CALL_SECONDS))
            said.extend(page.utterances)
            request.page_token = page.next_page_token
            if not page.next_page_token or len(said) >= limit:
                return said[:limit]
