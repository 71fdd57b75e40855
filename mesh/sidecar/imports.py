"""Sidecar: which of the mesh's hosts the proxies of some workloads see.

Owns the pick of the one that holds for a pod, and the matching of hosts; `mesh.sidecar.scope` narrows by it.
Source: istio/istio pilot/pkg/model/sidecar.go.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mesh.manifests.document import Resource
from mesh.manifests.istio.fields import is_dns_label, is_whole_wildcard_host
from mesh.manifests.istio.sidecar import SidecarSpec
from mesh.sidecar.hosts import hosts_named

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mesh.manifests.kubernetes import Workload
    from mesh.sidecar.mesh import Mesh


@dataclass(frozen=True)
class Import:
    """One line of egress.hosts, its namespace resolved: "*" is every one, "~" none."""

    namespace: str
    host: str
    is_excluded: bool = False

    def takes_namespace(self, namespace: str) -> bool:
        """Whether hosts of that namespace are meant."""
        return self.namespace in {"*", namespace}

    def takes(self, host: str) -> bool:
        """Whether that host, or all that a host with a wildcard stands for, is meant."""
        return self.host == host or (self.host.startswith("*") and host.removeprefix("*").endswith(self.host[1:]))


def imports_of(sidecar: Resource[SidecarSpec] | None, namespace: str) -> list[Import]:
    """What a pod of that namespace sees: all if there is no Sidecar, or one that says nothing of it."""
    if sidecar is None or not sidecar.spec.egress:
        return [Import("*", "*")]
    return [_import(line, namespace) for line in sidecar.spec.egress[0].hosts]


def _import(line: str, namespace: str) -> Import:
    of, _, host = line.partition("/")
    is_excluded = of.startswith("~") and of != "~"
    of = of.removeprefix("~") if is_excluded else of
    return Import(namespace if of == "." else of, host, is_excluded)


def sidecar_for(mesh: Mesh, workload: Workload) -> Resource[SidecarSpec] | None:
    """The one that holds for a workload: by selector, else the namespace's, else the root namespace's."""
    found = mesh.list_selecting(SidecarSpec, workload, _labels_of)
    own = [sidecar for sidecar in found if sidecar.namespace == workload.namespace]
    wider = (sidecar for sidecar in (*own, *found) if sidecar.spec.workload_selector is None)
    return next((sidecar for sidecar in own if sidecar.spec.workload_selector is not None), next(wider, None))


def _labels_of(spec: SidecarSpec) -> Mapping[str, str] | None:
    return None if spec.workload_selector is None else spec.workload_selector.labels


def check_sidecar(mesh: Mesh, resource: Resource[SidecarSpec]) -> None:
    """Raises ManifestError for what istiod would refuse or pass over."""
    if not resource.spec.egress and resource.spec.outbound_traffic_policy is None:
        raise resource.refuse("", "says nothing: write egress or outboundTrafficPolicy")
    _check_selector(mesh, resource)
    for number, line in enumerate(resource.spec.egress[0].hosts if resource.spec.egress else ()):
        _check_line(mesh, resource, f"egress[0].hosts[{number}]", line)


def _check_selector(mesh: Mesh, resource: Resource[SidecarSpec]) -> None:
    selector = resource.spec.workload_selector
    if selector is None:
        others = [
            sidecar for sidecar in mesh.within(SidecarSpec, resource.namespace) if not sidecar.spec.workload_selector
        ]
        if others[0] is not resource:
            raise resource.refuse("", f"{others[0].where} is for the whole namespace already: join the two")
        return
    if not any(mesh.workloads_with(selector.labels, resource.namespace)):
        raise resource.refuse(
            "workloadSelector.labels", f"select no workload of {resource.namespace}: correct them, or add the workload"
        )


def _check_line(mesh: Mesh, resource: Resource[SidecarSpec], path: str, line: str) -> None:
    namespace, slash, host = line.partition("/")
    if not slash or not namespace or not host or "/" in host:
        raise resource.refuse(path, f"{line!r} is no namespace/host: write ./host, namespace/host, */host or ~/*")
    if namespace == "~":
        if host != "*" or len(resource.spec.egress[0].hosts) > 1:
            raise resource.refuse(path, f"{line!r}: ~ stands for nothing at all: write ~/* alone, or ~namespace/host")
        return
    wanted = _import(line, resource.namespace)
    is_for_all = resource.namespace == mesh.settings.root_namespace and namespace.removeprefix("~") == "."
    if not is_whole_wildcard_host(host) or not ("." in host or host == "*"):
        hint = (
            f"write {host}.{wanted.namespace}.svc.cluster.local" if is_dns_label(host) else "write a name, *.name or *"
        )
        raise resource.refuse(path, f"{host} is no host of {wanted.namespace}: {hint}")
    if wanted.namespace != "*" and not is_dns_label(wanted.namespace):
        raise resource.refuse(path, f"{wanted.namespace} is no namespace: correct it")
    # Of a namespace that has nothing here (istio-system, monitoring) nothing is imported, as on a cluster.
    if host.startswith("*") or is_for_all or wanted.namespace not in {"*", *mesh.namespaces}:
        return
    if not any(wanted.takes_namespace(candidate.namespace) for candidate in hosts_named(mesh, host)):
        hint = "correct it, or add it" if "." in host else f"write {host}.{wanted.namespace}.svc.cluster.local"
        raise resource.refuse(path, f"{host} is no host of {wanted.namespace}: {hint}")
