"""What of a debate stands in a prompt: its turns, quoted, and which of them are summarised to make room.

Pure: from turns and a budget to a plan. The newest turns stand as they are, what was said before them as a summary
that is made once and stays for several turns, so that a prompt begins as the one before it did.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mesh.language.text import shorten
from mesh.llm.quoting import quote_text
from mesh.llm.tokens import estimate_tokens

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mesh.agent.model import RememberedTurn

LINE_TOKENS = 12
"""Tokens of a line beside the turn's words."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How the turns so far stand in a prompt."""

    summarised: tuple[tuple[RememberedTurn, ...], ...]
    """The oldest turns, of which a summary is to stand there, in the parts in which they were summarised: the summary
    of a part holds those before it."""
    newest: tuple[RememberedTurn, ...]


def name_summary(part: Sequence[RememberedTurn]) -> str:
    """Returns the name of the note that holds the summary up to the end of a part."""
    return f"summary-{part[-1].number}"


def plan_history(turns: Sequence[RememberedTurn], budget_tokens: int) -> Plan:
    """Returns which turns stand in the prompt as they are, within the budget, and which are summarised.

    The last turn always stands there. Whenever the turns outgrow the budget, the oldest are summarised until half of it
    is free, so that the turns after that need no other summary: the same turns and budget give the same plan.
    """
    parts = []
    first = 0
    for count in range(1, len(turns) + 1):
        start = first
        if _count_tokens(turns[first:count]) > budget_tokens:
            while first < count - 1 and _count_tokens(turns[first:count]) > budget_tokens // 2:
                first += 1
        if first > start:
            parts.append(tuple(turns[start:first]))
    return Plan(tuple(parts), tuple(turns[first:]))


def list_lines(turns: Sequence[RememberedTurn], agent: str, *, characters: int | None = None) -> list[str]:
    """Returns the turns as lines of a prompt; `characters` bounds each."""
    others = {turn.agent for turn in turns if turn.agent != agent}
    lines = []
    for turn in turns:
        speaker = "you" if turn.agent == agent else "your opponent" if len(others) == 1 else turn.agent
        text = turn.text if characters is None else shorten(turn.text, characters)
        lines.append(quote_text("turn", text, speaker=speaker, round=turn.round))
    return lines


def _count_tokens(turns: Sequence[RememberedTurn]) -> int:
    return sum(estimate_tokens(turn.text) + LINE_TOKENS for turn in turns)
