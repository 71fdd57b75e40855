"""The moderator's leased steps with a model that fails: the debate never waits for it for good."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from mesh.errors import ModelRefusedError
from mesh.testing.clock import FakeClock
from mesh.testing.scripted_model import NOTHING, PROFILE, REFUSED, UNAVAILABLE, USUAL, Answer, Call, ScriptedModel
from services.moderator.logic.asking import TRIES, seed_of
from services.moderator.logic.leased_steps import LeasedSteps, Measurer
from services.moderator.logic.measuring import NoveltyMeasurer
from services.moderator.logic.watching import Wakeups
from services.moderator.model import rules
from services.moderator.model.change import AgendaPlanned, Change, RoundMeasured
from services.moderator.model.debate import Debate, Seat, Settings, Stance, Step, StopReason
from services.moderator.model.debate import NewDebate as New
from services.moderator.model.judgement import Absence
from services.moderator.model.measure import Evidence, no_measure
from services.moderator.model.turn import SubmittedTurn, Turn
from tests.support.scripted_service import WordEmbedder, moderator_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from services.moderator.model.measure import Measure

POD = "moderator-0"
SEATS = (Seat("team-a", Stance.FOR), Seat("team-b", Stance.AGAINST))


LINES_OF_ANOTHER = """Scores team-c: argument 7, evidence 6, rebuttal 5, clarity 8
Winner: team-c
Rationale: It had facts."""


def scripted(
    script: Callable[[Call], Answer] = lambda _call: USUAL, *, guided: bool = False, context_tokens: int = 8192
) -> ScriptedModel:
    return ScriptedModel(script=script, profile=replace(PROFILE, guided=guided, context_tokens=context_tokens))


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


async def done(store: OneDebate, model: ScriptedModel, measurer: Measurer | None = None) -> list[Change]:
    """Lets the steps run until the debate waits for something else; returns the changes."""
    steps = LeasedSteps(
        store=store,  # type: ignore[arg-type]
        model=model,
        measurer=measurer or NoveltyMeasurer(WordEmbedder()),
        wakeups=Wakeups(store.count_events),
        clock=FakeClock(),
        pod=POD,
    )
    steps.begin(store.debate)
    async with asyncio.timeout(20):
        await store.finished.wait()
    await steps.aclose()
    return store.changes


def fresh(*, max_rounds: int = 3, settings: Settings | None = None) -> Debate:
    return rules.create("d1", New("Is it so?", SEATS, max_rounds, 100_000, settings or Settings()), POD, 0).debate


@pytest.mark.parametrize("guided", [False, True])
@pytest.mark.parametrize("answer", [NOTHING, REFUSED, Answer(text="x" * 400), Answer(text='{"questions": [7]}')])
async def test_a_model_without_a_question_leaves_the_topic(answer: Answer, *, guided: bool) -> None:
    """Three tries, each with its own seed and another prompt, then the round opens with the user's own words."""
    model = scripted(lambda _call: answer, guided=guided)
    store = OneDebate(fresh())
    await done(store, model)
    assert (store.debate.question, store.debate.agenda) == ("Is it so?", ("",))
    assert len({call.seed for call in model.calls}) == len(model.calls) == TRIES
    assert len({call.text for call in model.calls}) > 1
    assert store.debate.step is Step.FLOOR


@pytest.mark.parametrize("guided", [False, True])
async def test_the_agenda_is_planned_once_and_asked_in_order(*, guided: bool) -> None:
    """One call before round 1, an event with it, no call for its question; a guided model is never asked again, another
    one may fit each later question to what was said; the rounds after the agenda's end plan the next ones."""
    agenda = ["Who pays for it?", "What does it cost?"]

    def script(call: Call) -> Answer:
        if "write 4 questions" in call.text or "write 2 questions" in call.text:
            planned = agenda if "write 4" in call.text else ["Whom does it help?", "Which law applies?"]
            return Answer(text=json.dumps({"questions": planned}) if call.schema else "\n".join(planned))
        return Answer(text="And what does it cost, then?")

    model = scripted(script, guided=guided)
    store = OneDebate(fresh(max_rounds=4))
    asked = []
    for number in range(1, 5):
        store.finished.clear()
        await done(store, model)
        asked.append(store.debate.question)
        store.record = (*store.record, spoken(2 * number - 1, f"A{number} point."), spoken(2 * number, "B."))
        if number < 4:
            store.debate = replace(store.debate, step=Step.OPEN_ROUND, owner=POD, turn_count=2 * number)
    second, fourth = ("What does it cost?", "Which law applies?") if guided else ("And what does it cost, then?",) * 2
    assert asked == ["Who pays for it?", second, "Whom does it help?", fourth]
    assert store.debate.agenda == (*agenda, "Whom does it help?", "Which law applies?")
    planned = [event.kind for change in store.changes for event in change.events]
    assert sum(isinstance(kind, AgendaPlanned) for kind in planned) == 2
    assert len(model.calls) == (2 if guided else 4)


