"""Debates, turns and events in words for people. Scripts read --json instead, and these words may change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rostrum.debate.v1 import debate_pb2

from mesh.language.tags import language_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mesh.cli.output import Output

COLOURS = ("cyan", "magenta", "green", "yellow", "blue", "bright_cyan", "bright_magenta", "bright_green")
"""One a seat; as many as a debate has seats at most."""

REASONS = {
    debate_pb2.Debate.StopReason.STOP_REASON_UNSPECIFIED: "still running",
    debate_pb2.Debate.StopReason.MAX_ROUNDS: "all rounds were held",
    debate_pb2.Debate.StopReason.REDUNDANT: "the discussion turned redundant",
    debate_pb2.Debate.StopReason.BUDGET_EXHAUSTED: "the token budget is spent",
    debate_pb2.Debate.StopReason.CANCELLED: "it was cancelled",
    debate_pb2.Debate.StopReason.FORFEITED: "a seat forfeited its turns",
    debate_pb2.Debate.StopReason.MODEL_UNAVAILABLE: "the model does not answer any more",
}

ABSENCES = {
    debate_pb2.Absence.DEBATE_CANCELLED: "the debate was cancelled",
    debate_pb2.Absence.NOTHING_SAID: "no seat ever spoke",
    debate_pb2.Absence.MODEL_FAILED: "the moderator's model did not answer",
    debate_pb2.Absence.ANSWER_UNUSABLE: "the moderator's model gave no answer that could be used",
    debate_pb2.Absence.BUDGET_SPENT: "the token budget is spent",
    debate_pb2.Absence.STEP_FAILED: "the moderator failed at it; its log says why",
}

CRITERIA = ("argument", "evidence", "rebuttal", "clarity")
"""Fields of SideScore, in the order in which they are shown."""


def debate_id(name: str) -> str:
    """Returns the "x" of "debates/x"."""
    return name.removeprefix("debates/")


def stance(value: debate_pb2.Stance.ValueType) -> str:
    """Returns "for" or "against"."""
    return debate_pb2.Stance.Name(value).lower()


class Story:
    """Renders one debate, event by event or from its record."""

    def __init__(self, output: Output, debate: debate_pb2.Debate | None = None) -> None:
        self._output = output
        self._seats: dict[str, debate_pb2.Seat] = {}
        self._colours: dict[str, str] = {}
        if debate is not None:
            self._meet(debate)

    def opening(self, debate: debate_pb2.Debate) -> None:
        """Says what is debated and by whom."""
        self._meet(debate)
        seats = ", ".join(self._who(seat.agent) for seat in debate.seats)
        self._output.say(f"{debate.topic}", style="bold")
        facts = [seats, f"at most {debate.max_rounds} round{'' if debate.max_rounds == 1 else 's'}"]
        if debate.language:
            facts.append(f"in {_name_language(debate.language)}")
        self._output.say(f"{debate.name}: {'; '.join(facts)}", style="dim")

    def event(self, event: debate_pb2.DebateEvent) -> str:
        """Says what happened, and returns what is now waited for ("" for nothing)."""
        match event.WhichOneof("kind"):
            case "debate_created":
                self.opening(event.debate_created.debate)
                return "the moderator is preparing round 1"
            case "agenda_planned":
                self._agenda(event.agenda_planned.questions)
            case "round_opened":
                self._round(event.round_opened.round, event.round_opened.question)
            case "floor_granted":
                floor = event.floor_granted
                again = f", attempt {floor.attempt}" if floor.attempt > 1 else ""
                return f"round {floor.round}: {self._who(floor.agent)} has the floor (turn {floor.turn_number}{again})"
            case "turn_taken":
                self.turn(event.turn_taken.turn)
            case "turn_forfeited":
                self.turn(event.turn_forfeited.turn)
            case "round_measured":
                self.measure(event.round_measured.measure)
            case "debate_stopped":
                self._stop(event.debate_stopped.stop_reason, event.debate_stopped.evidence)
                return "the moderator is writing its verdict"
            case "debate_ended":
                self._end(event.debate_ended.debate)
                return ""
            case _:
                return ""
        return "the moderator is at work"

    def record(self, debate: debate_pb2.Debate, turns: list[debate_pb2.Turn]) -> None:
        """Shows the whole debate as it is stored."""
        self.opening(debate)
        self._agenda(debate.agenda)
        measures = {measure.round: measure for measure in debate.stop_evidence.rounds}
        held = 0
        for turn in turns:
            if turn.round != held:
                held = turn.round
                self._round(held, turn.question)
            self.turn(turn)
        for number in sorted(measures):
            self.measure(measures[number])
        if debate.stop_reason:
            self._stop(debate.stop_reason, debate.stop_evidence)
        if debate.state == debate_pb2.Debate.State.ENDED:
            self._end(debate)
        else:
            self._output.say(f"\nRunning: round {debate.round}, {debate.turn_count} turns so far", style="bold")

    def turn(self, turn: debate_pb2.Turn) -> None:
        """Shows one turn: who, when, at what price, and the words."""
        colour = self._colours.get(turn.agent, "")
        seconds = turn.elapsed.seconds + turn.elapsed.nanos / 1e9
        facts = [f"round {turn.round}", f"turn {turn.number}"]
        if turn.attempt > 1:
            facts.append(f"attempt {turn.attempt}")
        facts += [f"{turn.prompt_tokens} + {turn.completion_tokens} tokens", f"{seconds:.1f} s"]
        self._output.say()
        self._output.say(f"{self._who(turn.agent)} - {', '.join(facts)}", style=f"bold {colour}".strip())
        if turn.forfeited:
            self._output.say(f"(forfeited: {turn.forfeit_reason})", style="yellow", indent=2)
        else:
            self._output.say(turn.text, indent=2)

    def measure(self, measure: debate_pb2.RoundMeasure) -> None:
        """Says how much of a round was new."""
        if not measure.sentences:
            reason = measure.not_measured_reason or "no sentence to compare"  # of a moderator that does not say
            self._output.say(f"\nRound {measure.round}: not measured, {reason}", style="dim")
            return
        share = f"{measure.redundancy:.0%} of {measure.sentences} sentences repeat what was said"
        self._output.say(f"\nRound {measure.round}: {share}{' (redundant)' if measure.redundant else ''}", style="dim")

    def _meet(self, debate: debate_pb2.Debate) -> None:
        self._seats = {seat.agent: seat for seat in debate.seats}
        self._colours = dict(zip(self._seats, COLOURS, strict=False))

    def _who(self, agent: str) -> str:
        seat = self._seats.get(agent)
        return f"{agent} ({stance(seat.stance)})" if seat else agent

    def _agenda(self, questions: Sequence[str]) -> None:
        if questions:
            self._output.say("\nAgenda", style="bold")
        for question in questions:
            self._output.say(f"- {question}", style="dim", indent=2)

    def _round(self, number: int, question: str) -> None:
        self._output.say(f"\nRound {number}: {question}", style="bold")

    def _stop(self, reason: debate_pb2.Debate.StopReason.ValueType, evidence: debate_pb2.StopEvidence) -> None:
        self._output.say(f"\nStopped: {REASONS.get(reason, 'for a reason this command does not know')}", style="bold")
        if evidence.reason:
            self._output.say(evidence.reason, style="dim", indent=2)

    def _end(self, debate: debate_pb2.Debate) -> None:
        self._part("Summary", debate.summary, debate.summary_absence)
        if debate.HasField("judgement"):
            self._judgement(debate.judgement)
        else:
            self._part("Verdict", debate.verdict, debate.verdict_absence)
        took = debate.end_time.seconds - debate.create_time.seconds
        facts = f"{debate.turn_count} turns, {debate.tokens_spent} of {debate.token_budget} tokens, {took} s"
        self._output.say(f"\nEnded: {facts}", style="dim")

    def _part(self, title: str, text: str, absence: debate_pb2.Absence.ValueType) -> None:
        if text:
            self._output.say(f"\n{title}", style="bold")
            self._output.say(text, indent=2)
        elif absence:
            reason = ABSENCES.get(absence, "for a reason this command does not know")
            self._output.say(f"\nNo {title.lower()}: {reason}", style="yellow")

    def _judgement(self, judgement: debate_pb2.Judgement) -> None:
        """Shows the verdict: who argued better, by which scores, in which turns, and why."""
        winner = self._who(judgement.winner) if judgement.winner else "undecided"
        self._output.say(f"\nVerdict: {winner}", style="bold")
        rows = []
        for score in judgement.scores:
            numbers = [getattr(score, criterion) for criterion in CRITERIA]
            rows.append((self._who(score.agent), *map(str, numbers), str(sum(numbers))))
        self._output.table(("SIDE", *(criterion.upper() for criterion in CRITERIA), "SUM"), rows)
        if judgement.decisive_turns:
            self._output.say(f"Decided by: turn {', '.join(map(str, judgement.decisive_turns))}", indent=2)
        self._output.say(judgement.rationale, indent=2)


def _name_language(tag: str) -> str:
    try:
        return language_name(tag)
    except ValueError:  # of a moderator that knows more languages than this command
        return tag
