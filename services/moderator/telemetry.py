"""Traces and counters of debates, and the names of their spans, metrics and attributes, each with its unit.

Owns how a debate is seen from outside. What every service has in common (gRPC, Kafka, models) is `mesh.telemetry`'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry import metrics, trace

from mesh.telemetry.failures import count_failure
from mesh.telemetry.setup import extract, trace_headers

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from services.moderator.model.debate import Debate
    from services.moderator.model.turn import Ignored, Turn

DEBATE = "rostrum.debate"
"""Attribute: resource name of the debate, "debates/{debate}"."""
AGENT = "rostrum.agent"
"""Attribute: id of the agent, such as "team-a"."""
ATTEMPT = "rostrum.floor.attempt"
"""Attribute: attempt of the floor, from 1."""
FORFEITED = "rostrum.turn.forfeited"
"""Attribute: whether the seat forfeited the turn."""
REASON = "rostrum.reason"
"""Attribute: why, one of few words."""

TURNS = "rostrum.turns"
"""Counter, {turn}: turns that entered the record."""
TURNS_IGNORED = "rostrum.turns.ignored"
"""Counter, {turn}: late, stale, early or repeated turns, and turns without the floor, by rostrum.reason."""
FLOORS_REVOKED = "rostrum.floors.lost"
"""Counter, {floor}: deadlines that passed."""

_tracer = trace.get_tracer("rostrum.moderator")


class DebateTraces:
    """Implements Observer: spans of a debate's own trace, and counts of what came in."""

    def __init__(self) -> None:
        meter = metrics.get_meter("rostrum.moderator")
        self._turns = meter.create_counter(TURNS, unit="{turn}")
        self._ignored = meter.create_counter(TURNS_IGNORED, unit="{turn}")
        self._revoked = meter.create_counter(FLOORS_REVOKED, unit="{floor}")

    def count_recorded_turn(self, turn: Turn) -> None:
        """See Observer."""
        self._turns.add(1, {AGENT: turn.agent, FORFEITED: turn.forfeited})

    def count_ignored_turn(self, reason: Ignored) -> None:
        """See Observer."""
        self._ignored.add(1, {REASON: reason.value})

    def count_revoked_floor(self, attempt: int) -> None:
        """See Observer."""
        self._revoked.add(1, {ATTEMPT: attempt})

    def count_failure(self, part: str) -> None:
        """See Observer."""
        count_failure(part)

    def resume_trace(self, debate: Debate, purpose: str) -> AbstractContextManager[object]:
        """See Observer."""
        parent = extract({"traceparent": debate.traceparent})
        return _tracer.start_as_current_span(purpose, context=parent, attributes={DEBATE: debate.name})

    def traceparent(self) -> str:
        """See Observer."""
        return trace_headers().get("traceparent", "")
