"""The state machine of a debate: what a turn, a deadline, a measure, a cancellation do, and what changes nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.moderator.model import rules
from services.moderator.model.change import (
    AgendaPlanned,
    Change,
    Created,
    Ended,
    FloorGranted,
    RoundMeasured,
    RoundOpened,
    Stopped,
    TurnRecorded,
)
from services.moderator.model.debate import Debate, NewDebate, Seat, Settings, Stance, State, Step, StopReason
from services.moderator.model.judgement import Absence, Judgement, SideScore
from services.moderator.model.measure import Measure, no_measure
from services.moderator.model.turn import Ignored, SubmittedTurn

SEATS = (Seat("team-a", Stance.FOR), Seat("team-b", Stance.AGAINST))
POD = "moderator-0"
SECOND = 1_000_000
JUDGEMENT = Judgement(
    "team-a", (SideScore("team-a", 7, 6, 5, 8), SideScore("team-b", 5, 6, 4, 8)), (1,), "It had facts."
)


def new(**changes: Any) -> NewDebate:
    values: dict[str, Any] = {"topic": "Is it so?", "seats": SEATS, "max_rounds": 3, "token_budget": 100_000, **changes}
    return NewDebate(**values)


def opened(now: int = 0, **changes: Any) -> Debate:
    """A debate whose first floor is granted at `now`."""
    debate = rules.create("d1", new(**changes), POD, now).debate
    change = rules.open_round(debate, "Why?", 0, now)
    assert change is not None
    return change.debate


def turn(debate: Debate, **changes: Any) -> SubmittedTurn:
    """What the agent that has the floor would send."""
    floor = rules.floor_of(debate)
    assert floor is not None
    values: dict[str, Any] = {
        "debate_id": debate.id,
        "number": floor.turn_number,
        "attempt": floor.attempt,
        "agent": floor.seat.agent,
        "text": "A point.",
        "forfeited": False,
        "forfeit_reason": "",
        "model": "m",
        "prompt_tokens": 100,
        "completion_tokens": 10,
        "written_us": 0,
        **changes,
    }
    return SubmittedTurn(**values)


def take_turn(debate: Debate, now: int = 1, **changes: Any) -> Change:
    change = rules.record_turn(debate, turn(debate, **changes), POD, now)
    assert isinstance(change, Change), change
    return change


def measure_of(number: int, *, redundant: bool) -> Measure:
    return Measure(number, 4, 1.0 if redundant else 0.0, redundant, (), "e5")


def next_round(debate: Debate, *, redundant: bool = False, question: str = "And why?") -> Debate:
    """Measures the round that was held and, if the debate goes on, opens the next."""
    change = rules.record_measure(debate, measure_of(debate.round, redundant=redundant), 0, POD, 5)
    assert change is not None
    if change.debate.step is Step.OPEN_ROUND:
        change = rules.open_round(change.debate, question, 0, 5)
        assert change is not None
    return change.debate


def whole_round(debate: Debate, *, redundant: bool = False, question: str = "And why?") -> Debate:
    for _ in SEATS:
        debate = take_turn(debate).debate
    return next_round(debate, redundant=redundant, question=question)


def test_a_new_debate_waits_for_the_moderators_question() -> None:
    """Creation stores event 1 with the debate as it is, and opening round one is due at once."""
    change = rules.create("d1", new(), POD, 7)
    assert change.debate.step is Step.OPEN_ROUND
    assert change.debate.owner == POD
    assert [event.number for event in change.events] == [1]
    assert change.events[0].kind == Created(change.debate)


def test_opening_a_round_grants_its_first_floor() -> None:
    """The question is asked and the first seat has the floor until the deadline."""
    debate = opened(now=10)
    floor = rules.floor_of(debate)
    assert floor is not None
    assert (floor.turn_number, floor.round, floor.attempt, floor.seat) == (1, 1, 1, SEATS[0])
    assert floor.deadline_us == 10 + 120 * SECOND


def test_a_fitting_turn_is_recorded_and_the_next_seat_gets_the_floor() -> None:
    """One change has the turn, its event, the settled budget and the next floor."""
    debate = opened()
    change = take_turn(debate, now=9)
    assert change.turn is not None
    assert (change.turn.number, change.turn.agent, change.turn.question, change.turn.elapsed_us) == (
        1,
        "team-a",
        "Why?",
        9,
    )
    assert [type(event.kind) for event in change.events] == [TurnRecorded, FloorGranted]
    assert change.debate.tokens_spent == 110
    assert change.granted is not None
    assert change.granted.seat == SEATS[1]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"number": 2}, Ignored.EARLY),
        ({"attempt": 2}, Ignored.EARLY),
        ({"agent": "team-b"}, Ignored.NOT_ITS_FLOOR),
        ({"agent": "nobody"}, Ignored.NOT_ITS_FLOOR),
        ({"written_us": 120 * SECOND + 1}, Ignored.LATE),
    ],
)
def test_a_turn_that_does_not_fit_the_floor_changes_nothing(changes: dict[str, Any], reason: Ignored) -> None:
    """Early, another agent's, late: the reason is returned and there is no change."""
    debate = opened()
    assert rules.record_turn(debate, turn(debate, **changes), POD, 1) is reason


