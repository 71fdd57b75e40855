"""Sentences and the measure, with vectors written by hand."""

from __future__ import annotations

import pytest

from mesh.llm.novelty import Measure, Spoken, find_sentences, measure


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("", []),
        ("That is wrong. Wages fell by 3.5 percent in Leeds.", ["Wages fell by 3.5 percent in Leeds."]),
        ("Some tools, e.g. Excel sheets, did this before.", ["Some tools, e.g. Excel sheets, did this before."]),
        (
            'He said "this is the end." And it was not so!\nA third line without a mark',
            ['He said "this is the end."', "And it was not so!", "A third line without a mark"],
        ),
        ("不对。他们说的都不对，因为工资下降了！", ["他们说的都不对，因为工资下降了！"]),
        ("خطأ. انخفضت الأجور في المدينة كلها.", ["انخفضت الأجور في المدينة كلها."]),
        ("ผิด ค่าแรงลดลงร้อยละสามในเมืองลีดส์", ["ผิด ค่าแรงลดลงร้อยละสามในเมืองลีดส์"]),
        ("😀😀😀 😀 😀 😀!", []),
    ],
)
def test_sentences(text: str, sentences: list[str]) -> None:
    """Sentences end at the marks of any script, not in numbers and abbreviations; those too short for a point go."""
    assert find_sentences(text) == sentences


def test_measure() -> None:
    """Counts sentences at or above the threshold, and pairs name the nearest earlier one."""
    earlier = [Spoken(1, ["east"], [(1.0, 0.0)]), Spoken(2, ["north"], [(0.0, 1.0)])]
    now = [Spoken(3, ["north-east", "east again"], [(0.6, 0.8), (1.0, 0.0)]), Spoken(4, [], [])]
    result = measure(now, earlier, 0.92)
    assert (result.sentences, result.redundancy) == (2, 0.5)
    assert [(pair.earlier, pair.earlier_turn_number, pair.similarity) for pair in result.pairs] == [
        ("east", 1, 1.0),
        ("north", 2, pytest.approx(0.8)),
    ]


def test_nothing_to_compare() -> None:
    """The first round is all new; a round without a sentence is not measured, so nothing of it is redundant."""
    said, nothing = Spoken(1, ["east"], [(1.0, 0.0)]), Spoken(2, [], [])
    assert measure([said, nothing], [], 0.9).redundancy == 0
    assert measure([nothing], [said], 0.9) == Measure(sentences=0, redundancy=0.0, pairs=())
