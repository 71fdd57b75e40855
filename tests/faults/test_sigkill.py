"""Whole debates while processes are killed: no turn lost, none repeated, and no completion paid for twice."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from rostrum.debate.v1 import debate_pb2, debate_service_pb2, debate_service_pb2_grpc

from tests.support.system import System, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROUNDS = 4


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[System, Path]]:
    folder = tmp_path_factory.mktemp("sigkill")
    system = System.start(folder, scripted={"SCRIPTED_DELAY_SECONDS": "0.3"})
    yield system, folder
    system.stop()


def start_debate(system: System, topic: str) -> str:
    """Starts a debate in the background as another client would, and returns its name."""
    with grpc.insecure_channel(system.pod("moderator-0")["addresses"][0]) as channel:
        stub = debate_service_pb2_grpc.DebateServiceStub(channel)
        settings = debate_pb2.DebateSettings(redundant_rounds=50)
        request = debate_service_pb2.CreateDebateRequest(
            debate=debate_pb2.Debate(topic=topic, max_rounds=ROUNDS, settings=settings)
        )
        return str(stub.CreateDebate(request, timeout=10).name)


def shown(system: System, name: str) -> dict[str, Any]:
    result = system.rostrum("show", name, "--json")
    return json.loads(result.stdout) if result.returncode == 0 else {"turns": [], "state": "UNREACHABLE"}


def calls_by_turn(folder: Path, debate: str) -> Counter[str]:
    """Model calls of one debate, counted by what they were for."""
    lines = [json.loads(line) for line in (folder / "calls.jsonl").read_text("utf-8").splitlines()]
    return Counter(str(line["seed"]) for line in lines if line["debate"] == debate)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("victim", ["team-a-0", "team-b-0", "moderator-0", "kafka-0"])
def test_a_killed_process_loses_and_repeats_nothing(system: tuple[System, Path], victim: str) -> None:
    """SIGKILL of any process mid-debate: the record is 1..8 without a gap, and a model call is repeated only when
    the process died before its completion was stored: at most one more call for each kill."""
    rostrum, folder = system
    name = start_debate(rostrum, f"Killing {victim} twice")
    for turns in (1, 4):
        wait_until(f"turn {turns}", lambda turns=turns: len(shown(rostrum, name)["turns"]) >= turns, seconds=60)  # type: ignore[misc]
        rostrum.kill(victim)
    wait_until("the end", lambda: shown(rostrum, name)["state"] == "ENDED", seconds=120)
    debate = shown(rostrum, name)
    assert [turn["number"] for turn in debate["turns"]] == list(range(1, 2 * ROUNDS + 1))
    assert [turn["agent"] for turn in debate["turns"]] == ["team-a", "team-b"] * ROUNDS
    assert not any(turn["forfeited"] for turn in debate["turns"])
    assert all(turn["text"] for turn in debate["turns"])
    assert debate["stop_reason"] == "MAX_ROUNDS"
    assert debate["summary"]
    calls = calls_by_turn(folder, name)
    assert sum(calls.values()) - len(calls) <= 2, f"more second calls than kills: {calls.most_common(4)}"
