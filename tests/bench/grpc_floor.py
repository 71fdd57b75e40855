"""The gRPC floor: a caller and two agents in three processes, unary calls of 400 bytes, no broker and no store.

Run as a module it is one agent, at the places that its arguments say ("unix:PATH") or a port of 127.0.0.1: it prints
the port of the last and answers until its standard input closes.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import grpc
import grpc.aio
import psutil

from tests.bench.figures import DEBATES, TURN_BYTES, TURNS, Figures, figures

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

METHOD = "/floor.Agent/Speak"


async def _speak(request: bytes, _: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
    return request


async def _serve(places: Sequence[str]) -> None:
    server = grpc.aio.server()
    handler = grpc.method_handlers_generic_handler(
        "floor.Agent", {"Speak": grpc.unary_unary_rpc_method_handler(_speak)}
    )
    server.add_generic_rpc_handlers((handler,))
    port = [server.add_insecure_port(place) for place in places or ["127.0.0.1:0"]][-1]
    await server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)
    await server.stop(None)


async def _debate(agents: list[grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]], turns: int) -> list[float]:
    latencies = []
    text = b"x" * TURN_BYTES
    for turn in range(turns):
        start = time.perf_counter()
        text = await agents[turn % 2](text)
        latencies.append(time.perf_counter() - start)
    return latencies


async def _load(ports: list[int], pids: list[int]) -> list[Figures]:
    channels = [grpc.aio.insecure_channel(f"127.0.0.1:{port}") for port in ports]
    agents: list[grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]] = [channel.unary_unary(METHOD) for channel in channels]
    await _debate(agents, 200)
    results = []
    for debates in DEBATES:
        turns = max(TURNS, 1600 // debates)
        cpu = cpu_seconds(pids)
        start = time.perf_counter()
        runs = await asyncio.gather(*(_debate(agents, turns) for _ in range(debates)))
        wall = time.perf_counter() - start
        results.append(
            figures("grpc floor", debates, [value for run in runs for value in run], wall, cpu_seconds(pids) - cpu)
        )
    for channel in channels:
        await channel.close()
    return results


def cpu_seconds(pids: list[int]) -> float:
    """User and system time that these processes have used so far."""
    return sum(sum(psutil.Process(pid).cpu_times()[:2]) for pid in pids)


def _agents() -> Iterator[subprocess.Popen[str]]:
    for _ in range(2):
        yield subprocess.Popen(
            [sys.executable, "-m", "tests.bench.grpc_floor"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )


def run() -> list[Figures]:
    """Measures it once for each number of debates."""
    agents = list(_agents())
    try:
        ports = [int(agent.stdout.readline()) for agent in agents if agent.stdout]
        return asyncio.run(_load(ports, [psutil.Process().pid, *(agent.pid for agent in agents)]))
    finally:
        for agent in agents:
            agent.communicate(timeout=10)


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1:]))
