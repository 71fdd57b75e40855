"""Whatever a model answers, in whatever types: it is read or refused, and nothing else is raised."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mesh.llm.json_text import json_text
from services.debater import answers as turns
from services.debater import case, prompts
from services.moderator.answers import (
    UnusableAnswerError,
    read_judgement,
    read_opinion,
    read_question,
    read_questions,
    read_summary,
)
from tests.support.any_json import answers

if TYPE_CHECKING:
    from collections.abc import Callable

AGENTS = ("team-a", "team-b")
FIELDS = (
    *("questions", "question", "redundant", "reason", "summary", "scores", "winner", "rationale", "decisive_turns"),
    *("argument", "evidence", "rebuttal", "clarity", "agent", *AGENTS),
    *("claim", "points", "objections", "objection", "reply", "example", "motion", "change", "subject"),
    *("they_say", "argument_for", "answer"),
)

MODERATOR: dict[str, Callable[[str], object]] = {
    "questions": lambda text: read_questions(text, 3, ["Why?"]),
    "question": read_question,
    "opinion": read_opinion,
    "summary": lambda text: read_summary(text, AGENTS, cut=False),
    "cut summary": lambda text: read_summary(text, AGENTS, cut=True),
    "judgement": lambda text: read_judgement(text, AGENTS, [1, 2], cut=False),
}
DEBATER: dict[str, Callable[[str], str]] = {
    "turn": lambda text: turns.tidy(text, fields=("answer", "argument_for"), names=["team-a"]),
    "turn that was cut": lambda text: turns.tidy(text, fields=("answer",), cut=True, said={("a",)}),
    "draft": lambda text: turns.render_draft(text, ("answer",), ["team-a"]),
    "json": json_text,
}


@pytest.mark.parametrize("reader", MODERATOR)
@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(text=answers(FIELDS))
def test_the_moderator_reads_or_refuses(reader: str, text: str) -> None:
    """No type, no depth and no number raises anything but UnusableAnswerError, whose words are for the model."""
    with contextlib.suppress(UnusableAnswerError):
        MODERATOR[reader](text)


@pytest.mark.parametrize("reader", DEBATER)
@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(text=answers(FIELDS))
def test_the_debater_reads_any_answer(reader: str, text: str) -> None:
    """Every answer becomes a text that a store takes and a judgement on it, usable or not."""
    read = DEBATER[reader](text)
    read.encode()
    turns.explain_unusable(read)
    turns.explain_doubt(read, set(), "en", guided=True)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(text=answers(FIELDS), motion=st.text(max_size=5))
def test_a_case_is_read_stored_and_used(text: str, motion: str) -> None:
    """A case of any answer is none, or one that is stored as text, comes back the same, and makes a prompt."""
    found = case.read_case(text, motion)
    if found is None:
        return
    stored = case.dump_case(found)
    stored.encode()
    assert case.load_case(stored) == found
    brief = prompts.Brief(topic="Tea", stance="FOR", language="", persona="", guided=True)
    prompts.compose_turn(brief, found, lines=(), is_answer=False, summary="", question="Why?", round_number=1)
