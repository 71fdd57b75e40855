"""What a debater tells its model, and what it makes of the answer: pure functions from plain values to messages.

Written for small models (1.5B), read at full length with the embedded one: one task a message, the position as a plain
claim instead of a side's name, and for each round a thing to explain that is one-sided by
itself. `tidy` takes off what such models still add; `unusable` says why an answer cannot be a turn.
"""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from typing import TYPE_CHECKING

from mesh.llm.port import Message

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

WORDS = 90
"""Words a turn may have: about half a minute of speech."""

MIN_WORDS = 20
"""A turn shorter than this says nothing. Answers to `ask` may be short."""

FIRM_WORDS = 35
"""Words that must be kept before a concession is cut off: below, it belongs to the refutation."""

MAX_CHARACTERS = 4000
"""A longer answer is no turn: see the limit of Turn.text."""

OWN_POINTS = 4
"""Earlier turns of its own that a model is reminded of: more, and a small model repeats instead of avoiding them."""

REPEAT_RATIO = 0.8
"""Share of an earlier own turn that, found again in the same order, makes an answer a repetition."""

ANGLES: Mapping[str, tuple[str, ...]] = {
    "FOR": (
        "the biggest good that comes from it",
        "which people are helped most by it, and how",
        "one industry that already gains from it",
        "a change in history that was feared like this one and turned out well",
        "how it raises incomes, lowers prices or brings investment",
        "what will be better in ten years because of it",
        "how people learn new skills with it and for it",
        "how it gives poor or remote people chances they never had",
        "how it makes things safer, more exact or more reliable",
        "why good rules are easy to make and stopping it would be a mistake",
    ),
    "AGAINST": (
        "the biggest damage that comes from it",
        "which people are hurt most by it, and how",
        "one industry that already suffers from it",
        "a change in history that was praised like this one and left victims behind",
        "how it pushes down incomes, raises costs or moves money to a few owners",
        "what will be worse in ten years because of it",
        "why people cannot retrain fast enough, and which skills are lost",
        "how it makes the gap between rich and poor wider",
        "how it fails, makes mistakes or invades privacy",
        "why laws come too late and nobody is held responsible",
    ),
}
"""For each stance what its turn of a round is about, in the order of the moderator's questions. Each is one-sided by
itself: a small model that is told to explain a damage explains it; one that is told not to praise, praises."""

_IMPACT = re.compile(
    r"^(?:the )?(?:(?P<a>.+?)(?:'s|’s|s') (?:impact|effect|effects|influence|consequences) (?:on|for) (?P<b>.+)"
    r"|(?:impact|effect|effects|influence|consequences) of (?P<c>.+?) (?:on|for) (?P<d>.+))$",
    re.IGNORECASE,
)
_QUESTION = re.compile(r"^(?:should|is|are|do|does|can|will|would|must|has|have)\b.*\?$", re.IGNORECASE)


def position(topic: str, stance: str) -> str:
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


def turn(
    *,
    topic: str,
    stance: str,
    question: str,
    round_number: int,
    max_rounds: int,
    own: Sequence[str],
    others: Sequence[str],
    complaint: str = "",
) -> list[Message]:
    """Returns the chat for one turn.

    `stance` is "FOR" or "AGAINST"; `own` and `others` are the turns heard so far, oldest first; `complaint` is what was
    wrong with the answer before, on a new try.
    """
    claim = position(topic, stance)
    angles = ANGLES[stance]
    system = (
        f"You write short one-sided speeches. You are convinced that {claim}. "
        "You write plain sentences with concrete examples, never a balanced view."
    )
    parts = [f"Question: {question}"]
    if own:
        points = " ".join(first_sentence(text) for text in own[-OWN_POINTS:])
        parts.append(f"Already said, do not repeat: {points}")
    if others:
        parts.append(f"The other side claims: {first_sentence(others[-1])} That is wrong.")
    parts.append(
        f"Explain in 3 or 4 short sentences {angles[(round_number - 1) % len(angles)]}. Every sentence must show that "
        f"{claim}. Name a concrete example."
    )
    if complaint:
        parts.append(f"Your last answer could not be used: {complaint}. Write a different one.")
    return [Message("system", system), Message("user", "\n".join(parts))]


