"""PeerAuthentication: whether a workload's port is spoken to by mutual TLS, by plain text, or by either.

Owns the resolution of the mode (workload, then namespace, then root namespace; UNSET inherits). What a mode becomes is
in `mesh.sidecar.listeners.inbound` (filter chains) and `mesh.sidecar.clusters.outbound` (the marks of endpoints), its
callers. Source: istio/istio pilot/pkg/security/authn/policy_applier.go, ComposePeerAuthentication.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from mesh.manifests.istio.peer_authentication import MutualTls, PeerAuthenticationSpec
from mesh.sidecar.mesh import selects

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mesh.manifests.document import Resource
    from mesh.manifests.kubernetes import Workload
    from mesh.sidecar.mesh import Mesh

Mode = Literal["STRICT", "PERMISSIVE", "DISABLE"]


def check_peer_authentication(mesh: Mesh, resource: Resource[PeerAuthenticationSpec]) -> None:
    """Raises ManifestError for what istiod would refuse or pass over, and for a second policy of the same scope."""
    spec = resource.spec
    if spec.selector is None:
        if spec.port_level_mtls:
            raise resource.refuse("portLevelMtls", "has no effect without a selector: add one, or use mtls")
        _check_only_one(mesh, resource)
        return
    if resource.namespace == mesh.settings.root_namespace:
        raise resource.refuse("selector", "selects nothing in the root namespace: move the policy to the pods' own")
    selected = [
        workload
        for workload in mesh.workloads.values()
        if workload.namespace == resource.namespace and selects(spec.selector.match_labels, workload.labels)
    ]
    if not selected:
        raise resource.refuse("selector.matchLabels", f"no workload of {resource.namespace} has these: correct them")
    known = {str(port) for workload in selected for port in _ports(mesh, workload)}
    for port in spec.port_level_mtls:
        if port not in known:
            ports = ", ".join(sorted(known)) or "none"
            raise resource.refuse(f"portLevelMtls[{port}]", f"is no port of these pods ({ports}): write a targetPort")


def _check_only_one(mesh: Mesh, resource: Resource[PeerAuthenticationSpec]) -> None:
    oldest = next(
        policy for policy in mesh.within(PeerAuthenticationSpec, resource.namespace) if not policy.spec.selector
    )
    if oldest is not resource:
        raise resource.refuse("", f"{oldest.where} is for all of {resource.namespace} already: remove one of the two")


def _ports(mesh: Mesh, workload: Workload) -> Iterable[int]:
    yield from workload.ports.values()
    for service in mesh.services_of(workload):
        for port in service.ports:
            number = workload.target_port(port)
            if number is not None:
                yield number


def resolve_mode(mesh: Mesh, workload: Workload, target_port: int) -> Mode:
    """How the workload's port is to be spoken to. PERMISSIVE if nothing is said anywhere."""
    found = _namespace_mode(mesh, workload.namespace)
    if workload.namespace == mesh.settings.root_namespace:
        return found
    for policy in mesh.within(PeerAuthenticationSpec, workload.namespace):
        selector = policy.spec.selector
        if selector is not None and selects(selector.match_labels, workload.labels):
            found = _inherit(policy.spec.mtls, found)
            return _inherit(policy.spec.port_level_mtls.get(str(target_port), MutualTls()), found)
    return found


def _namespace_mode(mesh: Mesh, namespace: str) -> Mode:
    found: Mode = "PERMISSIVE"
    for scope in dict.fromkeys((mesh.settings.root_namespace, namespace)):
        policies = [policy for policy in mesh.within(PeerAuthenticationSpec, scope) if policy.spec.selector is None]
        if policies:
            found = _inherit(policies[0].spec.mtls, found)
    return found


def _inherit(said: MutualTls, wider: Mode) -> Mode:
    return wider if said.mode == "UNSET" else said.mode
