"""The state machine of a debate: pure functions from a debate and something that happened to a Change, or to nothing.

Here is "a late turn changes nothing" (`record_turn`), deadlines and attempts (`expire`), forfeits, the budget, the
redundancy stop and the end. A Change is stored in one transaction against the version it was made from
(compare-and-set), so two replicas that decide at once cannot both win. What the moderator does itself is a step under
a lease: see `claim`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from services.moderator.model.change import (
    AgendaPlanned,
    Change,
    Created,
    Ended,
    Event,
    FloorGranted,
    RoundMeasured,
    RoundOpened,
    Stopped,
    TurnRecorded,
)
from services.moderator.model.debate import LEASED_STEPS, Debate, NewDebate, State, Step, StopReason
from services.moderator.model.judgement import Absence, Digest, Judgement
from services.moderator.model.measure import NOBODY_SPOKE, Evidence, Measure, no_measure
from services.moderator.model.turn import Floor, Ignored, SubmittedTurn, Turn

if TYPE_CHECKING:
    from services.moderator.model.change import EventKind

# Microseconds that a pod may hold a leased step without a sign of life. It renews every third of
# it, so it must stay well above a stalled event loop and below what a watcher would wait after a crash.
LEASE_US = 10_000_000
# The share of the budget that is set aside for summary and verdict is a quarter, but at most this many tokens: two
# prompts with the whole of a debate of 16 long turns, and their answers.
MAX_VERDICT_RESERVE_TOKENS = 12_000
# Times that a leased step is begun; then it is done without a model. A step that fails is begun again when its lease
# ends, so one that never works costs this many times what it pays for, and a minute.
MAX_STEP_ATTEMPTS = 5


def verdict_reserve(token_budget: int) -> int:
    """Returns the tokens that are set aside for summary and verdict."""
    return min(MAX_VERDICT_RESERVE_TOKENS, token_budget // 4)


def tokens_left(debate: Debate) -> int:
    """Returns the tokens that floors and questions may still spend; what a granted floor holds is taken off."""
    held = debate.settings.floor_allowance_tokens if debate.step is Step.FLOOR else 0
    return debate.token_budget - verdict_reserve(debate.token_budget) - debate.tokens_spent - held


def question_budget(debate: Debate) -> int:
    """Returns the tokens that the moderator's model may spend between floors: those that leave one more floor."""
    return tokens_left(debate) - debate.settings.floor_allowance_tokens


def closing_budget(debate: Debate) -> int:
    """Returns the tokens that summary and verdict may spend: all that is left."""
    return debate.token_budget - debate.tokens_spent


def floor_of(debate: Debate) -> Floor | None:
    """Returns the floor that is granted now."""
    if debate.step is not Step.FLOOR or debate.due_us is None:
        return None
    return _floor(debate, debate.turn_count + 1, debate.attempt, debate.due_us)


def create(debate_id: str, new: NewDebate, owner: str, now_us: int) -> Change:
    """Returns the first state: the moderator's question for round one is due, and the first floor comes with it."""
    debate = Debate(
        id=debate_id,
        topic=new.topic,
        seats=new.seats,
        max_rounds=new.max_rounds,
        settings=new.settings,
        token_budget=new.token_budget,
        create_time_us=now_us,
        traceparent=new.traceparent,
        language=new.language,
        version=0,
        forfeits=(0,) * len(new.seats),
    )
    debate = _lease_step(debate, Step.OPEN_ROUND, owner, now_us)
    debate = replace(debate, version=1, event_count=1)
    return Change(debate, (Event(1, now_us, Created(debate)),))


def record_turn(debate: Debate, submitted: SubmittedTurn, owner: str, now_us: int) -> Change | Ignored:
    """Holds a turn against the floor: it fits and is recorded, or it changes nothing and the reason says why."""
    reason = _find_misfit(debate, submitted)
    if reason is not None:
        return reason
    spent = max(0, submitted.prompt_tokens) + max(0, submitted.completion_tokens)
    turn = Turn(
        number=submitted.number,
        round=debate.round,
        agent=submitted.agent,
        question=debate.question,
        text="" if submitted.forfeited else submitted.text,
        attempt=submitted.attempt,
        create_time_us=now_us,
        elapsed_us=max(0, now_us - debate.granted_us),
        forfeited=submitted.forfeited,
        forfeit_reason=submitted.forfeit_reason if submitted.forfeited else "",
        model="" if submitted.forfeited else submitted.model,
        prompt_tokens=max(0, submitted.prompt_tokens),
        completion_tokens=max(0, submitted.completion_tokens),
    )
    return _record(replace(debate, tokens_spent=debate.tokens_spent + spent), turn, owner, now_us, withdrawn=None)