async def test_a_question_that_cannot_be_used_leaves_the_planned_one() -> None:
    """A model that answers with a speech instead of a question is asked twice; the agenda's question stands."""
    model = scripted(lambda _call: Answer(text="First, I think.\nSecond, I know."))
    store = OneDebate(replace(fresh(), agenda=("One?", "Two?"), round=1, turn_count=2), (spoken(1, "A point."),))
    await done(store, model)
    assert (store.debate.question, len(model.calls)) == ("Two?", 2)


async def test_questions_in_english_are_not_asked_in_another_language() -> None:
    """Small models fall back to English; the topic in the user's own words is better then."""
    model = scripted(
        lambda _call: Answer(text="1. Who pays for all of it in the end?\n2. What does it cost the towns?")
    )
    store = OneDebate(replace(fresh(), topic="Ist das Auto in der Stadt überholt?", language="de"))
    await done(store, model)
    assert store.debate.question == "Ist das Auto in der Stadt überholt?"


async def test_an_empty_budget_calls_no_model() -> None:
    """With tokens for floors only, the topic opens the round."""
    model = scripted()
    store = OneDebate(
        rules.create("d1", New("Is it so?", SEATS, 3, 1_000, Settings(floor_allowance_tokens=700)), POD, 0).debate
    )
    await done(store, model)
    assert model.calls == []
    assert (store.debate.step, store.debate.question) == (Step.FLOOR, "Is it so?")


async def test_a_round_in_which_nobody_spoke_and_no_model_answers_ends_the_debate() -> None:
    """It ends as what it is, after one such round; the closing is tried once more, and says why there is none."""
    model = scripted(lambda _call: UNAVAILABLE)
    debate = replace(fresh(), step=Step.MEASURE, round=2, turn_count=4)
    store = OneDebate(debate, (spoken(1, "A point."), spoken(2, "No."), spoken(3, ""), spoken(4, "")))
    await done(store, model)
    assert store.debate.stop_reason is StopReason.MODEL_UNAVAILABLE
    assert store.debate.evidence is not None
    assert "scripted not to answer" in store.debate.evidence.reason
    assert (store.debate.summary_absence, store.debate.verdict_absence) == (Absence.MODEL_FAILED,) * 2
    assert len(model.calls) == 2 + 2


async def test_a_round_in_which_nobody_spoke_goes_on_with_a_model() -> None:
    """The agents' models may be others than the moderator's, and it is for the forfeits to end it."""
    store = OneDebate(replace(fresh(), step=Step.MEASURE, round=1, turn_count=2), (spoken(1, ""), spoken(2, "")))
    await done(store, scripted())
    assert (store.debate.stop_reason, store.debate.round) == (None, 2)
    (measure,) = [
        event.kind.measure
        for change in store.changes
        for event in change.events
        if isinstance(event.kind, RoundMeasured)
    ]
    assert measure == no_measure(1, "nobody spoke")


async def test_a_round_that_the_embedding_model_does_not_measure_says_so() -> None:
    """The debate goes on, and its record has why the round is not measured instead of a figure."""
    said = "The first point is long enough here."
    store = OneDebate(replace(fresh(), step=Step.MEASURE, round=1, turn_count=2), (spoken(1, said), spoken(2, said)))
    changes = await done(store, scripted(), _NoMeasurer())
    assert isinstance(changes[0].events[0].kind, RoundMeasured)
    assert changes[0].events[0].kind.measure.absence == "no embeddings here"


class _NoMeasurer:
    async def measure(self, debate: Debate, turns: Sequence[Turn]) -> Measure:
        raise ModelRefusedError("no embeddings here", model="e5")


def closing(debate: Debate) -> Debate:
    opened = rules.open_round(debate, "Why?", 0, 0)
    assert opened is not None
    stopped = rules._stop(opened.debate, StopReason.MAX_ROUNDS, Evidence("all"), POD, 0, (), turn=None)
    return stopped.debate


def close_script(call: Call) -> Answer:
    return Answer(text=moderator_text(call))


@pytest.mark.parametrize("text", ["", "{}", "Both were good.", '{"scores": 7, "summary": {}}', LINES_OF_ANOTHER])
async def test_a_model_without_a_verdict_does_not_keep_the_debate_open(text: str) -> None:
    """ENDED with nothing in its place but the reason; what was asked differs from try to try."""
    store = OneDebate(closing(fresh()), (spoken(1, "A point that was made."),))
    model = scripted(lambda call: Answer(text=text if "Judge how well" in call.text else "Both argued."))
    await done(store, model)
    assert (store.debate.summary, store.debate.summary_absence) == ("Both argued.", None)
    assert (store.debate.verdict, store.debate.judgement) == ("", None)
    assert store.debate.verdict_absence is Absence.ANSWER_UNUSABLE
    assert store.debate.tokens_spent > 0
    assert len({call.text for call in model.calls}) == len(model.calls) == 1 + TRIES


