"""What a debater's prompts say."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from services.debater.prompts import BEGINNINGS, SLOTS, compose_turn, state_position

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
    assert state_position(topic, "FOR").startswith(good)
    assert state_position(topic, "AGAINST").startswith(bad)


def asked(**given: Any) -> tuple[list[Message], Mapping[str, Any] | None]:
    usual = {
        "topic": TOPIC,
        "stance": "AGAINST",
        "question": "Why?",
        "round_number": 1,
        "own": [],
        "others": [POINT],
    }
    return compose_turn(**{**usual, **given})


@pytest.mark.parametrize("stance", ["FOR", "AGAINST"])
def test_rounds_differ(stance: str) -> None:
    """Each round begins its sentences differently, and reminds of what was said."""
    contents = [asked(stance=stance, round_number=number, own=[POINT])[0][-1].content for number in range(1, 9)]
    assert len(set(contents)) == 8
    assert all(content.count("welders") == 2 for content in contents)
    beginnings = [beginning for row in BEGINNINGS[stance] for beginning in row]
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


def test_plain_prose() -> None:
    """A server that knows no schemas is asked for the same sentences as prose; another script for its own."""
    chat, schema = asked(plain=True)
    assert schema is None
    assert "JSON" not in chat[-1].content
    assert "The greatest damage from AI is that people lose ..." in chat[-1].content
    chat, schema = asked(topic="人工智能对就业的影响")
    assert schema is None
    assert "language of the topic" in chat[-1].content


def test_new_try_shows_no_text_to_copy() -> None:
    """What the other side said is part of the first try only."""
    assert "welders" in asked()[0][-1].content
    again = asked(complaint="it was empty")[0][-1].content
    assert "welders" not in again
    assert "it was empty" in again