def _find_misfit(debate: Debate, submitted: SubmittedTurn) -> Ignored | None:  # noqa: PLR0911 - one line a reason
    if submitted.number <= debate.turn_count:
        return Ignored.REPEATED
    if debate.stop_reason is not None:
        return Ignored.ENDED
    floor = floor_of(debate)
    if floor is None or submitted.number > floor.turn_number or submitted.attempt > floor.attempt:
        return Ignored.EARLY
    if submitted.agent != floor.seat.agent:
        return Ignored.NOT_ITS_FLOOR
    if submitted.attempt < floor.attempt:
        return Ignored.STALE
    if submitted.written_us > floor.deadline_us:
        return Ignored.LATE
    return None


def expire(debate: Debate, owner: str, now_us: int) -> Change | None:
    """The floor's deadline: grants it again, or forfeits the turn; None if it has not passed or there is no floor."""
    floor = floor_of(debate)
    if floor is None or now_us < floor.deadline_us:
        return None
    # The agent may have spent what it was allowed to: count it.
    debate = replace(debate, tokens_spent=debate.tokens_spent + floor.allowance_tokens, step=Step.NONE, due_us=None)
    if floor.attempt < debate.settings.max_attempts:
        if tokens_left(debate) >= floor.allowance_tokens:
            return _grant(debate, now_us, (), attempt=floor.attempt + 1, turn=None)
        return _stop(debate, StopReason.BUDGET_EXHAUSTED, _no_tokens(debate), owner, now_us, (), turn=None)
    reason = f"no answer in {_count(floor.attempt, 'attempt')} of {debate.settings.turn_deadline_us / 1e6:g} s"
    turn = Turn(
        number=floor.turn_number,
        round=floor.round,
        agent=floor.seat.agent,
        question=debate.question,
        text="",
        attempt=floor.attempt,
        create_time_us=now_us,
        elapsed_us=max(0, now_us - debate.granted_us),
        forfeited=True,
        forfeit_reason=reason,
    )
    return _record(debate, turn, owner, now_us, withdrawn=(floor, reason))


def planned_question(debate: Debate) -> str:
    """Returns the agenda's question for the next round; empty if it has none."""
    return debate.agenda[debate.round] if debate.round < len(debate.agenda) else ""


def open_round(debate: Debate, question: str, tokens: int, now_us: int, planned: tuple[str, ...] = ()) -> Change | None:
    """The next round begins with this question, and its first seat gets the floor. None: it is not waited for.

    `planned` are the agenda's questions from this round on, if it had none. Without a question the topic is one.
    """
    if debate.step is not Step.OPEN_ROUND:
        return None
    agenda = debate.agenda
    if debate.round >= len(agenda):
        agenda = (*agenda, *(planned or ("",)))
    else:
        planned = ()
    opened = RoundOpened(debate.round + 1, question or debate.topic)
    debate = replace(
        debate,
        round=opened.round,
        question=opened.question,
        agenda=agenda,
        tokens_spent=debate.tokens_spent + tokens,
        step=Step.NONE,
    )
    events: tuple[EventKind, ...] = (AgendaPlanned(planned), opened) if planned else (opened,)
    return _grant(debate, now_us, events, attempt=1, turn=None)


def record_measure(debate: Debate, measure: Measure, tokens: int, owner: str, now_us: int) -> Change | None:
    """The round was measured, or not: the next one, or the end. None: not waited for.

    Round one never counts for the end. One that is not measured breaks a row of redundant rounds.
    """
    if debate.step is not Step.MEASURE:
        return None
    counts = measure.sentences and measure.redundant and debate.round > 1
    row = (*debate.redundant, measure) if counts else ()
    debate = replace(debate, redundant=row, tokens_spent=debate.tokens_spent + tokens, step=Step.NONE)
    events: tuple[EventKind, ...] = (RoundMeasured(measure),)
    if len(row) >= debate.settings.redundant_rounds:
        shares = ", ".join(f"{one.redundancy:.0%}" for one in row)
        evidence = Evidence(
            f"{_count(len(row), 'round')} in a row said nothing new: {shares} of the sentences repeat earlier ones",
            rounds=row,
        )
        return _stop(debate, StopReason.REDUNDANT, evidence, owner, now_us, events, turn=None)
    if debate.round >= debate.max_rounds:
        evidence = Evidence(f"the limit of {_count(debate.max_rounds, 'round')} is reached")
        return _stop(debate, StopReason.MAX_ROUNDS, evidence, owner, now_us, events, turn=None)
    if tokens_left(debate) < debate.settings.floor_allowance_tokens:
        return _stop(debate, StopReason.BUDGET_EXHAUSTED, _no_tokens(debate), owner, now_us, events, turn=None)
    return _change(_lease_step(debate, Step.OPEN_ROUND, owner, now_us), now_us, events)


