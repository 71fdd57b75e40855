"""The differences by design between istiod's configuration of a proxy and ours: one table, `BY_DESIGN`.

Each row is a rule with its reason in words; it takes out or rewrites one thing, of istiod's side, of ours, or of both.
What no row names is compared as it is by tests/istiod/comparing.py, the only caller. A new row needs a reason why the
two behave alike, not a test that fails.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeAlias

from mesh.sidecar.mesh import MeshSettings
from mesh.sidecar.security import request_authentication

Node: TypeAlias = dict[str, Any]


class Side(Enum):
    """Whose configuration it is."""

    ISTIOD = "istiod"
    OURS = "ours"


@dataclass(frozen=True)
class Difference:
    """One row of the table. `rule` changes, in place, a proxy's resources: lists by listeners, clusters, ..."""

    why: str
    rule: Callable[[Node], None]
    sides: frozenset[Side]


BY_DESIGN: list[Difference] = []


def by_design(why: str, *sides: Side) -> Callable[[Callable[[Node], None]], Callable[[Node], None]]:
    """Enters a rule into the table, for these sides or for both. Rules are applied in the order of this file."""

    def enter(rule: Callable[[Node], None]) -> Callable[[Node], None]:
        BY_DESIGN.append(Difference(why, rule, frozenset(sides or Side)))
        return rule

    return enter


def normalise(resources: Mapping[str, Sequence[Mapping[str, Any]]], side: Side) -> Node:
    """Returns a copy in the form that is compared: the table applied, and what has a name by its name."""
    found: Node = {
        kind: copy.deepcopy(list(resources.get(kind, ()))) for kind in ("listeners", "clusters", "routes", "endpoints")
    }
    for difference in BY_DESIGN:
        if side in difference.sides:
            difference.rule(found)
    _sort_sets(found)
    return {
        "listeners": _by_name(found["listeners"]),
        "clusters": _by_name(found["clusters"]),
        "routes": _by_name(found["routes"]),
        "endpoints": _by_name(found["endpoints"], "clusterName"),
    }


def _nodes(value: Any) -> Iterator[Node]:
    """Every mapping within a value, the inner ones first."""
    if isinstance(value, dict):
        for inner in list(value.values()):
            yield from _nodes(inner)
        yield value
    elif isinstance(value, list):
        for inner in value:
            yield from _nodes(inner)


def _typed(value: Any, message: str) -> Iterator[Node]:
    """Every message of this type within a value, by its unqualified name."""
    for node in _nodes(value):
        if str(node.get("@type", "")).rsplit(".", 1)[-1] == message:
            yield node


def _drop(node: Node, *names: str) -> None:
    for name in names:
        node.pop(name, None)


def _drop_if_empty(node: Node, *names: str) -> None:
    for name in names:
        if not node.get(name, True):
            del node[name]


# --- Istio's own extensions -------------------------------------------------------------------------------------------


@by_design("Filters that only Istio's build of Envoy has exchange metadata and count; ours use upstream's loggers.")
def _istio_filters(found: Node) -> None:
    for node in _nodes(found):
        for name in ("filters", "httpFilters"):
            if isinstance(node.get(name), list):
                node[name] = [
                    extension for extension in node[name] if not str(extension.get("name", "")).startswith("istio.")
                ]
        _drop_if_empty(node, "filters")


@by_design("Our metrics come from upstream's access logger for statistics, in the place of istio.stats.", Side.OURS)
def _stats_logger(found: Node) -> None:
    for node in _nodes(found):
        if isinstance(node.get("accessLog"), list):
            node["accessLog"] = [
                logger for logger in node["accessLog"] if logger.get("name") != "envoy.access_loggers.stats"
            ]
        _drop_if_empty(node, "accessLog")


@by_design("ALPN istio-peer-exchange offers the exchange of metadata, which only Istio's filter answers.")
def _peer_exchange(found: Node) -> None:
    for node in _nodes(found):
        if "alpnProtocols" in node:
            node["alpnProtocols"] = [
                protocol for protocol in node["alpnProtocols"] if protocol != "istio-peer-exchange"
            ]


@by_design("Nothing is captured, so a headless Service has no original destination: its pods are balanced over.")
def _headless(found: Node) -> None:
    headless = [cluster for cluster in found["clusters"] if _is_headless(cluster)]
    for cluster in headless:
        _drop(cluster, "edsClusterConfig", "lbPolicy", "transportSocket", "transportSocketMatches")
        cluster["type"] = "EDS"
    names = {cluster["name"] for cluster in headless}
    found["endpoints"] = [assignment for assignment in found["endpoints"] if assignment.get("clusterName") not in names]


def _is_headless(cluster: Node) -> bool:
    """istiod says so by its type, ours by a mark."""
    said = cluster.get("metadata", {}).get("filterMetadata", {}).get("istio", {})
    is_outbound = str(cluster.get("name", "")).startswith("outbound|")
    return is_outbound and (cluster.get("type") == "ORIGINAL_DST" or "headless" in said)


