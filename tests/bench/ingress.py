"""What the way by the ingress costs a call: REST against gRPC against the agent's own socket, in a whole Rostrum.

All three are GetAgent of team-a. By the ingress a token is checked, and two sidecars are passed; REST is turned into
gRPC there as well. The REST client is http.client on one connection, whose own cost is part of the figure, as is that
of gRPC's client in the others. Rounds alternate. Also what the sidecars of a Rostrum at rest take.
"""

from __future__ import annotations

import asyncio
import http.client
from typing import TYPE_CHECKING

import grpc.aio
from rostrum.agent.v1 import agent_service_pb2

from mesh.local import tokens
from mesh.local.folders import app_socket
from tests.bench.sidecars import Way, alternate, resources

if TYPE_CHECKING:
    from rostrum.local.v1 import runner_pb2

    from tests.bench.figures import Figures
    from tests.support.system import System

AGENT, PORT = "team-a", 50051
TOKEN_SECONDS = 600.0
METHOD = "/rostrum.agent.v1.AgentService/GetAgent"
DIRECT, GRPC, REST = "GetAgent, at the app", "GetAgent, ingress, gRPC", "GetAgent, ingress, REST"


async def _load(system: System, pods: dict[str, runner_pb2.Pod]) -> list[Figures]:
    agent, ingress = pods[f"{AGENT}-0"], pods["ingress-0"]
    message = agent_service_pb2.GetAgentRequest(name=f"agents/{AGENT}").SerializeToString()
    token = ("authorization", f"Bearer {tokens.issue(system.home, 'operator', TOKEN_SECONDS)}")
    connection = http.client.HTTPConnection(system.runner.ingress)

    async def rest(_message: bytes, **_how: object) -> None:
        # Blocks the loop, in which nothing else is to be done: calls come one after the other.
        connection.request("GET", f"/v1/agents/{AGENT}", headers=dict([token]))
        answer = connection.getresponse()
        answer.read()
        if answer.status != http.HTTPStatus.OK:
            raise RuntimeError(f"REST was answered with {answer.status}")

    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.default_authority", AGENT)]
    at_app = grpc.aio.insecure_channel(f"unix:{agent.sidecar.folder}/{app_socket(PORT)}", options)
    at_ingress = grpc.aio.insecure_channel(system.runner.ingress, options)
    through = [agent.pid, agent.sidecar.pid, ingress.pid]
    async with at_app, at_ingress:
        found = await alternate(
            [
                Way(DIRECT, at_app.unary_unary(METHOD), [agent.pid], message),
                Way(GRPC, at_ingress.unary_unary(METHOD), through, message, [token]),
                Way(REST, rest, through),
            ]
        )
    connection.close()
    return found


def run(system: System) -> tuple[list[Figures], dict[str, float]]:
    """Measures the three ways, and values of the sidecars by name (MiB, percent of a core)."""
    pods = system.pods()
    rows = asyncio.run(_load(system, pods))
    sidecars = [pod.sidecar.pid for pod in pods.values() if pod.HasField("sidecar")]
    return rows, resources("a sidecar of Rostrum", sidecars)
