"""What a debater says to a floor: a case once, bounded tries that differ, then a forfeit with its reason."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from mesh.agent.model import RememberedTurn
from mesh.errors import ModelRefusedError, ModelUnavailableError, RostrumError
from mesh.llm.port import Profile
from mesh.testing.clock import FakeClock
from mesh.testing.scripted_model import HUGE, NOTHING, REFUSED, UNAVAILABLE, Answer
from services.debater.case import EMPTY, load_case
from services.debater.logic import TRIES, Debater
from tests.unit.mesh.agent.fakes import AGENT, CONVERSATION, SENSIBLE, FakeAgent, FakeRecord, FakeStore, floor

if TYPE_CHECKING:
    from mesh.testing.scripted_model import Call

GOOD = Answer(text=SENSIBLE)
CASE = Answer(
    text="CLAIM: Machines make work better.\nPOINT: Nurses gain time.\nEXAMPLE: Ulm.\nPOINT: Welders earn more.\n"
    "OBJECTION: Clerks lose.\nREPLY: They are trained."
)
GUIDED = Profile(context_tokens=4096, temperature=0.7, guided=True)
PLENTY = 100_000
"""An allowance that no test spends, but for those about it."""


def debater(*answers: Answer, record: FakeRecord | None = None, store: FakeStore | None = None) -> FakeAgent:
    """Returns a debater whose model gives these answers."""
    speaker = Debater(AGENT, clock=FakeClock(), retry_seconds=0.0)
    return FakeAgent(*answers, speaker=speaker, record=record, store=store)


def prompt(call: Call) -> str:
    return call.messages[-1].content


def said_by_others(*texts: str) -> FakeRecord:
    """Returns a record in which the other seat spoke after each turn of ours."""
    turns: list[RememberedTurn] = []
    for text in texts:
        number = len(turns) + 1
        turns += [
            RememberedTurn(number, number // 2 + 1, AGENT, f"Own turn {number}."),
            RememberedTurn(number + 1, number // 2 + 1, "team-b", text),
        ]
    return FakeRecord(turns)


async def test_a_case_is_made_once() -> None:
    """The first floor costs two calls, the case and the turn; later floors cost one, and each makes the next point."""
    agent = debater(CASE, GOOD, Answer(text="Another turn."), record=said_by_others("No."))
    await agent.floors.take_floor(floor(allowance_tokens=PLENTY))
    await agent.floors.take_floor(floor(3, allowance_tokens=PLENTY))
    case_call, first, second = agent.model.calls
    assert "Prepare the case" in case_call.text
    assert "Nurses gain time." in prompt(first)
    assert "Welders earn more." in prompt(second)
    for call in (first, second):
        assert "Your claim: Machines make work better." in call.messages[0].content
    assert [said.text for _, _, said in agent.store.sent] == [SENSIBLE, "Another turn."]
    spent = [said.prompt_tokens + said.completion_tokens for _, _, said in agent.store.sent]
    assert spent[0] > spent[1], "the case is part of the first turn's price"


async def test_a_case_is_not_paid_for_twice() -> None:
    """A process that takes the floor again after the case was stored asks only for the turn, with the same seed."""
    store = FakeStore()
    first = debater(CASE, UNAVAILABLE, store=store)
    await first.floors.take_floor(floor(allowance_tokens=PLENTY))
    store.turns.clear()  # as if it had died before the turn was stored
    store.sent.clear()
    second = debater(GOOD, store=store)
    await second.floors.take_floor(floor(attempt=2, allowance_tokens=PLENTY))
    [call] = second.model.calls
    assert call.seed == first.model.calls[1].seed
    assert "Nurses gain time." in prompt(call)
    [(_, _, said)] = store.sent
    assert said.text == SENSIBLE


async def test_without_a_case_the_debate_goes_on() -> None:
    """A case that cannot be read is asked for once more, as a list; then the turn is spoken without, and so are all."""
    agent = debater(NOTHING, NOTHING, GOOD, record=said_by_others("No."))
    await agent.floors.take_floor(floor(allowance_tokens=PLENTY))
    await agent.floors.take_floor(floor(3, allowance_tokens=PLENTY))
    first, again, turn, later = agent.model.calls
    assert prompt(first) != prompt(again)
    assert "nobody has made yet" in prompt(turn)
    assert "nobody has made yet" in prompt(later)
    assert load_case(agent.store.notes[CONVERSATION, "case"].text) == EMPTY


async def test_a_case_that_nobody_answers_is_tried_again_next_time() -> None:
    """A model that is away for the case costs no turn; the next turn prepares it."""
    agent = debater(UNAVAILABLE, GOOD, CASE, Answer(text="Another turn."), record=said_by_others("No."))
    await agent.floors.take_floor(floor(allowance_tokens=PLENTY))
    await agent.floors.take_floor(floor(3, allowance_tokens=PLENTY))
    assert len(agent.model.calls) == 4
    assert "Welders earn more." in prompt(agent.model.calls[-1])


async def test_it_sees_the_debate() -> None:
    """The opponent's last turn stands in the prompt in full, and so do all turns before it."""
    turns = [f"Reason {number}: {'they are many. ' * 60}".strip() for number in range(3)]
    agent = debater(CASE, GOOD, record=said_by_others(*turns))
    await agent.floors.take_floor(floor(7, allowance_tokens=PLENTY))
    for text in [*turns, "Own turn 1.", "Own turn 3.", "Own turn 5."]:
        assert text in prompt(agent.model.calls[-1])
    assert len(agent.model.calls) == 2