@by_design("Names of statistics and Istio's metadata label telemetry; they decide nothing.")
def _telemetry(found: Node) -> None:
    for node in _nodes(found):
        _drop(node, "statPrefix", "altStatName", "shadowRulesStatPrefix")
        if isinstance(node.get("filterMetadata"), dict):
            _drop(node["filterMetadata"], "istio", "rostrum")
            _drop_if_empty(node, "filterMetadata")
        if node.get("metadata") == {}:
            del node["metadata"]


@by_design("A tracing block without a provider exports nothing.")
def _no_tracer(found: Node) -> None:
    for manager in _typed(found, "HttpConnectionManager"):
        if "provider" not in manager.get("tracing", {"provider": None}):
            del manager["tracing"]


@by_design("istiod names a traced service by its node's bootstrap, and the oracle's proxies have none.", Side.OURS)
def _traced_service(found: Node) -> None:
    for tracer in _typed(found, "OpenTelemetryConfig"):
        _drop(tracer, "serviceName")


@by_design("istiod fills a runtime key that nobody sets into the slow start.")
def _slow_start_key(found: Node) -> None:
    for node in _nodes(found):
        if "slowStartWindow" in node:
            _drop(node.get("aggression", {}), "runtimeKey")


@by_design("Where nobody is known to be behind a host, ours accepts nobody, istiod's anybody of the mesh.", Side.OURS)
def _nobody(found: Node) -> None:
    for node in _nodes(found):
        match node.get("matchTypedSubjectAltNames"):
            case [{"matcher": {"exact": str(name)}}] if name.startswith("spiffe://") and name.endswith("/nobody"):
                del node["matchTypedSubjectAltNames"]


# --- iptables, and where things come from -----------------------------------------------------------------------------


@by_design("Resources come from files, not from istiod and its agent.")
def _sources(found: Node) -> None:
    for node in _nodes(found):
        _drop(node, "edsConfig", "sdsConfig", "configSource")


@by_design(
    "istiod's agent serves a rule's file of authorities, or the system's, as a secret; here Envoy reads it.",
    Side.ISTIOD,
)
def _authorities(found: Node) -> None:
    for node in _nodes(found["clusters"]):
        combined = node.get("combinedValidationContext", {})
        secret = combined.get("validationContextSdsSecretConfig", {}).get("name", "")
        if secret.startswith("file-root:"):
            file = secret.removeprefix("file-root:")
            del node["combinedValidationContext"]
            trusted = MeshSettings().system_ca_file if file == "system" else file
            node["validationContext"] = {**combined["defaultValidationContext"], "trustedCa": {"filename": trusted}}


@by_design("Nothing is captured, so nothing passes through: what is not declared has no cluster or route.", Side.ISTIOD)
def _passthrough(found: Node) -> None:
    special = {"PassthroughCluster", "InboundPassthroughCluster"}
    found["clusters"] = [cluster for cluster in found["clusters"] if cluster.get("name") not in special]
    found["listeners"] = [listener for listener in found["listeners"] if listener.get("name") != "virtualOutbound"]
    for routes in found["routes"]:
        hosts = routes.get("virtualHosts", [])
        routes["virtualHosts"] = [host for host in hosts if host.get("name") != "allow_any"]
    for listener in found["listeners"]:
        if _leads_to(listener.get("defaultFilterChain", {})) in special:
            del listener["defaultFilterChain"]


@by_design("What has nowhere to go is refused with or without a cluster of that name.")
def _black_hole(found: Node) -> None:
    found["clusters"] = [cluster for cluster in found["clusters"] if cluster.get("name") != "BlackHoleCluster"]
    for listener in found["listeners"]:
        if _leads_to(listener.get("defaultFilterChain", {})) == "BlackHoleCluster":
            del listener["defaultFilterChain"]


def _leads_to(chain: Node) -> object:
    """The cluster of a chain that ends in a TCP proxy."""
    return chain.get("filters", [{}])[-1].get("typedConfig", {}).get("cluster")


@by_design("istiod has one inbound listener, its chains separated by the port that was dialled; ours is one a port.")
def _inbound(found: Node) -> None:
    listeners: list[Node] = []
    for listener in found["listeners"]:
        if listener.get("name") == "virtualInbound":
            listeners += _split(listener)
        else:
            listeners.append(listener)
    found["listeners"] = listeners


