"""Hosts that can be called: Services and ServiceEntries as one thing, and which names and exports reach them.

Which of them a proxy sees is said in `mesh.sidecar.scope`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mesh.manifests.istio.service_entry import ServiceEntrySpec

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mesh.manifests.document import Resource, Spec
    from mesh.manifests.kubernetes import Service, ServicePort
    from mesh.sidecar.mesh import Mesh


@dataclass(frozen=True)
class Host:
    """A host that can be called: `service` or `entry` is set, and says the rest."""

    name: str
    """Fully qualified, such as team-a.rostrum.svc.cluster.local."""
    namespace: str
    ports: tuple[ServicePort, ...]
    service: Service | None = None
    entry: Resource[ServiceEntrySpec] | None = None

    def port(self, number: int) -> ServicePort | None:
        """The port of that number."""
        return next((port for port in self.ports if port.number == number), None)


def hosts_named(mesh: Mesh, name: str) -> Sequence[Host]:
    """The hosts of that name: more than one only if namespaces have one each."""
    return mesh.once(_by_name).get(name, ())


def all_hosts(mesh: Mesh) -> Sequence[Host]:
    """Every host of the mesh; of one name there may be several, in different namespaces."""
    return mesh.once(_all)


def all_ports(mesh: Mesh) -> set[int]:
    """Every port that some host of the mesh is called at."""
    return {port.number for host in all_hosts(mesh) for port in host.ports}


def _by_name(mesh: Mesh) -> Mapping[str, Sequence[Host]]:
    found: dict[str, list[Host]] = {}
    for host in all_hosts(mesh):
        found.setdefault(host.name, []).append(host)
    return found


def _all(mesh: Mesh) -> Sequence[Host]:
    services = [
        Host(name, service.namespace, service.ports, service=service) for name, service in sorted(mesh.services.items())
    ]
    return (*services, *_entries(mesh))


def _entries(mesh: Mesh) -> Iterator[Host]:
    for entry in mesh.all(ServiceEntrySpec):
        ports = tuple(port.as_service_port for port in entry.spec.ports)
        for name in entry.spec.hosts:
            yield Host(name, entry.namespace, ports, entry=entry)


def takes(pattern: str, host: str) -> bool:
    """Whether a host of a resource, which may begin with "*", is that of a host."""
    return host.endswith(pattern[1:]) if pattern.startswith("*") else pattern == host


def is_visible(resource: Resource[Spec], export_to: tuple[str, ...], namespace: str) -> bool:
    """Whether a resource is exported to a namespace."""
    return bool({"*", namespace} & set(export_to)) or ("." in export_to and resource.namespace == namespace)


def check_export(mesh: Mesh, resource: Resource[Any], namespaces: tuple[str, ...]) -> None:
    """Raises ManifestError for an exportTo that names its own namespace twice, or one that does not exist."""
    if {".", resource.namespace} <= set(namespaces):
        raise resource.refuse("exportTo", f"'.' is {resource.namespace}, which is said, too: leave one")
    for number, namespace in enumerate(namespaces):
        if namespace not in {".", "*", "~", *mesh.namespaces}:
            raise resource.refuse(f"exportTo[{number}]", f"there is no namespace {namespace}: write one, '.' or '*'")
