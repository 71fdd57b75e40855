"""The crash table: at each boundary a process kills itself, once, and turns, model calls and tokens are counted.

Real processes, one system for all rows. A debate of two rounds; the process of the row dies by SIGKILL exactly at the
boundary (tests.support.crash_points), the runner starts it again, and the debate must end as one in which nobody died:
the same events, each turn once. A model call is made a second time only where its completion was lost with the
process, between the call and its commit; the tokens of that lost call are the only ones that the debate does not count.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from rostrum.debate.v1 import debate_pb2

from mesh.agent.metered_model import call_seed, turn_place
from mesh.llm.port import seed_for
from tests.support.crash_points import CrashFolder, Plan, Point
from tests.support.scripted_service import turn_text
from tests.support.system import NEVER_REDUNDANT, System
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rostrum.local.v1 import runner_pb2

pytestmark = pytest.mark.timeout(120)

ROUNDS = 2
AGENTS = ["team-a", "team-b"] * ROUNDS
FIRST_TURNS = (1, 2)
"""Of each seat, before which it makes its case."""
TURN_BYTES = 300
HELD_ROUND = ["floor_granted", "turn_taken"] * 2
EVENTS = [
    *("debate_created", "agenda_planned"),
    *("round_opened", *HELD_ROUND, "round_measured"),
    *("round_opened", *HELD_ROUND, "round_measured"),
    "debate_stopped",
    "debate_ended",
]
MEASURED = 14
"""Number of the event of the second round's measure, the one for which the moderator's model is asked."""
FRESH_RESTARTS = 3
"""A pod that was started again so often is replaced before the next row, since each restart waits twice as long."""


@dataclass(frozen=True)
class Row:
    """A boundary of the table. `at`: a call of `calls_of`, or what the point names, less the debate's id."""

    pod: str
    point: Point
    at: str
    published: str = ""
    held: str = ""
    """The call that waits for the death, where the debate could otherwise run ahead of it."""
    lost: str = ""
    """The call whose completion dies with the process."""


ROWS = {
    "debater before the model call": Row("team-a-0", Point.BEFORE_MODEL, "turn 3"),
    "debater after the model call": Row("team-a-0", Point.AFTER_MODEL, "turn 3", lost="turn 3"),
    "debater before the commit": Row("team-a-0", Point.BEFORE_COMMIT, "/3/1/taken", lost="turn 3"),
    "debater after the commit": Row("team-a-0", Point.AFTER_COMMIT, "/3/1/taken"),
    "debater after the publish": Row("team-a-0", Point.AFTER_PUBLISH, "/3/1/granted", "/3/1/taken", held="turn 4"),
    "debater after the offset commit": Row("team-a-0", Point.AFTER_OFFSET, "/3/1/granted", held="turn 4"),
    # Before its first turn a debater prepares its case, which is stored by itself and part of that turn's price.
    "case after the model call": Row("team-a-0", Point.AFTER_MODEL, "case 1", lost="case 1"),
    "case after its commit": Row("team-a-0", Point.BEFORE_MODEL, "turn 1"),
    "first turn after the model call": Row("team-a-0", Point.AFTER_MODEL, "turn 1", lost="turn 1"),
    # The moderator hears turn 3.
    "hearing before the commit": Row("moderator-0", Point.BEFORE_COMMIT, "/4/1/granted"),
    "hearing after the commit": Row("moderator-0", Point.AFTER_COMMIT, "/4/1/granted"),
    "hearing after the publish": Row("moderator-0", Point.AFTER_PUBLISH, "/3/1/taken", "/4/1/granted", held="turn 4"),
    "hearing after the offset commit": Row("moderator-0", Point.AFTER_OFFSET, "/3/1/taken", held="turn 4"),
    # The moderator's leased steps: the agenda with the first round's question, the second round's question, that
    # round's measure, the summary, the verdict.
    "agenda before the model call": Row("moderator-0", Point.BEFORE_MODEL, "agenda"),
    "agenda after the model call": Row("moderator-0", Point.AFTER_MODEL, "agenda", lost="agenda"),
    "agenda after the commit": Row("moderator-0", Point.AFTER_COMMIT, "/1/1/granted"),
    "question before the model call": Row("moderator-0", Point.BEFORE_MODEL, "question 2"),
    "question after the model call": Row("moderator-0", Point.AFTER_MODEL, "question 2", lost="question 2"),
    "question after the commit": Row("moderator-0", Point.AFTER_COMMIT, "/3/1/granted"),
    "measure before the model call": Row("moderator-0", Point.BEFORE_MODEL, "opinion"),
    "measure after the model call": Row("moderator-0", Point.AFTER_MODEL, "opinion", lost="opinion"),
    "measure after the commit": Row("moderator-0", Point.AFTER_COMMIT, f"/events/{MEASURED}"),
    "summary before the model call": Row("moderator-0", Point.BEFORE_MODEL, "summary"),
    "summary after the model call": Row("moderator-0", Point.AFTER_MODEL, "summary", lost="summary"),
    "verdict before the model call": Row("moderator-0", Point.BEFORE_MODEL, "verdict"),
    "verdict after the model call": Row("moderator-0", Point.AFTER_MODEL, "verdict", lost="verdict"),
    "verdict after the commit": Row("moderator-0", Point.AFTER_COMMIT, f"/events/{len(EVENTS)}"),
}


