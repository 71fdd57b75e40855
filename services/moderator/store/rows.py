"""Between the moderator's dataclasses and the columns of its tables; what has a shape is JSON text."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from services.moderator.model.change import (
    AgendaPlanned,
    Created,
    Ended,
    Event,
    FloorGranted,
    RoundMeasured,
    RoundOpened,
    Stopped,
    TurnRecorded,
)
from services.moderator.model.debate import Debate, Seat, Settings, Stance, State, Step, StopReason
from services.moderator.model.judgement import Absence, Digest, Judgement, SideScore
from services.moderator.model.measure import NO_SENTENCE, Evidence, Measure, Opinion, Pair
from services.moderator.model.turn import Floor, Turn

if TYPE_CHECKING:
    from collections.abc import Mapping

    from services.moderator.model.change import EventKind


def debate_values(debate: Debate) -> dict[str, Any]:
    """Returns the column values of a debate but for request_id and request_digest."""
    return {
        "id": debate.id,
        "topic": debate.topic,
        "seats": _dump([[seat.agent, seat.stance.value] for seat in debate.seats]),
        "max_rounds": debate.max_rounds,
        "settings": _dump(debate.settings),
        "token_budget": debate.token_budget,
        "create_time_us": debate.create_time_us,
        "traceparent": debate.traceparent,
        "language": debate.language,
        **changing_values(debate),
    }


def changing_values(debate: Debate) -> dict[str, Any]:
    """Returns the column values that change while a debate runs."""
    return {
        "version": debate.version,
        "state": debate.state.value,
        "stop_reason": debate.stop_reason.value if debate.stop_reason else None,
        "evidence": _dump(debate.evidence) if debate.evidence else None,
        "round": debate.round,
        "question": debate.question,
        "turn_count": debate.turn_count,
        "event_count": debate.event_count,
        "tokens_spent": debate.tokens_spent,
        "forfeits": _dump(list(debate.forfeits)),
        "redundant": _dump(debate.redundant) if debate.redundant else "[]",
        "agenda": _dump(debate.agenda) if debate.agenda else "[]",
        "summary": debate.summary,
        "verdict": debate.verdict,
        "digests": _dump(debate.digests) if debate.digests else "[]",
        "judgement": _dump(debate.judgement) if debate.judgement else None,
        "summary_absence": debate.summary_absence.value if debate.summary_absence else None,
        "verdict_absence": debate.verdict_absence.value if debate.verdict_absence else None,
        "end_time_us": debate.end_time_us,
        "step": debate.step.value,
        "due_us": debate.due_us,
        "owner": debate.owner,
        "attempt": debate.attempt,
        "granted_us": debate.granted_us,
    }


def debate_of(row: Mapping[str, Any]) -> Debate:
    """Returns the debate of a row, or of a snapshot in an event, which lacks what a debate got since it was stored."""
    judgement, summary_absence, verdict_absence = (
        row.get("judgement"),
        row.get("summary_absence"),
        row.get("verdict_absence"),
    )
    return Debate(
        id=row["id"],
        topic=row["topic"],
        seats=tuple(Seat(agent, Stance(stance)) for agent, stance in json.loads(row["seats"])),
        max_rounds=row["max_rounds"],
        settings=Settings(**json.loads(row["settings"])),
        token_budget=row["token_budget"],
        create_time_us=row["create_time_us"],
        traceparent=row["traceparent"],
        language=row.get("language", ""),
        agenda=tuple(json.loads(row.get("agenda", "[]"))),
        version=row["version"],
        state=State(row["state"]),
        stop_reason=StopReason(row["stop_reason"]) if row["stop_reason"] else None,
        evidence=_evidence(json.loads(row["evidence"])) if row["evidence"] else None,
        round=row["round"],
        question=row["question"],
        turn_count=row["turn_count"],
        event_count=row["event_count"],
        tokens_spent=row["tokens_spent"],
        forfeits=tuple(json.loads(row["forfeits"])),
        redundant=tuple(_measure(measure) for measure in json.loads(row["redundant"])),
        summary=row["summary"],
        verdict=row["verdict"],
        digests=tuple(Digest(**digest) for digest in json.loads(row.get("digests", "[]"))),
        judgement=_judgement(json.loads(judgement)) if judgement else None,
        summary_absence=Absence(summary_absence) if summary_absence else None,
        verdict_absence=Absence(verdict_absence) if verdict_absence else None,
        end_time_us=row["end_time_us"],
        step=Step(row["step"]),
        due_us=row["due_us"],
        owner=row["owner"],
        attempt=row["attempt"],
        granted_us=row["granted_us"],
    )


def turn_values(debate_id: str, turn: Turn) -> dict[str, Any]:
    """Returns the column values of a turn."""
    return {
        "debate_id": debate_id,
        "number": turn.number,
        "round": turn.round,
        "agent": turn.agent,
        "question": turn.question,
        "text": turn.text,
        "attempt": turn.attempt,
        "create_time_us": turn.create_time_us,
        "elapsed_us": turn.elapsed_us,
        "forfeited": turn.forfeited,
        "forfeit_reason": turn.forfeit_reason,
        "model": turn.model,
        "prompt_tokens": turn.prompt_tokens,
        "completion_tokens": turn.completion_tokens,
    }


def turn_of(row: Mapping[str, Any]) -> Turn:
    """Returns the turn of a row."""
    return Turn(
        number=row["number"],
        round=row["round"],
        agent=row["agent"],
        question=row["question"],
        text=row["text"],
        attempt=row["attempt"],
        create_time_us=row["create_time_us"],
        elapsed_us=row["elapsed_us"],
        forfeited=bool(row["forfeited"]),
        forfeit_reason=row["forfeit_reason"],
        model=row["model"],
        prompt_tokens=row["prompt_tokens"],
        completion_tokens=row["completion_tokens"],
    )


def event_values(debate_id: str, event: Event) -> dict[str, Any]:
    """Returns the column values of an event; a turn's event points to the turn."""
    kind, data = _kind_and_data(event.kind)
    return {
        "debate_id": debate_id,
        "number": event.number,
        "create_time_us": event.create_time_us,
        "kind": kind,
        "data": _dump(data) if data else "{}",
        "turn_number": event.kind.turn.number if isinstance(event.kind, TurnRecorded) else None,
    }


