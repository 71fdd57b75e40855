"""Ask: an answer for each question, one for each request_id, and a reason when there is none."""

from __future__ import annotations

import asyncio

import pytest

from mesh.agent.questions import check_question
from mesh.errors import (
    InvalidQuestionError,
    InvalidRequestIdError,
    ModelRefusedError,
    ModelUnavailableError,
    RequestIdReusedError,
    RostrumError,
)
from mesh.request_ids import check_request_id
from mesh.testing.scripted_model import NOTHING, UNAVAILABLE, Answer
from tests.unit.mesh.agent.fakes import SENSIBLE, FakeAgent


async def test_the_same_request_id_is_one_answer() -> None:
    """Repeated, also at the same time, it is one model call; with another question it is refused."""
    agent = FakeAgent(Answer(text=SENSIBLE, delay_seconds=0.02))
    first, second = await asyncio.gather(agent.questions.ask("Why?", "r1"), agent.questions.ask("Why?", "r1"))
    assert first == second == await agent.questions.ask(" Why? ", "r1")
    assert len(agent.model.calls) == 1
    with pytest.raises(RequestIdReusedError):
        await agent.questions.ask("How?", "r1")
    assert (await agent.questions.ask("Why?", "")).id != (await agent.questions.ask("Why?", "")).id


@pytest.mark.parametrize(("answer", "error"), [(NOTHING, ModelRefusedError), (UNAVAILABLE, ModelUnavailableError)])
async def test_no_answer_is_an_error(answer: Answer, error: type[RostrumError]) -> None:
    """A model that says nothing or does not answer is reported as such, and nothing is stored."""
    agent = FakeAgent(answer)
    with pytest.raises(error):
        await agent.questions.ask("Why?", "r1")
    assert len(agent.model.calls) <= 3


@pytest.mark.parametrize("question", ["", "x" * 2001, "a\x00b", "a\x1bb"])
def test_bad_questions(question: str) -> None:
    """Empty, over-long, or with control characters."""
    with pytest.raises(InvalidQuestionError):
        check_question(question)


@pytest.mark.parametrize("question", ["x" * 2000, "a\nb\tc", "a\u00a0b", "é 漢 🙂"])
def test_good_questions(question: str) -> None:
    """The longest, line breaks, and any text that people type."""
    check_question(question)


@pytest.mark.parametrize("request_id", ["x" * 129, "é", "a\nb"])
def test_bad_request_ids(request_id: str) -> None:
    """Over-long, or not printable ASCII."""
    with pytest.raises(InvalidRequestIdError):
        check_request_id(request_id)
