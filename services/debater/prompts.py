"""What a debater tells its model, and what it makes of the answer: pure functions from plain values to messages.

Written for small models (1.5B), read at full length with the embedded one: one task a message, the position as a plain
claim instead of a side's name, the question and the opponent's last words next to the order to answer, and nothing to
copy a greeting from. `tidy` takes off what such models still add; `fault` says why an answer cannot be a turn.
"""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Literal

from mesh.llm.port import Message

if TYPE_CHECKING:
    from collections.abc import Sequence

Side = Literal["FOR", "AGAINST"]

WORDS = 90
"""Words a turn is asked for: about 20 s of speech, 5 s of the embedded model."""

MAX_TOKENS = 200
"""Tokens for one turn: 90 words are about 120; the rest is for a model that counts badly."""

MIN_WORDS = 12
"""A turn shorter than this says nothing."""

MAX_CHARACTERS = 4000
"""A longer answer is no turn: see the limit of Turn.text."""

OWN_POINTS = 4
"""Earlier turns of its own that a model is reminded of: more, and a small model repeats instead of avoiding them."""

REPEAT_RATIO = 0.8
"""Share of an earlier own turn that, found again in the same order, makes an answer a repetition."""

ANGLES = (
    "the strongest reason overall, with one concrete example",
    "who gains and who loses, with one concrete group of people",
    "one industry where this can already be seen",
    "what history shows about a similar change",
    "money: prices, wages, costs or investment",
    "the next ten years and what will be different",
    "education, skills and how people adapt",
    "fairness between regions, ages or rich and poor",
    "safety, quality and trust",
    "laws and what governments can or cannot do",
)
"""What a round's turn is to be about, so that rounds differ even where the model's questions do not."""


def position(topic: str, side: Side) -> str:
    """Returns the side's claim as a sentence. A topic need not be a claim: "X's impact on Y" has no yes and no."""
    if side == "FOR":
        return f'On "{topic}", your position is YES / IN FAVOUR: it is right, it is good, its benefits clearly win.'
    return f'On "{topic}", your position is NO / OPPOSED: it is wrong, it is harmful, its damage clearly wins.'


def turn_messages(
    *,
    topic: str,
    side: Side,
    question: str,
    round_number: int,
    max_rounds: int,
    own_turns: Sequence[str],
    opponent_turn: str | None,
    complaint: str | None = None,
) -> list[Message]:
    """Returns the chat for one turn.

    `own_turns` oldest first; `opponent_turn` is None when nobody else has spoken; `complaint` is what was wrong with
    the answer before, on a new try.
    """
    good = side == "FOR"
    stance = "the benefits outweigh the harms" if good else "the harms outweigh the benefits"
    forbidden = "Never list dangers or losses as your own view." if good else "Never praise it as your own view."
    system = (
        f"You are a sharp debater. {position(topic, side)} You always argue that {stance}. {forbidden} "
        "You speak plain English prose. You start directly with your argument: no greeting, no thanks, no title, "
        "no list, no name of a team, no talk about the debate itself."
    )
    parts = [f"Topic: {topic}", f"Round {round_number} of {max_rounds}. Question of the moderator: {question}"]
    if opponent_turn:
        parts.append(f'Your opponent just said: "{shorten(opponent_turn, 500)}"')
    if own_turns:
        points = "\n".join(f"- {first_sentence(text)}" for text in own_turns[-OWN_POINTS:])
        parts.append(f"You already said the following; do not repeat it, bring something new:\n{points}")
    answer = "First refute one thing the opponent said, then " if opponent_turn else ""
    angle = ANGLES[(round_number - 1) % len(ANGLES)]
    parts.append(
        f"{answer or 'Now '}answer the question from your position ({stance}). Focus on {angle}. "
        f"Write one paragraph of at most {WORDS} words."
    )
    if complaint:
        parts.append(f"Your last answer could not be used: {complaint}. Write a different one.")
    return [Message("system", system), Message("user", "\n\n".join(parts))]


def ask_messages(*, question: str, recent_turns: Sequence[str]) -> list[Message]:
    """Returns the chat for a question put to the agent outside of a debate's turns."""
    system = "You are a debater. Answer the question in at most 120 words of plain prose, without a greeting."
    if recent_turns:
        said = "\n".join(f"- {first_sentence(text)}" for text in recent_turns[-OWN_POINTS:])
        system += f" In debates you said lately:\n{said}\nStay true to that if the question is about it."
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
        r"\b(?:harms?|damage|drawbacks|disadvantages|risks|costs|dangers) (?:clearly |far |greatly )?(?:outweighs?|wins?)\b"
        r"(?! by)|\bi (?:am |'m )?(?:oppose|opposed|against)\b|\bmy position is (?:no\b|opposed|that it is harmful)",
        re.IGNORECASE,
    ),
    "AGAINST": re.compile(
        r"\b(?:benefits?|advantages?|gains|good) (?:clearly |far |greatly )?(?:outweighs?|wins?)\b"
        r"|\bi (?:am |'m )?(?:in favou?r|support(?:ive)?) (?:of )?\b|\bmy position is (?:yes\b|in favou?r|that it is good)",
        re.IGNORECASE,
    ),
}
_ATTRIBUTED = re.compile(
    r"\b(?:opponent|they|you|claim|claims|argue|argues|said|says|while|although|even if|whether)\b", re.I
)


def tidy(text: str) -> str:
    """Returns an answer as one paragraph without labels, greetings, quotes around it, lists, or a half last sentence."""
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
    if text and text[-1] not in '.!?"”)':
        end = max(text.rfind(mark) for mark in ".!?")
        text = text[: end + 1] if end > len(text) // 3 else text
    return text[:1].upper() + text[1:]


def fault(text: str, *, side: Side, own_turns: Sequence[str], opponent_turn: str | None = None) -> str | None:
    """Returns why a tidied answer cannot be a turn, as a clause for people and for the next try; None if it can."""
    words = text.split()
    if len(words) < MIN_WORDS:
        return "it was empty" if not words else f"it had only {len(words)} words"
    if len(text) > MAX_CHARACTERS:
        return f"it had {len(text)} characters, {MAX_CHARACTERS} are allowed"
    if _REFUSAL.search(text):
        return "it refused to argue"
    letters = [character for character in text if character.isalpha()]
    if sum(character.isascii() for character in letters) < 0.9 * len(letters) or len(letters) < 0.6 * len(text):
        return "it was not English prose"
    if len({word.lower() for word in words}) < 0.4 * len(words):
        return "it repeated the same words"
    if any(_same(text, earlier) for earlier in own_turns):
        return "it repeated an earlier turn"
    if opponent_turn and _same(text, opponent_turn):
        return "it repeated the opponent"
    for sentence in re.split(r"(?<=[.!?])\s+", text):
        if _FLIPPED[side].search(sentence) and not _ATTRIBUTED.search(sentence):
            return "it argued for the other side"
    return None


def _same(text: str, earlier: str) -> bool:
    first, second = text.lower().split(), earlier.lower().split()
    if not first or not second:
        return False
    return SequenceMatcher(None, first, second, autojunk=False).ratio() >= REPEAT_RATIO
