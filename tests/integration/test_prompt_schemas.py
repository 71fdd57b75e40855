"""The schemas of the services' prompts on the real server: even the smallest model begins as they say."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from mesh.llm.port import Limits
from mesh.llm.select import open_model
from services.debater import answers
from services.debater import prompts as debater
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


@pytest.mark.parametrize("stance", ["FOR", "AGAINST"])
@pytest.mark.parametrize("number", [1, 9])
async def test_turn_begins_on_its_side(tiny_model: ModelServers, stance: str, number: int) -> None:
    """A turn's first sentence begins as its round asks, an apostrophe in it or none, and `tidy` makes prose of it."""
    messages, schema = debater.compose_turn(
        topic=TOPIC, stance=stance, question="Why?", round_number=number, own=[], others=["Think of a nurse who rests."]
    )
    text = answers.tidy(await answer(tiny_model, messages, schema, 90), cut=True)
    assert text.startswith(debater.BEGINNINGS[stance][number - 1][0].format(it="AI", It="AI"))
    assert "{" not in text


async def test_summary_begins_with_a_side(tiny_model: ModelServers) -> None:
    """The summary begins with the first side's name and what it argued."""
    turns = [Turn(number, 1, f"team-{'ab'[number - 1]}", "Why?", "Jobs matter.", 1, 0) for number in (1, 2)]
    text = await answer(tiny_model, *moderator.closing(TOPIC, SEATS, turns), 40)
    assert re.match(r'\{\s*"summary"\s*:\s*"team-a \(FOR\) argued that ', text)
