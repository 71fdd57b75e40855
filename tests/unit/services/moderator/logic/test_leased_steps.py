"""The moderator's leased steps with a model that fails: the debate never waits for it for good."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from mesh.testing.clock import FakeClock
from mesh.testing.scripted_model import NOTHING, REFUSED, Answer, Call, ScriptedModel
from services.moderator import prompts
from services.moderator.logic.leased_steps import TRIES, LeasedSteps, extract_question, seed_of
from services.moderator.logic.measuring import NoveltyMeasurer
from services.moderator.logic.watching import Wakeups
from services.moderator.model import rules
from services.moderator.model.change import Change
from services.moderator.model.debate import Debate, Seat, Settings, Stance, Step, StopReason
from services.moderator.model.debate import NewDebate as New
from services.moderator.model.measure import Evidence
from services.moderator.model.turn import SubmittedTurn, Turn
from tests.support.scripted_service import WordEmbedder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

POD = "moderator-0"
SEATS = (Seat("team-a", Stance.FOR), Seat("team-b", Stance.AGAINST))


class OneDebate:
    """A store of one debate."""

    def __init__(self, debate: Debate, turns: tuple[Turn, ...] = ()) -> None:
        self.debate = debate
        self.record = turns
        self.changes: list[Change] = []
        self.finished = asyncio.Event()
        """Set once it waits for a turn, or for nothing."""

    async def change(self, _id: str, decide: Callable[[Debate, int], Change | None]) -> Change | None:
        change = decide(self.debate, 1)
        if change is not None:
            self.debate = change.debate
            self.changes.append(change)
            if change.debate.step in {Step.FLOOR, Step.NONE}:
                self.finished.set()
        return change

    async def count_events(self, _ids: Sequence[str]) -> Mapping[str, int]:
        return {}

    async def list_all_turns(self, _debate: Debate) -> tuple[Turn, ...]:
        return self.record


def spoken(number: int, text: str) -> Turn:
    return Turn(number, (number + 1) // 2, SEATS[(number - 1) % 2].agent, "Why?", text, 1, 0)


async def done(store: OneDebate, model: ScriptedModel) -> list[Change]:
    """Lets the steps run until the debate waits for something else; returns the changes."""
    steps = LeasedSteps(
        store=store,  # type: ignore[arg-type]
        model=model,
        measurer=NoveltyMeasurer(WordEmbedder()),
        wakeups=Wakeups(store.count_events),
        clock=FakeClock(),
        pod=POD,
    )
    steps.begin(store.debate)
    async with asyncio.timeout(20):
        await store.finished.wait()
    await steps.aclose()
    return store.changes


def fresh(**changes: object) -> Debate:
    return rules.create("d1", New("Is it so?", SEATS, 3, 100_000, **changes), POD, 0).debate  # type: ignore[arg-type]


@pytest.mark.parametrize("answer", [NOTHING, REFUSED, Answer(text="No question here.")])
async def test_a_model_without_a_question_gets_the_plain_one(answer: Answer) -> None:
    """Three tries, each with its own seed, then the round opens with the question written in prompts."""
    model = ScriptedModel(script=lambda _call: answer)
    store = OneDebate(fresh())
    await done(store, model)
    assert store.debate.question == prompts.plain_question("Is it so?", 1)
    assert len({call.seed for call in model.calls}) == len(model.calls) == TRIES
    assert store.debate.step is Step.FLOOR


async def test_an_empty_budget_calls_no_model() -> None:
    """With tokens for floors only, the plain question opens the round."""
    model = ScriptedModel()
    store = OneDebate(
        rules.create("d1", New("Is it so?", SEATS, 3, 1_000, Settings(floor_allowance_tokens=700)), POD, 0).debate
    )
    await done(store, model)
    assert model.calls == []
    assert store.debate.step is Step.FLOOR


def closing(debate: Debate) -> Debate:
    opened = rules.open_round(debate, "Why?", 0, 0)
    assert opened is not None
    stopped = rules._stop(opened.debate, StopReason.MAX_ROUNDS, Evidence("all"), POD, 0, (), turn=None)
    return stopped.debate


async def test_a_model_without_a_verdict_does_not_keep_the_debate_open() -> None:
    """ENDED with a summary that says so."""
    store = OneDebate(closing(fresh()), (spoken(1, "A point that was made."),))
    await done(store, ScriptedModel(script=lambda _call: Answer(text="{}")))
    assert "no usable summary" in store.debate.summary
    assert store.debate.verdict.startswith("No verdict")
    assert store.debate.tokens_spent > 0


async def test_nobody_spoke_so_there_is_no_verdict() -> None:
    """Only forfeits: no model call, summary and verdict empty."""
    model = ScriptedModel()
    store = OneDebate(closing(fresh()), (spoken(1, ""),))
    await done(store, model)
    assert (store.debate.summary, store.debate.verdict, model.calls) == ("", "", [])


async def test_an_opinion_is_asked_only_near_the_threshold_and_kept() -> None:
    """Three of four sentences repeat: the measure decides, the model's answer is evidence."""
    said = "The first point is long enough here. The second point is quite different there."
    turns = (spoken(1, said), spoken(2, said), spoken(3, said), spoken(4, said.replace("second", "newest")))

    def script(call: Call) -> Answer:
        return Answer(text=json.dumps({"redundant": False, "reason": "new"}) if call.schema else "And now what?")

    debate = fresh(settings=Settings(sentence_similarity=0.99))
    for number in (1, 2):
        opened = rules.open_round(debate, "Why?", 0, 0)
        assert opened is not None
        debate = opened.debate
        for seat in SEATS:
            floor = rules.floor_of(debate)
            assert floor is not None
            submitted = SubmittedTurn("d1", floor.turn_number, 1, seat.agent, "x", False, "", "m", 1, 1, 0)
            change = rules.record_turn(debate, submitted, POD, 0)
            assert isinstance(change, Change)
            debate = change.debate
        if number == 1:
            measured = rules.record_measure(debate, None, 0, POD, 0)
            assert measured is not None
            debate = measured.debate
    store = OneDebate(debate, turns)
    changes = await done(store, ScriptedModel(script=script))
    measure = store.debate.redundant[-1]
    assert (measure.redundancy, measure.redundant) == (0.75, True)
    assert measure.opinion is not None
    assert measure.opinion.reason == "new"
    assert len(changes) == 2


def test_seeds_are_the_same_for_the_same_place_only() -> None:
    """Debate, turn, purpose and try make the seed, below 2**31."""
    debate = fresh()
    assert seed_of(debate, "question") == seed_of(fresh(), "question")
    assert len({seed_of(debate, "question"), seed_of(debate, "closing"), seed_of(debate, "question", 1)}) == 3
    assert 0 <= seed_of(debate, "question") < 2**31


@pytest.mark.parametrize(
    ("text", "question"),
    [
        ("Round 2: who pays for it?", "Who pays for it?"),
        ("**Sure!** Here it is. Who pays?\nBecause.", "Who pays?"),
        ("No question.", ""),
        ("", ""),
        ("x" * 400 + "?", ""),
    ],
)
def test_the_question_is_found_in_an_answer(text: str, question: str) -> None:
    """Prefaces and explanations of small models are cut off."""
    assert extract_question(text) == question
