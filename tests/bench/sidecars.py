"""What a pair of sidecars costs a gRPC call: app, own sidecar, mutual TLS, other sidecar, app; and what it takes.

One app process answers behind two pods' sidecars, of which one insists on mutual TLS and the other takes plaintext; the
caller's sidecar is the same. Rounds alternate between these two and calls straight to the app's socket, so that
whatever else the machine does falls on all three. Calls come one after the other, 400 bytes there and back.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import grpc.aio
import psutil

from tests.bench.figures import TURN_BYTES, Figures, figures
from tests.bench.grpc_floor import METHOD, cpu_seconds
from tests.mesh.shop import STRICT, pod
from tests.support.mesh import running

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence
    from pathlib import Path

    from tests.support.mesh import RunningMesh

PORT = 50051
ROUNDS = 20
CALLS = 100
"""Of each round."""
WARM_UP_CALLS = 200
IDLE_SECONDS = 5.0
ADDED_MS = 0.5
"""Most that the pair may add at p50."""
DIRECT, MUTUAL, PLAIN = "gRPC call, app to app", "gRPC call, sidecars, mTLS", "gRPC call, sidecars, plaintext"

_WITHOUT_TLS = """
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: plain, namespace: shop}
spec:
  selector: {matchLabels: {app: plain}}
  mtls: {mode: DISABLE}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: plain, namespace: shop}
spec:
  host: plain
  trafficPolicy: {tls: {mode: DISABLE}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: secured, namespace: shop}
spec:
  host: secured
  trafficPolicy: {tls: {mode: ISTIO_MUTUAL}}
"""


@dataclass
class Way:
    """A way to call something, and what came of it so far. `pids`: whose CPU counts; the caller's does not."""

    name: str
    call: Callable[..., Awaitable[object]]
    pids: Sequence[int]
    message: bytes = b"x" * TURN_BYTES
    metadata: Sequence[tuple[str, str]] = ()
    latencies: list[float] = field(default_factory=list)
    wall: float = 0.0
    cpu: float = 0.0

    async def calls(self, count: int) -> list[float]:
        """The seconds of each call. Raises what the call raises if one fails."""
        found = []
        for _ in range(count):
            since = time.perf_counter()
            await self.call(self.message, metadata=self.metadata)
            found.append(time.perf_counter() - since)
        return found

    async def measure(self) -> None:
        """One round."""
        cpu, since = cpu_seconds(list(self.pids)), time.perf_counter()
        self.latencies += await self.calls(CALLS)
        self.wall += time.perf_counter() - since
        self.cpu += cpu_seconds(list(self.pids)) - cpu

    def figures(self) -> Figures:
        """All rounds."""
        return figures(self.name, 1, self.latencies, self.wall, self.cpu)


async def alternate(ways: Sequence[Way]) -> list[Figures]:
    """Measures them side by side."""
    for way in ways:
        await way.calls(WARM_UP_CALLS)
    for _ in range(ROUNDS):
        for way in ways:
            await way.measure()
    return [way.figures() for way in ways]


def resources(name: str, pids: Sequence[int], idle_seconds: float = IDLE_SECONDS) -> dict[str, float]:
    """What each of these processes takes while nothing calls: MiB and percent of a core, the mean of them."""
    processes = [psutil.Process(pid) for pid in pids]
    cpu = cpu_seconds(list(pids))
    time.sleep(idle_seconds)
    used = cpu_seconds(list(pids)) - cpu
    memory = [process.memory_full_info() for process in processes]
    return {
        f"{name}, RSS MiB": round(sum(usage.rss for usage in memory) / len(pids) / 2**20, 1),
        f"{name}, PSS MiB": round(sum(usage.pss for usage in memory) / len(pids) / 2**20, 1),
        f"{name}, idle, % of a core": round(used / idle_seconds / len(pids) * 100, 2),
    }


@contextmanager
def _process(sockets: Sequence[Path]) -> Iterator[int]:
    """The app at these sockets; yields its pid."""
    command = [sys.executable, "-m", "tests.bench.grpc_floor", *(f"unix:{path}" for path in sockets)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process.pid
        process.communicate(timeout=10)


def _pids(mesh: RunningMesh) -> dict[str, int]:
    """Of the Envoys, by workload."""
    marks = {running_pod.workload.name: running_pod.envoy.process.mark for running_pod in mesh.pods.values()}
    return {name: mark.pid for name, mark in marks.items() if mark is not None}


async def _load(mesh: RunningMesh, app: int) -> list[Figures]:
    pids = _pids(mesh)
    targets = {
        DIRECT: (f"unix:{mesh.pod('secured').folder.path}/app/{PORT}.sock", "secured", [app]),
        MUTUAL: (f"unix:{mesh.pod('client').outbound(PORT)}", "secured", [app, pids["client"], pids["secured"]]),
        PLAIN: (f"unix:{mesh.pod('client').outbound(PORT)}", "plain", [app, pids["client"], pids["plain"]]),
    }
    ways, channels = [], []
    for name, (target, authority, counted) in targets.items():
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.default_authority", f"{authority}:{PORT}")]
        channels.append(grpc.aio.insecure_channel(target, options))
        ways.append(Way(name, channels[-1].unary_unary(METHOD), counted))
    found = await alternate(ways)
    for channel in channels:
        await channel.close()
    return found


def run() -> tuple[list[Figures], dict[str, float]]:
    """Measures the three ways; and values by name (ms, MiB, percent) of a sidecar."""
    texts = {"pods": "\n---\n".join([pod("client"), pod("secured", {"grpc": PORT}), pod("plain", {"grpc": PORT})])}
    with ExitStack() as stack:
        mesh = stack.enter_context(running({**texts, "strict": STRICT, "plain": _WITHOUT_TLS}))
        sockets = [mesh.pod(name).folder.path / "app" / f"{PORT}.sock" for name in ("secured", "plain")]
        for socket in sockets:  # the harness's own app is there, in this process: calls are to go to another
            socket.unlink()
        app = stack.enter_context(_process(sockets))
        direct, mutual, plain = rows = asyncio.run(_load(mesh, app))
        values = {
            "sidecar pair, added at p50, ms": round(mutual.p50_ms - direct.p50_ms, 2),
            "sidecar pair, added at p99, ms": round(mutual.p99_ms - direct.p99_ms, 2),
            "mTLS of a pair, added at p50, ms": round(mutual.p50_ms - plain.p50_ms, 2),
            "a sidecar's CPU for 1,000 calls, s": round((mutual.cpu_ms_per_turn - direct.cpu_ms_per_turn) / 2, 2),
        }
        values |= resources("a sidecar", list(_pids(mesh).values()))
        return rows, values
