"""Has every turn of the debates judged, and the labelled turns beside them, once for each judge.

The judge's score of each turn is kept in the folder of the debates, in scores-JUDGE.json.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.quality import labels
from tests.quality.judge import Judge, ask_answered, ask_side, open_judge
from tests.quality.labels import ANSWERS, SIDE, Calibration
from tests.quality.measures import Held


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a judge says of a turn."""

    own_side: bool
    answers: bool | None
    """None where no opponent spoke before."""


class KeptScores:
    """A judge whose scores are kept in a file: what was asked before is not asked again."""

    def __init__(self, judge: Judge, path: Path) -> None:
        self._judge = judge
        self._path = path
        self._scores: dict[str, float] = json.loads(path.read_text("utf-8")) if path.exists() else {}

    def score_side(self, text: str, topic: str) -> float:
        """As labels.score_side."""
        key = _key(ask_side(text, topic))
        if key not in self._scores:
            self._keep(key, labels.score_side(self._judge, text, topic))
        return self._scores[key]

    def score_answer(self, text: str, opponent: str) -> float | None:
        """As labels.score_answer; None if nobody spoke before."""
        if not opponent:
            return None
        key = _key(ask_answered(text, opponent))
        if key not in self._scores:
            self._keep(key, labels.score_answer(self._judge, text, opponent))
        return self._scores[key]

    def _keep(self, key: str, score: float) -> None:
        self._scores[key] = round(score, 4)
        self._path.write_text(json.dumps(self._scores, indent=1), "utf-8")


def judge_debates(
    debates: Sequence[Held], name: str, folder: Path
) -> tuple[dict[str, Verdict], dict[str, Calibration]]:
    """Returns the verdict on each spoken turn by its name, and how far the judge agrees with the labelled turns."""
    folder.mkdir(parents=True, exist_ok=True)
    found = {}
    with open_judge(name) as judge:
        kept = KeptScores(judge, folder / f"scores-{name.replace(':', '-').replace('/', '-')}.json")
        turns = labels.load_labelled()
        _report(f"{name} judges {len(turns)} labelled turns")
        sides = [kept.score_side(turn.text, turn.topic) for turn in turns]
        answered = [kept.score_answer(turn.text, turn.opponent) for turn in turns]
        calibrations = labels.calibrate_judge(turns, sides, answered)
        for debate in debates:
            _report(f"{name} judges {len(debate.spoken)} turns on: {debate.motion.topic}")
            for turn in debate.spoken:
                side = kept.score_side(turn["text"], debate.motion.topic)
                answer = kept.score_answer(turn["text"], debate.opponents_last(turn))
                found[turn["name"]] = Verdict(
                    (side > calibrations[SIDE].threshold) == (debate.stances[turn["agent"]] == "FOR"),
                    None if answer is None else answer > calibrations[ANSWERS].threshold,
                )
    return found, calibrations


def _key(question: object) -> str:
    """Returns what a score is kept by: all that was asked, so that another question is asked again."""
    return hashlib.sha256(repr(question).encode()).hexdigest()[:16]


def _report(line: str) -> None:
    sys.stderr.write(f"quality: {line}\n")
    sys.stderr.flush()
