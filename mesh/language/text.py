"""Sentences and words of a text in any script, by Unicode's segmentation.

A language is a BCP 47 tag; empty where it is not known, which costs only the abbreviations of that language ("z. B.").
All functions are pure and take time in proportion to the text. Whether a text is good is not theirs to say.
"""

from __future__ import annotations

import unicodedata
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

MIN_CLAUSE_WORDS = 4
"""Words from which on a clause of a script without end marks stands as a sentence of its own."""

MAX_SEGMENT_CHARACTERS = 5_000
"""Given to sentencex at once: in long texts with thousands of marks its time grows with the square."""

LOOKAHEAD_CHARACTERS = 200
"""Of the text after a cut: they show whether a sentence ends there, or an abbreviation."""

ELLIPSIS = "…"


def clean_text(text: str) -> str:
    """Returns a model's text as it can be stored anywhere: stripped, without half characters and control characters."""
    whole = text.encode(errors="replace").decode()
    return "".join(
        character for character in whole if character in "\n\t" or unicodedata.category(character) != "Cc"
    ).strip()


def split_sentences(text: str, language: str = "") -> list[str]:
    """Returns the sentences of a text in order, each on one line and none empty; a line's end ends a sentence.

    Thai, Lao, Khmer and Burmese are written without a mark at the end and with spaces between clauses: there, clauses
    of at least MIN_CLAUSE_WORDS are taken for sentences, since sentences cannot be told apart.
    """
    import sentencex  # noqa: PLC0415 - see the package

    tag = language.partition("-")[0] or "en"
    return [
        clause
        for line in _replace_surrogates(text).splitlines()
        for part in _limit_length(line)
        for sentence in sentencex.segment(tag, part)
        for clause in _split_clauses(" ".join(sentence.split()))
        if clause
    ]


def split_words(text: str) -> list[str]:
    """Returns the words in order for comparison: compatible forms made one, without case and invisible characters.

    Where a script has no spaces between words (Chinese, Japanese, Thai), ICU's dictionaries tell them.
    """
    return _find_words(unicodedata.normalize("NFKC", _drop_invisible(_replace_surrogates(text))).casefold())


def count_words(text: str) -> int:
    """Returns the number of words: segments by ICU that have a letter or digit; emoji and marks are none."""
    return len(_find_words(_replace_surrogates(text)))


def shorten(text: str, characters: int, language: str = "") -> str:
    """Returns the text on one line and with at most so many characters, cut at the last border that fits.

    That is the end of a sentence if at least half of the room is used then; else the end of a word, and ELLIPSIS; in a
    word that is longer than the room, what people see as one character stays whole.
    """
    flat = " ".join(_replace_surrogates(text).split())
    if len(flat) <= characters:
        return flat
    if characters < len(ELLIPSIS):
        return ""
    end = 0
    for sentence in split_sentences(flat[: characters + LOOKAHEAD_CHARACTERS], language):
        stop = flat.find(sentence, end) + len(sentence)
        if stop > characters:
            break
        end = stop
    if end * 2 >= characters:
        return flat[:end]
    room = characters - len(ELLIPSIS)
    # One character more shows whether a word ends where the room does.
    end = _last_border("WordBreaker", flat[: room + 1], room) or _last_border("CharacterBreaker", flat, room)
    return flat[:end].rstrip() + ELLIPSIS


def ends_sentence(text: str) -> bool:
    """Says whether a text ends as a sentence does: with an end mark of any script, closed quotes and emoji apart.

    Scripts that write no such mark (see `split_sentences`) end anywhere.
    """
    return _end_pattern().search(text) is not None


def drop_half_sentence(text: str) -> str:
    """Returns a text that was cut at a limit without the half sentence at its end.

    It stays where nothing, or less than a quarter of the text, stands before it: then it is most of what was said.
    """
    text = text.strip()
    if ends_sentence(text):
        return text
    sentences = split_sentences(text)
    start = text.rfind(sentences[-1]) if len(sentences) > 1 else -1
    whole = text[:start].rstrip() if start > 0 else ""
    return whole if 4 * len(whole) >= len(text) else text


def _split_clauses(sentence: str) -> Iterator[str]:
    """Yields the clauses of a sentence in a script without end marks, short ones with the next; others as they are."""
    clauses = _clause_pattern().split(sentence)
    if len(clauses) == 1:
        yield sentence
        return
    pending = ""
    for clause in clauses:
        pending = f"{pending} {clause}".strip()
        if count_words(pending) >= MIN_CLAUSE_WORDS:
            yield pending
            pending = ""
    if pending:
        yield pending


def _limit_length(line: str) -> Iterator[str]:
    """Yields a line in parts that sentencex takes in good time, cut where ICU sees the end of a sentence."""
    if len(line) <= MAX_SEGMENT_CHARACTERS:
        yield line
        return
    start = end = 0
    for sentence in _breaker("SentenceBreaker", line):
        if end > start and end + len(sentence) - start > MAX_SEGMENT_CHARACTERS:
            yield line[start:end]
            start = end
        end += len(sentence)
        while end - start > MAX_SEGMENT_CHARACTERS:  # no sentence that anybody says
            yield line[start : start + MAX_SEGMENT_CHARACTERS]
            start += MAX_SEGMENT_CHARACTERS
    yield line[start:]


def _find_words(text: str) -> list[str]:
    return [segment for segment in _breaker("WordBreaker", text) if any(map(str.isalnum, segment))]


def _last_border(kind: str, text: str, room: int) -> int:
    """Returns where the last segment that fits in so many characters ends; 0 if none does."""
    end = 0
    for segment in _breaker(kind, text):
        if end + len(segment) > room:
            break
        end += len(segment)
    return end


def _breaker(kind: str, text: str) -> Any:
    """Returns an iterator over ICU's segments; words and sentences differ by language only in ways not used here."""
    from icu4py import breakers  # noqa: PLC0415 - see the package

    return getattr(breakers, kind)(text, "en")


def _drop_invisible(text: str) -> str:
    """Returns a text without format characters: joiners, marks of direction, zero-width spaces."""
    return "".join(character for character in text if unicodedata.category(character) != "Cf")


def _replace_surrogates(text: str) -> str:
    """Returns a text that can be encoded: half a surrogate pair, as JSON may hold, becomes a question mark."""
    return text.encode(errors="replace").decode()


@cache
def _end_pattern() -> Any:
    """The end mark of a sentence and what may follow it, sought from the end (`(?r)`), so that the time is bounded."""
    import regex  # noqa: PLC0415 - see the package

    marks = r"[\p{SB=ATerm}\p{SB=STerm}" + ELLIPSIS + r"]"
    return regex.compile(rf"(?r)(?:{marks}|\p{{lb=SA}})[\p{{SB=Close}}\p{{So}}\p{{Sk}}\p{{Cf}}\p{{Mn}}\s]*\Z")


@cache
def _clause_pattern() -> Any:
    """Space between letters of a script whose words only a dictionary can tell (line break class SA)."""
    import regex  # noqa: PLC0415 - see the package

    return regex.compile(r"(?<=\p{lb=SA})\s+(?=\p{lb=SA})")