async def test_a_long_debate_is_summarised() -> None:
    """Turns that outgrow the model's context are summarised, not cut: one more call, stored, and used again."""
    turns = [f"Reason {number}: {'they are many. ' * 160}".strip() for number in range(12)]
    summary = Answer(text="They said that they are many.")
    agent = debater(CASE, summary, GOOD, Answer(text="Another turn."), record=said_by_others(*turns))
    await agent.floors.take_floor(floor(23, allowance_tokens=PLENTY))
    await agent.floors.take_floor(floor(25, allowance_tokens=PLENTY))
    case_call, *summaries, turn, later = agent.model.calls
    assert summaries
    assert "Sum all of this up" in summaries[0].text
    assert len([name for _, name in agent.store.notes if name.startswith("summary-")]) == len(summaries)
    assert "They said that they are many." in prompt(turn)
    assert turns[10] in prompt(turn)
    assert turns[0] not in prompt(turn)
    assert len(prompt(turn)) < 3 * 8192
    assert "They said that they are many." in prompt(later)
    assert case_call.text != summaries[0].text


GUIDED_CASE = Answer(text='{"claim": "Machines help.", "points": [{"reason": "Nurses gain time.", "example": "Ulm."}]}')
GUIDED_TURN = Answer(text='{"benefit_of_motion": "Nurses gain time.", "example": "Ulm shows it."}')
POINT_SAID = "Nurses gain time. Ulm shows it."


def guided_debater(*answers: Answer, record: FakeRecord | None = None, store: FakeStore | None = None) -> FakeAgent:
    """Returns a debater whose model is helped by a schema."""
    agent = debater(*answers, record=record, store=store)
    agent.model._profile = GUIDED
    return agent


async def test_a_guided_model_replies_first_then_fills_fields() -> None:
    """The reply to the other side is a call of its own, in prose; the point after it is held to a schema."""
    agent = guided_debater(GUIDED_CASE, Answer(text="Nobody is fired. And"), GUIDED_TURN, record=said_by_others("No."))
    await agent.floors.take_floor(floor(3, allowance_tokens=PLENTY))
    assert [call.schema is not None for call in agent.model.calls] == [True, False, True]
    assert "Contradict" in prompt(agent.model.calls[1])
    [(_, _, said)] = agent.store.sent
    assert said.text == f"Nobody is fired. {POINT_SAID}", "half a sentence of a reply is not spoken"


async def test_the_first_to_speak_has_nobody_to_reply_to() -> None:
    """Then there is no call for it."""
    agent = guided_debater(GUIDED_CASE, GUIDED_TURN)
    await agent.floors.take_floor(floor(allowance_tokens=PLENTY))
    assert len(agent.model.calls) == 2
    [(_, _, said)] = agent.store.sent
    assert said.text == POINT_SAID


@pytest.mark.parametrize(
    "reply", [NOTHING, REFUSED, Answer(text="no end"), Answer(text="Nobody asked the clerks of Ulm for it.")]
)
async def test_a_turn_without_a_usable_reply(reply: Answer) -> None:
    """An empty, refused, unfinished or repeated reply leaves the turn to its point."""
    record = said_by_others("Nobody asked the clerks of Ulm for it.")
    agent = guided_debater(GUIDED_CASE, reply, GUIDED_TURN, record=record)
    await agent.floors.take_floor(floor(3, allowance_tokens=PLENTY))
    [(_, _, said)] = agent.store.sent
    assert said.text == POINT_SAID


async def test_a_reply_is_paid_for_once() -> None:
    """It is a note of its turn: a process that died after it begins the turn with it, and asks for the point alone."""
    store = FakeStore()
    reply = Answer(text="Nobody is fired.")
    first = guided_debater(GUIDED_CASE, reply, GUIDED_TURN, record=said_by_others("No."), store=store)
    await first.floors.take_floor(floor(3, allowance_tokens=PLENTY))
    store.turns.clear()  # as if it had died before it recorded the turn
    again = guided_debater(GUIDED_TURN, record=said_by_others("No."), store=store)
    await again.floors.take_floor(floor(3, allowance_tokens=PLENTY))
    assert len(again.model.calls) == 1
    assert {said.text for _, _, said in store.sent} == {f"Nobody is fired. {POINT_SAID}"}


