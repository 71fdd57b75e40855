"""What is taken of a model's answers: anything that can be understood, nothing that is wrong, and never a crash."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.moderator.answers import (
    SUMMARY_CHARACTERS,
    UnusableAnswerError,
    read_judgement,
    read_object,
    read_opinion,
    read_question,
    read_questions,
    read_summary,
)
from services.moderator.model.judgement import Judgement, SideScore
from services.moderator.model.measure import Opinion

AGENTS = ("team-a", "team-b")
TURNS = (1, 2, 3, 4)
SCORES = {
    "team-a": {"argument": 7, "evidence": 6, "rebuttal": 5, "clarity": 8},
    "team-b": {"argument": 5, "evidence": 6, "rebuttal": 4, "clarity": 8},
}
ANSWER = {"scores": SCORES, "winner": "team-a", "decisive_turns": [3, 1], "rationale": "It had facts."}
JUDGEMENT = Judgement(
    "team-a", (SideScore("team-a", 7, 6, 5, 8), SideScore("team-b", 5, 6, 4, 8)), (1, 3), "It had facts."
)
LINES = """Scores team-a: argument 7, evidence 6, rebuttal 5, clarity 8
Scores team-b: argument 5, evidence 6, rebuttal 4, clarity 8
Winner: team-a
Deciding turns: 1, 3
Rationale: It had facts."""


def judge(text: str) -> Judgement:
    return read_judgement(text, AGENTS, TURNS, cut=False)


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(ANSWER),
        f"```json\n{json.dumps(ANSWER, indent=2)}\n```",
        f"Here it is: {json.dumps(ANSWER)} I hope this helps.",
        json.dumps({**ANSWER, "scores": [{"agent": agent, **score} for agent, score in SCORES.items()]}),
        json.dumps({**ANSWER, "scores": {a: {k: f"{v}/10" for k, v in s.items()} for a, s in SCORES.items()}}),
        json.dumps({**ANSWER, "scores": {a: {k.title(): float(v) for k, v in s.items()} for a, s in SCORES.items()}}),
        json.dumps({**ANSWER, "decisive_turns": ["turn 3", "1"], "winner": "team-a (for)"}),
        json.dumps({**ANSWER, "rationale": ["It had", "facts."]}),
        LINES,
        LINES.replace("Scores team-a:", "**Scores team-a:**").replace("Winner:", "## **Winner**:"),
        "Scores\nteam-a\n- Argument: 7/10\n- Evidence: 6/10\n- Rebuttal: 5/10\n- Clarity: 8/10\n"
        "team-b\n- Argument: 5\n- Evidence: 6\n- Rebuttal: 4\n- Clarity: 8\n" + "\n".join(LINES.splitlines()[2:]),
    ],
)
def test_a_judgement_is_read_however_it_is_written(text: str) -> None:
    """JSON, fenced or with words around it, numbers as text, lists for texts, lines with labels, sections."""
    assert judge(text) == JUDGEMENT


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"winner": "team-b"}, "higher scores"),
        ({"winner": "team-c"}, "winner"),
        ({"winner": None}, "winner"),
        ({"winner": "team-a and team-b"}, "winner"),
        ({"winner": ["team-a"]}, "winner"),
        ({"decisive_turns": [9]}, "no turn 9"),
        ({"decisive_turns": {"a": 1}}, None),
        ({"decisive_turns": [float("nan")]}, None),
        ({"rationale": ""}, "missing"),
        ({"rationale": {"a": "b"}}, "missing"),
        ({"scores": {**SCORES, "team-c": SCORES["team-a"]}}, "team-a, team-b only"),
        ({"scores": {"team-a": SCORES["team-a"]}}, "team-b were missing"),
        ({"scores": {**SCORES, "team-a": 7}}, None),
        ({"scores": {**SCORES, "team-a": {**SCORES["team-a"], "argument": 11}}}, "0 to 10"),
        ({"scores": {**SCORES, "team-a": {**SCORES["team-a"], "argument": -1}}}, "0 to 10"),
        ({"scores": {**SCORES, "team-a": {**SCORES["team-a"], "argument": 7.5}}}, "0 to 10"),
        ({"scores": {**SCORES, "team-a": {**SCORES["team-a"], "argument": True}}}, "0 to 10"),
        ({"scores": {**SCORES, "team-a": {**SCORES["team-a"], "argument": "high"}}}, "0 to 10"),
        ({"scores": "team-a 7"}, "no scores"),
    ],
)
def test_what_is_wrong_is_refused(change: dict[str, object], fault: str | None) -> None:
    """No score is clamped, no name is guessed, no turn is made up; the fault says what to do otherwise."""
    with pytest.raises(UnusableAnswerError, match=fault):
        judge(json.dumps({**ANSWER, **change}))


def test_undecided_agrees_with_any_scores() -> None:
    """A judge may hold the difference to be too small; the label may stand in a sentence."""
    assert judge(json.dumps({**ANSWER, "winner": "Undecided"})).winner == ""
    assert judge(LINES.replace("Winner: team-a", "Winner: undecided")).winner == ""


@pytest.mark.parametrize(
    "text", ["", "{", "[" * 5000, '{"scores": {"team-a": {"argument": 7', "null", "7", "\ud800", "{}"]
)
def test_half_answers_are_refused(text: str) -> None:
    """Nothing at all, half JSON, JSON that is no object, half characters: asked again, not crashed."""
    with pytest.raises(UnusableAnswerError):
        judge(text)
    with pytest.raises(UnusableAnswerError):
        read_opinion(text)
    assert read_object("x" + text) in ({}, None)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*ANSWER, *SCORES, "argument", "redundant", "questions", "summary"]), inner)
    ),
    max_leaves=12,
)


@given(JSON)
def test_no_type_is_a_crash(value: object) -> None:
    """Whatever JSON comes, it is read or refused."""
    text = json.dumps(value)
    for read in (
        judge,
        read_opinion,
        read_question,
        lambda text: read_questions(text, 3, ["Why?"]),
        lambda text: read_summary(text, AGENTS, cut=True),
    ):
        try:
            read(text)
        except UnusableAnswerError:
            continue


@given(st.text(max_size=80))
def test_no_text_is_a_crash(text: str) -> None:
    """Whatever text comes, it is read or refused, and what is read can be stored."""
    for read in (judge, read_question, lambda text: read_summary(text, AGENTS, cut=True)):
        try:
            str(read(text)).encode()
        except UnusableAnswerError:
            continue


@pytest.mark.parametrize(
    ("text", "question"),
    [
        ("Round 2: who pays for it?", "who pays for it?"),
        ("**Sure!** Here it is.\nWho pays?\nBecause.", "Who pays?"),
        ("Question: In 2030, who pays?", "In 2030, who pays?"),
        ("In 20-30 years, who pays?", "In 20-30 years, who pays?"),
        ("3.5 billion people: who pays?", "3.5 billion people: who pays?"),
        ("1、谁为此付钱?", "谁为此付钱?"),
        ('"谁为此付钱?"', "谁为此付钱?"),
        ("من يدفع ثمن ذلك؟", "من يدفع ثمن ذلك؟"),
        ("ใครเป็นคนจ่าย", "ใครเป็นคนจ่าย"),
        ('{"question": "Who pays?"}', "Who pays?"),
    ],
)
def test_the_question_is_found_in_an_answer(text: str, question: str) -> None:
    """Prefaces and explanations go, words of the question stay, in any script, with a mark or without."""
    assert read_question(text) == question


@pytest.mark.parametrize("text", ["", "x" * 400 + "?", "Who pays?\nWho gains?", "{"])
def test_no_question_or_two_are_refused(text: str) -> None:
    """One is asked for."""
    with pytest.raises(UnusableAnswerError):
        read_question(text)


@pytest.mark.parametrize(
    "text",
    [
        "Here are the questions:\n1. Who pays for it?\n2) What does it cost?\n3 - Who pays, then, for it?\n",
        '{"questions": ["Who pays for it?", "What does it cost?", "Who pays for it?", 7]}',
        '["Who pays for it?", "What does it cost?"]',
        '{"questions": ["Who pays for it?", "What does it cost?", "Why is it',
        '[{"question": "Who pays for it?"}, {"question": "What does it cost?"}]',
        "- **Who pays for it?**\n- What does it cost?\n- Why now?",
    ],
)
def test_an_agenda_has_questions_that_differ(text: str) -> None:
    """Lines, numbered or not, JSON lists and objects; what was asked before or twice is left out."""
    questions = read_questions(text, 5, ["Why now, then?", "Why now?", "Is it so?"])
    assert questions == ("Who pays for it?", "What does it cost?")


def test_an_agenda_without_a_new_question_is_refused() -> None:
    """A model that only repeats what was asked is asked again."""
    with pytest.raises(UnusableAnswerError):
        read_questions("Why now?", 3, ["Why now?"])


@pytest.mark.parametrize(
    ("text", "opinion"),
    [
        ('{"reason": "As before.", "redundant": "true"}', Opinion(True, "As before.")),
        ("**NEW**\nIt has a point.", Opinion(False, "It has a point.")),
        ("REPEATS: as before.", Opinion(True, "as before.")),
    ],
)
def test_an_opinion_is_read(text: str, opinion: Opinion) -> None:
    """JSON with a word for a truth value, or a word on the first line."""
    assert read_opinion(text) == opinion


@pytest.mark.parametrize(
    ("text", "summary"),
    [
        (" Both spoke. ", "Both spoke."),
        ("Both of them spoke. The main 3", "Both of them spoke."),
        ('{"team-a": "It is so.", "team-b": "For team-b it is not."}', "team-a: It is so.\nFor team-b it is not."),
        ('```json\n{"summary": "Both spoke."}\n```', "Both spoke."),
        ('{"summary": {"team-a": "Yes.", "team-b": "No."}}', "team-a: Yes.\nteam-b: No."),
    ],
)
def test_a_summary_is_read(text: str, summary: str) -> None:
    """Prose as it is, without the half sentence that the limit cut; a text for each side behind its name."""
    assert read_summary(text, AGENTS, cut=True) == summary


@pytest.mark.parametrize("text", ["", "...", '{"team-a": "It is so.', '{"team-a": "It is so."}', "{}"])
def test_a_summary_that_is_none_is_refused(text: str) -> None:
    """Empty, half an object, or one side missing."""
    with pytest.raises(UnusableAnswerError):
        read_summary(text, AGENTS, cut=False)


def test_a_text_that_fills_its_room_ends_with_a_sentence() -> None:
    """A model that is held to a length stops there; what is shorter is whole, whatever its last character is."""
    full = ("Trams carry more people than cars do. " * 10)[:SUMMARY_CHARACTERS]
    assert not full.endswith(".")
    said = read_summary(json.dumps({"team-a": full, "team-b": "Trams are slow. They cost a lot"}), AGENTS, cut=False)
    assert said.splitlines() == [
        f"team-a: {full[: full.rindex('.') + 1]}",
        "team-b: Trams are slow. They cost a lot",
    ]