def calls_of(name: str) -> dict[str, int]:
    """Returns the seed of each model call of a debate in which nobody dies."""
    cases = {f"case {number}": call_seed(turn_place(name, number), 1) for number in FIRST_TURNS}
    turns = {
        f"turn {number}": call_seed(turn_place(name, number), 2 if number in FIRST_TURNS else 1)
        for number in range(1, len(AGENTS) + 1)
    }
    own = {
        "agenda": "1/agenda",
        "question 2": "3/question",
        "opinion": "5/opinion",
        "summary": "5/summary",
        "verdict": "5/verdict",
    }
    return cases | turns | {purpose: seed_for(f"{name}/{place}") for purpose, place in own.items()}


class Table:
    """The running system and the plans for its deaths."""

    def __init__(self, system: System, crashes: CrashFolder) -> None:
        self.system = system
        self.crashes = crashes

    def create(self, topic: str) -> str:
        """Starts a debate in which every model call waits for the next plan."""
        self.crashes.write(Plan(held="all"))
        # A threshold next to what texts without repeats measure, so that the moderator asks its model for an opinion.
        settings = debate_pb2.DebateSettings(redundant_rounds=NEVER_REDUNDANT, redundant_share=0.1)
        return self.system.create(topic, rounds=ROUNDS, settings=settings)

    def fresh_pods(self, pod: str) -> Mapping[str, runner_pb2.Pod]:
        """Returns all pods; that one is replaced first if its next restart would take long."""
        pods = self.system.pods()
        if pods[pod].restarts >= FRESH_RESTARTS:
            for replicas in (0, 1):
                self.system.scale(pods[pod].deployment, replicas)
            pods = self.system.pods()
        return pods


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Table]:
    folder = tmp_path_factory.mktemp("crash")
    scripted = {"CRASH_FOLDER": str(folder), "SCRIPTED_TEXT_BYTES": str(TURN_BYTES)}
    with System.running(folder, scripted=scripted) as system:
        yield Table(system, CrashFolder(folder))


@pytest.mark.parametrize("boundary", ROWS)
def test_a_death_at_a_boundary(table: Table, boundary: str) -> None:
    """The process dies there once and is started again once, no other process is; the debate is the one that it would
    have been without the death; model calls are one each, but two of a completion that was lost; tokens are those of
    each call once."""
    row, system = ROWS[boundary], table.system
    before = table.fresh_pods(row.pod)
    calls_before = system.calls()

    name = table.create(f"Dying: {boundary}")
    calls = calls_of(name)
    debate_id = name.removeprefix("debates/")
    plan = Plan(
        pod=row.pod,
        point=row.point,
        at=str(calls[row.at]) if row.at in calls else f"{debate_id}{row.at}",
        published=f"{debate_id}{row.published}",
        held=str(calls[row.held]) if row.held else "",
        marker=f"died-{debate_id}",
    )
    table.crashes.write(plan)
    wait_until(f"the death {boundary}", lambda: table.crashes.died(plan), seconds=20)
    debate = system.wait_for_end(name, seconds=30)
    wait_until(
        f"{row.pod} to be ready again",
        lambda: (pod := system.pods()[row.pod]).ready and pod.restarts > before[row.pod].restarts,
        seconds=20,
    )

    assert table.crashes.pid(plan) == before[row.pod].pid
    restarts = {pod: after.restarts - before[pod].restarts for pod, after in system.pods().items()}
    assert {pod: number for pod, number in restarts.items() if number} == {row.pod: 1}

    made = system.calls() - calls_before
    assert made == Counter(calls.values()) + Counter([calls[row.lost]] if row.lost else [])
    completions = table.crashes.completions()
    assert {call: len(completions[call]) for call in made} == made
    tokens = {purpose: completions[call][0] for purpose, call in calls.items()}
    assert all(len(set(completions[call])) == 1 for call in made), "a repeated call was another call"
    assert debate.tokens_spent == sum(tokens.values())

    turns = system.turns(name)
    assert [(turn.number, turn.agent, turn.attempt) for turn in turns] == [
        (number, agent, 1) for number, agent in enumerate(AGENTS, 1)
    ]
    for turn in turns:
        assert turn.text == turn_text(calls[f"turn {turn.number}"], TURN_BYTES)
        assert not turn.forfeited
        spent = tokens[f"turn {turn.number}"] + tokens.get(f"case {turn.number}", 0)
        assert turn.prompt_tokens + turn.completion_tokens == spent
    said = {(utterance.turn_number, utterance.text) for agent in set(AGENTS) for utterance in system.said(agent, name)}
    assert said == {(turn.number, turn.text) for turn in turns}

    events = system.events(name)
    assert [event.number for event in events] == list(range(1, len(EVENTS) + 1))
    assert [event.WhichOneof("kind") for event in events] == EVENTS
    assert events[MEASURED - 1].round_measured.measure.HasField("opinion")
    assert debate.stop_reason == debate_pb2.Debate.MAX_ROUNDS
    assert len(debate.agenda) == ROUNDS
    assert debate.summary
    assert debate.verdict
    assert debate.judgement.winner == "team-a"
    assert events[-1].debate_ended.debate.verdict == debate.verdict
