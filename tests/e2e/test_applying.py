"""Changes to the running mesh: no call fails by them, and what one Envoy does not take is active in none."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import grpc
import pytest
from rostrum.agent.v1 import agent_service_pb2, agent_service_pb2_grpc
from rostrum.debate.v1 import debate_pb2, debate_service_pb2, debate_service_pb2_grpc
from rostrum.local.v1 import runner_pb2

from tests.support.system import ROOT, paused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.system import System

pytestmark = pytest.mark.timeout(180)

CALL_SECONDS = 20
ROUNDS = 5
LEAST_CALLS = 100
"""Of each kind while all of it changes."""
POLICY = """
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: one-more-NAME}
spec:
  selector: {matchLabels: {app: NAME}}
  rules: [{from: [{source: {principals: [cluster.local/ns/rostrum/sa/NAME]}}]}]
"""
RULE = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: one-more}
spec:
  host: team-b.rostrum.svc.cluster.local
  subsets: [{name: first, labels: {version: v1}}]
"""
POLICIES = "---".join(POLICY.replace("NAME", name) for name in ("moderator", "team-b"))


@dataclass
class Load:
    """Calls one after the other, and what became of them."""

    call: Callable[[], object]
    ended: int = 0
    failed: list[str] = field(default_factory=list)

    def run(self, stop: threading.Event) -> None:
        while not stop.is_set():
            try:
                self.call()
            except grpc.RpcError as error:
                self.failed.append(str(error))
            self.ended += 1


@contextmanager
def under_load(*calls: Callable[[], object]) -> Iterator[list[Load]]:
    """Makes these calls at the same time, again and again, until the block ends."""
    loads, stop = [Load(call) for call in calls], threading.Event()
    threads = [threading.Thread(target=load.run, args=(stop,)) for load in loads]
    for thread in threads:
        thread.start()
    try:
        yield loads
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def change(system: System, text: str, *, delete: bool = False) -> None:
    """Makes resources active, or takes them out."""
    file = runner_pb2.ManifestFile(name="asked.yaml", text=text)
    request = runner_pb2.ChangeResourcesRequest(files=[file], delete=delete)
    system.call(system.runner.change_resources(request))


def test_no_call_fails_while_resources_change(system: System) -> None:
    """Listeners, routes and clusters are replaced again and again under calls; none fails, a stream that was open goes
    on to its end, and no process was started again."""
    processes = {name: (pod.pid, pod.sidecar.pid, pod.sidecar.restarts) for name, pod in system.pods().items()}
    routes = (ROOT / "istio" / "services" / "team-b" / "traffic.yaml").read_text("utf-8")
    name = system.create("A stream is not cut off", rounds=1, agents=("sleepy", "team-a"))
    with system.channel("moderator") as to_moderator, system.channel("team-b") as to_agent:
        debates = debate_service_pb2_grpc.DebateServiceStub(to_moderator)
        agent = agent_service_pb2_grpc.AgentServiceStub(to_agent)
        stream = debates.WatchDebate(debate_service_pb2.WatchDebateRequest(name=name))
        assert next(stream).HasField("debate_created")
        with under_load(
            lambda: debates.ListDebates(debate_service_pb2.ListDebatesRequest(page_size=1), timeout=CALL_SECONDS),
            lambda: agent.GetAgent(agent_service_pb2.GetAgentRequest(name="agents/team-b"), timeout=CALL_SECONDS),
        ) as loads:
            for number in range(ROUNDS):
                change(system, f"{POLICIES}---{RULE}")
                change(system, routes.replace("timeout: 300s", f"timeout: {200 + number}s"))
                change(system, f"{POLICIES}---{RULE}", delete=True)
            change(system, routes)
        debates.CancelDebate(debate_service_pb2.CancelDebateRequest(name=name), timeout=CALL_SECONDS)
        last = [*stream][-1]
    assert [load.failed for load in loads] == [[], []]
    assert min(load.ended for load in loads) > LEAST_CALLS
    assert last.debate_ended.debate.stop_reason == debate_pb2.Debate.CANCELLED
    now = {name: (pod.pid, pod.sidecar.pid, pod.sidecar.restarts) for name, pod in system.pods().items()}
    assert now == processes


def test_what_one_envoy_does_not_take_is_active_in_none(system: System) -> None:
    """An Envoy that hangs: `apply` says so after its wait and undoes all; once it goes on, all is as it was, and the
    same change is taken."""
    deny = "istio/scenarios/deny"
    with paused(system.pods()["team-b-0"].sidecar.pid, once=lambda: True):
        applied = system.rostrum("apply", "-f", deny)
    assert applied.returncode == 1, applied.stdout
    assert "team-b-0 does not take its configuration" in applied.stderr
    assert "Nothing was changed." in applied.stderr
    assert "team-b-closed" not in system.rostrum("get", "AuthorizationPolicy").stdout
    with system.channel("team-b") as channel:
        agent = agent_service_pb2_grpc.AgentServiceStub(channel)
        request = agent_service_pb2.GetAgentRequest(name="agents/team-b")
        assert agent.GetAgent(request, timeout=CALL_SECONDS).name == "agents/team-b"
        assert system.rostrum("apply", "-f", deny).returncode == 0
        with pytest.raises(grpc.RpcError, match="RBAC: access denied"):
            agent.GetAgent(request, timeout=CALL_SECONDS)
        assert system.rostrum("delete", "-f", deny).returncode == 0
        assert agent.GetAgent(request, timeout=CALL_SECONDS).name == "agents/team-b"
