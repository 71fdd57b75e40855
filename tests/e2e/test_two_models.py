"""Two agents of one debate speak with two models, each as its own manifest says, by a real server of models."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from rostrum.agent.v1 import agent_service_pb2, agent_service_pb2_grpc

from mesh.testing.openai_server import ScriptedServer
from mesh.testing.scripted_model import Answer, Call
from tests.support.system import ROOT, System
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(240)

CHECK = "Say yes."
"""What each model is asked before anything is started (mesh.llm.checking)."""
PERSONA = "A retired nurse who distrusts averages."


def manifests(target: Path) -> Path:
    """k8s/base and istio/, in which team-b has a model and a persona of its own."""
    shutil.copytree(ROOT / "k8s", target / "k8s")
    shutil.copytree(ROOT / "istio", target / "istio")
    file = target / "k8s" / "base" / "team-b.yaml"
    name = "            - {name: SERVICE_NAME, value: team-b}\n"
    own = f'{name}            - {{name: MODEL, value: "openai:second"}}\n'
    own += '            - {name: MODEL_TEMPERATURE, value: "0.25"}\n'
    own += f'            - {{name: AGENT_PERSONA, value: "{PERSONA}"}}\n'
    assert name in file.read_text("utf-8")
    file.write_text(file.read_text("utf-8").replace(name, own), "utf-8")
    return target


def answer(_call: Call) -> Answer:
    """The usual one, a few words at a time."""
    return Answer(pause_seconds=0.1)


def test_each_agent_has_its_model(tmp_path: Path) -> None:
    """team-a and the moderator speak with the one that `up` is given, team-b with its own, as the record says; persona
    and temperature are in team-b's calls and in nobody else's; both were asked for a token before the start. What the
    server streams is seen as it comes."""
    with ScriptedServer(answer) as server:
        env = {"OPENAI_BASE_URL": f"{server.url}/v1", "OPENAI_API_KEY": "scripted"}
        system = System(tmp_path / "home", {"ROSTRUM_HOME": str(tmp_path / "home"), **env})
        system.env["ROSTRUM_MANIFESTS"] = str(manifests(tmp_path / "manifests"))
        up = system.rostrum("up", "--detach", "--model", "openai:first", timeout=120)
        assert up.returncode == 0, up.stderr
        try:
            name = system.create("Tea is better than coffee", rounds=1)
            with system.channel("team-b", role="viewer") as channel:
                request = agent_service_pb2.WatchFloorRequest(name="agents/team-b", debate=name, turn_number=2)
                events = list(agent_service_pb2_grpc.AgentServiceStub(channel).WatchFloor(request, timeout=90))
            wait_until("both turns", lambda: len(system.turns(name)) == 2, seconds=90)
            turns = system.turns(name)
        finally:
            system.stop()
    assert [(turn.agent, turn.model) for turn in turns] == [("team-a", "openai:first"), ("team-b", "openai:second")]
    spoken = [body for body in server.bodies if body["messages"][-1]["content"] != CHECK]
    assert {body["model"] for body in server.bodies if body not in spoken} == {"first", "second"}
    asked = {(body["model"], PERSONA in str(body["messages"]), body.get("temperature")) for body in spoken}
    assert {call for call in asked if call[0] == "second"} == {("second", True, 0.25)}
    assert {call[:2] for call in asked if call[0] != "second"} == {("first", False)}
    assert sum(event.HasField("written") for event in events) >= 3
    assert events[-1].committed.text == turns[1].text