async def test_a_reply_alone_is_a_turn() -> None:
    """Where the model gives no point in all its tries, what it replied is said."""
    answers = (GUIDED_CASE, Answer(text="Nobody is fired."), *[NOTHING] * TRIES)
    agent = guided_debater(*answers, record=said_by_others("No."))
    await agent.floors.take_floor(floor(3, allowance_tokens=PLENTY))
    [(_, _, said)] = agent.store.sent
    assert (said.text, said.forfeited) == ("Nobody is fired.", False)


@pytest.mark.parametrize(
    ("bad", "case_calls"),
    [(NOTHING, 2), (UNAVAILABLE, 0), (REFUSED, 0), (HUGE, 2)],
    ids=["nothing", "away", "no", "huge"],
)
async def test_bounded_tries_then_a_forfeit_with_its_reason(bad: Answer, case_calls: int) -> None:
    """Three calls with three seeds, then the turn is forfeited, stored and sent; beside those for a case only where the
    model answered: a case that it did not answer for counts as one of the three."""
    agent = debater(bad)
    await agent.floors.take_floor(floor(allowance_tokens=PLENTY * 5))
    [(_, _, said)] = agent.store.sent
    assert said.forfeited
    assert said.text == ""
    assert said.forfeit_reason.endswith(f"(model calls: {TRIES + case_calls})")
    assert len({call.seed for call in agent.model.calls}) == len(agent.model.calls) == TRIES + case_calls
    await agent.floors.take_floor(floor(attempt=2))
    assert len(agent.model.calls) == TRIES + case_calls


async def test_tries_differ() -> None:
    """An answer that cannot be taken is followed by another question each time, the last one the simplest."""
    agent = guided_debater(CASE, NOTHING, NOTHING, NOTHING, GOOD, record=said_by_others("No."))
    await agent.floors.take_floor(floor(3, allowance_tokens=PLENTY))
    _, _, *tries = agent.model.calls
    assert [call.schema is not None for call in tries] == [True, False, False]
    assert len({call.text for call in tries}) == TRIES
    assert "it was empty" in prompt(tries[1])
    assert len(tries[2].text) < len(tries[1].text)


@pytest.mark.parametrize("bad", [NOTHING, UNAVAILABLE, HUGE], ids=["nothing", "unavailable", "100 KB"])
async def test_a_second_try_may_succeed(bad: Answer) -> None:
    """One bad answer costs a try, not the turn; its tokens are in the turn's price."""
    agent = debater(CASE, bad, GOOD)
    await agent.floors.take_floor(floor(allowance_tokens=PLENTY))
    [(_, _, said)] = agent.store.sent
    assert said.text == SENSIBLE
    assert len(agent.model.calls) == 3


SPANISH = "Las máquinas ayudan a las enfermeras en todos los hospitales de Alemania."


@pytest.mark.parametrize(
    ("doubtful", "second", "said"),
    [
        ("Own turn 1.", SPANISH, SPANISH),
        ("Own turn 1.", "own turn 1", "Own turn 1."),
        (SENSIBLE, SPANISH, SPANISH),
        (SENSIBLE, SENSIBLE, SENSIBLE),
    ],
    ids=["repeated", "repeated again", "English", "English again"],
)
async def test_a_doubtful_answer_is_taken_rather_than_forfeited(doubtful: str, second: str, said: str) -> None:
    """What repeats a turn or is in another language is asked for again; if nothing better comes, it is said."""
    agent = debater(CASE, Answer(text=doubtful), Answer(text=second), record=said_by_others("No."))
    await agent.floors.take_floor(replace(floor(3, allowance_tokens=PLENTY), language="es"))
    [(_, _, utterance)] = agent.store.sent
    assert utterance.text == said
    assert "in Spanish" in prompt(agent.model.calls[1])


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
    agent = debater(CASE, HUGE, GOOD)
    await agent.floors.take_floor(floor())
    [(_, _, said)] = agent.store.sent
    assert "characters" in said.forfeit_reason
    assert said.completion_tokens > 20_000
    assert len(agent.model.calls) == 2


async def test_a_case_that_ate_the_allowance_is_the_reason() -> None:
    """Where the case's answer spent the floor's tokens, the forfeit says so, after that one call."""
    agent = debater(HUGE, GOOD)
    await agent.floors.take_floor(floor())
    [(_, _, said)] = agent.store.sent
    assert "it had 103,400 characters" in said.forfeit_reason
    assert len(agent.model.calls) == 1


@pytest.mark.parametrize(("answer", "error"), [(NOTHING, ModelRefusedError), (UNAVAILABLE, ModelUnavailableError)])
async def test_no_answer_to_a_question_is_an_error(answer: Answer, error: type[RostrumError]) -> None:
    """A model that says nothing or does not answer is reported as such, and nothing is stored."""
    agent = debater(answer)
    with pytest.raises(error):
        await agent.questions.ask("Why?", "r1")
    assert len(agent.model.calls) <= 3
    assert not agent.store.answers
