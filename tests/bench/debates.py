"""Rostrum itself under load: real Kafka, real stores, real Envoys, and a model that answers 400 bytes at once.

A turn's latency is `Turn.elapsed`: from the floor's grant to the record, so two Kafka hops and two commits. Turns per
second count everything, the moderator's work between rounds included.
"""

from __future__ import annotations

import asyncio
import functools
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import grpc.aio
import psutil
from rostrum.debate.v1 import debate_pb2, debate_service_pb2, debate_service_pb2_grpc

from tests.bench.figures import DEBATES, TURNS, Figures, figures
from tests.bench.grpc_floor import cpu_seconds
from tests.bench.start import SCRIPT, dial_moderator, wait_for_first_turn
from tests.support.system import SCRIPTED, System

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Dial = Callable[[], grpc.aio.Channel]

T = TypeVar("T")

RUNS = {1: 12, 10: 4, 100: 1}
"""Times a number of debates is held one after another, so that each row rests on some hundred turns."""


async def _hold(stub: debate_service_pb2_grpc.DebateServiceAsyncStub, name: str) -> list[float]:
    """Holds one debate and returns the latencies of its turns in seconds."""
    settings = debate_pb2.DebateSettings(redundant_rounds=50)
    debate = await stub.CreateDebate(
        debate_service_pb2.CreateDebateRequest(
            debate=debate_pb2.Debate(topic=name, max_rounds=TURNS // 2, settings=settings)
        )
    )
    events = stub.WatchDebate(debate_service_pb2.WatchDebateRequest(name=debate.name))
    turns = [event.turn_taken.turn async for event in events if event.WhichOneof("kind") == "turn_taken"]
    if len(turns) != TURNS:
        raise RuntimeError(f"{debate.name} had {len(turns)} turns, not {TURNS}")
    return [turn.elapsed.ToTimedelta().total_seconds() for turn in turns]


async def _load(channel_to: Dial, pods: Mapping[str, int]) -> tuple[list[Figures], dict[str, float]]:
    """Returns the figures of each number of debates, and CPU ms a turn of each pod."""
    results = []
    values: dict[str, float] = {}
    async with channel_to() as channel:
        stub: debate_service_pb2_grpc.DebateServiceAsyncStub = debate_service_pb2_grpc.DebateServiceStub(channel)
        await asyncio.gather(*(_hold(stub, f"Warm-up {index}") for index in range(10)))
        for debates in DEBATES:
            before, start = _cpu(pods), time.perf_counter()
            latencies: list[float] = []
            for run in range(RUNS[debates]):
                held = await asyncio.gather(*(_hold(stub, f"Bench {run} {index}") for index in range(debates)))
                latencies += [value for debate in held for value in debate]
            wall = time.perf_counter() - start
            used = {name: seconds - before[name] for name, seconds in _cpu(pods).items()}
            results.append(figures("rostrum", debates, latencies, wall, sum(used.values())))
            for name, seconds in used.items():
                values[f"{name}, CPU ms a turn, debates: {debates}"] = round(seconds / len(latencies) * 1000, 2)
    return results, values


def _cpu(pods: Mapping[str, int]) -> dict[str, float]:
    return {name: cpu_seconds([pid]) for name, pid in pods.items()}


def run(while_up: Callable[[System], T]) -> tuple[list[Figures], dict[str, float], T]:
    """Measures Rostrum, and `while_up` (the Kafka floor, the ingress) in the same system in the same run.

    Returns Rostrum's figures, single values by name (seconds, MiB), and what `while_up` measured.
    """
    with tempfile.TemporaryDirectory(prefix="rostrum-bench-") as folder:
        start = time.perf_counter()
        system = System.start(Path(folder), scripted=SCRIPT)
        try:
            dial = functools.partial(dial_moderator, system)
            asyncio.run(wait_for_first_turn(dial))
            values = {"first_turn_seconds": round(time.perf_counter() - start, 2)}
            pods = {pod["name"]: int(pod["pid"]) for pod in system.json("status")["pods"] if pod["pid"]}
            other = while_up(system)
            mine, cpu_values = asyncio.run(_load(dial, pods))
            values |= cpu_values
            for name, pid in pods.items():
                values[f"{name}_rss_mib"] = round(psutil.Process(pid).memory_info().rss / 2**20, 1)
        finally:
            system.stop()
    return mine, values, other


def service_pods(values: dict[str, float]) -> dict[str, float]:
    """The memory figures of the services alone, MiB by pod."""
    return {name: value for name, value in values.items() if name.startswith(SCRIPTED) and name.endswith("_rss_mib")}
