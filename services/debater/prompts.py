"""What a debater asks its model for: pure functions from plain values to messages and the schema of the answer.

Prompts instruct; every word that is spoken is the model's. They are English and name the language to write in. What
others wrote (topic, question, turns) stands in them as quoted data (mesh.llm.quoting). What stays the same from turn to
turn stands first and the debate grows after it, so that a server's prompt cache is of use; the task stands last.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mesh.llm.port import Message
from mesh.llm.quoting import QUOTING_RULE, neutralize_text, quote_text
from mesh.llm.schemas import object_schema
from services.debater.answers import FIELD_CHARACTERS
from services.debater.case import CHANGE_FIELD, MOTION_FIELD, Case

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SIDES: Mapping[str, str] = {
    "FOR": "FOR the motion: the answer to it is yes, and what it says is so and should be so",
    "AGAINST": "AGAINST the motion: the answer to it is no, and what it says is not so and should not be so",
}
"""What a stance means, for motions that are claims, questions or mere subjects."""

WORDS: Mapping[str, tuple[str, str, str]] = {
    "FOR": ("for", "yes", "benefit"),
    "AGAINST": ("against", "no", "drawback"),
}
"""A stance as fields of a schema say it. A small model keeps to its side where the name of the field that it fills can
mean nothing else; told its side in the prompt alone, or asked for a "reason against", it writes reasons for either."""

TURN_WORDS = 120
"""Words of a turn at most: three quarters of a minute of speech."""
MIN_POINTS = 3
"""Points of a case at least; otherwise one for each round."""
MOST_POINTS = 6
"""A model of any size finds so many that differ; in later rounds it is asked for one more."""
MOST_POINTS_GUIDED = 5
OBJECTIONS = 2


@dataclass(frozen=True, slots=True)
class Ask:
    """What is asked of the model in one call."""

    messages: list[Message]
    schema: Mapping[str, Any] | None = None
    """None means prose."""
    fields: tuple[str, ...] = ()
    """Those of the schema whose values are spoken, in order."""


@dataclass(frozen=True, slots=True)
class Brief:
    """What does not change in a debate for one seat."""

    topic: str
    stance: str
    """Name of the contract's enum value: "FOR" or "AGAINST"."""
    language: str
    """English name of the language to write in; empty if it is not known."""
    persona: str = ""
    """Who the debater is, in its operator's words; empty for nobody in particular."""
    guided: bool = False
    """Whether the model's answers are held to a schema."""

    @property
    def side(self) -> str:
        """What its stance means."""
        return SIDES.get(self.stance, self.stance)

    @property
    def word(self) -> str:
        """Its stance as a preposition."""
        return self._words[0]

    @property
    def yes_or_no(self) -> str:
        """What its stance says to the motion."""
        return self._words[1]

    @property
    def reason(self) -> str:
        """What a reason of its side is called."""
        return self._words[2]

    @property
    def _words(self) -> tuple[str, str, str]:
        return WORDS.get(self.stance, WORDS["FOR"])

    @property
    def in_language(self) -> str:
        """The language as the end of an instruction."""
        return f"in {self.language}" if self.language else "in the language of the motion"


def count_points(max_rounds: int, *, guided: bool) -> int:
    """Returns how many points a case is to have."""
    return max(MIN_POINTS, min(max_rounds, MOST_POINTS_GUIDED if guided else MOST_POINTS))


