"""What a debater asks its model for: pure functions from plain values to messages and the schema of the answer.

Written for small models (1.5B), which slide to the other side in the middle of a sentence: the answer is JSON whose
schema fixes how each sentence begins, one-sided up to the verb's object, and leaves no comma for a second thought. The
beginnings differ from round to round and take up the person of whom the other side spoke.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from mesh.llm.patterns import literal
from mesh.llm.port import Message
from services.debater.answers import is_latin

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

OWN_POINTS = 3
POINT_CHARACTERS = 60
"""Earlier turns of its own that a model is reminded of, and how much of each: of more, a small one copies."""

OPPONENT_CHARACTERS = 80
"""What a model is shown of the turn that it answers, which it copies too; the person named there comes on top."""

SLOT_WORDS = (3, 30)
"""Words that may follow the beginning of a sentence. A small model writes the last ones as one, so few get there."""

SLOTS: Mapping[str, tuple[str, ...]] = {
    "FOR": ("benefit", "winners", "example", "reply"),
    "AGAINST": ("harm", "victims", "example", "reply"),
}
"""What the sentences of a turn are about, in order; there is no reply before somebody else has spoken."""

BEGINNINGS: Mapping[str, tuple[tuple[str, str, str, str], ...]] = {
    "FOR": (
        (
            "The greatest gain from {it} is that people can",
            "Helped most are people who",
            "Think of a teacher who now has time for",
            "The {person} whom my opponent pities can gain",
        ),
        (
            "{It} helps ordinary people most because they gain",
            "They can finally",
            "Think of a shop owner who can now",
            "The {person} of whom my opponent spoke will also find",
        ),
        (
            "{It} already helps people who work in",
            "There they can now",
            "Think of a nurse who has more",
            "My opponent pities one {person} and is silent about all those who enjoy",
        ),
        (
            "People feared the new once before and then it brought them",
            "Think of a weaver who in those days found",
            "In the same way {it} will bring",
            "My opponent's {person} need not worry because there will be",
        ),
        (
            "{It} will make most people richer because they gain",
            "Lower prices help people to buy",
            "Think of a family that can now afford",
            "For every {person} whom my opponent pities many others earn",
        ),
        (
            "In ten years we will be glad that {it} brought",
            "There will be far more",
            "Think of a student who will soon",
            "My opponent's {person} has every chance to find",
        ),
        (
            "People can adapt fast because they have",
            "A skill that pays well is",
            "Think of a worker of fifty who has learned to",
            "My opponent gives up on the {person} but everybody can learn to",
        ),
        (
            "The gap between rich and poor grows smaller because {it} gives the poor",
            "Regions that were forgotten now have",
            "Think of a young woman in a village who can now",
            "My opponent's {person} will be better off with",
        ),
        (
            "People can trust {it} because it helps them to",
            "Fewer people will suffer from",
            "Think of a patient who was saved by",
            "What my opponent's {person} suffered can be prevented by",
        ),
        (
            "Good rules are enough to",
            "With them everybody can enjoy",
            "Think of a small town that will gain",
            "My opponent's {person} is best protected by",
        ),
    ),
    "AGAINST": (
        (
            "The greatest damage from {it} is that people lose",
            "Worst hit are people who",
            "Think of a cashier who can no longer",
            "For every {person} whom my opponent praises many others have to give up",
        ),
        (
            "Ordinary people pay the price for {it} because they lose",
            "They can no longer",
            "Think of a lorry driver who has lost",
            "My opponent's {person} is lucky but most people must fear",
        ),
        (
            "{It} already harms people who work in",
            "They have to fear",
            "Think of a young secretary who lost",
            "My opponent speaks of one {person} and is silent about all those who suffer from",
        ),
        (
            "People were promised a better life once before and instead they lost",
            "Think of a blacksmith who in those days lost",
            "Because of {it} the same will happen to",
            "What my opponent's {person} wins is paid for by people who no longer have",
        ),
        (
            "{It} will make most people poorer because they lose",
            "The profit goes only to",
            "Think of a pensioner who can no longer pay for",
            "My opponent's {person} will not pay the bills of those who",
        ),
        (
            "In ten years we will regret that {it} destroyed",
            "There will be far fewer",
            "Think of a young graduate who will never get",
            "Even my opponent's {person} will one day be without",
        ),
        (
            "People cannot adapt fast enough because they have no",
            "What they learned in many years is worth nothing when",
            "Think of a mechanic of fifty who cannot",
            "My opponent's {person} had help but most people get no",
        ),
        (
            "The gap between rich and poor grows wider because {it} takes from the poor their",
            "The rich keep for themselves",
            "Think of a small town that has lost its",
            "One lucky {person} does not make up for all those who cannot",
        ),
        (
            "Nobody can trust {it} because it fails when",
            "A single mistake can cost people their",
            "Think of a patient who was harmed by",
            "My opponent's {person} will be the first to suffer from",
        ),
        (
            "Laws come too late and cannot stop",
            "Nobody is held responsible when people lose",
            "Think of a father who asks in vain for",
            "My opponent's {person} does not protect anybody from",
        ),
    ),
}
"""For each stance and round, in the order of the moderator's questions, how the sentences of a turn begin. Each is
one-sided as far as it goes, so that whatever a small model adds ("people lose ...") stays on its side."""

_PERSON = re.compile(r"\bThink of an? (?P<person>(?:\w+ ){0,4}?\w+) (?:who|that)\b")
_NAME = re.compile(r"[\w'\u2019-]+(?: [\w'\u2019-]+){0,3}")
"""A topic's cause that is short and plain enough to stand in a pattern."""
_WORD = "[A-Za-z0-9\u00c0-\u00ff'\u2019-]+"