def _split(virtual: Node) -> Iterator[Node]:
    ports: dict[int, list[Node]] = {}
    for chain in virtual.get("filterChains", []):
        port = chain.get("filterChainMatch", {}).pop("destinationPort", None)
        if port is not None and port != 15006:  # its own port, and chains for ports that no Service has
            ports.setdefault(port, []).append(chain)
    for port, chains in ports.items():
        filters = [
            {name: value for name, value in listener_filter.items() if name != "filterDisabled"}
            for listener_filter in virtual.get("listenerFilters", [])
            if not _disabled(listener_filter.get("filterDisabled"), port)
        ]
        yield {**virtual, "name": f"inbound|{port}", "filterChains": chains, "listenerFilters": filters}


def _disabled(predicate: Node | None, port: int) -> bool:
    """Whether a listener filter is switched off for a port."""
    match predicate:
        case None:
            return False
        case {"destinationPortRange": {"start": int(start), "end": int(end)}}:
            return start <= port < end
        case {"orMatch": {"rules": list(rules)}}:
            return any(_disabled(alternative, port) for alternative in rules)
        case {"notMatch": dict(rule)}:
            return not _disabled(rule, port)
        case {"anyMatch": True}:
            return True
        case _:
            raise ValueError(f"filterDisabled has a form that is not known here: {predicate}")


@by_design("Listeners are where the app or its callers find them; the original destination is not asked for.")
def _bound(found: Node) -> None:
    for listener in found["listeners"]:
        _drop(listener, "address", "bindToPort", "useOriginalDst", "maxConnectionsToAcceptPerSocketEvent")
        filters = listener.get("listenerFilters", [])
        listener["listenerFilters"] = [
            listener_filter
            for listener_filter in filters
            if listener_filter.get("name") != "envoy.filters.listener.original_dst"
        ]
        _drop_if_empty(listener, "listenerFilters")
        if "listenerFilters" not in listener:
            _drop(listener, "listenerFiltersTimeout", "continueOnListenerFiltersTimeout")


@by_design("Only the app connects to an outbound HTTP listener, and it speaks HTTP: nothing is sniffed there.")
def _outbound_http(found: Node) -> None:
    sniffed = {"transportProtocol": "raw_buffer", "applicationProtocols": ["http/1.1", "h2c"]}
    for listener in found["listeners"]:
        chains = listener.get("filterChains", [])
        if listener.get("trafficDirection") != "OUTBOUND" or len(chains) != 1:
            continue
        if chains[0].get("filterChainMatch") == sniffed:
            del chains[0]["filterChainMatch"]
            _without_http_inspector(listener)


def _without_http_inspector(listener: Node) -> None:
    filters = listener.get("listenerFilters", [])
    kept = [
        listener_filter
        for listener_filter in filters
        if listener_filter.get("name") != "envoy.filters.listener.http_inspector"
    ]
    listener["listenerFilters"] = kept
    if not kept:
        _drop(listener, "listenerFilters", "listenerFiltersTimeout", "continueOnListenerFiltersTimeout")


@by_design("Without TLS on the listener there is no handshake to wait for.")
def _handshake_timeout(found: Node) -> None:
    for node in _nodes(found):
        if "transportSocketConnectTimeout" in node and "transportSocket" not in node:
            del node["transportSocketConnectTimeout"]


@by_design("A filter chain's name is for people.")
def _chain_names(found: Node) -> None:
    for listener in found["listeners"]:
        for chain in (*listener.get("filterChains", []), listener.get("defaultFilterChain", {})):
            _drop(chain, "name")
            _drop_if_empty(chain, "filterChainMatch")


@by_design("The app is where it listens, a socket of its own, not the address that was dialled.")
def _app(found: Node) -> None:
    for cluster in found["clusters"]:
        if str(cluster.get("name", "")).startswith("inbound|"):
            _drop(cluster, "type", "lbPolicy", "upstreamBindConfig", "cleanupInterval", "loadAssignment")
            _drop_if_empty(cluster, "commonLbConfig")


@by_design("Endpoints inside a STATIC cluster are what EDS would bring.", Side.OURS)
def _static_endpoints(found: Node) -> None:
    for cluster in found["clusters"]:
        if (
            "clusterType" not in cluster
            and cluster.get("type", "STATIC") == "STATIC"
            and str(cluster.get("name", "")).startswith("outbound|")
        ):
            found["endpoints"].append(cluster.pop("loadAssignment", {"clusterName": cluster["name"]}))
            cluster.update(type="EDS", edsClusterConfig={"serviceName": cluster["name"]})


@by_design(
    "An endpoint starts out healthy and weighs 1 unless it is said; one locality weighs what its endpoints weigh."
)
def _endpoints(found: Node) -> None:
    for load in (*found["endpoints"], *(cluster.get("loadAssignment", {}) for cluster in found["clusters"])):
        for locality in load.get("endpoints", []):
            for endpoint in locality.get("lbEndpoints", []):
                if endpoint.get("healthStatus") == "HEALTHY":
                    del endpoint["healthStatus"]
                if endpoint.get("loadBalancingWeight") == 1:
                    del endpoint["loadBalancingWeight"]
            if len(load["endpoints"]) == 1:
                _drop(locality, "loadBalancingWeight")
            _drop_if_empty(locality, "locality")