def event_of(row: Mapping[str, Any], turns: Mapping[int, Turn]) -> Event:
    """Returns the event of a row; `turns` has the turns that events of this page point to, by number."""
    if row["turn_number"] is not None:
        kind: EventKind = TurnRecorded(turns[row["turn_number"]])
    else:
        kind = _kind(row["kind"], json.loads(row["data"]))
    return Event(row["number"], row["create_time_us"], kind)


def _kind_and_data(kind: EventKind) -> tuple[str, dict[str, Any]]:  # noqa: PLR0911 - one return a kind
    match kind:
        case TurnRecorded():
            return "turn", {}
        case FloorGranted(floor):
            seat = [floor.seat.agent, floor.seat.stance.value]
            return "floor_granted", {
                "turn_number": floor.turn_number,
                "round": floor.round,
                "attempt": floor.attempt,
                "seat": seat,
                "deadline_us": floor.deadline_us,
                "allowance_tokens": floor.allowance_tokens,
            }
        case AgendaPlanned(questions):
            return "agenda_planned", {"questions": questions}
        case RoundOpened(number, question):
            return "round_opened", {"round": number, "question": question}
        case RoundMeasured(measure):
            return "round_measured", _fields(measure)
        case Stopped(reason, evidence):
            return "stopped", {"stop_reason": reason.value, "evidence": evidence}
        case Created(debate):
            return "created", debate_values(debate)
        case Ended(debate):
            return "ended", debate_values(debate)


def _kind(kind: str, data: dict[str, Any]) -> EventKind:  # noqa: PLR0911 - one return a kind
    match kind:
        case "agenda_planned":
            return AgendaPlanned(tuple(data["questions"]))
        case "floor_granted":
            agent, stance = data.pop("seat")
            return FloorGranted(Floor(seat=Seat(agent, Stance(stance)), **data))
        case "round_opened":
            return RoundOpened(**data)
        case "round_measured":
            return RoundMeasured(_measure(data))
        case "stopped":
            return Stopped(StopReason(data["stop_reason"]), _evidence(data["evidence"]))
        case "created":
            return Created(debate_of(data))
        case "ended":
            return Ended(debate_of(data))
        case _:
            message = f"the store has an event of the kind {kind!r}, which this version does not know"
            raise ValueError(message)


def _judgement(data: Mapping[str, Any]) -> Judgement:
    return Judgement(
        winner=data["winner"],
        scores=tuple(SideScore(**score) for score in data["scores"]),
        decisive_turns=tuple(data["decisive_turns"]),
        rationale=data["rationale"],
    )


def _measure(data: Mapping[str, Any]) -> Measure:
    """Returns a stored measure. One without sentences was once stored as redundant; it is not measured."""
    opinion, is_measured = data["opinion"], bool(data["sentences"])
    return Measure(
        round=data["round"],
        sentences=data["sentences"],
        redundancy=data["redundancy"] if is_measured else 0.0,
        redundant=data["redundant"] and is_measured,
        pairs=tuple(Pair(**pair) for pair in data["pairs"]),
        embedding_model=data["embedding_model"],
        opinion=Opinion(**opinion) if opinion else None,
        absence="" if is_measured else data.get("absence") or NO_SENTENCE,
    )


def _evidence(data: Mapping[str, Any]) -> Evidence:
    return Evidence(data["reason"], tuple(_measure(measure) for measure in data["rounds"]), data["agent"])


def _fields(value: Any) -> dict[str, Any]:
    """Returns the fields of one of the model's dataclasses, which have slots; `asdict` would copy all in them, too."""
    return {name: getattr(value, name) for name in value.__slots__}


def _dump(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, default=_fields)
