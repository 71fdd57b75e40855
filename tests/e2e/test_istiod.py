"""`rostrum config --istiod` on a running Rostrum: what istiod would send, beside what the sidecar was given."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from mesh.istiod.building import BUILD_TIMEOUT_SECONDS, is_built
from tests.support.istiod import needed_go

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.support.system import System

BUILT_IN = {"BlackHoleCluster", "InboundPassthroughCluster", "PassthroughCluster"}
"""istiod's, for connections that iptables captures."""


def _config(system: System, pod: str, *more: str) -> dict[str, Any]:
    done = system.rostrum("config", pod, *more, timeout=BUILD_TIMEOUT_SECONDS)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _places(assignments: Iterable[Any]) -> dict[str, list[tuple[str, int]]]:
    """Addresses by cluster."""
    return {
        assignment["clusterName"]: [
            (place["address"], place["portValue"])
            for group in assignment.get("endpoints", [])
            for endpoint in group["lbEndpoints"]
            for place in [endpoint["endpoint"]["address"]["socketAddress"]]
        ]
        for assignment in assignments
    }


@pytest.mark.timeout(BUILD_TIMEOUT_SECONDS)
@pytest.mark.parametrize("pod", ["team-a-0", "ingress-0"])
def test_istiods_configuration_is_that_of_the_pod(system: System, pod: str) -> None:
    """It is made from the active manifests: the same clusters and route configurations, which lead to the same pods.
    That they are the same in every field is held by tests/istiod."""
    if not is_built():
        needed_go()
    ours, istiods = _config(system, pod), _config(system, pod, "--istiod")
    assert {cluster["name"] for cluster in ours["clusters"]} == {
        cluster["name"] for cluster in istiods["clusters"]
    } - BUILT_IN
    assert {route["name"] for route in ours["routes"]} == {route["name"] for route in istiods["routes"]}
    assigned = [cluster["loadAssignment"] for cluster in ours["clusters"] if cluster["name"].startswith("outbound")]
    theirs = _places(istiods["endpoints"])
    assert [(name, places) for name, places in _places(assigned).items() if places and places != theirs[name]] == []
    assert _config(system, pod, "--istiod", "--kind", "routes") == {"routes": istiods["routes"]}


def test_istiod_is_told_what_was_applied(system: System) -> None:
    """A resource that `rostrum apply` brought is in what istiod would send."""
    if not is_built():
        needed_go()
    system.rostrum("apply", "-f", "istio/scenarios/delay", timeout=60)
    try:
        assert '"fixedDelay": "2s"' in json.dumps(_config(system, "ingress-0", "--istiod", "--kind", "routes"))
    finally:
        system.rostrum("apply", "-f", "istio/services/team-b", timeout=60)
    assert "fixedDelay" not in json.dumps(_config(system, "ingress-0", "--istiod", "--kind", "routes"))
