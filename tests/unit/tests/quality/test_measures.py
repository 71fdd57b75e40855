"""What `make quality` counts without a judge."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.quality.measures import Held, Share, add_shares, count_forfeits, count_language_kept, count_new_points
from tests.quality.measures import count_shared_grams as shared_grams
from tests.quality.motions import MOTIONS, Motion, choose_motions

ENGLISH, OTHER, SPANISH = (
    Motion(name, "policy", language, name) for name, language in (("a", "en"), ("b", "en"), ("c", "es"))
)


def hold(motion: Motion, *texts: str) -> Held:
    """A debate in which two agents said these by turns; an empty text is a forfeit."""
    turns: list[dict[str, Any]] = [
        {"name": f"debates/{motion.id}/turns/{number}", "number": number, "agent": "ab"[number % 2], "text": text}
        for number, text in enumerate(texts, 1)
    ]
    for turn in turns:
        turn["forfeited"] = not turn["text"]
    return Held(
        motion, {"turns": turns, "seats": [{"agent": "a", "stance": "FOR"}, {"agent": "b", "stance": "AGAINST"}]}
    )


def test_a_form_is_seen_in_the_4_grams_of_other_motions() -> None:
    """Runs of four words count that were said on another motion, whatever their case; a debate may repeat its own."""
    share, frequent = shared_grams(
        [
            hold(ENGLISH, "Think of a weaver in Leeds.", "Cars are loud, cars are loud, cars are loud."),
            hold(OTHER, "THINK of a weaver, who eats meat."),
            hold(SPANISH, "Think of a weaver"),
        ]
    )
    # Nine words have six runs: "cars are loud cars" and the like; the rest have three and four.
    assert share == Share(2, 3 + 6 + 4)
    assert frequent == [("think of a weaver", 2)]


def test_4_grams_of_scripts_without_spaces() -> None:
    """Chinese words are told by a dictionary, so a form is seen there too."""
    first, second = (Motion(name, "policy", "zh", name) for name in "de")
    share, _ = shared_grams([hold(first, "我们应该认真考虑这个问题。"), hold(second, "我们应该认真考虑猫。")])
    assert share.some >= 2
    assert share.percent > 30


def test_new_points() -> None:
    """A sentence is new if none before it is like it, in the same turn or an earlier one."""
    north, east, both = (np.array(pair, dtype=np.float32) for pair in ((0, 1), (1, 0), (0.7071, 0.7071)))
    turns = [np.stack([north, north]), np.stack([north, east]), np.zeros((0,), dtype=np.float32), np.stack([both])]
    assert count_new_points(turns, 0.92) == [1, 1, 0, 1]


def test_language_and_forfeits() -> None:
    """Language is that of what was spoken; a forfeit is a turn, but nothing that was said."""
    debate = hold(SPANISH, "Las escuelas deben prohibir los teléfonos.", "", "Schools should ban mobile phones now.")
    assert count_language_kept(debate) == Share(1, 2)
    assert count_forfeits(debate) == Share(1, 3)
    assert debate.opponents_last(debate.turns[0]) == ""
    assert debate.opponents_last(debate.turns[1]) == "Las escuelas deben prohibir los teléfonos."


def test_shares() -> None:
    """A share of nothing is shown as such."""
    assert str(add_shares([Share(1, 2), Share(2, 2)])) == "75 % (3 of 4)"
    assert (str(Share(0, 0)), Share(0, 0).percent) == ("-", 0.0)


def test_choose_motions() -> None:
    """All, the first few, or some by name; eight in English of four kinds and one each in four other languages."""
    assert choose_motions("") == MOTIONS
    assert len(MOTIONS) == 12
    assert len({motion.kind for motion in MOTIONS}) == 4
    assert len({motion.language for motion in MOTIONS}) == 5
    assert [motion.id for motion in choose_motions("3")] == [motion.id for motion in MOTIONS[:3]]
    assert [motion.id for motion in choose_motions("mars,cars")] == ["mars", "cars"]
    with pytest.raises(ValueError, match="no motion 'moon': there are cars"):
        choose_motions("moon")
