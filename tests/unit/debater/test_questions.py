"""Ask: an answer for each question, one for each request_id, and a reason when there is none."""

from __future__ import annotations

import asyncio

import pytest

from mesh.errors import (
    InvalidQuestionError,
    InvalidRequestIdError,
    ModelRefusedError,
    ModelUnavailableError,
    RequestIdReusedError,
    RostrumError,
)
from mesh.testing.scripted_model import NOTHING, UNAVAILABLE, Answer, ScriptedModel
from services.debater.logic import Debater, check_question, check_request_id
from tests.unit.debater.fake_store import SENSIBLE, FakeRecord, FakeStore


def _debater(answer: Answer) -> tuple[Debater, ScriptedModel]:
    model = ScriptedModel(script=lambda _call: answer)
    return Debater("team-a", model, FakeStore(), FakeRecord()), model


async def test_the_same_request_id_is_one_answer() -> None:
    """Repeated, also at the same time, it is one model call; with another question it is refused."""
    debater, model = _debater(Answer(text=SENSIBLE, delay_seconds=0.02))
    first, second = await asyncio.gather(debater.ask("Why?", "r1"), debater.ask("Why?", "r1"))
    assert first == second == await debater.ask(" Why? ", "r1")
    assert len(model.calls) == 1
    with pytest.raises(RequestIdReusedError):
        await debater.ask("How?", "r1")
    assert (await debater.ask("Why?", "")).id != (await debater.ask("Why?", "")).id


@pytest.mark.parametrize(("answer", "error"), [(NOTHING, ModelRefusedError), (UNAVAILABLE, ModelUnavailableError)])
async def test_no_answer_is_an_error(answer: Answer, error: type[RostrumError]) -> None:
    """A model that says nothing or does not answer is told as such, and nothing is stored."""
    debater, model = _debater(answer)
    with pytest.raises(error):
        await debater.ask("Why?", "r1")
    assert len(model.calls) <= 3


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
