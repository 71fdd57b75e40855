"""What a debater makes of its model's answer: `tidy` makes a turn of it, `explain_unusable` says why it cannot be one.

Pure functions from text to text. The answer is JSON with a sentence a slot (see `prompts`), or plain prose where a
server knows no schemas or the model forgot them.
"""

from __future__ import annotations

import json
import re
from difflib import SequenceMatcher
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

WORDS = 100
"""Words a turn may have: about half a minute of speech."""

MIN_WORDS = 20
"""A turn shorter than this says nothing. Answers to `ask` may be short."""

FIRM_WORDS = 35
"""Words that must be kept before a concession is cut off: below, it belongs to the refutation."""

MAX_CHARACTERS = 4000
"""A longer answer is no turn: see the limit of Turn.text."""

SHORT_SENTENCE = 6
"""Different words below which a sentence may come again: "That is not true." """

REPEAT_RATIO = 0.8
"""Share of an earlier turn, or of a sentence of it, that makes an answer or a sentence a repetition."""

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

_VALUE = re.compile(r'"\w+"\s*:\s*(?P<text>"(?:[^"\\]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4})*")')


def _extract_prose(text: str) -> str:
    """Returns the sentences of an answer in JSON, also of one that was cut off; another answer as it is."""
    if not text.lstrip().startswith("{"):
        return text
    values = [str(json.loads(found["text"], strict=False)).strip() for found in _VALUE.finditer(text)]
    return " ".join(values).encode(errors="ignore").decode() or text  # JSON may hold half a surrogate pair


def tidy(text: str, *, cut: bool = False, earlier: Sequence[str] = ()) -> str:
    """Returns an answer as one paragraph without JSON, labels, greetings, quotes around it or list marks.

    What is beyond WORDS is left out sentence by sentence, and so is what follows a turn to the other side ("However,
    it also ..."): small models cannot stop. Sentences that repeat one of the `earlier` turns go. `cut`: the model was
    stopped by its limit, so a half sentence at the end is taken off; it is in any case when the text ends without a
    mark.
    """
    text = _extract_prose(re.sub(r"```(?:\w*)", " ", text))
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
    if len(text) <= MAX_CHARACTERS:  # else not a turn at all: `explain_unusable` says so
        text = _cut_short(_drop_repeated(_split_sentences(text), earlier))
    return text[:1].upper() + text[1:]


def _drop_repeated(sentences: Sequence[str], earlier: Sequence[str]) -> Sequence[str]:
    """Returns the sentences that were not said before."""
    kept: list[str] = []
    words_of_kept: list[frozenset[str]] = []
    before = [(_distinct_words(turn), turn) for turn in earlier]
    for sentence in sentences:
        words = _distinct_words(sentence)
        if not _is_said(words, before, words_of_kept):
            kept.append(sentence)
            words_of_kept.append(words)
    return kept


def _is_said(
    words: frozenset[str], before: Sequence[tuple[frozenset[str], str]], kept: Sequence[frozenset[str]]
) -> bool:
    """Says whether an earlier turn, or this one, has a sentence in nearly these words."""
    enough = REPEAT_RATIO * len(words)
    if len(words) < SHORT_SENTENCE:
        return False
    if any(len(words & others) >= enough for others in kept):
        return True
    return any(
        len(words & _distinct_words(sentence)) >= enough
        for all_words, turn in before
        if len(words & all_words) >= enough
        for sentence in _split_sentences(turn)
    )


def _distinct_words(text: str) -> frozenset[str]:
    return frozenset(text.lower().split())


def _split_sentences(text: str) -> list[str]:
    return re.split(r"(?<=[.!?])\s+", text)


def _cut_short(sentences: Sequence[str]) -> str:
    """Returns the sentences before WORDS is passed and before the first that concedes, but enough for a turn."""
    kept: list[str] = []
    words = 0
    for sentence in sentences:
        length = len(sentence.split())
        if words >= FIRM_WORDS and (words + length > WORDS or _CONCESSION.match(sentence)):
            break
        kept.append(sentence)
        words += length
    return " ".join(kept)


def explain_unusable(text: str, earlier: Sequence[str], *, topic: str) -> str:
    """Returns why a tidied answer cannot be a turn, as a clause for people and for the next try; empty if it can.

    `earlier` are all turns so far, own ones included; `topic` lets an answer in another script be seen.
    """
    words = text.split()
    unspaced = len(words) < len(text) / 20  # Chinese, Japanese, Thai
    too_short = not unspaced and len(words) < MIN_WORDS
    checks = (
        (lambda: not words, "it was empty"),
        (lambda: len(text) > MAX_CHARACTERS, f"it had {len(text):,} characters"),
        (lambda: _REFUSAL.search(text), "it refused to argue"),
        (lambda: not _is_prose(text, topic), "it was not prose in the topic's language"),
        (lambda: too_short, f"it had only {len(words)} words that were new"),
        (lambda: len({word.lower() for word in words}) < 0.4 * len(words), "it repeated the same words"),
        (lambda: _repeats_turn(text, earlier), "it repeated an earlier turn"),
    )
    return next((reason for failed, reason in checks if failed()), "")


def _is_prose(text: str, topic: str) -> bool:
    """Says whether it is mostly letters and, if the topic is in Latin script, they are too."""
    letters = _keep_letters(text)
    return len(letters) >= 0.6 * len(text) and (_are_latin(letters) or not is_latin(topic))


def is_latin(text: str) -> bool:
    """Says whether nearly all letters of a text are of the Latin script."""
    return _are_latin(_keep_letters(text))


def _keep_letters(text: str) -> str:
    return "".join(filter(str.isalpha, text))


def _are_latin(letters: str) -> bool:
    return letters.isascii() or sum(letter < "\u0250" for letter in letters) >= 0.9 * len(letters)


def _repeats_turn(text: str, earlier: Sequence[str]) -> bool:
    """Says whether the text is nearly an earlier turn; word order is compared only where the words are the same."""
    words = text.lower().split()
    distinct = frozenset(words)
    for turn in earlier:
        others = turn.lower().split()
        if len(distinct.intersection(others)) < REPEAT_RATIO * 0.75 * len(distinct):
            continue
        if SequenceMatcher(None, words, others, autojunk=False).ratio() >= REPEAT_RATIO:
            return True
    return False