def test_a_repeated_turn_changes_nothing() -> None:
    """The same turn again, before and after later ones, is counted as repeated."""
    debate = opened()
    first = turn(debate)
    after_one = take_turn(debate).debate
    assert rules.record_turn(after_one, first, POD, 2) is Ignored.REPEATED
    after_two = take_turn(after_one).debate
    assert rules.record_turn(after_two, first, POD, 3) is Ignored.REPEATED


def test_a_turn_at_its_deadline_is_in_time() -> None:
    """The deadline itself still counts."""
    debate = opened()
    assert isinstance(rules.record_turn(debate, turn(debate, written_us=120 * SECOND), POD, 1), Change)


def test_a_passed_deadline_grants_the_floor_again() -> None:
    """The attempt grows, the revoked floor's allowance counts as spent, and its answer is stale."""
    debate = opened()
    revoked = turn(debate)
    assert rules.expire(debate, POD, 120 * SECOND - 1) is None
    change = rules.expire(debate, POD, 120 * SECOND)
    assert change is not None
    assert change.granted is not None
    assert (change.granted.attempt, change.granted.turn_number) == (2, 1)
    assert change.debate.tokens_spent == 6_000
    assert rules.record_turn(change.debate, revoked, POD, 120 * SECOND + 1) is Ignored.STALE
    assert isinstance(rules.record_turn(change.debate, turn(change.debate), POD, 120 * SECOND + 1), Change)


def test_after_the_last_attempt_the_turn_is_forfeited() -> None:
    """The record has the turn without text, its agent is notified, and the debate goes on."""
    debate = opened()
    now = 0
    for _ in range(2):
        now += 120 * SECOND
        change = rules.expire(debate, POD, now)
        assert change is not None
        debate = change.debate
    change = rules.expire(debate, POD, now + 120 * SECOND)
    assert change is not None
    assert change.turn is not None
    assert change.turn.forfeited
    assert change.turn.text == ""
    assert "3 attempts" in change.turn.forfeit_reason
    assert change.withdrawn is not None
    assert change.granted is not None
    assert change.granted.seat == SEATS[1]


def test_a_seat_that_forfeits_in_a_row_ends_the_debate() -> None:
    """Three forfeits of one seat in a row stop it with FORFEITED; the other seat's turns between do not matter."""
    debate = opened(max_rounds=10)
    for _ in range(2):
        debate = take_turn(debate, forfeited=True, forfeit_reason="no model").debate
        debate = next_round(take_turn(debate).debate)
    change = take_turn(debate, forfeited=True, forfeit_reason="no model")
    assert change.debate.stop_reason is StopReason.FORFEITED
    assert change.debate.evidence is not None
    assert change.debate.evidence.agent == "team-a"
    assert change.debate.step is Step.CLOSE


def test_a_turn_between_breaks_the_row_of_forfeits() -> None:
    """A seat that speaks again starts counting again."""
    debate = opened(max_rounds=10, settings=Settings(max_forfeits_in_a_row=2))
    for forfeits in (True, False, True, False):
        debate = take_turn(debate, forfeited=forfeits).debate
        debate = next_round(take_turn(debate).debate)
    assert debate.stop_reason is None


