"""The case that a debater prepares before its first turn: its claim, its points, and what the other side will say.

Owns the case as data, how an answer is read into one, and how it is stored. A model's answer is JSON of the schema in
`prompts`, JSON of its own making, labelled lines, or a list: each is read as far as it goes. What the model is asked is
in `prompts`, when is in `logic`.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, replace
from typing import Any

from mesh.language.text import drop_half_sentence, split_sentences, split_words
from services.debater import answers

MOTION_FIELD = "motion"
"""The first field of a guided case: what the side says to the motion, which the reasons then follow."""
CHANGE_FIELD = "change"
"""The next one: what the motion comes to. Without it a small model speaks of the motion's subject, not of what it wants
with it: of zoos, not of their being closed."""

MAX_POINTS = 12
MAX_OBJECTIONS = 4
MAX_TEXT_CHARACTERS = 400
"""Of a claim, a reason or an example: a model that has lost its way fills no prompt."""


@dataclass(frozen=True, slots=True)
class Point:
    """One reason for the side."""

    reason: str
    example: str = ""
    """A fact or an example that shows it."""


@dataclass(frozen=True, slots=True)
class Objection:
    """Something that the other side will say."""

    objection: str
    reply: str = ""


@dataclass(frozen=True, slots=True)
class Case:
    """What one side of a debate argues with."""

    claim: str = ""
    """The side in one sentence; may be empty."""
    points: tuple[Point, ...] = ()
    objections: tuple[Objection, ...] = ()

    def choose_point(self, round_number: int) -> Point | None:
        """Returns the point for a round, each used once in order; None when all are used."""
        return self.points[round_number - 1] if 0 < round_number <= len(self.points) else None


EMPTY = Case()


def dump_case(case: Case) -> str:
    """Returns the case as it is stored."""
    return json.dumps(asdict(case), ensure_ascii=False)


def load_case(text: str) -> Case:
    """Returns a case that `dump_case` stored."""
    stored = json.loads(text)
    return Case(
        stored["claim"],
        tuple(Point(**point) for point in stored["points"]),
        tuple(Objection(**objection) for objection in stored["objections"]),
    )


def read_case(text: str, motion: str = "") -> Case | None:
    """Returns the case in a model's answer, also in one that was cut off; None if it holds no point.

    Its claim is empty if the answer has none or only says the `motion` again, as small models do on either side.
    """
    if len(text) > answers.MAX_ANSWER_CHARACTERS or answers.explain_unusable(text.strip()):
        return None
    value = answers.read_fields(text)
    case = _read_value(value) if isinstance(value, dict) else _read_lines(text)
    if split_words(case.claim) == split_words(motion):
        case = replace(case, claim="")
    return case if case.points else None


def _read_value(value: dict[str, Any]) -> Case:
    """Reads JSON: the fields that were asked for, else a text, then a list of points, then a list of objections."""
    texts = [
        inner for name, inner in value.items() if isinstance(inner, str) and name not in {MOTION_FIELD, CHANGE_FIELD}
    ]
    claim = value.get("claim") or next(iter(texts), "")
    lists = [inner for inner in value.values() if isinstance(inner, list)]
    points = value.get("points") or (lists[0] if lists else [])
    objections = value.get("objections") or (lists[1] if len(lists) > 1 else [])
    return Case(
        _clean(claim),
        tuple(Point(*pair) for pair in _read_pairs(points, "reason", "example"))[:MAX_POINTS],
        tuple(Objection(*pair) for pair in _read_pairs(objections, "objection", "reply"))[:MAX_OBJECTIONS],
    )


def _read_pairs(items: Any, first: str, second: str) -> list[tuple[str, str]]:
    """Returns two texts of each item: of an object those of that name, else its first two; of a text itself."""
    pairs: dict[str, tuple[str, str]] = {}
    for item in items if isinstance(items, list) else []:
        texts = [item]
        if isinstance(item, dict):
            texts = [inner for name, inner in item.items() if isinstance(inner, str) and name != "subject"]
        if isinstance(item, dict) and isinstance(item.get(first), str):
            texts = [item[first], item.get(second) or ""]
        cleaned = [_clean(text) for text in texts[:2]]
        if cleaned and cleaned[0]:
            pairs.setdefault(cleaned[0], (cleaned[0], cleaned[1] if len(cleaned) > 1 else ""))
    return list(pairs.values())


_LABEL = re.compile(
    r"[\W\d_]*(?P<label>claim|point|reason|example|objection|reply)s?\W*\d*\W*[:：]\W*(?P<text>.*)", re.IGNORECASE
)
_FIRST = {"point": "point", "reason": "point", "objection": "objection"}
"""What begins a point or an objection, and what completes one."""
_SECOND = {"example": "point", "reply": "objection"}
_MARK = re.compile(r"^\W*(?:\d{1,2}\W)?\W*")
"""What stands before the words of a line in a list."""


def _read_lines(text: str) -> Case:
    """Reads lines with labels; a line without one says more of what is before it. No labels: a claim, then points."""
    lines = [line for line in text.splitlines() if line.strip(" `*#-_\t")]
    lines = [line for line in lines if not line.lstrip().startswith("#") or _LABEL.match(line)]
    labelled = [_LABEL.match(line) for line in lines]
    if not any(labelled):
        if len(lines) == 1:
            lines = split_sentences(lines[0])
        claim, *reasons = (_clean(_MARK.sub("", line)) for line in lines)
        return Case(claim, tuple(Point(reason) for reason in dict.fromkeys(filter(None, reasons)))[:MAX_POINTS])
    claim = label = ""
    pairs: dict[str, list[tuple[str, str]]] = {"point": [], "objection": []}
    for line, found in zip(lines, labelled, strict=True):
        label = found["label"].casefold() if found else label
        words = _clean(found["text"] if found else _MARK.sub("", line))
        if label == "claim":
            claim = claim or words
        elif words and label in _FIRST:
            pairs[_FIRST[label]].append((words, ""))
        elif words and pairs.get(_SECOND.get(label, "")):
            first, second = pairs[_SECOND[label]][-1]
            pairs[_SECOND[label]][-1] = first, f"{second} {words}".strip()
    return Case(
        claim,
        tuple(Point(*pair) for pair in pairs["point"])[:MAX_POINTS],
        tuple(Objection(*pair) for pair in pairs["objection"])[:MAX_OBJECTIONS],
    )


def _clean(text: object) -> str:
    """Returns a value as one line of at most MAX_TEXT_CHARACTERS; empty if it is no text.

    A half sentence at its end, where the schema's limit cut it off, would be said by a small model as it stands.
    """
    if not isinstance(text, str):
        return ""
    words = " ".join(text.replace("**", "").split())
    return drop_half_sentence(words.encode(errors="ignore").decode()[:MAX_TEXT_CHARACTERS])