def ask(*, agent: str, question: str) -> list[Message]:
    """Returns the chat for a question put to the agent outside of a debate."""
    system = (
        f"You are {agent}, a debater with clear opinions. Answer the question in at most 100 words of plain prose, "
        "without a greeting."
    )
    return [Message("system", system), Message("user", question)]


def first_sentence(text: str) -> str:
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


_LABEL = re.compile(
    r"^\W*(?:(?:team|side|speaker|debater)\s+\w+|for|against|pro|con|opponent|me|answer|response|rebuttal|argument|"
    r"round \d+(?: of \d+)?|paragraph|topic|position|my (?:position|answer|argument))\s*[:\-–—]\s*",
    re.IGNORECASE,
)
_GREETING = re.compile(
    r"^(?:(?:good (?:morning|afternoon|evening|day)|hello|hi|greetings|dear|ladies and gentlemen|honou?rable|esteemed|"
    r"distinguished|thank you|thanks|welcome)\b[^.!?]*[.!?]\s+|"
    r"(?:ladies and gentlemen|thank you|hello|good (?:morning|afternoon|evening))\s*,\s*|"
    r"(?:as|on behalf of|speaking for|representing|we at|i am from)\s+(?:a |the |my )?"
    r"(?:team|side|debater|member)\b[^,.]*[,.]\s*|"
    r"(?:certainly|sure|of course|absolutely|great)\b[!,.]\s*|"
    r"(?:here is|here's|this is) (?:my|the|a)\b[^.:]*[.:]\s*)",
    re.IGNORECASE,
)
_CLOSING = re.compile(r"\s*(?:thank you(?: very much| for [^.!?]*)?|thanks(?: for [^.!?]*)?)[.!]*$", re.IGNORECASE)
_REFUSAL = re.compile(
    r"\b(?:as an ai\b|as a (?:large )?language model|i(?:'m| am) (?:sorry|unable|not able)|i (?:cannot|can't|can not) "
    r"(?:assist|help|provide|answer|fulfil|take|argue)|i apologi[sz]e)",
    re.IGNORECASE,
)
_CONCESSION = re.compile(
    r"(?:however|on the other hand|nevertheless|that said|at the same time|it is (?:also )?"
    r"(?:important|essential|crucial|worth)|in conclusion|overall|ultimately|while (?:it|there|ai|this)\b)",
    re.IGNORECASE,
)
"""How a sentence begins with which a small model leaves its side or starts to sum up."""

_FLIPPED = {
    "FOR": re.compile(
        r"\b(?:(?:harms?|damage|drawbacks|disadvantages|risks|costs|dangers) (?:clearly |far |greatly )?outweighs?\b"
        r"|does (?:much )?more harm than good|i (?:strongly )?(?:oppose\b|am (?:opposed|against)\b)"
        r"|(?:overall|net|impact|effect) (?:\w+ ){0,4}(?:is|has been|was) (?:\w+ )?(?:negative|harmful)\b)",
        re.IGNORECASE,
    ),
    "AGAINST": re.compile(
        r"\b(?:(?:benefits?|advantages?|gains) (?:clearly |far |greatly )?outweigh\b|does (?:much )?more good than harm"
        r"|i (?:strongly )?(?:support\b|am in favou?r\b)"
        r"|(?:overall|net|impact|effect) (?:\w+ ){0,4}(?:is|has been|was) (?:\w+ )?(?:positive|beneficial)\b"
        r"|has had a (?:\w+ )?positive (?:impact|effect))",
        re.IGNORECASE,
    ),
}
_ATTRIBUTED = re.compile(
    r"\b(?:opponents?|opponent's|they|you|your|claims?|argues?|arguments?|statement|idea|notion|said|says|while|although"
    r"|even if|whether|not|no|never|wrong|misleading|incorrect|myth|false)\b",
    re.IGNORECASE,
)
"""Words of a sentence that quotes or denies the other side instead of taking it."""