def test_all_rounds_held_stops_then_closes() -> None:
    """After the last round's measure comes CLOSE, then ENDED with summary and verdict as the last event."""
    debate = opened(max_rounds=1)
    debate = whole_round(debate)
    assert (debate.stop_reason, debate.step, debate.state) == (StopReason.MAX_ROUNDS, Step.CLOSE, State.RUNNING)
    summed = rules.record_summary(debate, "sum", None, 20, POD, 98)
    assert summed is not None
    assert (summed.debate.step, summed.debate.attempt, summed.events) == (Step.CLOSE, 1, ())
    change = rules.close(summed.debate, JUDGEMENT, None, 50, 99)
    assert change is not None
    assert change.events[-1].kind == Ended(change.debate)
    assert (change.debate.state, change.debate.summary, change.debate.end_time_us) == (State.ENDED, "sum", 99)
    assert (change.debate.judgement, change.debate.verdict) == (JUDGEMENT, "It had facts.")
    assert (change.debate.summary_absence, change.debate.verdict_absence) == (None, None)
    assert change.debate.tokens_spent == debate.tokens_spent + 70
    assert change.events[-1].number == change.debate.event_count


def test_two_redundant_rounds_in_a_row_end_it_with_evidence() -> None:
    """Both rounds' measures are the evidence."""
    debate = whole_round(opened(max_rounds=9))
    debate = whole_round(debate, redundant=True)
    assert debate.stop_reason is None
    debate = whole_round(debate, redundant=True)
    assert debate.stop_reason is StopReason.REDUNDANT
    assert debate.evidence is not None
    assert [one.round for one in debate.evidence.rounds] == [2, 3]


def test_round_one_and_broken_rows_do_not_count() -> None:
    """Redundant rounds 1 and 2 are one round; new, unmeasured or spaced rounds break the row."""
    debate = whole_round(whole_round(opened(max_rounds=9), redundant=True), redundant=True)
    assert debate.stop_reason is None
    debate = whole_round(whole_round(debate), redundant=True)
    assert debate.stop_reason is None
    for _ in SEATS:
        debate = take_turn(debate).debate
    change = rules.record_measure(debate, no_measure(debate.round, "nobody spoke"), 0, POD, 1)
    assert change is not None
    (measure,) = [event.kind.measure for event in change.events if isinstance(event.kind, RoundMeasured)]
    assert (measure.sentences, measure.redundant, measure.absence) == (0, False, "nobody spoke")
    assert change.debate.redundant == ()


def test_the_budget_ends_the_debate_before_a_floor_it_does_not_pay() -> None:
    """Budget 10,000: 2,500 for the verdict, so one floor of 6,000 and, after 2,000 spent, no second."""
    debate = opened(token_budget=10_000)
    change = take_turn(debate, prompt_tokens=1_900, completion_tokens=100)
    assert change.debate.stop_reason is StopReason.BUDGET_EXHAUSTED
    assert change.granted is None
    assert change.debate.step is Step.CLOSE
    assert change.debate.evidence is not None
    assert "2,000 of 10,000" in change.debate.evidence.reason


def test_a_lost_floor_that_empties_the_budget_stops_it() -> None:
    """No second attempt is granted without an allowance for it."""
    change = rules.expire(opened(token_budget=10_000), POD, 120 * SECOND)
    assert change is not None
    assert change.debate.stop_reason is StopReason.BUDGET_EXHAUSTED


def test_cancel_ends_at_once_and_withdraws_the_floor() -> None:
    """No verdict; its events are debate_stopped and debate_ended; afterwards nothing changes any more."""
    debate = opened()
    change = rules.cancel(debate, "enough", 5)
    assert change is not None
    assert [type(event.kind) for event in change.events] == [Stopped, Ended]
    assert change.withdrawn is not None
    assert change.debate.state is State.ENDED
    assert change.debate.stop_reason is StopReason.CANCELLED
    assert change.debate.verdict == ""
    assert rules.cancel(change.debate, "", 6) is None
    assert rules.record_turn(change.debate, turn(debate), POD, 6) is Ignored.ENDED
    assert rules.expire(change.debate, POD, 999 * SECOND) is None
    assert rules.claim(change.debate, POD, 999 * SECOND) is None


