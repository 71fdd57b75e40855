"""What a debater's prompts say, and what its clean-up does to what small models write."""

from __future__ import annotations

import pytest

from services.debater.prompts import ANGLES, WORDS, position, tidy, turn, unusable

POINT = (
    "Automation raises the pay of welders who run the new machines, and the plant in Ulm hired forty more of them "
    "last spring after it bought its robots."
)


@pytest.mark.parametrize(
    ("topic", "good", "bad"),
    [
        ("AI's impact on the job market", "AI is good for the job market", "AI is bad for the job market"),
        ("The effect of tariffs on small farms", "tariffs are good for small farms", "tariffs are bad for small farms"),
        (
            "Should cities ban cars?",
            'the answer to "Should cities ban cars?" is yes',
            'the answer to "Should cities ban',
        ),
        ("Homework is useful.", '"Homework is useful" is right', '"Homework is useful" is wrong'),
    ],
)
def test_position(topic: str, good: str, bad: str) -> None:
    """Every kind of topic becomes a claim for each stance."""
    assert position(topic, "FOR").startswith(good)
    assert position(topic, "AGAINST").startswith(bad)


def test_rounds_differ() -> None:
    """Each round asks for something else, and reminds of what was said."""
    prompts = {
        turn(topic="AI", stance="FOR", question="Why?", round_number=number, max_rounds=8, own=[POINT], others=["No."])[
            -1
        ].content
        for number in range(1, 9)
    }
    assert len(prompts) == 8
    assert all("welders" in each for each in prompts)
    assert len(ANGLES["FOR"]) == len(ANGLES["AGAINST"]) == 10


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
    ],
)
def test_tidy(written: str) -> None:
    """Labels, greetings, thanks, quotes, marks and half sentences go; the point stays as it was."""
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
        ("自动化提高了焊工的工资。" * 3 + " a" * 20, "it was not English prose"),
        ("jobs and more " * 10, "it repeated the same words"),
        (POINT.replace("forty", "fifty"), "it repeated an earlier turn"),
        (f"The benefits clearly outweigh the losses. {POINT.replace('Ulm', 'Bonn')[::1]} " + "x y z.", "it "),
    ],
)
def test_unusable(text: str, reason: str) -> None:
    """What cannot be said is named."""
    assert reason in unusable(text, [POINT], stance="AGAINST")


def test_usable() -> None:
    """A point is usable, so is one that quotes the other side, and a short answer outside of a debate."""
    assert not unusable(POINT, [], stance="FOR")
    assert not unusable(f"My opponent says that it does more harm than good. {POINT}", [], stance="FOR")
    assert not unusable("Paris.", [])
