"""What a debater tells its model, and what it makes of the answer: pure functions from plain values to messages.

Written for small models (1.5B), read at full length with the embedded one: one task a message, the position as a plain
claim instead of a side's name, the question and the opponent's last words next to the order to answer, and nothing to
copy a greeting from. `tidy` takes off what such models still add; `unusable` says why an answer cannot be a turn.
"""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from typing import TYPE_CHECKING

from mesh.llm.port import Message

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MIN_WORDS = 12
"""A turn shorter than this says nothing."""

MAX_CHARACTERS = 4000
"""A longer answer is no turn: see the limit of Turn.text."""

OWN_POINTS = 4
"""Earlier turns of its own that a model is reminded of: more, and a small model repeats instead of avoiding them."""

REPEAT_RATIO = 0.8
"""Share of an earlier own turn that, found again in the same order, makes an answer a repetition."""

ANGLES = (
    "its biggest effect overall",
    "the group of people it changes most",
    "one industry where its effect can already be seen",
    "a similar change in history",
    "money: wages, prices or investment",
    "the next ten years",
    "education and skills",
    "fairness between regions, ages, or rich and poor",
    "safety, quality and trust",
    "laws and governments",
)
"""What a round's turn is to be about, so that rounds differ even where the model's questions do not. The moderator's
questions follow the same order."""

SIDES: Mapping[str, tuple[str, str, str]] = {
    "FOR": (
        "this is right and does much more good than harm",
        "defend it, praise its benefits and play down its dangers",
        "You never admit that it does harm.",
    ),
    "AGAINST": (
        "this is wrong and does much more harm than good",
        "attack it, show the damage it does and doubt its benefits",
        "You never praise it and never call its effect positive.",
    ),
}
"""For each stance its claim, its duty and its ban. A topic need not be a claim ("X's impact on Y"), so the stance is
told as good or bad instead of yes or no."""


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
    claim, duty, ban = SIDES[stance]
    system = (
        f"You are a sharp debater. The topic is: {topic}. Your position: {claim}. In every sentence you {duty}. {ban} "
        "You start directly with your argument: no greeting, no thanks, no title, no list, no name of a team, no talk "
        "about the debate itself."
    )
    parts = [f"Round {round_number} of {max_rounds}. The moderator asks: {question}"]
    if others:
        parts.append(f'Your opponent, who is wrong, just said: "{shorten(others[-1], 450)}"')
    if own:
        points = "\n".join(f"- {first_sentence(text)}" for text in own[-OWN_POINTS:])
        parts.append(f"You said this in earlier rounds; do not repeat it and do not begin in the same way:\n{points}")
    refute = "The first sentence says what is wrong in the opponent's words. Then give" if others else "Give"
    parts.append(
        f"Answer from your position: {claim}. {refute} one new argument about {angle(round_number)}, with one concrete "
        "example. Write 3 or 4 short sentences, at most 80 words."
    )
    if complaint:
        parts.append(f"Your last answer could not be used: {complaint}. Write a different one.")
    return [Message("system", system), Message("user", "\n\n".join(parts))]


def angle(round_number: int) -> str:
    """Returns what the turns of a round are about."""
    return ANGLES[(round_number - 1) % len(ANGLES)]


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

    `cut`: the model was stopped by its limit, so that a half sentence at the end is taken off; it is in any case when
    the text ends without a mark.
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
    return text[:1].upper() + text[1:]


def unusable(text: str, heard: Sequence[str], *, stance: str = "") -> str:
    """Returns why a tidied answer cannot be said, as a clause for people and for the next try; empty if it can.

    `heard` are all turns so far, own ones included; `stance` of the speaker lets open changes of side be seen.
    """
    words = text.split()
    checks = (
        (not words, "it was empty"),
        (len(words) < MIN_WORDS, f"it had only {len(words)} words"),
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
