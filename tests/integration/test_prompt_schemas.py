"""The schemas of the services' prompts on the real server: even the smallest model begins as they say."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from mesh.llm.port import Limits
from mesh.llm.select import open_model
from services.debater import answers
from services.debater import prompts as debater
from services.debater.case import EMPTY, read_case
from services.moderator import prompts as moderator
from services.moderator.model.debate import Seat, Stance
from services.moderator.model.turn import Turn

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mesh.llm.port import Message
    from mesh.llm.select import ModelServers

TOPIC = "AI's impact on the job market"
SEATS = (Seat("team-a", Stance.FOR), Seat("team-b", Stance.AGAINST))


async def answer(
    tiny_model: ModelServers, messages: list[Message], schema: Mapping[str, Any] | None, tokens: int
) -> str:
    model = open_model("embedded:tiny", tiny_model)
    try:
        return (await model.complete(messages, Limits(tokens, 60), schema=schema, seed=1)).text
    finally:
        await model.aclose()


async def test_a_guided_turn_is_its_fields(tiny_model: ModelServers) -> None:
    """A guided answer is JSON of the generic fields, a cut one too, and `tidy` makes prose of it."""
    brief = debater.Brief(TOPIC, "FOR", "English", guided=True)
    ask = debater.compose_turn(brief, EMPTY, lines=[], is_answer=True, summary="", question="Why?", round_number=1)
    written = await answer(tiny_model, ask.messages, ask.schema, 90)
    assert re.match(r'\{\s*"answer"\s*:\s*"', written)
    text = answers.tidy(written, fields=ask.fields, cut=True)
    assert text
    assert not set(text) & set("{}")


async def test_a_guided_case_can_be_read(tiny_model: ModelServers) -> None:
    """A case of the schema has a claim and so many points."""
    ask = debater.compose_case(debater.Brief(TOPIC, "FOR", "English", guided=True), 3)
    found = read_case(await answer(tiny_model, ask.messages, ask.schema, 600))
    assert found is not None
    assert found.claim
    assert len(found.points) <= 3


async def test_summary_begins_with_a_side(tiny_model: ModelServers) -> None:
    """The summary begins with the first side's name and what it argued."""
    turns = [Turn(number, 1, f"team-{'ab'[number - 1]}", "Why?", "Jobs matter.", 1, 0) for number in (1, 2)]
    text = await answer(tiny_model, *moderator.closing(TOPIC, SEATS, turns), 40)
    assert re.match(r'\{\s*"summary"\s*:\s*"team-a \(FOR\) argued that ', text)