def test_cancel_while_closing_keeps_the_first_reason() -> None:
    """A debate that stopped already ends without verdict, under the reason it stopped for."""
    debate = whole_round(opened(max_rounds=1))
    change = rules.cancel(debate, "", 5)
    assert change is not None
    assert change.debate.stop_reason is StopReason.MAX_ROUNDS
    assert [type(event.kind) for event in change.events] == [Ended]


def test_own_work_is_taken_over_when_its_lease_ends_or_by_its_own_pod() -> None:
    """Another pod waits for the lease; the same pod, started again, does not."""
    debate = rules.create("d1", new(), POD, 0).debate
    assert rules.claim(debate, "moderator-1", rules.LEASE_US - 1) is None
    taken = rules.claim(debate, "moderator-1", rules.LEASE_US)
    assert taken is not None
    assert (taken.debate.owner, taken.debate.attempt, taken.events) == ("moderator-1", 2, ())
    assert rules.claim(debate, POD, 1) is not None


def test_a_step_that_is_not_waited_for_changes_nothing() -> None:
    """A second completion of the same work, from a replica that lost its lease, has no effect."""
    debate = opened()
    assert rules.open_round(debate, "Again?", 0, 1) is None
    assert rules.record_measure(debate, measure_of(1, redundant=False), 0, POD, 1) is None
    assert rules.close(debate, JUDGEMENT, None, 0, 1) is None


def test_a_step_that_never_works_ends_with_what_there_is() -> None:
    """Begun as often as it may be, a step is done without a model: the planned question or the topic, no measure, no
    summary and no verdict, each with its reason; before that it is begun again."""
    debate = rules.create("d1", new(), POD, 0).debate
    for attempt in range(2, rules.MAX_STEP_ATTEMPTS + 1):
        debate = claim_late(debate)
        assert (debate.step, debate.attempt) == (Step.OPEN_ROUND, attempt)
    debate = claim_late(debate)
    assert (debate.step, debate.round, debate.question) == (Step.FLOOR, 1, debate.topic)
    for _ in SEATS:
        debate = take_turn(debate).debate
    debate = claim_late(replace(debate, attempt=rules.MAX_STEP_ATTEMPTS))
    assert debate.step is Step.OPEN_ROUND
    debate = replace(debate, step=Step.CLOSE, attempt=rules.MAX_STEP_ATTEMPTS)
    debate = claim_late(debate)
    assert (debate.step, debate.attempt, debate.summary_absence) == (Step.CLOSE, 1, Absence.STEP_FAILED)
    debate = claim_late(replace(debate, attempt=rules.MAX_STEP_ATTEMPTS))
    assert (debate.state, debate.verdict, debate.verdict_absence) == (State.ENDED, "", Absence.STEP_FAILED)


def claim_late(debate: Debate) -> Debate:
    """The debate after its lease ended."""
    assert debate.due_us is not None
    change = rules.claim(debate, POD, debate.due_us)
    assert change is not None
    return change.debate


def test_the_agenda_has_a_place_for_each_round() -> None:
    """What is planned is added once and told once; a round without a question has the topic, and the next one its
    own again; a question that was fitted to what was said leaves the agenda as it is."""
    debate = rules.create("d1", new(max_rounds=5), POD, 0).debate
    first = rules.open_round(debate, "One?", 0, 1, ("One?", "Two?"))
    assert first is not None
    assert [type(event.kind) for event in first.events] == [AgendaPlanned, RoundOpened, FloorGranted]
    debate = whole_round(first.debate, question="Two, then?")
    assert (debate.question, debate.agenda) == ("Two, then?", ("One?", "Two?"))
    debate = whole_round(debate, question="")
    assert (debate.question, debate.agenda) == (debate.topic, ("One?", "Two?", ""))
    assert rules.planned_question(replace(debate, round=1)) == "Two?"
    assert rules.planned_question(debate) == ""


def test_a_round_without_sentences_breaks_the_row() -> None:
    """It is not measured, so it is neither redundant nor ends the debate, whatever its figures say."""
    debate = opened(settings=Settings(redundant_rounds=1))
    debate = whole_round(debate)
    for _ in SEATS:
        debate = take_turn(debate).debate
    unmeasured = replace(measure_of(2, redundant=True), sentences=0)
    change = rules.record_measure(debate, unmeasured, 0, POD, 5)
    assert change is not None
    assert (change.debate.stop_reason, change.debate.redundant) == (None, ())


