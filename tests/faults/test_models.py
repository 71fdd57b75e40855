"""Models that do not do their work: bounded tries, a forfeit with its reason, and a debate that goes on to its end.

Each kind of failure is an agent of its own, deployed by one more manifest, so that one system serves all tests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from google.protobuf.duration_pb2 import Duration
from rostrum.debate.v1 import debate_pb2

from mesh.agent.metered_model import call_seed, turn_place
from tests.support.system import NEVER_REDUNDANT, System

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.timeout(120)

AGENTS = {
    "silent": {"SCRIPTED_ANSWER": "nothing"},
    "broken": {"SCRIPTED_ANSWER": "error"},
    "wordy": {"SCRIPTED_ANSWER": "huge"},
    "sleepy": {"SCRIPTED_ANSWER": "slow"},
    "echo-for": {"SCRIPTED_SAYS": "PARAPHRASED/0/1"},
    "echo-against": {"SCRIPTED_SAYS": "PARAPHRASED/1/1"},
    "fresh-for": {"SCRIPTED_SAYS": "FRESH/0/2"},
    "fresh-against": {"SCRIPTED_SAYS": "FRESH/1/2"},
}


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    folder = tmp_path_factory.mktemp("models")
    with System.running(folder, scripted={"SCRIPTED_EMBEDDER": "real"}, agents=AGENTS) as system:
        yield system


@pytest.mark.parametrize(
    ("agent", "reason", "case_calls", "tries"),
    [
        ("silent", "it was empty", 2, 3),
        ("broken", "is scripted not to answer", 0, 3),
        ("wordy", "it had 103,400 characters", 0, 1),
    ],
)
def test_a_model_without_a_usable_answer_forfeits(
    system: System, agent: str, reason: str, case_calls: int, tries: int
) -> None:
    """A model that says nothing or fails is tried three times for a turn, no more; one that answers with 100 KB but
    once, because that spends the floor's allowance. Then the turn is forfeited with the reason, the other seat goes on,
    and the third forfeit in a row ends the debate: FORFEITED, with the seat as evidence, a summary and a verdict.

    Beside the tries stand the calls for the case, before a seat's first turn: one, and two of a model that answered
    with nothing, once in a debate; a case that is not answered, or that spends the allowance, is itself a try."""
    before = system.calls()
    name = system.create(f"Against a model that is {agent}", rounds=8, agents=("team-a", agent))
    debate = system.wait_for_end(name)
    turns = system.turns(name)
    assert [turn.number for turn in turns] == [1, 2, 3, 4, 5, 6]
    for turn in turns:
        assert turn.forfeited == (turn.agent == agent)
        assert bool(turn.text) != turn.forfeited
        if turn.forfeited:
            assert reason in turn.forfeit_reason
            assert turn.attempt == 1
    assert debate.stop_reason == debate_pb2.Debate.FORFEITED
    assert debate.stop_evidence.agent == agent
    assert "3 turns in a row" in debate.stop_evidence.reason
    assert debate.summary
    assert debate.verdict
    calls = system.calls() - before
    for turn in turns:
        made = [calls[call_seed(turn_place(name, turn.number), number)] for number in range(1, 7)]
        assert sorted(made, reverse=True) == made
        prepared = 0 if turn.round > 1 else case_calls if turn.forfeited else 1
        assert sum(made) == prepared + (tries if turn.forfeited else 1)


def test_a_model_that_is_too_slow_loses_its_floors(system: System) -> None:
    """A model that does not answer within the floor's deadline is cancelled and asked once for each of max_attempts
    floors; then the turn is forfeited, and with forfeits allowed the debate goes on to MAX_ROUNDS."""
    settings = debate_pb2.DebateSettings(
        turn_deadline=Duration(seconds=1), max_attempts=2, max_forfeits_in_a_row=50, redundant_rounds=NEVER_REDUNDANT
    )
    before = system.calls()
    name = system.create("Against a slow model", rounds=2, agents=("team-a", "sleepy"), settings=settings)
    debate = system.wait_for_end(name)
    turns = system.turns(name)
    assert [(turn.agent, turn.forfeited) for turn in turns] == [("team-a", False), ("sleepy", True)] * 2
    for turn in turns[1::2]:
        assert turn.attempt == 2
        assert "no answer in 2 attempts" in turn.forfeit_reason
    assert debate.stop_reason == debate_pb2.Debate.MAX_ROUNDS
    assert debate.verdict
    calls = system.calls() - before
    assert all(calls[call_seed(turn_place(name, turn.number), 1)] <= 2 for turn in turns[1::2])


def test_a_debate_that_nobody_speaks_in_ends_without_a_verdict(system: System) -> None:
    """When no seat ever speaks the debate ends as FORFEITED with no summary and no verdict, and the CLI says so."""
    name = system.create("Nobody speaks", rounds=8, agents=("silent", "broken"))
    debate = system.wait_for_end(name)
    assert debate.stop_reason == debate_pb2.Debate.FORFEITED
    assert debate.turn_count == 5
    assert not debate.summary
    assert not debate.verdict
    assert (debate.summary_absence, debate.verdict_absence) == (debate_pb2.NOTHING_SAID, debate_pb2.NOTHING_SAID)
    shown = system.rostrum("show", name)
    assert shown.returncode == 0
    assert "(forfeited: no usable answer: it was empty (model calls: 5))" in shown.stdout  # two of them for its case
    assert "(forfeited: no usable answer: it was empty (model calls: 3))" in shown.stdout


def test_agents_that_only_paraphrase_end_as_redundant(system: System) -> None:
    """Two agents that say the same again in other words are stopped after two such rounds, measured with the real
    embedding model: REDUNDANT, with the rounds, their figures and the nearest earlier sentences as evidence."""
    settings = debate_pb2.DebateSettings()
    name = system.create("AI and jobs", rounds=8, agents=("echo-for", "echo-against"), settings=settings)
    debate = system.wait_for_end(name)
    assert debate.stop_reason == debate_pb2.Debate.REDUNDANT
    assert "2 rounds in a row said nothing new" in debate.stop_evidence.reason
    assert [measure.round for measure in debate.stop_evidence.rounds] == [2, 3]
    for measure in debate.stop_evidence.rounds:
        assert measure.redundant
        assert measure.redundancy >= 0.7
        assert measure.embedding_model
        assert measure.pairs
        assert all(pair.earlier_turn_number < 2 * measure.round for pair in measure.pairs)
    assert debate.turn_count == 6
    assert debate.verdict


def test_agents_with_new_arguments_go_on(system: System) -> None:
    """Two agents that bring something new each round are not stopped, with the same embedding model and the default
    thresholds: all rounds are held, and none of them measures as redundant."""
    settings = debate_pb2.DebateSettings()
    name = system.create("AI and jobs", rounds=4, agents=("fresh-for", "fresh-against"), settings=settings)
    debate = system.wait_for_end(name)
    measures = [event.round_measured.measure for event in system.events(name) if event.HasField("round_measured")]
    assert [measure.round for measure in measures] == list(range(1, 5))
    assert not [measure for measure in measures if measure.redundant]
    assert (debate.stop_reason, debate.turn_count) == (debate_pb2.Debate.MAX_ROUNDS, 8)
