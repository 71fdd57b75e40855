"""A model's server that dies in the middle of a debate, comes back, or answers in wrong types: each debate ends as what
it is, with the exit code that the README has for it, and never by paying again and again.

The services are those that run on a laptop, and speak with a real HTTP server that is killed by SIGKILL.
"""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from rostrum.debate.v1 import debate_pb2

from mesh.cli.exits import Exit
from tests.support.model_process import ModelProcess
from tests.support.system import NEVER_REDUNDANT, ROOT, System
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def model() -> Iterator[ModelProcess]:
    with ModelProcess() as model:
        yield model


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory, model: ModelProcess) -> Iterator[System]:
    with _running(tmp_path_factory.mktemp("mortal"), model) as system:
        yield system


class _running:  # noqa: N801 - a context manager, as System.running is
    def __init__(self, folder: Path, model: ModelProcess) -> None:
        home = folder / "home"
        self._system = System(home, {"ROSTRUM_HOME": str(home), "OPENAI_BASE_URL": model.url})

    def __enter__(self) -> System:
        up = self._system.rostrum("up", "--detach", "--model", "openai:scripted", timeout=150)
        assert up.returncode == 0, up.stderr + up.stdout
        return self._system

    def __exit__(self, *_: object) -> None:
        self._system.stop()


def begin(system: System, topic: str, *, rounds: int) -> tuple[subprocess.Popen[str], str]:
    """Starts `rostrum debate` and returns it with the name of its debate."""
    before = {debate["name"] for debate in system.json("list")["debates"]}
    command = subprocess.Popen(
        [*system.command, "debate", topic, "--rounds", str(rounds)],
        env=system.environ, cwd=ROOT, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip

    def made() -> str | None:
        assert command.poll() is None, command.communicate()
        names = {debate["name"] for debate in system.json("list")["debates"]} - before
        return next(iter(names), None)

    return command, wait_until("the debate", made, seconds=60)


def test_a_model_that_dies_and_stays_away_ends_the_debate_as_that(system: System, model: ModelProcess) -> None:
    """The round in which nobody speaks any more is not measured, the debate stops as MODEL_UNAVAILABLE and says why
    there is no summary and no verdict, and `rostrum debate` ends with 5, long before its 20 rounds."""
    command, name = begin(system, "A model that dies", rounds=20)
    system.wait_for_turn(name, 2)
    model.kill()
    try:
        printed, errors = command.communicate(timeout=120)
    finally:
        model.start()
    assert command.returncode == Exit.UNAVAILABLE, (printed, errors)
    assert "does not answer any more" in errors
    debate = system.debate(name)
    assert debate.stop_reason == debate_pb2.Debate.MODEL_UNAVAILABLE
    assert debate.turn_count < 12
    assert (debate.summary_absence, debate.verdict_absence) == (debate_pb2.MODEL_FAILED, debate_pb2.MODEL_FAILED)
    last = debate.round
    turns = system.turns(name)
    assert all(turn.forfeited and "scripted" in turn.forfeit_reason for turn in turns if turn.round == last)
    measures = [event.round_measured.measure for event in system.events(name) if event.HasField("round_measured")]
    assert measures[-1].round == last
    assert (measures[-1].not_measured, measures[-1].not_measured_reason) == (True, "nobody spoke")
    assert not measures[-1].redundant
    assert f"Round {last}: not measured, nobody spoke" in printed
    assert "No verdict: the moderator's model did not answer" in printed
    assert "100%" not in printed
    shown = system.rostrum("show", name)
    assert "the model does not answer any more" in shown.stdout


def test_a_model_that_comes_back_costs_a_turn_and_no_more(system: System, model: ModelProcess) -> None:
    """A server that is away for one turn forfeits that turn with the reason; the debate goes on to its last round and
    its verdict, and the command ends with 0."""
    command, name = begin(system, "A model that comes back", rounds=3)
    system.wait_for_turn(name, 2)
    model.kill()
    try:
        wait_until("a forfeit", lambda: any(turn.forfeited for turn in system.turns(name)), seconds=60)
    finally:
        model.start()
    printed, errors = command.communicate(timeout=120)
    assert command.returncode == Exit.OK, (printed, errors)
    debate = system.debate(name)
    assert debate.stop_reason == debate_pb2.Debate.MAX_ROUNDS
    assert debate.turn_count == 6
    assert debate.verdict
    assert system.turns(name)[-1].text


def test_a_model_that_answers_in_wrong_types_ends_the_debate_with_a_reason(
    tmp_path: Path, system: System, model: ModelProcess
) -> None:
    """Numbers, lists of lists, null, NaN, brackets without end, and counts of tokens beyond belief: each debate ends by
    itself, each forfeit has a reason that is no fault of ours, no floor is granted twice, the spent tokens are sane."""
    model.kill()
    confused = ModelProcess("confused")
    confused._port = model._port
    confused.start()
    try:
        settings = debate_pb2.DebateSettings(redundant_rounds=NEVER_REDUNDANT)
        names = [system.create(f"Wrong types {number}", rounds=3, settings=settings) for number in range(2)]
        for name in names:
            debate = system.wait_for_end(name, seconds=120)
            assert debate.stop_reason in {
                debate_pb2.Debate.FORFEITED, debate_pb2.Debate.MAX_ROUNDS, debate_pb2.Debate.MODEL_UNAVAILABLE
            }  # fmt: skip
            assert debate_pb2.STEP_FAILED not in {debate.summary_absence, debate.verdict_absence}
            assert 0 <= debate.tokens_spent < 400_000
            for turn in system.turns(name):
                assert turn.attempt == 1
                assert turn.text or turn.forfeit_reason
                assert "a fault of the agent's own" not in turn.forfeit_reason
    finally:
        confused.kill()
        model.start()
    pods = system.pods()
    assert all(pod.restarts == 0 and pod.ready for pod in pods.values())
