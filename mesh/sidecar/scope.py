"""Which hosts a proxy sees, and what is said of them: all that is exported to it, narrowed by the kind Sidecar.

Owns the pick of the one Sidecar resource for a pod, and the import of hosts, VirtualServices and DestinationRules.
Source: istio/istio pilot/pkg/model/sidecar.go, virtualservice.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

from mesh.manifests import names
from mesh.manifests.istio.traffic_policy import TrafficPolicy
from mesh.manifests.istio.virtual_service import VirtualServiceSpec
from mesh.sidecar.destination_rules import Rules, policy_of, rule_for, rules_of
from mesh.sidecar.hosts import Host, all_hosts, hosts_named, is_visible
from mesh.sidecar.imports import Import, imports_of, sidecar_for

if TYPE_CHECKING:
    from mesh.manifests.document import Resource
    from mesh.manifests.istio.destination_rule import DestinationRuleSpec
    from mesh.sidecar.mesh import Mesh
    from mesh.sidecar.proxy import Proxy

__all__ = ["Host", "Scope", "scope_of"]


@dataclass(frozen=True)
class Scope:
    """What a proxy's outbound configuration is made from, each list as istiod orders it."""

    hosts: tuple[Host, ...]
    """Those that are imported: they have clusters, listeners and routes."""
    destinations: tuple[Host, ...]
    """Those that are not imported, but an imported VirtualService leads or mirrors to: they have clusters alone, with
    the ports that it names."""
    virtual_services: tuple[Resource[VirtualServiceSpec], ...]
    """Of the mesh gateway ("mesh" in `gateways`, or none named): of the own namespace alone, then others; the oldest
    first."""
    destination_rules: Mapping[str, Rules]
    """By namespace."""
    registry_only: bool
    """Unknown hosts get 502; otherwise they would be passed through."""
    root_namespace: str = "istio-system"

    @property
    def reachable(self) -> list[Host]:
        """All that have clusters, by name."""
        return sorted((*self.hosts, *self.destinations), key=lambda host: host.name)

    def host(self, name: str) -> Host | None:
        """The host of that name, imported or a destination."""
        return self._by_name.get(name)

    def rule_for(self, host: Host, client_namespace: str) -> Resource[DestinationRuleSpec] | None:
        """The DestinationRule that clients of that namespace obey for a host; None if nothing is said of it."""
        return rule_for(self.destination_rules, host, client_namespace, self.root_namespace)

    def policy_for(self, host: Host, client_namespace: str, port: int, subset: str = "") -> TrafficPolicy:
        """What holds for a port of a host, and of it for a subset ("" for all)."""
        rule = self.rule_for(host, client_namespace)
        return TrafficPolicy() if rule is None else policy_of(rule.spec, port, subset)

    @cached_property
    def _by_name(self) -> Mapping[str, Host]:
        return {host.name: host for host in self.reachable}


@dataclass
class _Found:
    """Hosts while they are collected: of one name that of the client's namespace, else a Service, else the first."""

    namespace: str
    hosts: dict[str, Host] = field(default_factory=dict)

    def add(self, host: Host) -> None:
        known = self.hosts.get(host.name)
        if known is None or self._rank(host) > self._rank(known):
            self.hosts[host.name] = host

    def _rank(self, host: Host) -> tuple[bool, bool]:
        return host.namespace == self.namespace, host.service is not None


def scope_of(mesh: Mesh, proxy: Proxy) -> Scope:
    """What this proxy sees. A gateway sees all that is exported to its namespace: no Sidecar is for it."""
    sidecar = None if proxy.is_gateway else sidecar_for(mesh, proxy.workload)
    imports = imports_of(sidecar, proxy.namespace)
    policy = None if sidecar is None else sidecar.spec.outbound_traffic_policy
    virtual_services = _virtual_services(mesh, imports, proxy.namespace)
    found = _Found(proxy.namespace)
    named = _list_named_hosts(imports)
    for host in all_hosts(mesh) if named is None else (host for name in named for host in hosts_named(mesh, name)):
        if _is_exported(host, proxy.namespace) and _is_imported(imports, host.name, host.namespace):
            found.add(host)
    return Scope(
        tuple(found.hosts[name] for name in sorted(found.hosts)),
        () if sidecar is None else tuple(_find_destinations(mesh, found, virtual_services)),
        virtual_services,
        mesh.once(rules_of),
        mesh.settings.registry_only if policy is None else policy.mode == "REGISTRY_ONLY",
        mesh.settings.root_namespace,
    )


