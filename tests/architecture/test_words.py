"""The glossary of .github/CONTRIBUTING.md holds in the code: a name that was given up does not come back."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
GIVEN_UP = {
    "Crossing": "LoopBridge",
    "kick": "wake",
    "attend": "poll",
    "LOOK_SECONDS": "POLL_INTERVAL_SECONDS",
    "REST_SECONDS": "FETCH_PAUSE_SECONDS",
    "TIMER_SECONDS": "POLL_INTERVAL_SECONDS",
    "OwnWork": "LeasedSteps",
    "HeardTurn": "SubmittedTurn, or RememberedTurn in an agent's memory",
    "Wanted": "CertificateRequest",
    "bury": "publish_dead_letter",
    "the door": "the ingress",
    "safe to repeat": "idempotent",
    "anew": "again",
    "for each in": "the name of the thing: for policy in",
    "lambda each": "the name of the thing: lambda policy",
    "route_components_pb2 as route_pb2": "its own name: route_pb2 is another module of Envoy's",
}
"""Each with what to say instead. A word joins when the last of its uses is gone."""


def test_names_that_were_given_up_stay_away() -> None:
    """No file of mesh, services, tests or the contracts has one."""
    files = [
        path
        for top in ("mesh", "services", "tests", "protos/rostrum")
        for path in (ROOT / top).rglob("*")
        if path.suffix in {".py", ".proto"} and path != Path(__file__)
    ]
    found = [
        f"{path.relative_to(ROOT)}: {name} -> {instead}"
        for path in files
        for name, instead in GIVEN_UP.items()
        if re.search(rf"\b{name}\b", path.read_text("utf-8"))
    ]
    assert not found, "\n".join(found)
