"""How long it takes from asking for a change until it is active in every proxy of a running Rostrum.

Changes are those that differ most in what they touch: a route of the ingress, and a policy that denies, brought in and
taken out, after which callers connect again. Measured is the call of the runner, as `rostrum apply` makes it, without
the start of that command.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from rostrum.local.v1 import runner_pb2

from tests.bench.figures import percentile
from tests.support.system import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.system import System

CHANGES = 51
"""Seventeen of each."""
P99_MS = 1_000.0
"""Longest at p99."""
ROUTES = "istio/services/team-b/traffic.yaml"
POLICY = "istio/scenarios/deny/authorization.yaml"


def _request(path: str, text: str, *, delete: bool = False) -> runner_pb2.ChangeResourcesRequest:
    return runner_pb2.ChangeResourcesRequest(files=[runner_pb2.ManifestFile(name=path, text=text)], delete=delete)


def _changes() -> Iterator[runner_pb2.ChangeResourcesRequest]:
    """All of them; what was active before is so again after the last."""
    routes, policy = ((ROOT / path).read_text("utf-8") for path in (ROUTES, POLICY))
    for number in range(CHANGES // 3):
        is_last = number == CHANGES // 3 - 1
        yield _request(ROUTES, routes if is_last else routes.replace("timeout: 300s", f"timeout: {200 + number}s"))
        yield _request(POLICY, policy)
        yield _request(POLICY, policy, delete=True)


def run(system: System) -> dict[str, float]:
    """Returns p50 and p99 in milliseconds by name. Raises LocalError if a change is not obeyed."""

    async def ask() -> list[float]:
        found = []
        for request in _changes():
            since = time.perf_counter()
            answer = await system.runner.change_resources(request)
            found.append(time.perf_counter() - since)
            if not any(change.action != runner_pb2.ResourceChange.UNCHANGED for change in answer.changes):
                raise RuntimeError("a change changed nothing")
        return found

    seconds = asyncio.run(ask())
    return {
        f"apply until active, p{share}, ms": round(percentile(seconds, share / 100) * 1000, 1) for share in (50, 99)
    }
