"""What a debater makes of its model's answer: `tidy` makes a turn of it, `explain_unusable` says why it cannot be one.

Pure functions from text to text. Tidying takes off what a model puts around its words (fences, JSON, labels, a half
sentence at its limit) and leaves the words: no sentence goes because of what it says or how it begins. An answer is
taken unless it is empty, a refusal or plainly no answer; what is only doubtful is asked for once more in another way.
"""

from __future__ import annotations

import json
import re
import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

from pydantic_core import from_json

from mesh.language.tags import detect_language
from mesh.language.text import drop_half_sentence, ends_sentence, shorten, split_sentences, split_words
from services.debater.refusals import is_refusal

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence, Set

Sentence: TypeAlias = tuple[str, ...]
"""Its words."""

MAX_CHARACTERS = 4000
"""The limit of Turn.text: a longer answer ends at the last sentence within it."""

MAX_ANSWER_CHARACTERS = 20_000
"""A longer answer is no turn of a debate: the model has lost its way."""

FIELD_CHARACTERS = 320
"""The limit of a field of a guided answer: one that reaches it was cut off there."""

LANGUAGE_CHARACTERS = 40
"""Of a shorter text the language is not judged."""

KEPT_TEXTS = 1_000
"""Turns whose sentences are kept: each is compared with every later turn of its debate, and splitting it again was half
of what a turn cost an agent."""

MAX_REPEATED_SHARE = 0.4
"""Share of an answer's words in sentences that were said before: a quotation to answer is not yet a repetition."""

SENTENCE_WORDS = 3
"""A guided answer of fewer words is the name of a field, or a label for a sentence that was not written."""

ENGLISH_SHARE = 0.9
"""Share of ASCII above which an answer that was to be English is taken for English."""

_FENCE = re.compile(r"^\s*```[\w-]*\s*$|```(?:json|text|markdown)?", re.MULTILINE)
_MARK = re.compile(r"^\s*(?:#{1,6}\s+|[-*•]\s+|\d{1,2}[.)]\s+)", re.MULTILINE)
"""A heading's, a list's or a numbered list's mark at the beginning of a line."""
_BOLD = re.compile(r"\*\*([^*]+)\*\*|__([^_]+)__")
_VALUE = re.compile(r'"(?P<name>\w+)"\s*:\s*"(?P<text>(?:[^"\\]|\\.)*)', re.DOTALL)
_QUOTES = {'"': '"', "“": "”", "„": "“", "«": "»", "「": "」"}


def tidy(
    text: str,
    *,
    fields: Sequence[str] = (),
    names: Sequence[str] = (),
    cut: bool = False,
    said: Set[Sentence] = frozenset(),
) -> str:
    """Returns an answer as it may be said: one paragraph without fences, JSON, labels and quotation marks around it.

    `fields`: those of a JSON answer that are spoken, in order; without them, or if it has others, all are. `names`:
    who may be named in a label before the words. `cut`: the model was stopped by its limit, so a half sentence at the
    end is taken off, if there is a whole one before it. `said`: the sentences of earlier turns; a field that only
    repeats them, word for word, as small models do with the other side's, is left out, if another one says something.
    """
    text = _FENCE.sub("\n", text).strip()
    value = read_fields(text)
    if value is None:
        paragraphs = [_BOLD.sub(r"\1\2", _MARK.sub("", text))]
    else:
        spoken = _drop_copies(list(_list_spoken(value, fields)), said)
        paragraphs = [drop_half_sentence(part) if len(part) >= FIELD_CHARACTERS else part for part in spoken] or [""]
    if cut:
        paragraphs[-1] = drop_half_sentence(paragraphs[-1])
    distinct = list(dict.fromkeys(" ".join(paragraph.split()) for paragraph in paragraphs if paragraph.strip()))
    text = " ".join([*map(_close, distinct[:-1]), *distinct[-1:]])
    text = _unquote(_drop_label(text, names))
    return shorten(text, MAX_CHARACTERS) if MAX_CHARACTERS < len(text) <= MAX_ANSWER_CHARACTERS else text


def render_draft(text: str, fields: Sequence[str] = (), names: Sequence[str] = ()) -> str:
    """Returns what of an unfinished answer may be shown: `tidy`, without what is only the beginning of a wrapper."""
    if len(text) > MAX_ANSWER_CHARACTERS:
        return ""
    shown = tidy(text, fields=fields, names=names)
    return "" if shown.startswith(("{", "`")) else shown


def list_labels(agent: str, role: str) -> list[str]:
    """Returns by what a model may label an agent's words: its name, its side, what prompts call it."""
    return [agent, agent.replace("-", " "), role, "you", "debater", "answer", "my turn"]


def explain_unusable(text: str) -> str:
    """Returns why a tidied answer is none at all, as a clause for people and for the next try; empty if it is one."""
    if len(text) > MAX_ANSWER_CHARACTERS:
        return f"it had {len(text):,} characters"
    if is_refusal(text):
        return "it refused to argue"
    # Emoji are an answer, if a short one; marks of JSON and of sentences alone are none.
    return "" if text.strip(" .,;:!?{}[]()\"'`-_*#…\n") else "it was empty"