def _list_named_hosts(imports: Sequence[Import]) -> list[str] | None:
    """The only hosts that can be imported; None if a wildcard may take any."""
    taken = [line.host for line in imports if not line.is_excluded and line.namespace != "~"]
    return None if any(host.startswith("*") for host in taken) else list(dict.fromkeys(taken))


def _is_exported(host: Host, namespace: str) -> bool:
    return host.entry is None or is_visible(host.entry, host.entry.spec.export_to, namespace)


def _is_imported(imports: Sequence[Import], host: str, namespace: str) -> bool:
    meant = [line for line in imports if line.takes_namespace(namespace) and line.takes(host)]
    return bool(meant) and not any(line.is_excluded for line in meant)


def _virtual_services(
    mesh: Mesh, imports: Sequence[Import], namespace: str
) -> tuple[Resource[VirtualServiceSpec], ...]:
    """Those that are imported: the private ones first, then those exported to this namespace by name, then the rest."""

    def group(vs: Resource[VirtualServiceSpec]) -> int:
        if "*" in vs.spec.export_to:
            return 2
        return 0 if "." in vs.spec.export_to else 1

    by_host, named = mesh.once(_virtual_services_by_host), _list_named_hosts(imports)
    # Those with wildcards are filed under "*": any host may be one that they stand for.
    numbers = {number for host in (by_host if named is None else [*named, "*"]) for number in by_host.get(host, ())}
    everything = mesh.all(VirtualServiceSpec)
    found = [
        vs
        for vs in (everything[number] for number in sorted(numbers))
        if is_visible(vs, vs.spec.export_to, namespace)
        if any(_is_host_imported(imports, names.resolved(host, vs.namespace), vs.namespace) for host in vs.spec.hosts)
    ]
    return tuple(sorted(found, key=group))


def _virtual_services_by_host(mesh: Mesh) -> Mapping[str, Sequence[int]]:
    """The numbers of those of the mesh gateway, the oldest first, by their hosts; "*" for hosts that begin so."""
    found: dict[str, list[int]] = {}
    for number, vs in enumerate(mesh.all(VirtualServiceSpec)):
        if "mesh" in vs.spec.gateways:
            for host in vs.spec.hosts:
                filed = "*" if host.startswith("*") else names.resolved(host, vs.namespace)
                found.setdefault(filed, []).append(number)
    return found


def _is_host_imported(imports: Sequence[Import], host: str, namespace: str) -> bool:
    """Whether a VirtualService's host is imported: one with a wildcard also by any host that it stands for."""
    meant = [line for line in imports if line.takes_namespace(namespace)]
    if any(line.is_excluded and line.takes(host) for line in meant):
        return False
    return any(
        line.takes(host) or (host.startswith("*") and line.host.removeprefix("*").endswith(host[1:]))
        for line in meant
        if not line.is_excluded
    )


def _find_destinations(
    mesh: Mesh, found: _Found, virtual_services: Iterable[Resource[VirtualServiceSpec]]
) -> Iterator[Host]:
    """The hosts that are not imported and to which imported VirtualServices lead, with the ports that they name."""
    wanted: dict[str, set[int]] = {}
    for vs in virtual_services:
        for rule in vs.spec.http:
            sources = [match.source_namespace for match in rule.match]
            if sources and not {"", found.namespace} & set(sources):
                continue
            routed, mirrored = (
                (route.destination for route in rule.route),
                (mirror.destination for mirror in rule.all_mirrors),
            )
            for destination in (*routed, *mirrored):
                number = 0 if destination.port is None else destination.port.number
                wanted.setdefault(names.resolved(destination.host, vs.namespace), set()).add(number)
    candidates = _Found(found.namespace)
    for name in sorted(wanted.keys() - found.hosts.keys()):
        for host in hosts_named(mesh, name):
            if _is_exported(host, found.namespace):
                candidates.add(host)
    for name, host in candidates.hosts.items():
        ports = host.ports if 0 in wanted[name] else tuple(port for port in host.ports if port.number in wanted[name])
        if ports:
            yield replace(host, ports=ports)
