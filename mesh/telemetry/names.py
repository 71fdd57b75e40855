"""Every span, metric and attribute name of ours, with its unit; OpenTelemetry's conventions come first."""

from __future__ import annotations

DEBATE = "rostrum.debate"
"""Attribute: resource name of the debate, "debates/{debate}"."""
TURN_NUMBER = "rostrum.turn.number"
"""Attribute: number of the turn, from 1."""
ATTEMPT = "rostrum.floor.attempt"
"""Attribute: attempt of the floor, from 1."""
AGENT = "rostrum.agent"
"""Attribute: id of the agent, such as "team-a"."""

SPAN_DEBATE_CREATED = "debate create"
"""Span: CreateDebate stored it; all later spans of the debate belong to its trace."""
SPAN_FLOOR = "floor take"
"""Span: an agent answers one floor."""
SPAN_TURN = "turn record"
"""Span: the moderator holds a turn against the floor."""
SPAN_CHAT = "chat"
"""Span: one model call (GenAI conventions: gen_ai.request.model, gen_ai.usage.*)."""

FORFEITED = "rostrum.turn.forfeited"
"""Attribute: whether the seat forfeited the turn."""
REASON = "rostrum.reason"
"""Attribute: why, one of few words."""

TURNS = "rostrum.turns"
"""Counter, {turn}: turns that entered the record."""
TURNS_IGNORED = "rostrum.turns.ignored"
"""Counter, {turn}: late, stale, early or repeated turns, and turns without the floor, by rostrum.reason."""
FLOORS_LOST = "rostrum.floors.lost"
"""Counter, {floor}: deadlines that passed."""