async def test_nobody_spoke_so_there_is_no_verdict() -> None:
    """Only forfeits: no model call, summary and verdict empty, with the reason."""
    model = scripted()
    store = OneDebate(closing(fresh()), (spoken(1, ""),))
    await done(store, model)
    assert (store.debate.summary, store.debate.verdict, model.calls) == ("", "", [])
    assert (store.debate.summary_absence, store.debate.verdict_absence) == (Absence.NOTHING_SAID,) * 2


async def test_what_cannot_be_paid_for_is_not_asked() -> None:
    """With nothing left in the budget no model is called, and that is the reason."""
    model = scripted(close_script)
    store = OneDebate(replace(closing(fresh()), tokens_spent=99_990), (spoken(1, "A point."),))
    await done(store, model)
    assert model.calls == []
    assert store.debate.verdict_absence is Absence.BUDGET_SPENT


async def test_summary_and_judgement_are_stored_one_by_one() -> None:
    """Two calls and two changes, so that a crash pays at most one of them again."""
    store = OneDebate(closing(fresh()), (spoken(1, "A point."), spoken(2, "No.")))
    model = scripted(close_script)
    changes = await done(store, model)
    assert len(changes) == len(model.calls) == 2
    assert store.debate.judgement is not None
    assert store.debate.judgement.winner == "team-a"
    assert [score.agent for score in store.debate.judgement.scores] == ["team-a", "team-b"]
    assert store.debate.verdict == store.debate.judgement.rationale


async def test_a_debate_beyond_the_context_is_digested_part_by_part() -> None:
    """Every turn reaches the model once, the newest ones in the judgement; each part's digest is stored before the
    next, and judged in its place."""
    turns = tuple(
        spoken(number, f"Turn {number} has a point. " + "It has many words. " * 40) for number in range(1, 41)
    )

    def script(call: Call) -> Answer:
        found = re.findall(r"Turn (\d+) has a point", call.text)
        if "This is a part of the debate" in call.text:
            return Answer(text=f"Digest of {found[0]} to {found[-1]}.")
        return close_script(call)

    model = scripted(script, context_tokens=4096)
    store = OneDebate(closing(fresh()), turns)
    await done(store, model)
    parts = [call for call in model.calls if "This is a part" in call.text]
    summary, verdict = model.calls[len(parts) :]
    read = [int(n) for call in (*parts, verdict) for n in re.findall(r"Turn (\d+) has a point", call.text)]
    assert read == list(range(1, 41))
    assert [digest.through for digest in store.debate.digests] == sorted(d.through for d in store.debate.digests)
    assert len(store.debate.digests) == len(parts) > 1
    assert all(digest.text in summary.text and digest.text in verdict.text for digest in store.debate.digests)
    assert all(len(call.text) // 3 < 4096 for call in model.calls)
    assert store.debate.judgement is not None


async def test_no_side_is_always_scored_first() -> None:
    """Which one is follows from the debate, so that over many debates neither gains by its place."""
    first = set()
    for number in range(12):
        store = OneDebate(replace(closing(fresh()), id=f"d{number}"), (spoken(1, "A point."), spoken(2, "No.")))
        model = scripted(close_script)
        await done(store, model)
        first.update(re.findall(r"^Scores (\S+):", model.calls[-1].text, re.MULTILINE)[:1])
    assert first == {"team-a", "team-b"}


async def test_a_fault_of_ours_is_begun_again_when_the_lease_ends() -> None:
    """A model that raises what no adapter may raise: the step ends, is logged, and the debate stays as it was; rules
    bound how often it is begun again."""
    called = asyncio.Event()

    def script(_call: Call) -> Answer:
        called.set()
        raise TypeError("an adapter's fault")

    store = OneDebate(fresh())
    model = scripted(script)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await done(store, model)
    assert called.is_set()
    assert (store.changes, len(model.calls)) == ([], 1)


async def test_an_opinion_is_asked_only_near_the_threshold_and_kept() -> None:
    """Three of four sentences repeat: the measure decides, the model's answer is evidence."""
    said = "The first point is long enough here. The second point is quite different there."
    turns = (spoken(1, said), spoken(2, said), spoken(3, said), spoken(4, said.replace("second", "newest")))

    def script(call: Call) -> Answer:
        return Answer(text="NEW\nnew" if "only repeat" in call.text else "And now what?")

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
            measured = rules.record_measure(debate, no_measure(1, "nobody spoke"), 0, POD, 0)
            assert measured is not None
            debate = measured.debate
    store = OneDebate(debate, turns)
    changes = await done(store, scripted(script))
    measure = store.debate.redundant[-1]
    assert (measure.redundancy, measure.redundant) == (0.75, True)
    assert measure.opinion is not None
    assert measure.opinion.reason == "new"
    assert len(changes) == 2


def test_seeds_are_the_same_for_the_same_place_only() -> None:
    """Debate, turn, purpose and try make the seed, below 2**31."""
    debate = fresh()
    assert seed_of(debate, "question") == seed_of(fresh(), "question")
    assert len({seed_of(debate, "question"), seed_of(debate, "verdict"), seed_of(debate, "question", 1)}) == 3
    assert 0 <= seed_of(debate, "question") < 2**31