def test_without_a_model_the_debate_stops_as_that() -> None:
    """The evidence has the model's own words, and the closing is still tried."""
    debate = opened()
    for _ in SEATS:
        debate = take_turn(debate, forfeited=True).debate
    change = rules.stop_without_model(debate, "connection refused", 0, POD, 5)
    assert change is not None
    assert (change.debate.stop_reason, change.debate.step) == (StopReason.MODEL_UNAVAILABLE, Step.CLOSE)
    assert change.debate.evidence is not None
    assert "connection refused" in change.debate.evidence.reason
    assert isinstance(change.events[0].kind, RoundMeasured)
    assert change.events[0].kind.measure == no_measure(1, "nobody spoke")


def test_two_changes_merged_are_one_version_without_a_gap() -> None:
    """The measure and the next question in one transaction: events follow each other, the version grows by one."""
    debate = opened()
    for _ in SEATS:
        debate = take_turn(debate).debate
    first = rules.record_measure(debate, measure_of(1, redundant=False), 0, POD, 5)
    assert first is not None
    then = rules.open_round(first.debate, "Next?", 0, 5)
    assert then is not None
    both = rules.merge(first, then)
    assert both.debate.version == debate.version + 1
    assert [event.number for event in both.events] == list(range(debate.event_count + 1, both.debate.event_count + 1))
    assert both.granted is not None


ACTIONS = st.lists(
    st.sampled_from(["turn", "turn", "turn", "forfeit", "expire", "wrong", "open", "measure", "redundant", "close"]),
    max_size=60,
)


@settings(max_examples=200, deadline=None)
@given(ACTIONS, st.integers(2_000, 60_000), st.integers(0, 60))
def test_whatever_happens_the_record_has_no_gap_and_the_budget_holds(
    actions: list[str], budget: int, cancel_at: int
) -> None:
    """Turns and events are numbered 1, 2, 3 ..., the version grows by one a change, floors follow the seats, and no
    floor is granted that the budget does not pay."""
    first = rules.create("d1", new(token_budget=budget, settings=Settings(floor_allowance_tokens=1_000)), POD, 0)
    debate, events, turns, now = first.debate, list(first.events), [], 0
    for index, action in enumerate(actions):
        now += 1
        answer: object = None
        if index == cancel_at:
            answer = rules.cancel(debate, "", now)
        elif action in {"turn", "forfeit"} and rules.floor_of(debate):
            answer = rules.record_turn(debate, turn(debate, forfeited=action == "forfeit", written_us=now), POD, now)
        elif action == "wrong" and rules.floor_of(debate):
            answer = rules.record_turn(debate, turn(debate, agent="nobody"), POD, now)
        elif action == "expire" and debate.due_us is not None:
            now = max(now, debate.due_us)
            answer = rules.expire(debate, POD, now)
        elif action == "open":
            answer = rules.open_round(debate, "Why?", 10, now)
        elif action in {"measure", "redundant"}:
            answer = rules.record_measure(debate, measure_of(debate.round, redundant=action != "measure"), 10, POD, now)
        elif action == "close":
            answer = rules.close(debate, JUDGEMENT, None, 10, now)
        if not isinstance(answer, Change):
            continue
        assert answer.debate.version == debate.version + 1
        if answer.granted:
            held = answer.granted.allowance_tokens + rules.verdict_reserve(budget)
            assert answer.debate.tokens_spent + held <= budget
            assert answer.granted.seat == SEATS[(answer.granted.turn_number - 1) % 2]
        debate = answer.debate
        events += answer.events
        turns += [answer.turn] if answer.turn else []
    assert [event.number for event in events] == list(range(1, debate.event_count + 1))
    assert [one.number for one in turns] == list(range(1, debate.turn_count + 1))
    ended = [event for event in events if isinstance(event.kind, Ended)]
    assert len(ended) == (debate.state is State.ENDED)
    assert not ended or ended[0] is events[-1]


def test_etag_changes_with_every_change() -> None:
    """Each change has a new version, which is the etag."""
    debate = opened()
    versions = {debate.version, take_turn(debate).debate.version, replace(debate, version=debate.version).version}
    assert len(versions) == 2