# --- Fields that Envoy 1.40 deprecates --------------------------------------------------------------------------------


@by_design("match_subject_alt_names is deprecated for the typed form; every name here is a URI.", Side.ISTIOD)
def _subject_alt_names(found: Node) -> None:
    for node in _nodes(found):
        if "matchSubjectAltNames" in node:
            node["matchTypedSubjectAltNames"] = [
                {"sanType": "URI", "matcher": matcher} for matcher in node.pop("matchSubjectAltNames")
            ]


@by_design("A principal's metadata and source_ip are deprecated for sourced_metadata and direct_remote_ip.")
def _rbac(found: Node) -> None:
    for policies in _typed(found, "RBAC"):
        for node in _nodes(policies):
            if "filter" in node.get("metadata", {}):
                node["sourcedMetadata"] = {"metadataMatcher": node.pop("metadata")}
            if "sourceIp" in node:
                node["directRemoteIp"] = node.pop("sourceIp")


@by_design("A cluster's dns_refresh_rate, respect_dns_ttl and dns_jitter are deprecated for the extension DnsCluster.")
def _dns(found: Node) -> None:
    for cluster in found["clusters"]:
        settings = cluster.get("clusterType", {}).get("typedConfig", {})
        if str(settings.get("@type", "")).endswith(".DnsCluster"):
            del cluster["clusterType"]
            cluster["type"] = "LOGICAL_DNS" if settings.pop("allAddressesInSingleEndpoint", False) else "STRICT_DNS"
            cluster.update({name: settings[name] for name in settings if name != "@type"})


# --- Forms that mean the same -----------------------------------------------------------------------------------------

_NOBODY = "a key set that nobody can sign for"
_PUBLIC_ONLY = "0xObjM0UvS_oaazjpEYlAbwctEJ4L8pH3OuTb7qth7gUwqet"
"""How the modulus of istiod's own such set begins (pilot/pkg/model/jwks_resolver.go, PublicOnlyJwks)."""


@by_design("Key sets are compared as JSON; where none is known, any set that nobody can sign for will do.")
def _key_sets(found: Node) -> None:
    for node in _nodes(found):
        if "localJwks" in node and "inlineString" in node["localJwks"]:
            node["localJwks"] = _key_set(node["localJwks"]["inlineString"])


def _key_set(text: str) -> object:
    try:
        keys = json.loads(text)
    except ValueError:
        return text
    if keys == json.loads(request_authentication.NOBODY):
        return _NOBODY
    moduli = [str(key.get("n", "")) for key in keys.get("keys", ())]
    return _NOBODY if moduli and all(modulus.startswith(_PUBLIC_ONLY) for modulus in moduli) else keys


def _sort_sets(found: Node) -> None:
    """Lists whose order means nothing are sorted: retry conditions, names of hosts, alternatives of one kind."""
    for node in _nodes(found):
        if isinstance(node.get("retryOn"), str):
            node["retryOn"] = sorted(node["retryOn"].split(","))
        for name in ("retriableStatusCodes", "domains", "queryParameters", "matchTypedSubjectAltNames", "serverNames"):
            if isinstance(node.get(name), list):
                node[name] = sorted(node[name], key=_text)
        if isinstance(node.get("match"), dict) and isinstance(node["match"].get("headers"), list):
            node["match"]["headers"] = sorted(node["match"]["headers"], key=_text)
        if isinstance(node.get("filterChainMatch"), dict):
            protocols = node["filterChainMatch"].get("applicationProtocols", [])
            node["filterChainMatch"].update({"applicationProtocols": sorted(protocols)} if protocols else {})
        _key_lists(node)


def _key_lists(node: Node) -> None:
    """Lists of what has a name or an address become mappings: their order means nothing, their keys must be unique."""
    if isinstance(node.get("virtualHosts"), list):
        node["virtualHosts"] = _by_name(node["virtualHosts"])
    if isinstance(node.get("filterChains"), list):
        node["filterChains"] = _by(node["filterChains"], lambda chain: _text(chain.get("filterChainMatch", {})))
    if isinstance(node.get("lbEndpoints"), list):
        node["lbEndpoints"] = _by(
            node["lbEndpoints"], lambda endpoint: _text(endpoint.get("endpoint", {}).get("address", {}))
        )


def _by_name(values: Sequence[Node], name: str = "name") -> Node:
    return _by(values, lambda node: str(node.get(name, "without a name")))


def _by(values: Sequence[Node], key: Callable[[Node], str]) -> Node:
    found: Node = {}
    for node in values:
        name = key(node)
        while f"[{name}]" in found:
            name += " once more"
        found[f"[{name}]"] = node
    return found


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
