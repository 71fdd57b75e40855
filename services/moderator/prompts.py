"""What the moderator asks of its model: the questions, the redundancy check, the summary and the verdict.

Pure functions from turns to messages, with the JSON schema of each answer that must be JSON, and the plain
question that opens a round when the model gives none. Written for small models: the angle of a round's question comes
from a list, not from the model, because a small model asks the same question eight times.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mesh.llm.patterns import literal
from mesh.llm.port import Message

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from services.moderator.model.debate import Seat
    from services.moderator.model.turn import Turn

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

CLAUSE = '[^."\\\\]{40,300}\\.'
"""The rest of a sentence of summary and verdict, as a pattern that llama.cpp can follow."""


def plain_question(topic: str, round_number: int) -> str:
    """Returns the question of a round for which the model gave none."""
    return f"{topic}: {ANGLES[(round_number - 1) % len(ANGLES)][1]}"


def round_question(topic: str, round_number: int, max_rounds: int, turns: Sequence[Turn]) -> list[Message]:
    """Returns the chat for the question that opens a round; `turns` are all so far."""
    subject = ANGLES[(round_number - 1) % len(ANGLES)][0]
    parts = [f"Debate topic: {topic}"]
    asked = list(dict.fromkeys(turn.question for turn in turns if turn.question))
    if asked:
        parts.append("Asked already, so not again: " + " / ".join(asked[-4:]))
    parts.append(
        f"Write the question for round {round_number} of {max_rounds}. It must be about {subject}. One neutral "
        "question of at most 20 words that both sides can answer. It begins with How, What, Which, Who or Does and "
        "ends with a question mark. Only the question."
    )
    system = "You moderate a debate. You ask short, concrete, neutral questions. You never greet and never explain."
    return [Message("system", system), Message("user", "\n".join(parts))]


def redundancy_opinion(
    topic: str, this: Sequence[Turn], earlier: Sequence[Turn]
) -> tuple[list[Message], Mapping[str, Any]]:
    """Returns the chat that asks whether a round only repeats, and the schema of the answer."""
    before = "\n".join(f"- {_start(turn.text, 160)}" for turn in earlier[-8:] if turn.text)
    now = "\n".join(f"- {_start(turn.text, 400)}" for turn in this if turn.text)
    user = (
        f"Debate topic: {topic}\n\nSaid in earlier rounds:\n{before}\n\nSaid in the newest round:\n{now}\n\n"
        "Does the newest round only repeat what was said before, without any new argument, example or fact? "
        'Answer in JSON: "reason" in one sentence, then "redundant": true or false.'
    )
    system = "You judge debates strictly and answer in JSON only."
    return [Message("system", system), Message("user", user)], OPINION_SCHEMA


def closing(topic: str, seats: Sequence[Seat], turns: Sequence[Turn]) -> tuple[list[Message], Mapping[str, Any]]:
    """Returns the chat for summary and verdict, and the schema of the answer; somebody must have spoken.

    What was said is grouped by side, and the schema has a sentence for each side begin with its name: a small model
    mixes the sides up otherwise.
    """
    spoken = [turn for turn in turns[-16:] if turn.text]
    speakers = {turn.agent for turn in spoken}
    sides = {seat.agent: f"{seat.agent} ({seat.stance})" for seat in seats if seat.agent in speakers}
    said = "\n\n".join(
        f"What {name} said:\n" + "\n".join(f"- {_start(turn.text, 200)}" for turn in spoken if turn.agent == agent)
        for agent, name in sides.items()
    )
    names = list(sides.values())
    user = (
        f"Debate topic: {topic}\n\n{said}\n\n"
        f'Answer in JSON. "summary": for each side one sentence on its main arguments: "{names[0]} argued that ...". '
        f'"verdict": which side argued better, {" or ".join(names)}, and which of its own arguments or examples '
        f'convinced: "{names[0]} argued better because ..." or "{names[-1]} argued better because ...".'
    )
    system = "You are a neutral moderator who judges how well each side argued, not whether you agree. JSON only."
    return [Message("system", system), Message("user", user)], _closing_schema(names)


def _closing_schema(names: Sequence[str]) -> Mapping[str, Any]:
    escaped = [literal(name) for name in names]
    summary = " ".join(f"{name} argued that {CLAUSE}" for name in escaped)
    return {
        "type": "object",
        "properties": {
            "summary": {"type": "string", "pattern": f"^{summary}$"},
            "verdict": {"type": "string", "pattern": f"^({'|'.join(escaped)}) argued better because {CLAUSE}$"},
        },
        "required": ["summary", "verdict"],
        "additionalProperties": False,
    }


def _start(text: str, characters: int) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= characters else flat[:characters].rsplit(" ", 1)[0] + " ..."
