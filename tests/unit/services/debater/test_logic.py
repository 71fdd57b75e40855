"""What a debater says to a floor: bounded tries within the allowance, then a forfeit with its reason."""

from __future__ import annotations

import pytest

from mesh.errors import ModelRefusedError, ModelUnavailableError, RostrumError
from mesh.testing.scripted_model import HUGE, NOTHING, REFUSED, UNAVAILABLE, Answer
from services.debater.logic import Debater
from tests.unit.mesh.agent.fakes import AGENT, SENSIBLE, FakeAgent, floor

GOOD = Answer(text=SENSIBLE)


def debater(*answers: Answer) -> FakeAgent:
    return FakeAgent(*answers, speaker=Debater(AGENT, retry_seconds=0.0))


@pytest.mark.parametrize(
    "bad", [NOTHING, UNAVAILABLE, REFUSED, HUGE], ids=["nothing", "unavailable", "refused", "100 KB"]
)
async def test_bounded_tries_then_a_forfeit_with_its_reason(bad: Answer) -> None:
    """Three calls with three seeds, then the turn is forfeited, stored and sent like any other."""
    agent = debater(bad)
    await agent.floors.take_floor(floor(allowance_tokens=100_000))
    [(_, _, said)] = agent.store.sent
    assert said.forfeited
    assert said.text == ""
    assert said.forfeit_reason.endswith("(model calls: 3)")
    assert len({call.seed for call in agent.model.calls}) == len(agent.model.calls) == 3
    await agent.floors.take_floor(floor(attempt=2))
    assert len(agent.model.calls) == 3


@pytest.mark.parametrize("bad", [NOTHING, UNAVAILABLE, HUGE], ids=["nothing", "unavailable", "100 KB"])
async def test_a_second_try_may_succeed(bad: Answer) -> None:
    """One bad answer costs a try, not the turn; its tokens are in the turn's price."""
    agent = debater(bad, GOOD)
    await agent.floors.take_floor(floor(allowance_tokens=100_000))
    [(_, _, said)] = agent.store.sent
    assert said.text == SENSIBLE
    assert len(agent.model.calls) == 2


async def test_nothing_is_called_beyond_the_allowance() -> None:
    """An allowance that does not pay for the prompt is a forfeit without a call."""
    agent = debater(GOOD)
    await agent.floors.take_floor(floor(allowance_tokens=50))
    [(_, _, said)] = agent.store.sent
    assert said.forfeited
    assert "allowance" in said.forfeit_reason
    assert not agent.model.calls


async def test_an_answer_that_ate_the_allowance_is_the_last() -> None:
    """A server that wrote 100 KB, whatever it was asked, has spent the floor's tokens: no second call."""
    agent = debater(HUGE, GOOD)
    await agent.floors.take_floor(floor())
    [(_, _, said)] = agent.store.sent
    assert "characters" in said.forfeit_reason
    assert said.completion_tokens > 20_000
    assert len(agent.model.calls) == 1


@pytest.mark.parametrize(("answer", "error"), [(NOTHING, ModelRefusedError), (UNAVAILABLE, ModelUnavailableError)])
async def test_no_answer_to_a_question_is_an_error(answer: Answer, error: type[RostrumError]) -> None:
    """A model that says nothing or does not answer is reported as such, and nothing is stored."""
    agent = debater(answer)
    with pytest.raises(error):
        await agent.questions.ask("Why?", "r1")
    assert len(agent.model.calls) <= 3
    assert not agent.store.answers