def tidy(text: str, *, cut: bool = False) -> str:
    """Returns an answer as one paragraph without labels, greetings, quotes around it or list marks.

    What is beyond WORDS is left out sentence by sentence, and so is what follows a turn to the other side ("However,
    it also ..."): small models cannot stop. `cut`: the model was stopped by its limit, so a half sentence at the end is
    taken off; it is in any case when the text ends without a mark.
    """
    text = re.sub(r"```\w*", " ", text)
    text = re.sub(r"(?m)^\s*(?:#+\s.*$|[-*•]\s+|\d+[.)]\s+)", "", text)
    text = " ".join(text.replace("**", "").split())
    before = None
    while before != text:
        before = text
        text = _GREETING.sub("", _LABEL.sub("", text)).strip()
        if len(text) > 1 and text[0] in "\"“'" and (text[-1] in "\"”'" or text.count(text[0]) == 1):
            text = text.strip("\"“”'").strip()
    text = _CLOSING.sub("", text).strip()
    if text and (cut or text[-1] not in '.!?"”)'):
        end = max(text.rfind(mark) for mark in ".!?")
        text = text[: end + 1] if end > len(text) // 3 else text
    text = _shorter(text)
    return text[:1].upper() + text[1:]


def _shorter(text: str) -> str:
    """Returns the sentences before WORDS is passed and before the first that concedes, but enough for a turn."""
    if len(text) > MAX_CHARACTERS:
        return text  # not a turn at all: `unusable` says so
    kept: list[str] = []
    for sentence in re.split(r"(?<=[.!?])\s+", text):
        words = sum(len(each.split()) for each in kept)
        if words >= FIRM_WORDS and (words + len(sentence.split()) > WORDS or _CONCESSION.match(sentence)):
            break
        kept.append(sentence)
    return " ".join(kept)


def unusable(text: str, heard: Sequence[str], *, stance: str = "") -> str:
    """Returns why a tidied answer cannot be said, as a clause for people and for the next try; empty if it can.

    `heard` are all turns so far, own ones included; `stance` of the speaker lets open changes of side be seen.
    """
    words = text.split()
    is_turn = bool(stance or heard)
    checks = (
        (not words, "it was empty"),
        (is_turn and len(words) < MIN_WORDS, f"it had only {len(words)} words"),
        (len(text) > MAX_CHARACTERS, f"it had {len(text):,} characters"),
        (bool(_REFUSAL.search(text)), "it refused to argue"),
        (not _is_prose(text), "it was not English prose"),
        (len({word.lower() for word in words}) < 0.4 * len(words), "it repeated the same words"),
        (any(_same(text, earlier) for earlier in heard), "it repeated an earlier turn"),
        (_changes_side(text, stance), "it argued for the other side"),
    )
    return next((reason for failed, reason in checks if failed), "")


def _is_prose(text: str) -> bool:
    letters = [character for character in text if character.isalpha()]
    return sum(map(str.isascii, letters)) >= 0.9 * len(letters) and len(letters) >= 0.6 * len(text)


def _changes_side(text: str, stance: str) -> bool:
    """Tells whether a sentence that quotes nobody says outright what only the other side would say."""
    pattern = _FLIPPED.get(stance)
    if pattern is None:
        return False
    sentences = re.split(r"(?<=[.!?])\s+", text)
    return any(pattern.search(sentence) and not _ATTRIBUTED.search(sentence) for sentence in sentences)


def _same(text: str, earlier: str) -> bool:
    first, second = text.lower().split(), earlier.lower().split()
    if not first or not second:
        return False
    return SequenceMatcher(None, first, second, autojunk=False).ratio() >= REPEAT_RATIO