def stop_without_model(debate: Debate, error: str, tokens: int, owner: str, now_us: int) -> Change | None:
    """Nobody spoke in the round that was to be measured, and no model answers: the end. None: not waited for."""
    if debate.step is not Step.MEASURE:
        return None
    debate = replace(debate, tokens_spent=debate.tokens_spent + tokens, step=Step.NONE)
    evidence = Evidence(f"nobody spoke in round {debate.round}, and the moderator's model does not answer: {error}")
    events = (RoundMeasured(no_measure(debate.round, NOBODY_SPOKE)),)
    return _stop(debate, StopReason.MODEL_UNAVAILABLE, evidence, owner, now_us, events, turn=None)


def record_digest(debate: Debate, digest: Digest, tokens: int, owner: str, now_us: int) -> Change | None:
    """A part of a long debate was digested: the closing goes on after it. None: not waited for."""
    if debate.step is not Step.CLOSE:
        return None
    debate = replace(debate, digests=(*debate.digests, digest), tokens_spent=debate.tokens_spent + tokens)
    return _change(_lease_step(debate, Step.CLOSE, owner, now_us), now_us, ())


def record_summary(  # noqa: PLR0917 - what it is, then by whom and when, as in all of these
    debate: Debate, summary: str, absence: Absence | None, tokens: int, owner: str, now_us: int
) -> Change | None:
    """The summary is there, or why there is none: the judgement is due. None: not waited for."""
    if debate.step is not Step.CLOSE:
        return None
    debate = replace(debate, summary=summary, summary_absence=absence, tokens_spent=debate.tokens_spent + tokens)
    return _change(_lease_step(debate, Step.CLOSE, owner, now_us), now_us, ())


def close(
    debate: Debate, judgement: Judgement | None, absence: Absence | None, tokens: int, now_us: int
) -> Change | None:
    """The judgement is there, or why there is none: the debate ends. None: not waited for."""
    if debate.step is not Step.CLOSE:
        return None
    debate = replace(
        debate,
        judgement=judgement,
        verdict=judgement.rationale if judgement is not None else "",
        verdict_absence=absence if judgement is None else None,
        summary_absence=None if debate.summary else debate.summary_absence or absence,
        tokens_spent=debate.tokens_spent + tokens,
    )
    return _end(debate, now_us, ())


def cancel(debate: Debate, reason: str, now_us: int) -> Change | None:
    """Ends a running debate at once, without a verdict. None if it has ended."""
    if debate.state is State.ENDED:
        return None
    floor = floor_of(debate)
    why = f"cancelled: {reason}" if reason else "cancelled"
    events: tuple[EventKind, ...] = ()
    if debate.stop_reason is None:
        debate = replace(debate, stop_reason=StopReason.CANCELLED, evidence=Evidence(why))
        events = (Stopped(StopReason.CANCELLED, Evidence(why)),)
    if floor is not None:
        debate = replace(debate, tokens_spent=debate.tokens_spent + floor.allowance_tokens)
    debate = replace(
        debate,
        summary_absence=None if debate.summary else Absence.DEBATE_CANCELLED,
        verdict_absence=Absence.DEBATE_CANCELLED,
    )
    change = _end(debate, now_us, events)
    return change if floor is None else replace(change, withdrawn=(floor, f"the debate was {why}"))


def claim(debate: Debate, owner: str, now_us: int) -> Change | None:
    """Takes over a leased step whose lease ended, or which this pod held when it died. None: nothing to take.

    A step that was begun MAX_STEP_ATTEMPTS times is not begun again: the debate goes on without its outcome.
    """
    if debate.step not in LEASED_STEPS or debate.due_us is None or (debate.due_us > now_us and debate.owner != owner):
        return None
    if debate.attempt >= MAX_STEP_ATTEMPTS:
        return _do_without(debate, owner, now_us)
    return Change(
        replace(debate, version=debate.version + 1, owner=owner, due_us=now_us + LEASE_US, attempt=debate.attempt + 1)
    )


def _do_without(debate: Debate, owner: str, now_us: int) -> Change | None:
    """Ends a leased step that never works: the planned question or the topic, no measure, no summary or verdict."""
    if debate.step is Step.OPEN_ROUND:
        return open_round(debate, planned_question(debate), 0, now_us)
    if debate.step is Step.MEASURE:
        failed = no_measure(debate.round, "the moderator failed at it; its log says why")
        return record_measure(debate, failed, 0, owner, now_us)
    if not debate.summary and debate.summary_absence is None:
        return record_summary(debate, "", Absence.STEP_FAILED, 0, owner, now_us)
    return close(debate, None, Absence.STEP_FAILED, 0, now_us)


