"""What the moderator tells its model: the questions, the redundancy check, the summary and the verdict.

Pure functions from plain values to messages, with the JSON schema of each answer that must be JSON, and the plain
question that opens a round when the model gives none. Written for small models: the angle of a round's question comes
from a list, not from the model, because a small model asks the same question eight times.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from mesh.llm.port import Message

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

QUESTION_MAX_TOKENS = 60
OPINION_MAX_TOKENS = 120
CLOSING_MAX_TOKENS = 450

MIN_QUESTION_CHARACTERS = 15
MAX_QUESTION_CHARACTERS = 300

ANGLES = (
    ("its overall effect", "Taken as a whole, does it do more good or more harm?"),
    ("who wins and who loses", "Who gains the most from it, and who pays for that?"),
    ("one concrete industry or place", "In which industry or place can its effect already be seen, and what is it?"),
    ("lessons from history", "What does a similar change in the past tell us about it?"),
    ("money: wages, prices and investment", "What does it do to wages, prices and investment?"),
    ("the next ten years", "What will be different in ten years because of it?"),
    ("education, skills and adapting", "Can people learn and adapt fast enough?"),
    ("fairness between regions, ages, rich and poor", "Does it make society fairer or less fair?"),
    ("safety, quality and trust", "Can people trust it, and what happens when it fails?"),
    ("laws and the role of government", "What should governments do about it, if anything?"),
)
"""For each round what its question is about, and the plain question on that."""

OPINION_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {"reason": {"type": "string", "maxLength": 300}, "redundant": {"type": "boolean"}},
    "required": ["reason", "redundant"],
    "additionalProperties": False,
}

CLOSING_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "summary": {"type": "string", "minLength": 40, "maxLength": 900},
        "better_side": {"type": "string", "enum": ["FOR", "AGAINST"]},
        "reason": {"type": "string", "minLength": 20, "maxLength": 400},
    },
    "required": ["summary", "better_side", "reason"],
    "additionalProperties": False,
}


def plain_question(topic: str, round_number: int) -> str:
    """Returns the question of a round for which the model gave none."""
    return f"{topic}: {ANGLES[(round_number - 1) % len(ANGLES)][1]}"


def question_messages(
    *, topic: str, round_number: int, max_rounds: int, earlier_questions: Sequence[str], last_turns: Sequence[str]
) -> list[Message]:
    """Returns the chat for the question that opens a round."""
    angle = ANGLES[(round_number - 1) % len(ANGLES)][0]
    parts = [f"Debate topic: {topic}"]
    if earlier_questions:
        parts.append("Asked already: " + " / ".join(earlier_questions[-4:]))
    if last_turns:
        parts.append("Said last: " + " / ".join(_start(text) for text in last_turns[-2:]))
    parts.append(
        f"Write the question for round {round_number} of {max_rounds}. It must be about {angle}. One neutral question "
        "of at most 25 words that both sides can answer, ending with a question mark. Only the question."
    )
    system = "You moderate a debate. You ask short, concrete, neutral questions. You never greet and never explain."
    return [Message("system", system), Message("user", "\n".join(parts))]


def question_of(answer: str, earlier_questions: Sequence[str]) -> str | None:
    """Returns the question in a model's answer, or None if there is none that was not asked before."""
    flat = " ".join(answer.replace("**", "").split())
    found = re.search(r"[^.!?:\"“”]*\?", flat)
    if not found:
        return None
    question = re.sub(r"^(?:round \d+|question)\W+", "", found.group().strip(" -–\"'"), flags=re.IGNORECASE)
    if not MIN_QUESTION_CHARACTERS <= len(question) <= MAX_QUESTION_CHARACTERS:
        return None
    question = question[:1].upper() + question[1:]
    return None if question.lower() in {earlier.lower() for earlier in earlier_questions} else question


def opinion_messages(*, topic: str, round_turns: Sequence[str], earlier_turns: Sequence[str]) -> list[Message]:
    """Returns the chat that asks whether a round only repeats; the answer fits OPINION_SCHEMA."""
    earlier = "\n".join(f"- {_start(text)}" for text in earlier_turns[-8:])
    now = "\n".join(f"- {_start(text, 400)}" for text in round_turns)
    user = (
        f"Debate topic: {topic}\n\nSaid in earlier rounds:\n{earlier}\n\nSaid in the newest round:\n{now}\n\n"
        "Does the newest round only repeat what was said before, without any new argument, example or fact? "
        'Answer in JSON: "reason" in one sentence, then "redundant": true or false.'
    )
    return [Message("system", "You judge debates strictly and answer in JSON only."), Message("user", user)]


def closing_messages(*, topic: str, turns: Sequence[tuple[str, str, str]]) -> list[Message]:
    """Returns the chat for summary and verdict; `turns` are (agent, side, text); the answer fits CLOSING_SCHEMA."""
    said = "\n".join(f"- {side}: {_start(text, 260)}" for _, side, text in turns[-16:])
    user = (
        f"Debate topic: {topic}\n\nWhat was said, by side:\n{said}\n\n"
        'Answer in JSON: "summary": 3 or 4 full sentences on the main arguments of both sides; "better_side": which '
        'side argued better, with more concrete evidence and better answers; "reason": one or two sentences why.'
    )
    system = "You are a neutral moderator who judges how well each side argued, not whether you agree. JSON only."
    return [Message("system", system), Message("user", user)]


def opinion_of(answer: str) -> tuple[bool, str] | None:
    """Returns (redundant, reason) of an answer, or None if it does not fit the schema."""
    value = _object(answer)
    redundant, reason = value.get("redundant"), value.get("reason")
    return (redundant, reason.strip()) if isinstance(redundant, bool) and isinstance(reason, str) else None


def closing_of(answer: str) -> tuple[str, str] | None:
    """Returns (summary, verdict) of an answer, or None if it does not fit the schema."""
    value = _object(answer)
    summary, side, reason = value.get("summary"), value.get("better_side"), value.get("reason")
    if not isinstance(summary, str) or not isinstance(reason, str) or side not in {"FOR", "AGAINST"}:
        return None
    if not summary.strip() or not reason.strip():
        return None
    return summary.strip(), f"The side {side} argued better. {reason.strip()}"


def _object(answer: str) -> dict[str, Any]:
    try:
        value = json.loads(answer)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _start(text: str, characters: int = 160) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= characters else flat[:characters].rsplit(" ", 1)[0] + " ..."
