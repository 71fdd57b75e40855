"""A case is read from whatever a model writes for one, and comes back from the store as it was."""

from __future__ import annotations

import json

import pytest

from services.debater.case import MAX_POINTS, Case, Objection, Point, dump_case, load_case, read_case

CASE = Case(
    "Cities should ban cars.",
    (Point("The air gets clean.", "Oslo measured it."), Point("Streets get quiet.")),
    (Objection("Shops lose customers.", "They gained some in Ghent."),),
)

JSON = json.dumps(
    {
        "claim": "Cities should ban cars.",
        "points": [
            {"reason": "The air gets clean.", "example": "Oslo measured it."},
            {"reason": "Streets get quiet.", "example": ""},
        ],
        "objections": [{"objection": "Shops lose customers.", "reply": "They gained some in Ghent."}],
    }
)
LABELLED = """
CLAIM: Cities should ban cars.
POINT 1: The air gets clean.
EXAMPLE: Oslo measured it.
POINT 2: Streets get quiet.
OBJECTION: Shops lose customers.
REPLY: They gained some in Ghent.
"""
MARKED = """Here is the case:

**Claim:** Cities should ban cars.

1. **Point:** The air gets clean.
   - *Example:* Oslo measured it.
2. **Point:** Streets get quiet.

### Objections
- **Objection:** Shops lose customers.
  **Reply:** They gained
  some in Ghent.
"""
OTHER_NAMES = json.dumps(
    {
        "position": "Cities should ban cars.",
        "arguments": [{"title": "The air gets clean.", "fact": "Oslo measured it."}, "Streets get quiet."],
        "counter": [{"they": "Shops lose customers.", "we": "They gained some in Ghent."}],
    }
)


@pytest.mark.parametrize(
    "written",
    [JSON, f"```json\n{JSON}\n```", f"Here it is:\n{JSON}", LABELLED, MARKED, OTHER_NAMES],
    ids=["JSON", "fenced", "introduced", "labelled", "marked", "other names"],
)
def test_a_case_is_read(written: str) -> None:
    """JSON as it was asked for, in a fence, with names of the model's own, and lines with labels are the same case."""
    assert read_case(written) == CASE


@pytest.mark.parametrize(
    "written",
    [
        "Cities should ban cars.\n- The air gets clean.\n- Streets get quiet.",
        "1. Cities should ban cars.\n2. The air gets clean.\n3. Streets get quiet.",
        "Cities should ban cars. The air gets clean. Streets get quiet.",
    ],
)
def test_a_list_is_a_case(written: str) -> None:
    """A list, or sentences, are a claim and its reasons."""
    assert read_case(written) == Case(CASE.claim, (Point("The air gets clean."), Point("Streets get quiet.")))


def test_a_case_in_another_script() -> None:
    """Sentences are those of the language."""
    assert read_case("城市应该禁止汽车。空气会变干净。街道会变安静。") == Case(
        "城市应该禁止汽车。", (Point("空气会变干净。"), Point("街道会变安静。"))
    )


def test_a_case_that_was_cut_off() -> None:
    """Of a case that is not finished counts what there is, if that is a point."""
    assert read_case(JSON[: JSON.index("Streets")]) == Case(CASE.claim, CASE.points[:1])
    assert read_case(JSON[:30]) is None


@pytest.mark.parametrize(
    "written",
    ["", "{}", "[]", "Yes.", '{"claim": 3, "points": 4}', "I'm sorry, but I can't help with that.", "x" * 30_000],
)
def test_no_case(written: str) -> None:
    """Without a point, and of a refusal, there is none."""
    assert read_case(written) is None


def test_a_guided_case() -> None:
    """Fields whose names have the side in them, and those that are only to lead to it, are read as they are meant."""
    written = {
        "motion": "no",
        "change": "Nobody drives.",
        "points": [{"subject": "air", "drawback_of_change": "It stays bad. And then they", "example": "Oslo."}],
        "claim": "A ban helps nobody.",
        "objections": [{"reason_for": "Streets get quiet.", "wrong_because": "Lorries stay."}],
    }
    expected = Case(
        "A ban helps nobody.", (Point("It stays bad.", "Oslo."),), (Objection("Streets get quiet.", "Lorries stay."),)
    )
    assert read_case(json.dumps(written), "Cities should ban cars") == expected
    assert read_case(json.dumps({**written, "claim": ""})) == Case("", expected.points, expected.objections)
    assert read_case(json.dumps({**written, "claim": "Cities should ban cars."}), "cities should ban cars") == Case(
        "", expected.points, expected.objections
    )
    assert read_case(json.dumps(written).partition('"claim"')[0]) == Case("", expected.points)


def test_a_case_is_bounded() -> None:
    """A model that does not stop fills neither the store nor the prompts."""
    found = read_case("The claim.\n" + "\n".join(f"- Reason {number} {'x' * 5000}" for number in range(3)))
    assert found is not None
    assert len(dump_case(found)) < 2000
    found = read_case("The claim.\n" + "\n".join(f"- Reason {number}" for number in range(1000)))
    assert found is not None
    assert len(found.points) == MAX_POINTS


def test_a_case_is_stored_as_it_is() -> None:
    """What was stored is read again, half a surrogate pair and all marks included."""
    assert load_case(dump_case(CASE)) == CASE


def test_each_point_has_its_round() -> None:
    """Points are used once each, in order of rounds; then there are no more."""
    assert [CASE.choose_point(number) for number in (1, 2, 3)] == [*CASE.points, None]
