"""What a debater's prompts say, and what its clean-up does to what small models write."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from services.debater.prompts import BEGINNINGS, SLOTS, WORDS, position, tidy, turn, unusable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mesh.llm.port import Message

TOPIC = "AI's impact on the job market"
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


def asked(**given: Any) -> tuple[list[Message], Mapping[str, Any] | None]:
    usual = {
        "topic": TOPIC,
        "stance": "AGAINST",
        "question": "Why?",
        "round_number": 1,
        "own": [],
        "others": [POINT],
    }
    return turn(**{**usual, **given})


@pytest.mark.parametrize("stance", ["FOR", "AGAINST"])
def test_rounds_differ(stance: str) -> None:
    """Each round begins its sentences differently, and reminds of what was said."""
    contents = [asked(stance=stance, round_number=number, own=[POINT])[0][-1].content for number in range(1, 9)]
    assert len(set(contents)) == 8
    assert all(each.count("welders") == 2 for each in contents)
    beginnings = [each for row in BEGINNINGS[stance] for each in row]
    assert len(set(beginnings)) == len(beginnings) == 40


@pytest.mark.parametrize("stance", ["FOR", "AGAINST"])
@pytest.mark.parametrize("number", range(1, 11))
def test_schema_takes_sentences_that_begin_on_one_side(stance: str, number: int) -> None:
    """Each sentence must begin as asked, end with a full stop, and have no comma after which it could concede."""
    chat, schema = asked(stance=stance, round_number=number)
    assert schema
    assert tuple(schema["required"]) == tuple(schema["properties"]) == SLOTS[stance]
    for slot, inner in schema["properties"].items():
        found = re.search(rf'^"{slot}": "(.+) \.\.\."$', chat[-1].content, re.MULTILINE)
        assert found
        beginning = found[1]
        assert "{" not in beginning
        for rest, fits in (
            ("their jobs for ever.", True),
            ("their jobs in Saint-Étienne and Tom's pay.", True),
            ("their jobs for ever", False),
            ("their jobs, but others find better ones.", False),
            ("jobs.", False),
        ):
            assert bool(re.search(inner["pattern"], f"{beginning} {rest}")) == fits
        assert not re.search(inner["pattern"], "AI creates many new jobs for people.")


def test_reply_speaks_of_the_person_of_the_other_side() -> None:
    """The reply takes up whom the other side named, else nobody by name; the first turn of a debate has none."""
    named, nameless = asked(others=["Think of a young nurse who has more time."])[0], asked()[0]
    assert "For every young nurse whom my opponent praises" in named[-1].content
    assert "For every person whom my opponent praises" in nameless[-1].content
    _, schema = asked(others=[])
    assert schema
    assert "reply" not in schema["properties"]


@pytest.mark.parametrize("topic", ['The impact of "smart" [toys] on sleep', "Should cities ban cars?"])
def test_cause_that_is_no_plain_name(topic: str) -> None:
    """What cannot stand in a pattern, or is not named by the topic, is "it"."""
    assert "The greatest damage from it is" in asked(topic=topic)[0][-1].content


def test_broken_json() -> None:
    """Escapes that are none, and halves of a surrogate pair, do no harm."""
    assert tidy(f'{{"benefit": "{POINT}", "reply": "\\q no"}}') == POINT
    assert tidy(f'{{"benefit": "\\ud800{POINT}"}}') == POINT


def test_plain_prose() -> None:
    """A server that knows no schemas is asked for the same sentences as prose; another script for its own."""
    chat, schema = asked(plain=True)
    assert schema is None
    assert "JSON" not in chat[-1].content
    assert "The greatest damage from AI is that people lose ..." in chat[-1].content
    chat, schema = asked(topic="人工智能对就业的影响")
    assert schema is None
    assert "language of the topic" in chat[-1].content


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
    assert reason in unusable(text, [POINT], topic="Robots in welding")


def test_usable() -> None:
    """A point is usable; a single word is no turn."""
    assert not unusable(POINT, [], topic="Robots in welding")
    assert unusable("Paris.", [], topic="Capitals")


def test_usable_in_another_language() -> None:
    """A topic in another script gets its turns in that script."""
    chinese = "自动化提高了焊工的工资,乌尔姆的工厂在购买机器人之后又雇用了四十名焊工,城市的收入也因此增加了一倍。"
    russian = (
        "Автоматизация повышает зарплату сварщиков, которые работают с новыми машинами, и завод в Ульме после покупки "
        "роботов нанял ещё сорок человек, а городской бюджет вырос почти вдвое за первые два года работы."
    )
    assert not unusable(chinese, [POINT], topic="人工智能对就业的影响")
    assert not unusable(russian, [POINT], topic="Влияние ИИ на рынок труда")


def test_new_try_shows_no_text_to_copy() -> None:
    """What the other side said is part of the first try only."""
    assert "welders" in asked()[0][-1].content
    again = asked(complaint="it was empty")[0][-1].content
    assert "welders" not in again
    assert "it was empty" in again


def test_heard_sentences_go() -> None:
    """A sentence that was heard is not said again."""
    fresh = "Call centres in Manila fired a third of their people within a year after they bought chatbots."
    assert tidy(f"{POINT} {fresh}", heard=[POINT]) == fresh
