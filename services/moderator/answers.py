"""What the moderator takes of its model's answers: questions, an opinion, a summary, a judgement.

Models answer in JSON, in fences, in lines with labels, with numbers as words of text: what can be understood is taken
as it was meant, and nothing is made up, clamped or completed. What cannot be used raises UnusableAnswerError, whose
words tell the model what to do otherwise. Pure functions; `prompts` asks, `logic` tries again.
"""

from __future__ import annotations

import json
import re
import unicodedata
from typing import TYPE_CHECKING, Any

from mesh.language.text import clean_text, drop_half_sentence, shorten, split_words
from services.moderator.model.judgement import CRITERIA, MAX_SCORE, Judgement, SideScore
from services.moderator.model.measure import Opinion

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

MAX_QUESTION_CHARACTERS = 300
MAX_TEXT_CHARACTERS = 4_000
"""Of a summary or a rationale: ten times what is asked for."""
MAX_REASON_CHARACTERS = 1_000
SUMMARY_CHARACTERS = 350
"""Of the summary of one side in JSON. A model that is held to it stops there, in the middle of a sentence or not."""
RATIONALE_CHARACTERS = 450
"""Likewise, of a rationale."""
SAME_QUESTION = 0.7
"""Share of common words from which on two questions are one. "Who gains from it?" and "Who loses from it?" have 0.6."""
UNDECIDED = "undecided"
REPEATS, NEW = "REPEATS", "NEW"
"""How a model without a schema begins its opinion of a round."""

_NUMBERING = re.compile(
    r"^[\W_]*(?:(?:\w+\s+)?\d{1,2}\s*[.:)\]\u3001]+(?!\d)|\d{1,2}\s*[\u2013-]+(?=\s))[\s*_]*|^[\s>#*\u2022\u2013-]+"
)
"""At the start of a line: "3.", "Round 3:", "3 -", a bullet; but not "3.5 billion" or "In 20-30 years"."""
_ITEM = re.compile(r'[\[,]\s*("(?:[^"\\\x00-\x1f]|\\["\\/bfnrt])*")(?=\s*[,\]])')
"""A whole text in a list of JSON, without escapes of code points, which models do not write."""
_LABEL = re.compile(r"^questions?\s*:\s*", re.IGNORECASE)
_WINNER = re.compile(r"^winner\W+(.*)", re.IGNORECASE)
_TURNS = re.compile(r"^(?:deciding|decisive)[ _]turns?\b(.*)", re.IGNORECASE)
_RATIONALE = re.compile(r"^rationale\W*(.*)", re.IGNORECASE | re.DOTALL)
_SCORE = re.compile(rf"\b({'|'.join(CRITERIA)})\b\W{{0,8}}(-?\d+(?:[.,]\d+)?)", re.IGNORECASE)


class UnusableAnswerError(Exception):
    """An answer that cannot be used; its words say to the model what is wrong."""


def read_questions(text: str, count: int, asked: Iterable[str]) -> tuple[str, ...]:
    """Returns at most `count` questions that differ from each other and from those asked. Raises if there is none."""
    found: list[str] = []
    known = [set(split_words(question)) for question in asked]
    for candidate in _find_questions(text):
        words = set(split_words(candidate))
        if words and not any(len(words & other) >= SAME_QUESTION * len(words | other) for other in known):
            known.append(words)
            found.append(candidate)
    if not found:
        raise UnusableAnswerError("it had no question that was not asked before")
    return tuple(found[:count])


def read_question(text: str) -> str:
    """Returns the one question of an answer. Raises if there is none, or more than one."""
    found = _find_questions(text)
    if len(found) != 1:
        raise UnusableAnswerError(f"it had {len(found)} questions, not one")
    return found[0]


def read_opinion(text: str) -> Opinion:
    """Returns whether a round only repeats, and why. Raises if it does not say."""
    answer = read_object(text)
    if answer is not None:
        redundant = answer.get("redundant")
        if isinstance(redundant, str):
            redundant = {"true": True, "yes": True, "false": False, "no": False}.get(redundant.strip().casefold())
        if not isinstance(redundant, bool):
            raise UnusableAnswerError('"redundant" was neither true nor false')
        return Opinion(redundant, shorten(_read_text(answer.get("reason")), MAX_REASON_CHARACTERS))
    first, _, rest = clean_text(text).partition("\n")
    words = {word.upper() for word in re.findall(r"\w+", first)} & {REPEATS, NEW}
    if len(words) != 1:
        raise UnusableAnswerError(f"it did not begin with {REPEATS} or {NEW}")
    reason = rest.strip() or re.sub(rf"^\W*(?:{REPEATS}|{NEW})\W*", "", first, flags=re.IGNORECASE)
    return Opinion(words == {REPEATS}, shorten(reason, MAX_REASON_CHARACTERS))


