"""From `rostrum up` to the first turn of a first debate: in a new home, and again in the same one. The cache is warm.

The machine's other work makes it longer, so the CPU seconds of all that was started are counted beside it: the command,
the runner and its children, those that ended by then included.
"""

from __future__ import annotations

import asyncio
import resource
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
from rostrum.debate.v1 import debate_pb2, debate_service_pb2, debate_service_pb2_grpc

from mesh.rpc.channels import through_ingress
from tests.bench.figures import TURN_BYTES
from tests.support.system import System

if TYPE_CHECKING:
    from collections.abc import Callable

    import grpc.aio

SCRIPT = {"SCRIPTED_TEXT_BYTES": str(TURN_BYTES), "SCRIPTED_EMBEDDER": "instant"}
"""Of the model and the embedder, which answer at once."""


def run() -> dict[str, float]:
    """Starts a Rostrum twice; returns seconds by name."""
    with tempfile.TemporaryDirectory(prefix="rostrum-bench-") as folder:
        system = System(Path(folder) / "home")

        def begin() -> System:
            nonlocal system
            system = System.start(Path(folder), scripted=SCRIPT)
            return system

        def begin_again() -> System:
            up = system.rostrum("up", "--detach", "--model", "openai:scripted", timeout=120)
            assert up.returncode == 0, up.stderr
            return system

        seconds, cpu_seconds = _measure(begin)
        again_seconds, again_cpu_seconds = _measure(begin_again)
    return {
        "first_turn_seconds": seconds,
        "the same, CPU s": cpu_seconds,
        "start to the first turn in the same home, s": again_seconds,
        "the same home, CPU s": again_cpu_seconds,
    }


def _measure(begin: Callable[[], System]) -> tuple[float, float]:
    """Starts a system and stops it after a first turn; returns the seconds until then, and those of CPU."""
    cpu, start = _ended_cpu(), time.perf_counter()
    system = begin()
    try:
        asyncio.run(wait_for_first_turn(lambda: dial_moderator(system)))
        seconds = time.perf_counter() - start
        return round(seconds, 2), round(_ended_cpu() - cpu + _running_cpu(system), 2)
    finally:
        system.stop()


def dial_moderator(system: System) -> grpc.aio.Channel:
    """A channel to the moderator by the ingress. Made on the loop that uses it."""
    return through_ingress(system.runner.ingress, "moderator", system.runner.token)


async def wait_for_first_turn(channel_to: Callable[[], grpc.aio.Channel]) -> None:
    """Starts a debate and returns when its first turn is in the record."""
    async with channel_to() as channel:
        stub: debate_service_pb2_grpc.DebateServiceAsyncStub = debate_service_pb2_grpc.DebateServiceStub(channel)
        debate = await stub.CreateDebate(
            debate_service_pb2.CreateDebateRequest(debate=debate_pb2.Debate(topic="The first turn", max_rounds=1))
        )
        async for event in stub.WatchDebate(debate_service_pb2.WatchDebateRequest(name=debate.name)):
            if event.WhichOneof("kind") == "turn_taken":
                return


def _ended_cpu() -> float:
    """CPU seconds of the commands that ran so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _running_cpu(system: System) -> float:
    """CPU seconds of the runner and all that it started."""
    runner = psutil.Process(int(system.json("status")["pid"]))
    times = [process.cpu_times() for process in (runner, *runner.children(recursive=True))]
    return sum(used.user + used.system + used.children_user + used.children_system for used in times)
