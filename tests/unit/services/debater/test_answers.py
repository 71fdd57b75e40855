"""What a debater's clean-up does to what small models write, and what it refuses."""

from __future__ import annotations

import json

import pytest

from services.debater.answers import WORDS, explain_unusable, tidy

POINT = (
    "Automation raises the pay of welders who run the new machines, and the plant in Ulm hired forty more of them "
    "last spring after it bought its robots."
)


def test_broken_json() -> None:
    """Escapes that are none, and halves of a surrogate pair, do no harm."""
    assert tidy(f'{{"benefit": "{POINT}", "reply": "\\q no"}}') == POINT
    assert tidy(f'{{"benefit": "\\ud800{POINT}"}}') == POINT


@pytest.mark.parametrize(
    "written",
    [
        POINT,
        f'"{POINT}"',
        f"Team A: {POINT}",
        f"**Answer:** {POINT}",
        f"Ladies and gentlemen, thank you for this question. {POINT}",
        f"As a member of Team A, {POINT}",
        f"{POINT} Thank you.",
        f"{POINT} And then they",
        f"- {POINT}",
        json.dumps({"benefit": POINT}),
        f'```json\n{{"benefit": "{POINT}", "example": "Think of a nurse who',
        f'{{"benefit": "{POINT}",\n "reply": "{POINT}"}}',
    ],
)
def test_tidy(written: str) -> None:
    """JSON, labels, greetings, thanks, quotes, marks, half and repeated sentences go; the point stays as it was."""
    assert tidy(written) == POINT


def test_tidy_stops() -> None:
    """A turn ends before it is too long, and before it goes over to the other side."""
    assert len(tidy(f"{POINT} " * 20).split()) <= WORDS
    long = f"{POINT} The town council built a school for them and doubled its evening classes in two years."
    assert tidy(f"{long} However, it also destroys jobs.") == long


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "it was empty"),
        ("Jobs matter.", "it had only 2 words"),
        (f"{POINT} " * 100, "characters"),
        (f"I'm sorry, but I cannot help with that. {POINT}", "it refused to argue"),
        ("自动化提高了焊工的工资。" * 5 + " a" * 5, "it was not prose in the topic's language"),
        ("{'jobs': [1, 2, 3, 4]}; " * 8, "it was not prose"),
        ("jobs and more " * 10, "it repeated the same words"),
        (POINT.replace("forty", "fifty"), "it repeated an earlier turn"),
    ],
)
def test_unusable(text: str, reason: str) -> None:
    """What cannot be said is named."""
    assert reason in explain_unusable(text, [POINT], topic="Robots in welding")


def test_usable() -> None:
    """A point is usable; a single word is no turn."""
    assert not explain_unusable(POINT, [], topic="Robots in welding")
    assert explain_unusable("Paris.", [], topic="Capitals")


def test_usable_in_another_language() -> None:
    """A topic in another script gets its turns in that script."""
    chinese = "自动化提高了焊工的工资,乌尔姆的工厂在购买机器人之后又雇用了四十名焊工,城市的收入也因此增加了一倍。"
    russian = (
        "Автоматизация повышает зарплату сварщиков, которые работают с новыми машинами, и завод в Ульме после покупки "
        "роботов нанял ещё сорок человек, а городской бюджет вырос почти вдвое за первые два года работы."
    )
    assert not explain_unusable(chinese, [POINT], topic="人工智能对就业的影响")
    assert not explain_unusable(russian, [POINT], topic="Влияние ИИ на рынок труда")


def test_heard_sentences_go() -> None:
    """A sentence that was heard is not said again."""
    fresh = "Call centres in Manila fired a third of their people within a year after they bought chatbots."
    assert tidy(f"{POINT} {fresh}", earlier=[POINT]) == fresh
