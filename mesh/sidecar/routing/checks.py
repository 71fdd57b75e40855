"""What a VirtualService may not say: references to what does not exist, values out of range, fields that fight.

Called by `mesh.sidecar.checks`. Source: istio/istio pkg/config/validation/validation.go, and what Envoy
refuses or istiod passes over in silence.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mesh.manifests import names
from mesh.manifests.document import Resource
from mesh.manifests.istio.fields import find_rewrite_fault, is_ip, is_wildcard_host
from mesh.manifests.istio.gateway import GatewaySpec
from mesh.manifests.istio.service_entry import ServiceEntrySpec
from mesh.manifests.istio.virtual_service import (
    Destination,
    DirectResponse,
    Redirect,
    Rewrite,
    gateway_name,
)
from mesh.sidecar.destination_rules import rules_of
from mesh.sidecar.hosts import check_export, takes
from mesh.sidecar.routing.actions import REDIRECT_CODES
from mesh.sidecar.routing.faults import check_cors, check_fault, check_percent
from mesh.sidecar.routing.headers import check_authority, check_headers
from mesh.sidecar.routing.matches import check_match, check_regex
from mesh.sidecar.routing.retries import check_retries

if TYPE_CHECKING:
    from mesh.manifests.istio.virtual_service import HttpRoute, VirtualServiceSpec
    from mesh.sidecar.mesh import Mesh

_LARGEST_BODY = 1024 * 1024
"""max_direct_response_body_size_bytes of every route configuration."""


@dataclass(frozen=True)
class _Checked:
    """One VirtualService and the mesh it is held to."""

    mesh: Mesh
    resource: Resource[VirtualServiceSpec]

    def ports(self, host: str) -> frozenset[int] | None:
        """The ports of a host of the mesh; None if there is none of that name."""
        service = self.mesh.services.get(host)
        if service is not None:
            return frozenset(port.number for port in service.ports)
        for entry in self.mesh.all(ServiceEntrySpec):
            if host in entry.spec.hosts:
                return frozenset(port.number for port in entry.spec.ports)
        return None

    def is_of_mesh(self, host: str) -> bool:
        """Whether a host, or one that a wildcard takes, is in the mesh."""
        if not host.startswith("*"):
            return self.ports(host) is not None
        entries = (name for entry in self.mesh.all(ServiceEntrySpec) for name in entry.spec.hosts)
        return any(takes(host, name) for name in (*self.mesh.services, *entries))

    def gateways(self) -> Iterator[Resource[GatewaySpec]]:
        """The Gateways that it is bound to."""
        bound = {gateway_name(name, self.resource.namespace) for name in self.resource.spec.gateways}
        for gateway in self.mesh.all(GatewaySpec):
            if f"{gateway.namespace}/{gateway.name}" in bound:
                yield gateway

    def ports_called(self, rule: HttpRoute) -> Iterator[tuple[int, bool]]:
        """The ports at which the rule can be reached, and whether from within the mesh."""
        spec, namespace = self.resource.spec, self.resource.namespace
        gateways = {gateway_name(name, namespace) for name in spec.gateways}
        for match in rule.match or (None,):
            said = () if match is None else match.gateways
            here = {gateway_name(name, namespace) for name in said} or gateways
            wanted = {0} if match is None else {match.port}
            if "mesh" in here:
                for host in spec.hosts:
                    for port in self.ports(names.resolved(host, namespace)) or ():
                        if wanted & {0, port}:
                            yield port, True
            for gateway in self.gateways():
                if f"{gateway.namespace}/{gateway.name}" in here:
                    for server in gateway.spec.servers:
                        if wanted & {0, server.port.number}:
                            yield server.port.number, False


def check_virtual_service(mesh: Mesh, resource: Resource[VirtualServiceSpec]) -> None:
    """Raises ManifestError for what istiod or Envoy would refuse or pass over."""
    checked = _Checked(mesh, resource)
    _check_gateways(checked)
    for number, host in enumerate(resource.spec.hosts):
        _check_host(checked, f"hosts[{number}]", host)
        for other in resource.spec.hosts[:number]:
            if takes(host, other) or takes(other, host):
                raise resource.refuse(f"hosts[{number}]", f"{host} is said already by {other}: remove one of the two")
    check_export(mesh, resource, resource.spec.export_to)
    for number, rule in enumerate(resource.spec.http):
        _check_rule(checked, f"http[{number}]", rule)


def _check_gateways(checked: _Checked) -> None:
    known = {f"{gateway.namespace}/{gateway.name}" for gateway in checked.mesh.all(GatewaySpec)}
    for number, said in enumerate(checked.resource.spec.gateways):
        name = gateway_name(said, checked.resource.namespace)
        if name != "mesh" and name not in known:
            declared = ", ".join(sorted(known)) or "none"
            raise checked.resource.refuse(
                f"gateways[{number}]", f"no Gateway {name}: declare it, or name one of: {declared}"
            )


def _check_host(checked: _Checked, path: str, said: str) -> None:
    """A host is one of the mesh, if it is for the mesh, or one that a server of its gateways has."""
    host = names.resolved(said, checked.resource.namespace)
    if not is_wildcard_host(said) and not is_ip(said):
        raise checked.resource.refuse(path, f"{said!r} is no host: write a name, *.name or *")
    if said == "*" and "mesh" in checked.resource.spec.gateways:
        raise checked.resource.refuse(path, "* is for gateways alone: name the hosts, or the gateways without mesh")
    if "mesh" in checked.resource.spec.gateways and checked.is_of_mesh(host):
        return
    for gateway in checked.gateways():
        for served in (host_entry.rpartition("/")[2] for server in gateway.spec.servers for host_entry in server.hosts):
            if takes(served, host) or takes(host, served):
                return
    what = "no Service or ServiceEntry has this host, nor has a server of its gateways"
    raise checked.resource.refuse(path, f"{host}: {what}: correct it or declare it")


def _check_rule(checked: _Checked, path: str, rule: HttpRoute) -> None:
    resource = checked.resource
    for number, match in enumerate(rule.match):
        check_match(resource, f"{path}.match[{number}]", match, resource.spec.gateways)
    if bool(rule.route) + (rule.redirect is not None) + (rule.direct_response is not None) != 1:
        raise resource.refuse(path, "one of route, redirect, directResponse is expected: keep one")
    if rule.retries is not None:
        check_retries(resource, f"{path}.retries", rule.retries)
    if rule.fault is not None:
        check_fault(resource, f"{path}.fault", rule.fault)
    if rule.cors_policy is not None:
        check_cors(resource, f"{path}.corsPolicy", rule.cors_policy)
    check_headers(resource, f"{path}.headers", rule.headers)
    if rule.route:
        _check_routing(checked, path, rule)
    else:
        _check_answer(resource, path, rule)


def _check_routing(checked: _Checked, path: str, rule: HttpRoute) -> None:
    resource = checked.resource
    for number, weighted in enumerate(rule.route):
        here = f"{path}.route[{number}]"
        _check_destination(checked, f"{here}.destination", weighted.destination, rule)
        check_headers(resource, f"{here}.headers", weighted.headers)
    if len(rule.route) > 1 and not sum(weighted.weight for weighted in rule.route):
        raise resource.refuse(f"{path}.route", "all weights are 0, so nothing goes anywhere: give one a weight")
    if rule.rewrite is not None:
        _check_rewrite(resource, f"{path}.rewrite", rule.rewrite)
    check_authority(resource, path, rule)
    if rule.mirror is None and rule.mirror_percentage is not None:
        raise resource.refuse(f"{path}.mirrorPercentage", "there is no mirror: add it or remove the percentage")
    if rule.mirror is not None and rule.mirrors:
        raise resource.refuse(f"{path}.mirror", "mirrors is said, too: write all of them there")
    if rule.mirror is not None:
        _check_destination(checked, f"{path}.mirror", rule.mirror, rule)
        check_percent(resource, f"{path}.mirrorPercentage", rule.mirror_percentage)
    for number, mirror in enumerate(rule.mirrors):
        _check_destination(checked, f"{path}.mirrors[{number}].destination", mirror.destination, rule)
        check_percent(resource, f"{path}.mirrors[{number}].percentage", mirror.percentage)


def _check_destination(checked: _Checked, path: str, destination: Destination, rule: HttpRoute) -> None:
    resource = checked.resource
    host = names.resolved(destination.host, resource.namespace)
    ports = checked.ports(host)
    if ports is None:
        raise resource.refuse(f"{path}.host", f"no Service or ServiceEntry is {host}: correct it or declare one")
    known = ", ".join(str(port) for port in sorted(ports))
    if destination.port is not None and destination.port.number not in ports:
        number = destination.port.number
        raise resource.refuse(f"{path}.port.number", f"{host} has no port {number}: write one of {known}")
    if destination.port is None:
        for port, in_mesh in checked.ports_called(rule):
            if port not in ports and (in_mesh or len(ports) > 1):
                raise resource.refuse(f"{path}.port", f"is missing, and {host} has no port {port}: name one of {known}")
    if destination.subset and destination.subset not in _subsets(checked.mesh, host):
        raise resource.refuse(
            f"{path}.subset",
            f"no DestinationRule for {host} has a subset {destination.subset}: declare it or correct the name",
        )


def _subsets(mesh: Mesh, host: str) -> set[str]:
    return {
        subset.name
        for rules in mesh.once(rules_of).values()
        for rule in rules.list_taking(host)
        for subset in rule.spec.subsets
    }


def _check_rewrite(resource: Resource[VirtualServiceSpec], path: str, rewrite: Rewrite) -> None:
    if rewrite.uri and rewrite.uri_regex_rewrite is not None:
        raise resource.refuse(path, "only one of uri and uriRegexRewrite can be obeyed: keep one")
    if not rewrite.uri and rewrite.uri_regex_rewrite is None and not rewrite.authority:
        raise resource.refuse(path, "says nothing: write uri, uriRegexRewrite or authority, or remove it")
    if rewrite.uri_regex_rewrite is not None:
        said = rewrite.uri_regex_rewrite
        check_regex(resource, f"{path}.uriRegexRewrite.match", said.match)
        fault = find_rewrite_fault(said.match, said.rewrite)
        if fault:
            raise resource.refuse(f"{path}.uriRegexRewrite.rewrite", fault)


def _check_answer(resource: Resource[VirtualServiceSpec], path: str, rule: HttpRoute) -> None:
    """A rule that answers itself sends nothing on, so what is said of that would be passed over."""
    said = {
        "rewrite": rule.rewrite,
        "fault": rule.fault,
        "timeout": rule.timeout,
        "retries": rule.retries,
        "mirror": rule.mirror,
        "mirrorPercentage": rule.mirror_percentage,
        "mirrors": rule.mirrors or None,
    }
    for name, value in said.items():
        if value is not None:
            raise resource.refuse(f"{path}.{name}", "the rule sends nothing on, it answers itself: remove it")
    if rule.redirect is not None:
        _check_redirect(resource, f"{path}.redirect", rule.redirect)
    if rule.direct_response is not None:
        _check_direct_response(resource, f"{path}.directResponse", rule.direct_response)


def _check_redirect(resource: Resource[VirtualServiceSpec], path: str, redirect: Redirect) -> None:
    if redirect.redirect_code not in {0, *REDIRECT_CODES}:
        codes = ", ".join(map(str, REDIRECT_CODES))
        raise resource.refuse(f"{path}.redirectCode", f"{redirect.redirect_code} is none: write one of {codes}")
    if not (redirect.uri or redirect.authority or redirect.scheme or redirect.port or redirect.derive_port):
        raise resource.refuse(path, "leads nowhere else: write uri, authority, scheme or port")
    if redirect.port and redirect.derive_port is not None:
        raise resource.refuse(path, "only one of port and derivePort can be obeyed: keep one")
    if redirect.scheme not in {"", "http", "https"}:
        raise resource.refuse(f"{path}.scheme", f"{redirect.scheme} is none: write http or https")


def _check_direct_response(resource: Resource[VirtualServiceSpec], path: str, answer: DirectResponse) -> None:
    if not 200 <= answer.status <= 599:
        raise resource.refuse(f"{path}.status", f"{answer.status} is no status: write 200 to 599")
    if answer.body is not None and len(answer.body.string.encode()) > _LARGEST_BODY:
        raise resource.refuse(f"{path}.body.string", "is above 1 MiB: shorten it")