def merge(first: Change, then: Change) -> Change:
    """Returns two changes, one made from the other's debate, as one transaction and one version."""
    return replace(
        then,
        debate=replace(then.debate, version=first.debate.version),
        events=first.events + then.events,
        turn=then.turn or first.turn,
    )


def _record(debate: Debate, turn: Turn, owner: str, now_us: int, *, withdrawn: tuple[Floor, str] | None) -> Change:
    """A turn enters the record; then comes the next floor, the measure, or the end."""
    seat = (turn.number - 1) % len(debate.seats)
    in_a_row = debate.forfeits[seat] + 1 if turn.forfeited else 0
    forfeits = (*debate.forfeits[:seat], in_a_row, *debate.forfeits[seat + 1 :])
    debate = replace(debate, turn_count=turn.number, forfeits=forfeits, step=Step.NONE, due_us=None)
    events: tuple[EventKind, ...] = (TurnRecorded(turn),)
    if in_a_row >= debate.settings.max_forfeits_in_a_row:
        evidence = Evidence(f"{turn.agent} forfeited {_count(in_a_row, 'turn')} in a row", agent=turn.agent)
        change = _stop(debate, StopReason.FORFEITED, evidence, owner, now_us, events, turn=turn)
    elif seat + 1 == len(debate.seats):
        change = _change(_lease_step(debate, Step.MEASURE, owner, now_us), now_us, events, turn=turn)
    elif tokens_left(debate) < debate.settings.floor_allowance_tokens:
        change = _stop(debate, StopReason.BUDGET_EXHAUSTED, _no_tokens(debate), owner, now_us, events, turn=turn)
    else:
        change = _grant(debate, now_us, events, attempt=1, turn=turn)
    return change if withdrawn is None else replace(change, withdrawn=withdrawn)


def _grant(debate: Debate, now_us: int, events: tuple[EventKind, ...], *, attempt: int, turn: Turn | None) -> Change:
    deadline_us = now_us + debate.settings.turn_deadline_us
    floor = _floor(debate, debate.turn_count + 1, attempt, deadline_us)
    debate = replace(
        debate,
        step=Step.FLOOR,
        due_us=deadline_us,
        owner="",
        attempt=attempt,
        granted_us=now_us if attempt == 1 else debate.granted_us,
    )
    return _change(debate, now_us, (*events, FloorGranted(floor)), turn=turn, granted=floor)


def _stop(  # noqa: PLR0917 - one call a reason, read aloud in its order
    debate: Debate,
    reason: StopReason,
    evidence: Evidence,
    owner: str,
    now_us: int,
    events: tuple[EventKind, ...],
    *,
    turn: Turn | None,
) -> Change:
    """No further floor: summary and verdict are due."""
    debate = replace(debate, stop_reason=reason, evidence=evidence)
    debate = _lease_step(debate, Step.CLOSE, owner, now_us)
    return _change(debate, now_us, (*events, Stopped(reason, evidence)), turn=turn)


def _end(debate: Debate, now_us: int, events: tuple[EventKind, ...]) -> Change:
    debate = replace(debate, state=State.ENDED, end_time_us=now_us, step=Step.NONE, due_us=None, owner="", attempt=0)
    number = debate.event_count + len(events) + 1
    ended = replace(debate, version=debate.version + 1, event_count=number)
    return _change(debate, now_us, (*events, Ended(ended)))


def _lease_step(debate: Debate, step: Step, owner: str, now_us: int) -> Debate:
    return replace(debate, step=step, owner=owner, due_us=now_us + LEASE_US, attempt=1)


def _change(
    debate: Debate,
    now_us: int,
    kinds: tuple[EventKind, ...],
    *,
    turn: Turn | None = None,
    granted: Floor | None = None,
) -> Change:
    first = debate.event_count + 1
    events = tuple(Event(number, now_us, kind) for number, kind in enumerate(kinds, first))
    debate = replace(debate, version=debate.version + 1, event_count=debate.event_count + len(events))
    return Change(debate, events, turn=turn, granted=granted)


def _floor(debate: Debate, turn_number: int, attempt: int, deadline_us: int) -> Floor:
    seat = debate.seats[(turn_number - 1) % len(debate.seats)]
    return Floor(turn_number, debate.round, attempt, seat, deadline_us, debate.settings.floor_allowance_tokens)


def _no_tokens(debate: Debate) -> Evidence:
    return Evidence(
        f"{debate.tokens_spent:,} of {debate.token_budget:,} tokens are spent; the rest, less the reserve of "
        f"{verdict_reserve(debate.token_budget):,} for the verdict, does not pay for another floor"
    )


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