def compose_case(brief: Brief, points: int, *, again: bool = False) -> Ask:
    """Returns what is asked for the case; `again`: as a plain list, after an answer that could not be read.

    A guided case has no objections: a small model says the reply that stands there in every round, whatever was said.
    """
    system = _join(
        f"You prepare a debater. {_describe_persona(brief)}",
        quote_text("motion", brief.topic),
        f"The debater is {brief.side}.",
    )
    if again:
        task = (
            f"Write {points + 1} lines {brief.in_language} and nothing else. First line: the debater's side of the "
            f"motion in one sentence. Then {points} lines, each with another reason for this side and an example of it."
        )
        return _ask(system, task)
    if not brief.guided:
        task = _join(
            f"Prepare the case for this side {brief.in_language}. Write these lines, with these labels, and nothing "
            "else:",
            "CLAIM: the side in one clear sentence",
            f"then {points} times, about something else each time:",
            "POINT: a reason for this side, in one sentence",
            "EXAMPLE: a fact, place, group of people or event that shows it, in one sentence",
            f"then {OBJECTIONS} times:",
            "OBJECTION: one of the strongest things that the other side will say",
            "REPLY: what is wrong with it, in one sentence",
        )
        return _ask(system, task)
    reason = f"{brief.reason}_of_change"
    task = _join(
        f"Prepare the case {brief.word} the motion as JSON, all texts {brief.in_language}.",
        f'"{MOTION_FIELD}": "{brief.yes_or_no}", which is what the debater says to it.',
        f'"{CHANGE_FIELD}": what people do, or do no longer, where {quote_text("motion", brief.topic)} is lived by, in '
        "one short sentence.",
        f'"points": {points} {brief.reason}s of this change, each about another subject. "subject": one to three '
        f'words. "{reason}": one sentence of at most 20 words. "example": one sentence of at most 20 words about a '
        f"person, a place or an event in which this {brief.reason} can be seen; no study and no percentage.",
        f'"claim": what these {brief.reason}s show, in one sentence {brief.word} the motion.',
    )
    point = {"subject": _text(40), reason: _text(200), "example": _text(240)}
    schema = object_schema(
        {
            MOTION_FIELD: {"enum": [brief.yes_or_no]},
            CHANGE_FIELD: _text(160),
            "points": _list(points, object_schema(point)),
            "claim": _text(200),
        }
    )
    return _ask(system, task, schema)


def compose_reply(brief: Brief, last: str) -> Ask:
    """Returns what is asked of a guided model to answer the other side, whose last words are `last`.

    A question of its own, with nothing else in the prompt: asked for an answer and a point at once, a small model
    agrees with what it has just read, or says its own last answer again.
    """
    system = _join(
        f"You are a debater {brief.word} the motion. {_describe_persona(brief)}",
        quote_text("motion", brief.topic),
        f"You write {brief.in_language}.",
        QUOTING_RULE,
    )
    task = _join(
        f"Your opponent says: {quote_text('turn', last)}",
        f"Contradict this in one or two sentences {brief.in_language}. Give a concrete reason why it is not so, not "
        "always so, or not so important. Speak of the matter itself, to the audience; do not speak of the argument or "
        "the speaker, and repeat none of it.",
    )
    return _ask(system, task)


def compose_turn(
    brief: Brief,
    case: Case,
    *,
    lines: Sequence[str],
    is_answer: bool,
    summary: str,
    question: str,
    round_number: int,
    complaint: str = "",
) -> Ask:
    """Returns what is asked for one turn.

    `lines`: the turns so far, as `history` lists them, after what the `summary` holds; `is_answer`: whether it has to
    answer what somebody else said; `complaint`: what was wrong with the answer before, on a new try, which asks for
    prose.
    """
    told = []
    if summary:
        told.append(f"What was said before, in short: {quote_text('summary', summary)}")
    if lines:
        told += ["The debate so far:", *lines]
    if question:
        told.append(f"The question of this round: {quote_text('question', question)}")
    if brief.guided and not complaint:
        task, schema = _task_in_fields(brief, case, round_number=round_number)
    else:
        task, schema = _task_in_prose(brief, case, is_answer=is_answer, round_number=round_number), None
    if complaint:
        told.append(f"Your last answer could not be used: {complaint}. Write another one.")
    ask = _ask(_describe_debater(brief, case), _join(*told, task), schema)
    return Ask(ask.messages, schema, tuple(schema["properties"]) if schema else ())


def compose_plain_turn(brief: Brief, case: Case, *, last: str, question: str, complaint: str) -> Ask:
    """Returns the simplest question for a turn, after other ones gave none. `last`: what the other side said last."""
    system = _join(
        "You speak for one side in a debate.",
        quote_text("motion", brief.topic),
        f"You are {brief.side}. {neutralize_text(case.claim)}",
    )
    task = _join(
        f"The other side says: {quote_text('turn', last)}" if last else None,
        f"You are asked: {quote_text('question', question)}" if question else None,
        f"Answer for your side in two to four full sentences {brief.in_language}.",
        f"An answer was not taken because {complaint}." if complaint else None,
    )
    return _ask(system, task)


