"""The table against istiod's real output: every value counts but those that a row takes out.

One value after the other is changed; where the normal form stays the same, the value must be one of those listed here.
A row that takes out more than it says it does shows up as a path that is not listed.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

from tests.istiod.normalise import Side, normalise

if TYPE_CHECKING:
    from mesh.istiod.generator import Config, Istiod

CASES = Path(__file__).parent / "cases"
Location: TypeAlias = tuple[str | int, ...]

LEFT_OUT = (
    # names of statistics, Istio's metadata
    "altStatName",
    "statPrefix",
    "shadowRulesStatPrefix",
    "filterMetadata.istio",
    # where resources come from
    "edsClusterConfig.edsConfig",
    "sdsConfig",
    "rds.configSource",
    # what is bound, and the inspection of what was captured
    "listeners.address",
    "listeners.bindToPort",
    "listeners.maxConnectionsToAcceptPerSocketEvent",
    "listeners.filterChains.name",
    "outbound.listenerFiltersTimeout",
    "outbound.continueOnListenerFiltersTimeout",
    "outbound.defaultFilterChain",
    "outbound.filterChains.transportSocketConnectTimeout",
    "filterDisabled",
    # the app's place
    "inbound.type",
    "inbound.lbPolicy",
    "inbound.upstreamBindConfig",
    "inbound.cleanupInterval",
    # without a provider
    "tracing",
    # the sum of its endpoints' weights
    "endpoints.loadBalancingWeight",
)
"""Where a change may be without effect: keys that follow each other in a path, direction of the resource included."""

NAMES_LEFT_OUT = (
    "istio.",
    "BlackHoleCluster",
    "PassthroughCluster",
    "InboundPassthroughCluster",
    "virtualOutbound",
    "envoy.filters.listener.original_dst",
    "envoy.filters.listener.http_inspector",
)
"""Resources and filters that are taken out whole."""


def _leaves(value: Any, path: Location = (), names: tuple[str, ...] = ()) -> Iterator[tuple[Location, tuple[str, ...]]]:
    """Every scalar's path, and the names of what it is in."""
    if isinstance(value, dict):
        names = (*names, str(value["name"])) if "name" in value else names
        for key, inner in value.items():
            yield from _leaves(inner, (*path, key), names)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _leaves(inner, (*path, number), names)
    else:
        yield path, names


def _changed(resource: Any, path: Location) -> Any:
    found = copy.deepcopy(resource)
    within = found
    for key in path[:-1]:
        within = within[key]
    value = within[path[-1]]
    within[path[-1]] = (
        not value if isinstance(value, bool) else value + 1 if isinstance(value, int | float) else f"{value}x"
    )
    return found


def _without_effect(kind: str, resource: Any) -> Iterator[str]:
    normal = normalise({kind: [resource]}, Side.ISTIOD)
    outbound = resource.get("trafficDirection") == "OUTBOUND"
    inbound = str(resource.get("name", "")).startswith("inbound|")
    for path, names in _leaves(resource):
        if any(name.startswith(NAMES_LEFT_OUT) for name in names):
            continue
        if normalise({kind: [_changed(resource, path)]}, Side.ISTIOD) == normal:
            direction = ("outbound",) if outbound else ("inbound",) if inbound else ()
            yield ".".join((kind, *direction, *(key for key in path if isinstance(key, str))))


def _listed(path: str) -> str | None:
    for listed in LEFT_OUT:
        if f".{listed}." in f".{path}." or f".{listed}." in f".{path.replace('listeners.outbound', 'listeners')}.":
            return listed
    return None


def _resources(config: Config) -> Iterator[tuple[str, Any]]:
    for kind, resources in vars(config).items():
        for resource in resources:
            if resource.get("name") == "virtualInbound":  # its chains for ports that no Service has are taken out whole
                matches = [chain.get("filterChainMatch", {}) for chain in resource["filterChains"]]
                kept = [match.get("destinationPort", 15006) != 15006 for match in matches]
                chains = [chain for chain, keep in zip(resource["filterChains"], kept, strict=True) if keep]
                if chains:
                    yield kind, {**resource, "filterChains": chains}
            else:
                yield kind, resource


CHECKED = ("07-permissive-tcp", "40-gateway-jwt", "51-fault", "53-service-entries", "57-gateway-tls", "60-example")


def _silent(istiod: Istiod, case: str) -> set[str]:
    """The paths of a case's values that may be anything."""
    text = (CASES / f"{case}.yaml").read_text()
    found = istiod.translate({case: text}, mesh_config="outboundTrafficPolicy: {mode: REGISTRY_ONLY}")
    return {
        path
        for config in found.values()
        for kind, resource in _resources(config)
        for path in _without_effect(kind, resource)
    }


@pytest.mark.parametrize("case", CHECKED)
def test_every_value_counts(istiod: Istiod, case: str) -> None:
    """A change of any value of istiod's configuration changes the form that is compared, but where it is listed."""
    assert sorted(path for path in _silent(istiod, case) if _listed(path) is None) == []


def test_every_listed_place_is_met(istiod: Istiod) -> None:
    """The list has no entry that nothing needs."""
    met = {_listed(path) for case in CHECKED for path in _silent(istiod, case)}
    assert [entry for entry in LEFT_OUT if entry not in met] == []
