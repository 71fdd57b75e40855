"""The moderator's dataclasses as the messages of debate.proto, which travel on both roads (`api`, `events`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rostrum.debate.v1 import debate_pb2

from services.moderator.model.change import (
    AgendaPlanned,
    Created,
    Ended,
    FloorGranted,
    RoundMeasured,
    RoundOpened,
    Stopped,
    TurnRecorded,
)
from services.moderator.model.debate import DEBATES, State

if TYPE_CHECKING:
    from google.protobuf.duration_pb2 import Duration
    from google.protobuf.timestamp_pb2 import Timestamp

    from services.moderator.model.change import Event
    from services.moderator.model.debate import Debate, Settings
    from services.moderator.model.judgement import Absence, Judgement
    from services.moderator.model.measure import Evidence, Measure
    from services.moderator.model.turn import Turn


def debate_message(debate: Debate) -> debate_pb2.Debate:
    """Returns the resource. What is written of the closing is not shown before all of it is."""
    has_ended = debate.state is State.ENDED
    message = debate_pb2.Debate(
        name=debate.name,
        topic=debate.topic,
        seats=[
            debate_pb2.Seat(agent=seat.agent, stance=debate_pb2.Stance.Value(seat.stance.value))
            for seat in debate.seats
        ],
        max_rounds=debate.max_rounds,
        state=debate_pb2.Debate.State.Value(debate.state.value),
        stop_reason=debate_pb2.Debate.StopReason.Value(
            debate.stop_reason.value if debate.stop_reason else "STOP_REASON_UNSPECIFIED"
        ),
        turn_count=debate.turn_count,
        summary=debate.summary if has_ended else "",
        verdict=debate.verdict if has_ended else "",
        etag=str(debate.version),
        token_budget=debate.token_budget,
        tokens_spent=min(debate.tokens_spent, 2**31 - 1),
        settings=_settings_message(debate.settings),
        stop_evidence=_evidence_message(debate.evidence) if debate.evidence else None,
        round=debate.round,
        language=debate.language,
        agenda=[question for question in debate.agenda if question],
        judgement=_judgement_message(debate.judgement) if debate.judgement and has_ended else None,
        summary_absence=_absence_value(debate.summary_absence if has_ended else None),
        verdict_absence=_absence_value(debate.verdict_absence if has_ended else None),
    )
    set_time(message.create_time, debate.create_time_us)
    if has_ended and debate.end_time_us is not None:
        set_time(message.end_time, debate.end_time_us)
    return message


def turn_message(debate_id: str, turn: Turn) -> debate_pb2.Turn:
    """Returns the resource."""
    message = debate_pb2.Turn(
        name=f"{DEBATES.name_of(debate_id)}/turns/{turn.number}",
        number=turn.number,
        round=turn.round,
        agent=turn.agent,
        question=turn.question,
        text=turn.text,
        attempt=turn.attempt,
        forfeited=turn.forfeited,
        model=turn.model,
        prompt_tokens=turn.prompt_tokens,
        completion_tokens=turn.completion_tokens,
        forfeit_reason=turn.forfeit_reason,
    )
    set_time(message.create_time, turn.create_time_us)
    set_duration(message.elapsed, turn.elapsed_us)
    return message


def event_message(debate_id: str, event: Event) -> debate_pb2.DebateEvent:
    """Returns the event with exactly one kind set."""
    message = debate_pb2.DebateEvent(number=event.number)
    set_time(message.create_time, event.create_time_us)
    match event.kind:
        case TurnRecorded(turn):
            kind = message.turn_forfeited if turn.forfeited else message.turn_taken
            kind.turn.CopyFrom(turn_message(debate_id, turn))
        case FloorGranted(floor):
            granted = message.floor_granted
            granted.turn_number = floor.turn_number
            granted.round = floor.round
            granted.attempt = floor.attempt
            granted.agent = floor.seat.agent
            granted.allowance_tokens = floor.allowance_tokens
            set_time(granted.deadline, floor.deadline_us)
        case AgendaPlanned(questions):
            message.agenda_planned.questions.extend(questions)
        case RoundOpened(number, question):
            message.round_opened.round = number
            message.round_opened.question = question
        case RoundMeasured(measure):
            message.round_measured.measure.CopyFrom(_measure_message(measure))
        case Stopped(reason, evidence):
            message.debate_stopped.stop_reason = debate_pb2.Debate.StopReason.Value(reason.value)
            message.debate_stopped.evidence.CopyFrom(_evidence_message(evidence))
        case Created(debate):
            message.debate_created.debate.CopyFrom(debate_message(debate))
        case Ended(debate):
            message.debate_ended.debate.CopyFrom(debate_message(debate))
    return message


def _judgement_message(judgement: Judgement) -> debate_pb2.Judgement:
    return debate_pb2.Judgement(
        winner=judgement.winner,
        scores=[
            debate_pb2.SideScore(
                agent=score.agent,
                argument=score.argument,
                evidence=score.evidence,
                rebuttal=score.rebuttal,
                clarity=score.clarity,
            )
            for score in judgement.scores
        ],
        decisive_turns=judgement.decisive_turns,
        rationale=judgement.rationale,
    )


def _absence_value(absence: Absence | None) -> debate_pb2.Absence.ValueType:
    return debate_pb2.Absence.Value(absence.value) if absence else debate_pb2.ABSENCE_UNSPECIFIED


def _settings_message(settings: Settings) -> debate_pb2.DebateSettings:
    message = debate_pb2.DebateSettings(
        max_attempts=settings.max_attempts,
        floor_allowance_tokens=settings.floor_allowance_tokens,
        max_forfeits_in_a_row=settings.max_forfeits_in_a_row,
        sentence_similarity=settings.sentence_similarity,
        redundant_share=settings.redundant_share,
        redundant_rounds=settings.redundant_rounds,
    )
    set_duration(message.turn_deadline, settings.turn_deadline_us)
    return message


def _evidence_message(evidence: Evidence) -> debate_pb2.StopEvidence:
    return debate_pb2.StopEvidence(
        reason=evidence.reason, rounds=[_measure_message(one) for one in evidence.rounds], agent=evidence.agent
    )


def _measure_message(measure: Measure) -> debate_pb2.RoundMeasure:
    opinion = measure.opinion
    return debate_pb2.RoundMeasure(
        round=measure.round,
        sentences=measure.sentences,
        redundancy=measure.redundancy,
        redundant=measure.redundant,
        pairs=[
            debate_pb2.SentencePair(
                sentence=pair.sentence,
                earlier=pair.earlier,
                similarity=pair.similarity,
                earlier_turn_number=pair.earlier_turn_number,
            )
            for pair in measure.pairs
        ],
        opinion=debate_pb2.ModelOpinion(redundant=opinion.redundant, reason=opinion.reason) if opinion else None,
        embedding_model=measure.embedding_model,
        not_measured=not measure.sentences,
        not_measured_reason=measure.absence,
    )


def set_time(message: Timestamp, time_us: int) -> None:
    """Sets a timestamp from microseconds since the epoch."""
    message.seconds, micros = divmod(time_us, 1_000_000)
    message.nanos = micros * 1000


def set_duration(message: Duration, duration_us: int) -> None:
    """Sets a duration from microseconds."""
    message.seconds, micros = divmod(duration_us, 1_000_000)
    message.nanos = micros * 1000