def compose_summary(brief: Brief, lines: Sequence[str], before: str) -> Ask:
    """Returns what is asked for the summary of a debate's first turns; `before`: that of the turns before these."""
    system = f"You keep notes on a debate. {quote_text('motion', brief.topic)}"
    task = _join(
        f"What was said before, in short: {quote_text('summary', before)}" if before else None,
        "What was said then:" if before else "What was said:",
        *lines,
        "",
        f"Sum all of this up {brief.in_language} in at most 150 words of prose: which arguments and examples each side "
        'used, and which were answered. Call the two sides "you" and "your opponent". Write only the summary.',
    )
    return _ask(system, task)


def compose_answer(*, agent: str, question: str, persona: str = "") -> Ask:
    """Returns what is asked when somebody puts a question to the agent outside of a debate."""
    system = (
        f"You are {agent}, a debater with clear opinions. {neutralize_text(persona)} Answer the question in at most "
        "100 words of plain prose, in the language of the question, without a greeting."
    )
    return _ask(" ".join(system.split()), neutralize_text(question))


def _describe_debater(brief: Brief, case: Case) -> str:
    """Returns the system prompt of all turns of one seat."""
    points = [
        neutralize_text(f"{number}. {point.reason} {point.example}") for number, point in enumerate(case.points, 1)
    ]
    objections = [
        neutralize_text(f"- {objection.objection} Your reply: {objection.reply}")
        for objection in case.objections
        if objection.reply
    ]
    return _join(
        f"You are a debater. You defend one side of a motion and never leave it. {_describe_persona(brief)}",
        quote_text("motion", brief.topic),
        f"You are {brief.side}.",
        f"Your claim: {neutralize_text(case.claim)}" if case.claim else None,
        f"You write {brief.in_language}: plain, concrete sentences, no greeting, no heading, no list.",
        QUOTING_RULE,
        "Your points:" if points else None,
        *points,
        "What the other side may say:" if objections else None,
        *objections,
    )


def _describe_persona(brief: Brief) -> str:
    return f"Who the debater is: {neutralize_text(brief.persona)}" if brief.persona else ""


def _task_in_prose(brief: Brief, case: Case, *, is_answer: bool, round_number: int) -> str:
    point = case.choose_point(round_number)
    own = "a point of your own that nobody has made yet"
    proof = "Support it with a fact or an example."
    if point:
        own = f"this point of yours: {_cite(point.reason)}"
        proof = f"Use this: {_cite(point.example)}" if point.example else proof
    opening = (
        "Say first why the strongest thing that the other side said, and that you have not answered yet, is wrong or "
        f"does not decide the matter. Then make {own}"
        if is_answer
        else f"Make {own}"
    )
    return _join(
        f"It is your turn. {opening}",
        f"{proof} Keep to the question of the round as far as this allows, and repeat nothing that was said.",
        f"At most {TURN_WORDS} words {brief.in_language}. Write only the words that you say.",
    )


def _task_in_fields(brief: Brief, case: Case, *, round_number: int) -> tuple[str, Mapping[str, Any]]:
    point = case.choose_point(round_number)
    tasks = {
        f"{brief.reason}_of_motion": (
            f"say this in your own words, in one or two sentences: {_cite(point.reason)}"
            if point
            else f"another {brief.reason} of the motion, which nobody has named yet, in one or two sentences."
        ),
        "example": (
            f"tell this in one or two sentences: {_cite(point.example)}"
            if point and point.example
            else f"a person, a place or an event in which this {brief.reason} can be seen, in one or two sentences."
        ),
    }
    task = _join(
        f"Write your turn {brief.word} the motion as JSON, {brief.in_language}. Repeat no sentence that was said:",
        *(f'"{name}": {what}' for name, what in tasks.items()),
    )
    return task, object_schema(dict.fromkeys(tasks, _text(FIELD_CHARACTERS)))


def _cite(text: str) -> str:
    """Returns what the model itself prepared, on one line in quotation marks."""
    return '"' + neutralize_text(text).replace('"', "'") + '"'


def _join(*lines: str | None) -> str:
    """Returns the lines of a prompt that there are."""
    return "\n".join(line.rstrip() for line in lines if line is not None)


def _ask(system: str, task: str, schema: Mapping[str, Any] | None = None) -> Ask:
    return Ask([Message("system", system), Message("user", task)], schema)


def _text(characters: int) -> dict[str, Any]:
    return {"type": "string", "maxLength": characters}


def _list(items: int, of: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": of, "minItems": items, "maxItems": items}
