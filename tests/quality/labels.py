"""Turns labelled by hand, and how far a judge agrees with them.

Each line of labelled.jsonl is what a model wrote for a debate, with the motion, what it is to answer, and what a person
says of it: the side that its text argues ("FOR", "AGAINST"; "NEITHER" where it argues for none or both) and whether it
answers the opponent. `made` says where it is from: "as held" is a turn and the one before it; a point, an objection or
a reply of a case is what turns are made of; in others the speaker's side or the opponent's text is exchanged, so that
there is enough of what a judge must not fall for.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.quality.judge import Judge, ask_answered, ask_side
from tests.quality.measures import Share

SIDE = "argues for the motion or against it"
ANSWERS = "answers the opponent"
"""The two questions."""

PATH = Path(__file__).with_name("labelled.jsonl")


@dataclass(frozen=True, slots=True)
class LabelledTurn:
    """One turn and its labels."""

    motion: str
    """Id in `motions`."""
    language: str
    topic: str
    stance: str
    """The side of its speaker: FOR or AGAINST."""
    text: str
    opponent: str
    """What the opponent said before; empty for a first turn."""
    argues: str
    """FOR, AGAINST or NEITHER."""
    answers: bool | None
    """None where nobody spoke before."""
    model: str
    made: str

    @property
    def argues_own_side(self) -> bool:
        """Says whether the text argues its speaker's side."""
        return self.argues == self.stance


@dataclass(frozen=True, slots=True)
class Agreement:
    """How often the judge says what the labels say, and how often each is yes."""

    agreed: Share
    labelled_yes: Share
    judged_yes: Share
    balanced_percent: float
    """Mean of the agreement on turns labelled yes and on those labelled no: 50 by chance, however many of each."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """What a judge's score must be above to mean yes, and how far it agrees with the labels then."""

    threshold: float
    agreement: Agreement


def load_labelled() -> list[LabelledTurn]:
    """Returns the labelled turns."""
    rows = [json.loads(line) for line in PATH.read_text("utf-8").splitlines()]
    return [LabelledTurn(**row) for row in rows]


def score_side(judge: Judge, text: str, topic: str) -> float:
    """Returns how much more probable it is to the judge that a turn argues for the motion than against it."""
    return judge.score(ask_side(text, topic))


def score_answer(judge: Judge, text: str, opponent: str) -> float:
    """Returns how much more probable it is to the judge that a turn answers the opponent's last than not."""
    return judge.score(ask_answered(text, opponent))


def fit_threshold(labels: Sequence[bool], scores: Sequence[float]) -> float:
    """Returns the score above which to say yes, so that yeses and noes are found equally well; 0 without both of them.

    A small model leans to one statement whatever the text: its scores order turns better than their sign tells. Of
    thresholds that do as well as each other the one nearest to 0 is taken.
    """
    if len(set(labels)) < 2:
        return 0.0
    ordered = sorted(scores)
    between = [(low + high) / 2 for low, high in itertools.pairwise(ordered)]
    return max(
        [0.0, *between],
        key=lambda threshold: (_balance(labels, [score > threshold for score in scores]), -abs(threshold)),
    )


def compare(labels: Sequence[bool], judged: Sequence[bool]) -> Agreement:
    """Returns how far the judge agrees with the labels, in the same order."""
    return Agreement(
        Share(sum(label == verdict for label, verdict in zip(labels, judged, strict=True)), len(labels)),
        Share(sum(labels), len(labels)),
        Share(sum(judged), len(judged)),
        _balance(labels, judged),
    )


def calibrate(labels: Sequence[bool], scores: Sequence[float]) -> Calibration:
    """Returns the threshold for a question and the agreement, each turn judged by the threshold of all the others."""
    judged = []
    for left_out, score in enumerate(scores):
        others = [index for index in range(len(scores)) if index != left_out]
        judged.append(score > fit_threshold([labels[index] for index in others], [scores[index] for index in others]))
    return Calibration(fit_threshold(labels, scores), compare(labels, judged))


def calibrate_judge(
    turns: Sequence[LabelledTurn], sides: Sequence[float], answered: Sequence[float | None]
) -> dict[str, Calibration]:
    """Returns the calibration of both questions by the scores of the labelled turns.

    Which side a text argues, not whether it is its speaker's: most off-side turns argue for the motion, so a judge that
    always says "for" would look as if it knew.
    """
    pairs = [
        (turn.answers, score)
        for turn, score in zip(turns, answered, strict=True)
        if turn.answers is not None and score is not None
    ]
    sided = [
        (turn.argues == "FOR", score) for turn, score in zip(turns, sides, strict=True) if turn.argues != "NEITHER"
    ]
    return {
        SIDE: calibrate([label for label, _ in sided], [score for _, score in sided]),
        ANSWERS: calibrate([label for label, _ in pairs], [score for _, score in pairs]),
    }


def _balance(labels: Sequence[bool], judged: Sequence[bool]) -> float:
    pairs = list(zip(labels, judged, strict=True))
    rates = [
        Share(sum(label == verdict for label, verdict in pairs if label is wanted), list(labels).count(wanted)).percent
        for wanted in (True, False)
        if wanted in labels
    ]
    return round(sum(rates) / len(rates), 1) if rates else 0.0
