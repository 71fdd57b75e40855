"""The servers that a gateway's pods have: of every Gateway that takes the pod, at which of its ports.

Owns the pick of a pod's Gateways, which servers share a listener and a route configuration, and what a Gateway may not
say. The listeners are made in `mesh.sidecar.listeners.gateway`, the routes in `mesh.sidecar.routing.gateway`.
Source: istio/istio pilot/pkg/model/gateway.go.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from mesh.manifests.errors import ManifestError
from mesh.manifests.istio.fields import is_dns_label, is_ip, is_whole_wildcard_host
from mesh.manifests.istio.gateway import GatewaySpec, Server, ServerTls
from mesh.sidecar.mesh import selects

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mesh.manifests.document import Resource
    from mesh.manifests.kubernetes import Workload
    from mesh.sidecar.mesh import Mesh

K = TypeVar("K")


@dataclass(frozen=True)
class BoundServer:
    """A server at one port of the pod."""

    server: Server
    gateway: Resource[GatewaySpec]
    target: int

    @property
    def gateway_name(self) -> str:
        """The Gateway as namespace/name."""
        return f"{self.gateway.namespace}/{self.gateway.name}"

    @property
    def route_name(self) -> str:
        """One for all plain servers of a port, one of its own for a server that ends TLS."""
        port = self.server.port
        if not self.server.is_tls:
            return f"http.{self.target}"
        return f"https.{port.number}.{port.name}.{self.gateway.name}.{self.gateway.namespace}"

    @property
    def server_names(self) -> list[str]:
        """The hosts by which a TLS handshake is distinguished."""
        return sorted({host.rpartition("/")[2] for host in self.server.hosts})

    def hosts(self, namespace: str) -> list[str]:
        """The hosts that a VirtualService of that namespace may serve here, without the namespace."""
        found = []
        for entry in self.server.hosts:
            said, slash, host = entry.rpartition("/")
            if not slash or said == "*" or (self.gateway.namespace if said == "." else said) == namespace:
                found.append(host)
        return found


def is_gateway(mesh: Mesh, workload: Workload) -> bool:
    """Whether these pods are some Gateway's."""
    return any(selects(gateway.spec.selector, workload.labels) for gateway in mesh.all(GatewaySpec))


def group_servers(mesh: Mesh, workload: Workload, key: Callable[[BoundServer], K]) -> dict[K, list[BoundServer]]:
    """A pod's servers by what `key` says of each."""
    found: dict[K, list[BoundServer]] = {}
    for bound in _list_servers(mesh, workload):
        found.setdefault(key(bound), []).append(bound)
    return found


def _list_servers(mesh: Mesh, workload: Workload) -> Iterator[BoundServer]:
    """Every server of the Gateways that select the pod, the oldest first, at the pod's port behind its own number."""
    for gateway in mesh.all(GatewaySpec):
        if selects(gateway.spec.selector, workload.labels):
            for server in gateway.spec.servers:
                for target in _list_targets(mesh, workload, server.port.number):
                    yield BoundServer(server, gateway, target)


def _list_targets(mesh: Mesh, workload: Workload, number: int) -> list[int]:
    """The pod's ports behind a port of its Services; the number itself if none has it."""
    ports = [service.port(number) for service in mesh.services_of(workload)]
    found = {workload.target_port(port) for port in ports if port is not None}
    return sorted(target for target in found if target is not None) or [number]


def check_gateway(mesh: Mesh, resource: Resource[GatewaySpec]) -> None:
    """Raises ManifestError for what istiod or Envoy would refuse or pass over."""
    if not any(selects(resource.spec.selector, workload.labels) for workload in mesh.workloads.values()):
        raise resource.refuse("selector", "no workload has these labels: correct them or add the gateway's Deployment")
    if not is_dns_label(resource.name):
        raise ManifestError(
            f"{resource.where}: metadata.name: has a dot, which the name of a Gateway has not: remove it"
        )
    names_seen: set[str] = set()
    for number, server in enumerate(resource.spec.servers):
        path = f"servers[{number}]"
        _check_server(mesh, resource, path, server)
        if server.port.name in names_seen:
            raise resource.refuse(
                f"{path}.port.name", f"{server.port.name} is that of another server: give it another name"
            )
        names_seen.add(server.port.name)
    _check_ports(mesh, resource)


def _check_server(mesh: Mesh, resource: Resource[GatewaySpec], path: str, server: Server) -> None:
    for number, entry in enumerate(server.hosts):
        namespace, slash, host = entry.rpartition("/")
        is_short = host != "*" and "." not in host
        if is_short or not (is_whole_wildcard_host(host) or is_ip(host)) or "/" in namespace:
            raise resource.refuse(
                f"{path}.hosts[{number}]", f"{entry} is no host: write a name with a dot, *.name, * or ns/name"
            )
        if slash and namespace not in {".", "*", *mesh.namespaces}:
            raise resource.refuse(f"{path}.hosts[{number}]", f"no namespace {namespace}: correct it or write */{host}")
    tls = server.tls or ServerTls()
    if server.is_tls and tls.https_redirect:
        raise resource.refuse(f"{path}.tls.httpsRedirect", "this server speaks https already: remove it")
    if server.is_tls and tls.mode is None:
        raise resource.refuse(f"{path}.tls.mode", "is missing: write SIMPLE or MUTUAL, a server of HTTPS ends TLS")
    if server.is_tls and not tls.credential_name:
        raise resource.refuse(f"{path}.tls.credentialName", "is missing: name the secret with the certificate")
    if not server.is_tls and (tls.mode is not None or tls.credential_name):
        raise resource.refuse(f"{path}.tls", f"a server of {server.port.protocol} ends no TLS: write protocol HTTPS")


def _check_ports(mesh: Mesh, resource: Resource[GatewaySpec]) -> None:
    """A port of a pod is plaintext or TLS, and each host of a TLS port has one certificate; so across Gateways."""
    for workload in mesh.workloads.values():
        if not selects(resource.spec.selector, workload.labels):
            continue
        seen: dict[tuple[int, str], tuple[str, str]] = {}
        for bound in _list_servers(mesh, workload):
            protocol = "HTTPS" if bound.server.is_tls else "HTTP"
            where = f"{bound.gateway.where} server {bound.server.port.name}"
            other, by = seen.setdefault((bound.target, ""), (protocol, where))
            if other != protocol:
                raise resource.refuse("servers", f"port {bound.target} is {other} in {by}, {protocol} in {where}")
            for host in bound.server_names if bound.server.is_tls else ():
                _, by = seen.setdefault((bound.target, host), (protocol, where))
                if by != where:
                    raise resource.refuse("servers", f"{host} at port {bound.target} is in {by} and in {where}")
