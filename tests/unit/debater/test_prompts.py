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
        ("自动化提高了焊工的工资。" * 5 + " a" * 5, "it was not prose in the topic's language"),
        ("{'jobs': [1, 2, 3, 4]}; " * 8, "it was not prose"),
        ("jobs and more " * 10, "it repeated the same words"),
        (POINT.replace("forty", "fifty"), "it repeated an earlier turn"),
        (f"The benefits clearly outweigh the losses. {POINT.replace('Ulm', 'Bonn')[::1]} " + "x y z.", "it "),
    ],
)
def test_unusable(text: str, reason: str) -> None:
    """What cannot be said is named."""
    assert reason in unusable(text, [POINT], stance="AGAINST", topic="Robots in welding")


def test_usable() -> None:
    """A point is usable, so is one that quotes the other side, and a short answer outside of a debate."""
    assert not unusable(POINT, [], stance="FOR")
    assert not unusable(f"My opponent says that it does more harm than good. {POINT}", [], stance="FOR")
    assert not unusable("Paris.", [])


def test_usable_in_another_language() -> None:
    """A topic in another script gets its turns in that script."""
    chinese = "自动化提高了焊工的工资,乌尔姆的工厂在购买机器人之后又雇用了四十名焊工,城市的收入也因此增加了一倍。"
    russian = (
        "Автоматизация повышает зарплату сварщиков, которые работают с новыми машинами, и завод в Ульме после покупки "
        "роботов нанял ещё сорок человек, а городской бюджет вырос почти вдвое за первые два года работы."
    )
    assert not unusable(chinese, [POINT], stance="FOR", topic="人工智能对就业的影响")
    assert not unusable(russian, [POINT], stance="FOR", topic="Влияние ИИ на рынок труда")


TOPIC = "AI's impact on the job market"
HARM = "AI destroys the jobs of clerks and drivers, and those who lose them never earn as much again."
MORE_HARM = "Call centres in Manila fired a third of their people within a year after they bought chatbots."


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (f"{HARM} AI also creates many new jobs in data science. {MORE_HARM}", f"{HARM} {MORE_HARM}"),
        (f"{HARM} {MORE_HARM} However, it brings many benefits.", f"{HARM} {MORE_HARM}"),
        (f"{MORE_HARM} {HARM[:-1]}, while it also creates new roles.", f"{MORE_HARM} {HARM}"),
        (f"The damage is plain: AI improves productivity. {HARM}", f"The damage is plain: {HARM}"),
        (f"{POINT} {HARM} {MORE_HARM}", f"{HARM} {MORE_HARM}"),
        (f"{HARM} {MORE_HARM} {HARM}", f"{HARM} {MORE_HARM}"),
        (f"{HARM} AI creates new jobs, but they pay less.", f"{HARM} AI creates new jobs, but they pay less."),
        (
            f"While AI creates new jobs, it destroys more. {HARM}",
            f"While AI creates new jobs, it destroys more. {HARM}",
        ),
        (
            f"{HARM} AI can replace routine tasks, freeing up workers for creative ones. {MORE_HARM}",
            f"{HARM} {MORE_HARM}",
        ),
        (f"{HARM} AI creates jobs, but it also drives the market.", HARM),
        (f"{HARM} Human doctors are more accurate.", f"{HARM} Human doctors are more accurate."),
    ],
)
def test_own_side_only(written: str, said: str) -> None:
    """Sentences go that only concede or that were heard; refutations and praise of other things stay."""
    assert tidy(written, topic=TOPIC, stance="AGAINST", heard=[POINT]) == said


def test_praise_is_no_concession_where_the_topic_is_a_question() -> None:
    """Whether good words are on one's side is known only of topics that name a cause and what it acts on."""
    text = f"Cars create new jobs and opportunities. {POINT}"
    assert tidy(text, topic="Should cities ban cars?", stance="AGAINST") == text


def test_for_keeps_to_its_side() -> None:
    """The same for the other stance; a harm that is prevented is a benefit."""
    good = "AI reduces injuries and prevents the loss of lives in factories. It finds tumours that doctors overlook."
    assert tidy(f"{good} AI leads to unemployment.", topic=TOPIC, stance="FOR") == good


def test_new_try_shows_no_text_to_copy() -> None:
    """What the other side said is part of the first try only."""

    def asked(complaint: str) -> str:
        return turn(
            topic=TOPIC,
            stance="AGAINST",
            question="Why?",
            round_number=1,
            max_rounds=8,
            own=[],
            others=[POINT],
            complaint=complaint,
        )[-1].content

    assert "welders" in asked("")
    assert "welders" not in asked("it was empty")