def read_summary(text: str, agents: Sequence[str], *, cut: bool) -> str:
    """Returns the summary of an answer: prose, or a text for each agent, which then stands behind the agent's name.

    `cut`: the answer was ended by its limit, so the half sentence at its end is left out.
    """
    answer = read_object(text)
    if answer is None:
        if text.lstrip().startswith(("{", "```")):
            raise UnusableAnswerError("it was half a JSON object")
        return _limit_text(read_prose(text, cut=cut))
    if isinstance(answer.get("summary"), str | list | dict):
        inner = answer["summary"]
        if not isinstance(inner, dict):
            return _limit_text(_read_text(inner))
        answer = inner
    read = {agent: _read_text(answer.get(agent)) for agent in agents}
    said = {agent: _end_text(text, cut=len(text) >= SUMMARY_CHARACTERS - 1) for agent, text in read.items()}
    return _limit_text(
        "\n".join(said[agent] if agent in said[agent] else f"{agent}: {said[agent]}" for agent in agents)
    )


def read_prose(text: str, *, cut: bool) -> str:
    """Returns an answer that is prose, without the half sentence at its end if a limit `cut` it. Raises if empty."""
    return _end_text(_demand_words(clean_text(text)), cut=cut)


def read_judgement(text: str, agents: Sequence[str], turn_numbers: Collection[int], *, cut: bool) -> Judgement:
    """Returns the judgement of an answer, in JSON or in lines with labels; scores in the order of `agents`."""
    answer = read_object(text) or _read_lines(text, agents)
    scores = _read_scores(answer.get("scores"), agents)
    winner = _read_winner(answer.get("winner"), agents)
    best = max(score.total for score in scores)
    if winner and next(score.total for score in scores if score.agent == winner) < best:
        raise UnusableAnswerError(f"the winner was {winner}, though another side had higher scores in sum")
    rationale = _read_text(answer.get("rationale"))
    return Judgement(
        winner=winner,
        scores=scores,
        decisive_turns=_read_turns(answer.get("decisive_turns"), turn_numbers),
        rationale=_limit_text(_end_text(rationale, cut=cut or len(rationale) >= RATIONALE_CHARACTERS - 1)),
    )


def read_object(text: str) -> dict[str, Any] | None:
    """Returns the JSON object in an answer, fenced or with words around it; None if there is no whole one."""
    start = text.find("{")
    while start >= 0:
        try:
            value, _ = json.JSONDecoder().raw_decode(text, start)
        except (ValueError, RecursionError):
            start = text.find("{", start + 1) if text[:start].strip("` \njson") else -1
            continue
        return value if isinstance(value, dict) else None
    return None


def _find_questions(text: str) -> list[str]:
    """Returns what may be questions, each on one line: those of JSON, else lines; if any has the mark, only those."""
    lines = [" ".join(clean_text(line).split()) for line in _find_lines(text)]
    lines = [_LABEL.sub("", _NUMBERING.sub("", line.replace("**", ""))).strip(" \"“”«»„'*_") for line in lines]
    lines = [line for line in lines if 1 < len(line) <= MAX_QUESTION_CHARACTERS]
    return [line for line in lines if _has_question_mark(line)] or lines


def _find_lines(text: str) -> list[str]:
    answer: Any = None
    if text.lstrip("` \njson").startswith("["):
        try:
            answer, _ = json.JSONDecoder().raw_decode(text, text.index("["))
        except (ValueError, RecursionError):
            answer = None
    if answer is None:
        answer = read_object(text)
    if isinstance(answer, dict):
        answer = next((value for value in answer.values() if isinstance(value, list)), list(answer.values()))
    if isinstance(answer, list):
        inner = [next(iter(item.values()), None) if isinstance(item, dict) else item for item in answer]
        return [item for item in inner if isinstance(item, str)]
    if text.lstrip("` \njson").startswith(("{", "[")):  # half an object: its whole items
        return [json.loads(item) for item in _ITEM.findall(text)]
    return [line for line in text.splitlines() if "```" not in line]


def _has_question_mark(text: str) -> bool:
    return any("QUESTION MARK" in unicodedata.name(character, "") for character in text)