def explain_doubt(text: str, said: Set[Sentence], language: str, *, guided: bool = False) -> str:
    """Returns what speaks against a usable answer, as a clause for the next try; empty if nothing does.

    `said`: the sentences of all turns so far, own ones included; `language`: in which it was asked for, "" if that is
    not known; `guided`: whether it came as fields, which small models fill with labels instead of sentences.
    """
    if guided and len(split_words(text)) < SENTENCE_WORDS:
        return "it was a label and not a sentence"
    if _is_repetition(text, said):
        return "it repeated sentences that were said before"
    return "it was in another language" if _is_foreign(text, language) else ""


def _is_repetition(text: str, said: Set[Sentence]) -> bool:
    """Says whether more than MAX_REPEATED_SHARE of a text are sentences of earlier turns, word for word."""
    sentences = [tuple(split_words(sentence)) for sentence in split_sentences(text)]
    repeated = sum(len(words) for words in sentences if words in said)
    return repeated > MAX_REPEATED_SHARE * sum(map(len, sentences))


def _drop_copies(paragraphs: list[str], said: Set[Sentence]) -> list[str]:
    """Returns the paragraphs that are not made of sentences of earlier turns alone; all, if none would be left."""
    if not said or len(paragraphs) < 2:
        return paragraphs
    return [part for part in paragraphs if not list_sentences([part]) <= said] or paragraphs


def list_sentences(texts: Sequence[str]) -> set[Sentence]:
    """Returns the sentences of texts, for comparison."""
    return {sentence for text in texts for sentence in _split(text)}


@lru_cache(maxsize=KEPT_TEXTS)
def _split(text: str) -> tuple[Sentence, ...]:
    return tuple(tuple(split_words(sentence)) for sentence in split_sentences(text))


def _is_foreign(text: str, language: str) -> bool:
    """Says whether a text is in another language than this, as far as that is sure.

    English in its own letters is not looked at: that would load the identifier's 75 MB in every English debate.
    """
    primary = language.partition("-")[0]
    if not primary or len(text) < LANGUAGE_CHARACTERS:
        return False
    if primary == "en" and sum(map(str.isascii, text)) > ENGLISH_SHARE * len(text):
        return False
    return detect_language(text) not in {"", primary}


def read_fields(text: str) -> Any:
    """Returns the JSON value of an answer, also of one that was cut off; None if there is none.

    JSON in a fence or after an introduction is found; a string may hold line breaks.
    """
    text = _FENCE.sub("\n", text).strip()
    start = next((place for place, character in enumerate(text) if character in "{["), None)
    if start is None or (start and text[start - 1] != "\n"):
        return None
    try:
        value, end = json.JSONDecoder(strict=False).raw_decode(text, start)
    except RecursionError:
        return None  # a model that only opens brackets has written nothing
    except ValueError:
        return _read_unfinished(text[start:])
    # Words after a list are those of an answer that begins with a bracket.
    return value if isinstance(value, dict) or not text[end:].strip() else None


def _read_unfinished(text: str) -> Any:
    """Returns the value of JSON that was cut off or is not quite JSON; None if it is none."""
    try:
        return from_json(text, allow_partial="trailing-strings")
    except ValueError:
        return _read_values(text)


def _read_values(text: str) -> dict[str, str] | None:
    """Returns the strings of JSON that is not quite JSON, by name."""
    found = {match["name"]: match["text"].replace('\\"', '"').replace("\\n", " ") for match in _VALUE.finditer(text)}
    return found or None


def _list_spoken(value: Any, fields: Sequence[str]) -> Iterator[str]:
    """Yields the texts of an answer in JSON that are spoken: those of the fields that were asked for, else all."""
    if isinstance(value, dict):
        asked = any(name in value for name in fields)
        value = [value.get(name) for name in (fields if asked else value)]
    yield from _list_strings(value)


def _list_strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        # JSON may hold half a surrogate pair, which no store takes.
        yield value.encode(errors="ignore").decode()
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _list_strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _list_strings(inner)


def _close(value: str) -> str:
    """Returns a field's value with an end mark, if it has none: the border of the field is that of a sentence."""
    if ends_sentence(value):
        return value
    return f"{value}。" if unicodedata.east_asian_width(value[-1]) in "WF" else f"{value}."


def _drop_label(text: str, names: Sequence[str]) -> str:
    """Takes off the speaker's name, with a colon, before the words."""
    for name in names:
        label = re.compile(rf"\W*{re.escape(name)}\W{{0,3}}[:：]\W*", re.IGNORECASE)
        if name and (found := label.match(text)):
            return text[found.end() :]
    return text


def _unquote(text: str) -> str:
    """Takes off quotation marks around the whole text, which has none of them inside."""
    if len(text) > 2 and _QUOTES.get(text[0]) == text[-1] and not set(text[1:-1]) & {text[0], text[-1]}:
        return text[1:-1].strip()
    return text
