"""DestinationRule: which one holds for a host, and the policy of its port and subset.

Owns the look-up (the client's namespace, the host's, the root's; the most specific host first), the merging of several
rules for one host, and the overriding by port and subset. What a policy becomes is in
`clusters.traffic_policy`; what is refused in `clusters.checks`. Called by `mesh.sidecar.scope`, by
`clusters.outbound` and by whoever makes routes.
Source: istio/istio pilot/pkg/model/destination_rule.go, push_context.go; pilot/pkg/networking/util.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from mesh.manifests.document import Resource
from mesh.manifests.istio.destination_rule import DestinationRuleSpec, host_of
from mesh.manifests.istio.traffic_policy import ClientTls, PortPolicy, TrafficPolicy
from mesh.sidecar.hosts import is_visible, takes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from mesh.sidecar.hosts import Host
    from mesh.sidecar.mesh import Mesh


@dataclass
class Rules:
    """The DestinationRules of one namespace by their host, those of one host the oldest first."""

    by_host: dict[str, list[Resource[DestinationRuleSpec]]] = field(default_factory=dict)
    patterns: list[str] = field(default_factory=list)
    """Those of the hosts that begin with "*"."""

    def add(self, rule: Resource[DestinationRuleSpec]) -> None:
        """Adds one that is younger than those before."""
        host = host_of(rule)
        if host.startswith("*") and host not in self.by_host:
            self.patterns.append(host)
        self.by_host.setdefault(host, []).append(rule)

    def most_specific(self, host: str) -> list[Resource[DestinationRuleSpec]]:
        """Those that name the host, else those with the longest pattern that takes it."""
        if host in self.by_host:
            return self.by_host[host]
        wider = [pattern for pattern in self.patterns if takes(pattern, host)]
        return self.by_host[max(wider, key=len)] if wider else []

    def list_taking(self, host: str) -> Iterator[Resource[DestinationRuleSpec]]:
        """All that name the host or have a pattern that takes it."""
        for name in {host, *(pattern for pattern in self.patterns if takes(pattern, host))}:
            yield from self.by_host.get(name, ())


def rules_of(mesh: Mesh) -> Mapping[str, Rules]:
    """All of a mesh by namespace; to be asked by `mesh.once`."""
    found: dict[str, Rules] = {}
    for rule in mesh.all(DestinationRuleSpec):
        found.setdefault(rule.namespace, Rules()).add(rule)
    return found


def rule_for(
    rules: Mapping[str, Rules], host: Host, client_namespace: str, root_namespace: str
) -> Resource[DestinationRuleSpec] | None:
    """The rule that clients of that namespace obey for a host: several of one namespace and host as one.

    Its where and name are those of the oldest. None: nothing is said of the host. `rules` are by namespace.
    """
    first = [client_namespace] if client_namespace != root_namespace else []
    for namespace in (*first, host.namespace, root_namespace):
        found = rules[namespace].most_specific(host.name) if namespace in rules else []
        # Where the most specific rule of a namespace is not exported, a wider one of it is not looked at either.
        visible = [rule for rule in found if is_visible(rule, rule.spec.export_to, client_namespace)]
        if visible:
            return _merge(visible)
    return None


def _merge(rules: Iterable[Resource[DestinationRuleSpec]]) -> Resource[DestinationRuleSpec]:
    """The oldest rule with the subsets that only others have, and the first policy that there is."""
    oldest, *others = rules
    if not others:
        return oldest
    subsets = {subset.name: subset for rule in reversed([oldest, *others]) for subset in reversed(rule.spec.subsets)}
    ordered = [subset for rule in (oldest, *others) for subset in rule.spec.subsets if subsets[subset.name] is subset]
    policies = [rule.spec.traffic_policy for rule in (oldest, *others) if rule.spec.traffic_policy is not None]
    update = {"subsets": tuple(ordered), "traffic_policy": policies[0] if policies else None}
    return replace(oldest, spec=oldest.spec.model_copy(update=update))


def policy_of(rule: DestinationRuleSpec, port: int, subset: str) -> TrafficPolicy:
    """The rule's policy for a port and subset.

    A port's settings replace all four blocks, so what they do not name is the default; a subset overrides by block, but
    its own settings for the port again replace all.
    """
    whole, _ = _of_port(rule.traffic_policy or TrafficPolicy(), port)
    own = next((candidate.traffic_policy for candidate in rule.subsets if candidate.name == subset), None)
    if own is None:
        return whole
    override, replaces = _of_port(own, port)
    if replaces:
        return override
    said = {name: value for name, value in _blocks(override).items() if value is not None}
    return whole.model_copy(update=said)


def _blocks(policy: TrafficPolicy | PortPolicy) -> dict[str, object]:
    names_of_blocks = ("connection_pool", "outlier_detection", "load_balancer", "tls")
    return {name: getattr(policy, name) for name in names_of_blocks}


def _of_port(policy: TrafficPolicy, port: int) -> tuple[TrafficPolicy, bool]:
    said = next((settings for settings in policy.port_level_settings if settings.port.number == port), None)
    if said is None:
        return policy.model_copy(update={"port_level_settings": ()}), False
    return TrafficPolicy().model_copy(update=_blocks(said)), True


def endpoint_tls_mode(rule: DestinationRuleSpec, port: int, subset: str) -> str | None:
    """The TLS mode by which endpoints are marked; None: by what they are themselves.

    Unlike the cluster's, a port's settings without tls inherit here. Source: pilot/pkg/xds/endpoints/mtls_checker.go.
    """
    own = next((candidate.traffic_policy for candidate in rule.subsets if candidate.name == subset), None)
    found = _tls(own, port) or _tls(rule.traffic_policy, port)
    return None if found is None else found.mode


def _tls(policy: TrafficPolicy | None, port: int) -> ClientTls | None:
    if policy is None:
        return None
    of_port = (settings.tls for settings in policy.port_level_settings if settings.port.number == port)
    return next((tls for tls in of_port if tls is not None), policy.tls)
