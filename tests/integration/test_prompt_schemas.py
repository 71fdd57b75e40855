"""The schemas of the services' prompts on the real server: even the smallest model begins as they say."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from mesh.llm.port import Limits
from mesh.llm.select import open_model
from services.debater import answers
from services.debater import prompts as debater
from services.debater.case import EMPTY, read_case
from services.moderator import prompts as moderator
from services.moderator.answers import read_judgement, read_object
from services.moderator.model import rules
from services.moderator.model.debate import NewDebate, Seat, Stance
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
    assert re.match(r'\{\s*"benefit_of_motion"\s*:\s*"', written)
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


TURNS = [Turn(number, 1, f"team-{'ab'[number - 1]}", "Why?", "Jobs matter.", 1, 0) for number in (1, 2)]
DEBATE = rules.create("d1", NewDebate(TOPIC, SEATS, 8, 100_000, language="en"), "moderator-0", 0).debate


async def test_the_agenda_is_a_list_of_texts(tiny_model: ModelServers) -> None:
    """As many as asked for, whatever they say."""
    prompt = moderator.compose_agenda(DEBATE, (), 3, guided=True)
    text = await answer(tiny_model, list(prompt.messages), prompt.schema, 300)
    assert len(read_object(text)["questions"]) == 3  # type: ignore[index]


async def test_a_judgement_has_numbers_names_and_words(tiny_model: ModelServers) -> None:
    """Scores, winner and turns can be read; whether the winner agrees with the scores is up to the model."""
    prompt = moderator.compose_judgement(DEBATE, (), TURNS, SEATS, [1, 2], 1_000, as_json=True)
    answered = read_object(await answer(tiny_model, list(prompt.messages), prompt.schema, 400))
    assert answered is not None
    judged = read_judgement(json.dumps({**answered, "winner": "undecided"}), ("team-a", "team-b"), [1, 2], cut=False)
    assert judged.rationale
