"""What the moderator's prompts say: another subject each round, sides by name, schemas for what must be JSON."""

from __future__ import annotations

import re

import pytest

from services.moderator import prompts
from services.moderator.model.debate import Seat, Stance
from services.moderator.model.turn import Turn

TOPIC = "AI's impact on the job market"
CLAUSE = "the wages of welders in Ulm rose after the plant had bought its first robots."
SEATS = (Seat("team-a", Stance.FOR), Seat("team-b", Stance.AGAINST))
TURNS = tuple(
    Turn(
        number=number,
        round=(number + 1) // 2,
        agent="team-a" if number % 2 else "team-b",
        question=f"Question {(number + 1) // 2}?",
        text=f"Argument {number}. " + "It has many words. " * 30,
        attempt=1,
        create_time_us=0,
    )
    for number in range(1, 17)
)


def test_rounds_ask_for_different_things() -> None:
    """Eight rounds have eight subjects, in what the model is asked and in the plain questions."""
    asked = {prompts.round_question(TOPIC, number, 8, ())[-1].content.split("about")[-1] for number in range(1, 9)}
    plain = {prompts.plain_question(TOPIC, number) for number in range(1, 9)}
    assert len(asked) == len(plain) == 8
    assert all(TOPIC in question and question.endswith("?") for question in plain)


def test_questions_asked_are_named() -> None:
    """The model is given the latest questions, each once."""
    content = prompts.round_question(TOPIC, 9, 10, TURNS)[-1].content
    assert content.count("Question 8?") == 1


@pytest.mark.parametrize("number", [1, 11, 50])
def test_any_round_has_a_question(number: int) -> None:
    """Debates may have more rounds than there are subjects."""
    assert prompts.plain_question(TOPIC, number).endswith("?")
    assert prompts.round_question(TOPIC, number, 50, TURNS)


def test_closing_names_the_sides() -> None:
    """Summary and verdict are asked for with the turns grouped by side, from a prompt that stays short."""
    messages, schema = prompts.closing(TOPIC, SEATS, TURNS)
    content = messages[-1].content
    before, _, after = content.partition("What team-b (AGAINST) said:")
    assert "What team-a (FOR) said:" in before
    assert all(f"Argument {number}." in (before if number % 2 else after) for number in range(1, 17))
    assert len(content) < 16 * 300 + 600
    assert set(schema["required"]) == {"summary", "verdict"}


@pytest.mark.parametrize(
    ("slot", "written", "fits"),
    [
        ("summary", f"team-a (FOR) argued that {CLAUSE} team-b (AGAINST) argued that {CLAUSE}", True),
        ("summary", f"team-b (AGAINST) argued that {CLAUSE} team-a (FOR) argued that {CLAUSE}", False),
        ("summary", f"team-a (FOR) argued that {CLAUSE}", False),
        ("verdict", f"team-a (FOR) argued better because {CLAUSE}", True),
        ("verdict", f"team-b (AGAINST) argued better because {CLAUSE}", True),
        ("verdict", f"Both argued better because {CLAUSE}", False),
    ],
)
def test_closing_says_which_side(slot: str, written: str, *, fits: bool) -> None:
    """Each side's arguments stand behind its name, and the verdict begins with one of the names."""
    _, schema = prompts.closing(TOPIC, SEATS, TURNS)
    assert bool(re.search(schema["properties"][slot]["pattern"], written)) == fits


def test_who_said_nothing_is_not_summed_up() -> None:
    """A turn without text is no argument, and a side without one is not judged."""
    silent = Turn(
        number=1, round=1, agent="team-a", question="Why?", text="", attempt=1, create_time_us=0, forfeited=True
    )
    messages, schema = prompts.closing(TOPIC, SEATS, [silent, TURNS[1]])
    assert "team-a" not in messages[-1].content + str(schema)
    assert messages[-1].content.count("\n- ") == 1
