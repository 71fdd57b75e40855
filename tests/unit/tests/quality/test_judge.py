"""How the judge's letters become scores, and scores an agreement."""

from __future__ import annotations

import math
from typing import Any

import pytest

from tests.quality.judge import CERTAIN, Question, ask_answered, ask_side, read_score
from tests.quality.labels import calibrate, compare, fit_threshold, load_labelled
from tests.quality.measures import Share

QUESTION = ask_side("It is.", "It should be")


def read(*candidates: tuple[str, float]) -> float:
    """The score of an answer whose first token had these probabilities."""
    tokens = [{"token": token, "logprob": math.log(probability)} for token, probability in candidates]
    return read_score({"logprobs": {"content": [{"top_logprobs": tokens}]}}, QUESTION)


@pytest.mark.parametrize("question", [QUESTION, ask_answered("It is.", "It is not.")])
def test_examples_come_first_and_favour_neither_word(question: Question) -> None:
    """The examples are the same for every text, two with each word, and the text that is asked about is the last."""
    chat = question.compose()
    words = [message["content"] for message in chat if message["role"] == "assistant"]
    assert sorted(words) == sorted([question.yes, question.yes, question.no, question.no])
    assert chat[-1] == {"role": "user", "content": question.asked}
    assert "It is." in question.asked
    assert "It is." not in "".join(message["content"] for message in chat[:-1])


def test_a_score_is_how_much_likelier_yes_is() -> None:
    """Probabilities count, also of the word that was not written, in any spelling and of its first letters."""
    assert read(("for", 0.8), ("against", 0.2)) == pytest.approx(math.log(4))
    assert read(("against", 0.5), (" Against", 0.2), ("ag", 0.1), ("For", 0.2)) == pytest.approx(math.log(1 / 4))
    assert read(("perhaps", 0.9), ("against", 0.1)) < 0


@pytest.mark.parametrize(("written", "sign"), [("For.", 1), ("**Against**", -1), ("I cannot say.", 0), ("", 0)])
def test_a_server_without_probabilities_is_taken_at_its_word(written: str, sign: int) -> None:
    """The word decides; another answer decides nothing."""
    choices: list[dict[str, Any]] = [{}, {"logprobs": None}, {"logprobs": {"content": []}}]
    for choice in choices:
        assert read_score({**choice, "message": {"content": written}}, QUESTION) == sign * CERTAIN


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
    sides = [turn.argues for turn in turns]
    assert min(sides.count("FOR"), sides.count("AGAINST")) >= 8
    answers = [turn.answers for turn in turns if turn.answers is not None]
    assert all(label is None for label in (turn.answers for turn in turns if not turn.opponent))
    assert min(own.count(True), own.count(False)) >= 8
    assert min(answers.count(True), answers.count(False)) >= 8