def _end_text(text: str, *, cut: bool) -> str:
    """Returns the text, without the half sentence at its end if a limit `cut` it."""
    return drop_half_sentence(text) if cut else text


def _demand_words(text: str) -> str:
    if not any(map(str.isalnum, text)):
        raise UnusableAnswerError("it was empty")
    return text


def _limit_text(text: str) -> str:
    words = _demand_words(text)
    return words if len(words) <= MAX_TEXT_CHARACTERS else shorten(words, MAX_TEXT_CHARACTERS)


def _read_text(value: object) -> str:
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        value = " ".join(value)
    if not isinstance(value, str) or not value.strip():
        raise UnusableAnswerError("a text was missing in it")
    return clean_text(value)


def _read_lines(text: str, agents: Sequence[str]) -> dict[str, Any]:
    """Returns what stands behind the labels of an answer in lines, as the JSON object has it."""
    answer: dict[str, Any] = {}
    scores: dict[str, dict[str, str]] = {}
    agent = ""
    lines = [line.strip(" \t*_#>|-\u2022").replace("**", "") for line in clean_text(text).splitlines()]
    for number, line in enumerate(lines):
        if found := _RATIONALE.match(line):
            answer["rationale"] = " ".join([found[1], *lines[number + 1 :]]).strip()
            break
        if found := _WINNER.match(line):
            answer["winner"] = found[1]
        elif found := _TURNS.match(line):
            answer["decisive_turns"] = found[1]
        else:
            named = [name for name in agents if _is_named(name, line)]
            agent = named[0] if len(named) == 1 else agent
            given = scores.setdefault(agent, {}) if agent else {}
            given.update({found[1].casefold(): found[2] for found in _SCORE.finditer(line)})
    answer["scores"] = {name: given for name, given in scores.items() if given}
    return answer


def _is_named(agent: str, text: str) -> bool:
    return re.search(rf"(?<![\w-]){re.escape(agent)}(?![\w-])", text, re.IGNORECASE) is not None


def _read_scores(value: object, agents: Sequence[str]) -> tuple[SideScore, ...]:
    if isinstance(value, list):
        value = {str(score.get("agent")): score for score in value if isinstance(score, dict)}
    if not isinstance(value, dict):
        raise UnusableAnswerError("it had no scores")
    given: dict[str, Mapping[str, Any]] = {}
    for name, score in value.items():
        named = [agent for agent in agents if _is_named(agent, str(name))]
        if len(named) != 1 or not isinstance(score, dict):
            raise UnusableAnswerError(f"scores are of {', '.join(agents)} only, four numbers each")
        given[named[0]] = {str(criterion).strip().casefold(): number for criterion, number in score.items()}
    missing = [agent for agent in agents if agent not in given]
    if missing:
        raise UnusableAnswerError(f"the scores of {missing[0]} were missing")
    return tuple(SideScore(agent, *(_read_score(given[agent].get(name)) for name in CRITERIA)) for agent in agents)


def _read_score(value: object) -> int:
    if isinstance(value, str):
        found = re.fullmatch(r"\s*(\d{1,2})(?:[.,]0+)?(?:\s*/\s*10)?\s*", value)
        value = int(found[1]) if found else None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_SCORE:
        raise UnusableAnswerError(f"a score was missing, or was no whole number from 0 to {MAX_SCORE}")
    return value


def _read_winner(value: object, agents: Sequence[str]) -> str:
    text = value if isinstance(value, str) else ""
    named = [agent for agent in agents if _is_named(agent, text)]
    if len(named) == 1:
        return named[0]
    if named or not re.search(rf"\b{UNDECIDED}\b", text, re.IGNORECASE):
        raise UnusableAnswerError(f"the winner was none of {', '.join(agents)} or {UNDECIDED}")
    return ""


def _read_turns(value: object, turn_numbers: Collection[int]) -> tuple[int, ...]:
    parts = value if isinstance(value, list) else [value]
    numbers: set[int] = set()
    for part in parts:
        if isinstance(part, int | float) and not isinstance(part, bool) and part == part // 1:
            numbers.add(int(part))
        elif isinstance(part, str):
            numbers.update(int(digits) for digits in re.findall(r"\d{1,9}", part))
        elif part is not None:
            raise UnusableAnswerError("the deciding turns were no numbers")
    unknown = numbers.difference(turn_numbers)
    if unknown:
        raise UnusableAnswerError(f"there is no turn {min(unknown)}")
    return tuple(sorted(numbers))
