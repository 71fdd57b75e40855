"""How the judge's letters become scores, and scores an agreement."""

from __future__ import annotations

import math
from typing import Any

import pytest

from tests.quality.judge import Question, read_letters, weigh
from tests.quality.labels import calibrate, compare, fit_threshold, load_labelled
from tests.quality.measures import Share

LIKELIER_A = [{"token": " B", "logprob": -2.0}, {"token": "A", "logprob": -1.0}]


def test_statements_are_asked_in_both_orders() -> None:
    """The text comes first in both, so that a server reads it once; only the statements change places."""
    question = Question("The text.", "Which?", "It is.", "It is not.")
    in_order, swapped = (question.compose(swapped=swapped)[-1]["content"] for swapped in (False, True))
    assert in_order.startswith("The text.\n\nWhich?\nA. It is.\nB. It is not.\n")
    assert swapped.startswith("The text.\n\nWhich?\nA. It is not.\nB. It is.\n")


def test_a_liking_for_a_letter_cancels_out() -> None:
    """A judge that says A whatever is asked decides nothing; one that follows the statement decides by it."""
    assert weigh([{"A": -0.1, "B": -4.0}, {"A": -0.1, "B": -4.0}]) == 0
    assert weigh([{"A": -0.1, "B": -4.0}, {"A": -4.0, "B": -0.1}]) == pytest.approx(3.9)
    assert weigh([{"A": -0.5}, {"A": -0.1, "B": -0.2}]) > 0


@pytest.mark.parametrize(
    ("choice", "first_is_likelier"),
    [
        (
            {
                "logprobs": {
                    "content": [{"top_logprobs": [{"token": " B", "logprob": -2.0}, {"token": "A", "logprob": -1.0}]}]
                }
            },
            True,
        ),
        ({"logprobs": None, "message": {"content": "**B**. Because"}}, False),
        ({"message": {"content": "A"}}, True),
    ],
)
def test_letters(choice: dict[str, Any], first_is_likelier: bool) -> None:  # noqa: FBT001 - a column of the table
    """Probabilities are taken where there are any, in any spelling of the letter; else the letter written."""
    letters = read_letters(choice)
    assert (letters["A"] > letters["B"]) is first_is_likelier


def test_letters_in_several_spellings_are_added() -> None:
    """ "A" and " A" are one answer."""
    tokens = [{"token": token, "logprob": math.log(0.25)} for token in ("A", " A", "B")]
    letters = read_letters({"logprobs": {"content": [{"top_logprobs": tokens}]}})
    assert letters["A"] - letters["B"] == pytest.approx(math.log(2))


def test_no_letter_decides_nothing() -> None:
    """An answer without a letter favours neither statement."""
    letters = read_letters({"message": {"content": "I cannot say."}})
    assert letters["A"] == letters["B"]


def test_agreement() -> None:
    """A judge that always says yes agrees with a list of yeses, and its balance shows that it knows nothing."""
    found = compare([True, True, True, False], [True, True, True, True])
    assert (found.agreed, found.balanced_percent) == (Share(3, 4), 50.0)


def test_calibration_finds_a_judge_that_leans() -> None:
    """Scores that are all above 0 still order the turns; each turn is judged by the threshold of the others."""
    labels, scores = [True, True, True, False, False, False], [6.0, 5.5, 5.0, 3.0, 2.5, 2.0]
    found = calibrate(labels, scores)
    assert found.threshold == pytest.approx(4)
    assert found.agreement.balanced_percent == 100
    assert calibrate(labels, [-score for score in scores]).agreement.balanced_percent <= 50


def test_calibration_of_a_judge_that_knows() -> None:
    """Where the sign decides well, the threshold is 0; without both labels it is too."""
    assert calibrate([True, False, True], [3.0, -2.0, 1.0]).threshold == 0
    assert fit_threshold([True, True], [3.0, 4.0]) == 0


def test_the_labelled_turns_can_show_a_judge_wrong() -> None:
    """There are forty or more, in more than one language, with both answers to both questions."""
    turns = load_labelled()
    assert len(turns) >= 40
    assert len({turn.language for turn in turns}) >= 2
    own = [turn.argues_own_side for turn in turns]
    answers = [turn.answers for turn in turns if turn.answers is not None]
    assert all(label is None for label in (turn.answers for turn in turns if not turn.opponent))
    assert min(own.count(True), own.count(False)) >= 8
    assert min(answers.count(True), answers.count(False)) >= 8