_IMPACT = re.compile(
    r"^(?:the )?(?:(?P<a>.+?)(?:'s|’s|s') (?:impact|effect|effects|influence|consequences) (?:on|for) (?P<b>.+)"
    r"|(?:impact|effect|effects|influence|consequences) of (?P<c>.+?) (?:on|for) (?P<d>.+))$",
    re.IGNORECASE,
)
_QUESTION = re.compile(r"^(?:should|is|are|do|does|can|will|would|must|has|have)\b.*\?$", re.IGNORECASE)


def state_position(topic: str, stance: str) -> str:
    """Returns what the stance claims, as a sentence: a topic need not be a claim that one can be for or against."""
    good = stance == "FOR"
    bare = topic.strip().rstrip(".")
    if found := _IMPACT.match(bare):
        cause, target = found["a"] or found["c"], found["b"] or found["d"]
        verb = "are" if cause.lower().endswith("s") and not cause.lower().endswith("ss") else "is"
        return f"{cause} {verb} {'good' if good else 'bad'} for {target}"
    if _QUESTION.match(bare):
        return f'the answer to "{bare}" is {"yes" if good else "no"}'
    return f'"{bare}" is {"right and does good" if good else "wrong and does harm"}'


def compose_turn(
    *,
    topic: str,
    stance: str,
    question: str,
    round_number: int,
    own: Sequence[str],
    others: Sequence[str],
    complaint: str = "",
    plain: bool = False,
) -> tuple[list[Message], Mapping[str, Any] | None]:
    """Returns the chat for one turn, and the schema of the answer; None means prose.

    `stance` is "FOR" or "AGAINST"; `own` and `others` are the turns so far, oldest first; `complaint` is what was
    wrong with the answer before, on a new try; `plain` asks for prose, for servers that know no schemas. A topic in
    another script than Latin gets prose in its language.
    """
    claim = state_position(topic, stance)
    latin = is_latin(topic)
    sentences = dict(zip(SLOTS[stance], _choose_beginnings(topic, stance, round_number, others), strict=False))
    parts = []
    if others and not complaint:  # what a small model copied once, it copies again
        named = f" Then of a {_find_person(others)}." if _find_person(others) else ""
        parts.append(
            f"Your opponent spoke of this: {shorten(take_first_sentence(others[-1]), OPPONENT_CHARACTERS)}{named}"
        )
    if own:
        points = " / ".join(shorten(take_first_sentence(text), POINT_CHARACTERS) for text in own[-OWN_POINTS:])
        parts.append(f"You said already, so not again: {points}")
    parts.append(f"Question: {question}")
    parts.append(f"Answer the question and show that {claim}. Be concrete: name people, places and things.")
    if not latin:
        parts.append("Write 3 or 4 full sentences in the language of the topic, no list.")
    elif plain:
        parts.append("Write one sentence with each of these beginnings, no list:")
        parts.extend(f"{beginning} ..." for beginning in sentences.values())
    else:
        parts.append("Answer in JSON with short full sentences that begin like this:")
        parts.extend(f'"{slot}": "{beginning} ..."' for slot, beginning in sentences.items())
    if complaint:
        parts.append(f"Your last answer could not be used: {complaint}. Write a different one.")
    system = f"You are a debater. You argue that {claim}. You speak only of the " + (
        "good that it does." if stance == "FOR" else "harm that it does."
    )
    chat = [Message("system", system), Message("user", "\n".join(parts))]
    return chat, _make_schema(sentences) if latin and not plain else None


def _choose_beginnings(topic: str, stance: str, round_number: int, others: Sequence[str]) -> list[str]:
    rounds = BEGINNINGS[stance]
    chosen = rounds[(round_number - 1) % len(rounds)]
    found = _IMPACT.match(topic.strip().rstrip("."))
    cause = (found["a"] or found["c"]) if found else ""
    it = cause if _NAME.fullmatch(cause) else "it"
    person = _find_person(others) or "person"
    filled = [beginning.format(it=it, It=it[:1].upper() + it[1:], person=person) for beginning in chosen]
    return filled if others else filled[:-1]


def _find_person(others: Sequence[str]) -> str:
    """Returns of whom the other side spoke in its last turn, such as "young nurse"; empty if of nobody."""
    found = _PERSON.search(others[-1]) if others else None
    return found["person"] if found else ""


def _make_schema(sentences: Mapping[str, str]) -> Mapping[str, Any]:
    """Returns the schema of an object of sentences with these beginnings; after a comma a small model would concede."""
    least, most = SLOT_WORDS
    rest = f"( {_WORD}){{{least},{most}}}\\.$"
    return {
        "type": "object",
        "properties": {
            slot: {"type": "string", "pattern": f"^{literal(beginning)}{rest}"} for slot, beginning in sentences.items()
        },
        "required": list(sentences),
        "additionalProperties": False,
    }


def compose_answer(*, agent: str, question: str) -> list[Message]:
    """Returns the chat for a question put to the agent outside of a debate."""
    system = (
        f"You are {agent}, a debater with clear opinions. Answer the question in at most 100 words of plain prose, "
        "without a greeting."
    )
    return [Message("system", system), Message("user", question)]


def take_first_sentence(text: str) -> str:
    """Returns the first sentence of a turn, at most 200 characters."""
    return shorten(re.split(r"(?<=[.!?])\s+", text.strip(), maxsplit=1)[0], 200)


def shorten(text: str, characters: int) -> str:
    """Returns the text, or what of it ends at a sentence, else at a word, within that many characters."""
    flat = " ".join(text.split())
    if len(flat) <= characters:
        return flat
    cut = flat[:characters]
    end = max(cut.rfind(mark) for mark in (". ", "! ", "? "))
    return cut[: end + 1] if end > characters // 2 else cut.rsplit(" ", 1)[0] + " ..."
